"""What ops/ has for those who deploy: checked by the programs that read it, and HAProxy in front of the running service."""
import re
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
from service import ACME_KEY, AUTHENTICATOR_KEY, REPOSITORY, SESSIONS, free_port, wait_until

OPS = REPOSITORY / "ops"


@pytest.mark.parametrize("file", sorted((OPS / "kubernetes").glob("*.yaml")), ids=lambda file: file.name)
def test_kubernetes_accepts_every_member(file):
    result = subprocess.run(
        [sys.executable, "-m", "kubernetes_validate", "--strict", file], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_pod_and_a_unit_are_given_more_time_than_the_program_takes_to_end():
    pod = (OPS / "kubernetes/service.yaml").read_text()
    grace = int(re.search(r'SHUTDOWN_GRACE_SECONDS, value: "(\d+)"', pod)[1])
    assert int(re.search(r"terminationGracePeriodSeconds: (\d+)", pod)[1]) > grace
    unit = (OPS / "link-session-service.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)", unit)[1]) > 25


def test_systemd_reads_the_unit(tmp_path):
    unit = tmp_path / "link-session-service.service"
    # Its program is not installed here.
    unit.write_text((OPS / unit.name).read_text().replace("/usr/local/bin/link-session-service", "/bin/true"))
    result = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "link-session-service.service" not in result.stderr, result.stderr


class Balancer:
    def __init__(self, service, directory):
        self.port, self.plain_port = free_port(), free_port()
        certificate = directory / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", directory / "key.pem", "-out", directory / "ca.pem"],
            check=True, capture_output=True)
        certificate.write_text((directory / "ca.pem").read_text() + (directory / "key.pem").read_text())
        configuration = (OPS / "haproxy.cfg").read_text()
        for old, new in [
            ("bind :80", f"bind 127.0.0.1:{self.plain_port}"), ("bind :443", f"bind 127.0.0.1:{self.port}"),
            ("/etc/haproxy/certificate.pem", str(certificate)), ("10.0.0.11:8080", f"127.0.0.1:{service.port}"),
            ("    server two 10.0.0.12:8080\n", ""),
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


@pytest.fixture(scope="module")
def balancer(service, tmp_path_factory):
    with Balancer(service, tmp_path_factory.mktemp("haproxy")).running() as balancer:
        yield balancer


def test_a_session_goes_through_haproxy_and_its_log_holds_no_secret(service, balancer):
    created = balancer.client.post(
        SESSIONS, headers={"x-api-key": ACME_KEY},
        json={"user_id": "u-secret", "redirect_url": "https://your-app.com/callback"})
    assert created.status_code == 201, created.text
    token = created.json()["link_token"]
    service.secrets.add(token)
    assert balancer.client.get(f"/ui?token={token}").status_code == 200
    assert balancer.client.get(f"{SESSIONS}/{token}", headers={"x-api-key": ACME_KEY}).status_code == 200
    completed = balancer.client.post(
        f"/v2/authenticator/link-sessions/{token}/complete", headers={"x-api-key": AUTHENTICATOR_KEY})
    assert completed.status_code == 200
    assert completed.headers["strict-transport-security"] == "max-age=31536000"
    waited = balancer.client.get("/v2/manufacturer/events?wait=1", headers={"x-api-key": ACME_KEY})
    assert waited.status_code == 200
    request_id = completed.headers["x-request-id"]
    log = wait_until("the log has it", lambda: (text := balancer.log.read_text()) and request_id in text and text)
    for secret in [token, ACME_KEY, AUTHENTICATOR_KEY, "u-secret"]:
        assert secret not in log
    assert "link-sessions/-/complete" in log


def test_haproxy_speaks_http_2_to_clients(balancer):
    answer = subprocess.run(
        ["curl", "--silent", "--insecure", "--http2", "--write-out", "%{http_version}", "--output", "/dev/null",
         f"https://localhost:{balancer.port}/health/live"], capture_output=True, text=True, check=True)
    assert answer.stdout == "2"


def test_what_is_for_those_who_run_the_service_is_not_for_the_public(balancer):
    assert balancer.client.get("/health/ready").status_code == 404
    assert balancer.client.get("/metrics").status_code == 404
    upgrade = balancer.client.get("/health/live", headers={"upgrade": "websocket", "connection": "upgrade"})
    assert upgrade.status_code == 400
    plain = httpx.get(f"http://127.0.0.1:{balancer.plain_port}/ui", trust_env=False)
    assert plain.status_code == 308 and plain.headers["location"].startswith("https://")
