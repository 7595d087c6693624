"""HAProxy with ops/haproxy.cfg in front of a replica, or of two."""
import signal
import ssl
import subprocess
from contextlib import contextmanager

import httpx
from service import REPOSITORY, free_port, wait_until


class Balancer:
    def __init__(self, ports, directory):
        self.port, self.plain_port = free_port(), free_port()
        certificate = directory / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", directory / "key.pem", "-out", directory / "ca.pem"],
            check=True, capture_output=True)
        certificate.write_text((directory / "ca.pem").read_text() + (directory / "key.pem").read_text())
        configuration = (REPOSITORY / "ops/haproxy.cfg").read_text()
        second = f"    server two 127.0.0.1:{ports[1]}\n" if len(ports) == 2 else ""
        for old, new in [
            ("bind :80", f"bind 127.0.0.1:{self.plain_port}"), ("bind :443", f"bind 127.0.0.1:{self.port}"),
            ("/etc/haproxy/certificate.pem", str(certificate)), ("10.0.0.11:8080", f"127.0.0.1:{ports[0]}"),
            ("    server two 10.0.0.12:8080\n", second),
            # Two descriptors a connection, which not every machine has so many of.
            ("maxconn 20000", "maxconn 200"),
        ]:
            assert configuration.count(old) == 1, old
            configuration = configuration.replace(old, new)
        self.file, self.log = directory / "haproxy.cfg", directory / "haproxy.log"
        self.file.write_text(configuration)
        self.client = httpx.Client(
            base_url=f"https://localhost:{self.port}", trust_env=False, timeout=20,
            verify=ssl.create_default_context(cafile=directory / "ca.pem"))

    @contextmanager
    def running(self):
        check = subprocess.run(["haproxy", "-c", "-f", self.file], capture_output=True, text=True)
        assert check.returncode == 0 and "WARNING" not in check.stderr, check.stderr
        with open(self.log, "w") as log:
            process = subprocess.Popen(["haproxy", "-f", self.file], stdout=log, stderr=log)
        try:
            def is_up():
                try:
                    return self.client.get("/health/live").status_code == 200
                except httpx.TransportError:
                    return False

            wait_until("the balancer has found the replica", is_up)
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
