"""The service and its peers, each started alone: whatever is measured has the machine to itself."""
import hashlib
import os

import load
import machine
import postgres


class Server:
    """A running server; ends with its `with` block."""

    def __init__(self, name, bench, database):
        self.name, self._bench = name, bench
        self.port, self.management_port = machine.free_port(), machine.free_port()
        # Appended to, so that it can be cut down meanwhile.
        self._log = open(
            os.path.join(bench.scratch, f"{name}.log"), "w", opener=lambda path, flags: os.open(path, flags | os.O_APPEND, 0o644))
        command, environment = COMMANDS[name](bench, bench.database.url(database), self.port)
        environment["HTTP_MANAGEMENT_PORT"] = str(self.management_port)
        self.process = machine.start(command, environment, self._log)
        self.pid = self.process.pid

    def __enter__(self):
        try:
            self.wait_until_serving()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        machine.stop(self.process, at_once=True)
        self._log.close()

    def wait_until_serving(self):
        """Returns the seconds until a create was answered with 201; from the start on where it is called at once."""
        try:
            return machine.wait_until(
                lambda: load.ask(self.port, load.CREATE, 1) == 201, 30, self.process, self.name)
        except machine.Failure as failure:
            with open(self._log.name, errors="replace") as file:
                raise machine.Failure(f"{failure}; its log ends: {file.read()[-600:]}")

    def wait_until_ready(self):
        """The same for /health/ready, which peers do not have."""
        payload = load.request("GET", "/health/ready")
        return machine.wait_until(lambda: load.ask(self.port, payload, 1) == 200, 30, self.process, self.name)

    def cpu_seconds(self):
        return machine.cpu_seconds(self.pid)

    def peak_kib(self):
        return machine.status(self.pid, "VmHWM")["VmHWM"]

    def take_log(self):
        """What it wrote since it was last asked. A soak would fill the disk with it."""
        with open(self._log.name, errors="replace") as file:
            said = file.read()
        os.truncate(self._log.name, 0)
        return said

    def held(self):
        """What it holds now: memory in KiB, threads and descriptors."""
        return {**machine.status(self.pid, "VmRSS", "Threads"), "descriptors": machine.descriptors(self.pid)}


def _service(bench, url, port):
    """As in production, with every line of the access log, but on the loopback interface."""
    return [bench.executable, "serve"], {
        "LINK_SESSION_ENV": "production", "DATABASE_URL": url, "HTTP_HOST": "127.0.0.1", "HTTP_PORT": str(port),
        "SHUTDOWN_DELAY_SECONDS": "0",
        # What it deletes beside serving is measured apart.
        "RETENTION_DAYS": "36500",
        # Any 32 bytes do.
        "RETURN_SIGNING_KEYS": "A" * 43, "RETURN_CODE_SECRETS": "A" * 43, "IDEMPOTENCY_SECRETS": "A" * 43,
        "WEBHOOK_SIGNING_KEYS": "E" + "A" * 42, "WEBHOOK_SECRETS": "A" * 43,
        # Switched on, and beyond what one machine can ask for.
        "RATE_LIMIT_CREATES": "1000000/1000000", "RATE_LIMIT_ADDRESS": "1000000/1000000",
        "AUTHENTICATOR_API_KEY_DIGESTS": "bench:" + hashlib.sha256(postgres.AUTHENTICATOR_KEY.encode()).hexdigest()}


def _go(name):
    return lambda bench, url, port: ([".local/bench/peers/go", name], {"DATABASE_URL": url, "PORT": str(port)})


def _fastapi(bench, url, port):
    return [".local/bench/venv/bin/uvicorn", "--app-dir", "benchmarks/peers/fastapi", "main:app", "--workers", "2",
            "--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"], {"DATABASE_URL": url}


COMMANDS = {"service": _service, "go-batch": _go("go-batch"), "go": _go("go"), "go-random": _go("go-random"), "fastapi": _fastapi}
