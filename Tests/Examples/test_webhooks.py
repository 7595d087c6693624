"""Runs the receivers of docs/examples as they are: they get real events of the running service, and forged ones."""
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from service import AUTHENTICATOR_KEY, free_port, http, wait_until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COMMANDS = {
    "node": lambda port: ["node", "webhook.mjs"],
    "python": lambda port: [sys.executable, "webhook.py"],
    "php": lambda port: ["php", "-S", f"127.0.0.1:{port}", "webhook.php"],
}


class Receiver:
    """An example that runs, and a webhook of Acme's that leads to it."""

    def __init__(self, language, service, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hooks"
        [[webhook]] = service.sql(
            """
            INSERT INTO webhook_endpoints (manufacturer_id, url, secret_salt)
            SELECT id, %s, uuid_send(gen_random_uuid()) FROM manufacturers WHERE name = 'Acme Manufacturing' RETURNING id
            """,
            self.url)
        self.secret = service.run("admin", "show-webhook-secret", str(webhook))
        self.log = folder / "log"
        for example in EXAMPLES.glob("webhook.*"):
            shutil.copy(example, folder)
        environment = {
            "PATH": os.environ["PATH"], "ISSUER": service.base, "PORT": str(self.port), "WEBHOOK_SECRET": self.secret}
        self.process = subprocess.Popen(
            COMMANDS[language](self.port), cwd=folder, env=environment, stdout=self.log.open("w"),
            stderr=subprocess.STDOUT)
        wait_until("the receiver listens", self.listens)

    def listens(self):
        try:
            return http.post(self.url, content=b"{}").status_code == 400
        except Exception:
            return False

    def events(self):
        return re.findall(r"(evt_\d+) (link_session\.\w+) (\S+)", self.log.read_text())

    def post(self, event, timestamp, signature, body):
        headers = {"webhook-id": event, "webhook-timestamp": timestamp, "webhook-signature": signature}
        return http.post(self.url, content=body, headers=headers).status_code


@pytest.fixture(params=COMMANDS)
def receiver(request, service, tmp_path):
    receiver = Receiver(request.param, service, tmp_path)
    yield receiver
    receiver.process.kill()
    receiver.process.wait()
    service.sql("UPDATE webhook_endpoints SET disabled_at = now() WHERE disabled_at IS NULL")


def completed(service):
    session = service.create(user="manufacturer_user_id_123")
    http.post(
        f"{service.base}/v2/authenticator/link-sessions/{session['link_token']}/complete",
        headers={"x-api-key": AUTHENTICATOR_KEY}).raise_for_status()


def test_an_example_takes_real_events(receiver, service):
    for _ in range(3):
        completed(service)
    wait_until("all events came", lambda: len(receiver.events()) == 3)
    assert {(kind, user) for _, kind, user in receiver.events()} == {
        ("link_session.completed", "manufacturer_user_id_123")}
    assert len({event for event, _, _ in receiver.events()}) == 3


def test_an_example_refuses_what_is_forged(receiver, service, capture):
    completed(service)
    event, timestamp, signature, body = capture(receiver, service)
    taken = len(receiver.events())
    forged = [
        (event, timestamp, signature, body.replace(b"Acme", b"Acmf")),
        (event, timestamp, signature, body + b" "),
        (event + "1", timestamp, signature, body),
        (event, str(int(timestamp) + 1), signature, body),
        (event, str(int(timestamp) - 600), signature, body),
        (event, "", signature, body), (event, timestamp, "", body), ("", timestamp, signature, body),
        (event, timestamp, signature.swapcase(), body),
    ]
    for request in forged:
        assert receiver.post(*request) == 400, request
    assert len(receiver.events()) == taken
    assert receiver.post(event, timestamp, signature, body) == 204


@pytest.fixture
def capture(tmp_path):
    """A request as the service sends it to a second webhook of the same secret: seen by a server of our own."""
    requests = []

    class Capture(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            requests.append((
                self.headers["webhook-id"], self.headers["webhook-timestamp"], self.headers["webhook-signature"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Capture)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def run(receiver, service):
        wait_until("the example has its event", receiver.events)
        # Another place for the same webhook, and so the same secret, which is derived from the row's salt.
        service.sql(
            "UPDATE webhook_endpoints SET url = %s WHERE url = %s",
            f"http://127.0.0.1:{server.server_port}/", receiver.url)
        time.sleep(2)
        completed(service)
        return wait_until("an event was captured", lambda: requests and requests[-1])

    yield run
    server.shutdown()


def test_the_library_verifies_and_nothing_else_does(receiver, service, capture):
    completed(service)
    event, timestamp, signature, body = capture(receiver, service)
    headers = {"webhook-id": event, "webhook-timestamp": timestamp, "webhook-signature": signature}
    assert Webhook(receiver.secret).verify(body, headers)["id"] == event
    other = Webhook("whsec_" + "A" * 43 + "=")
    for webhook, changed, data in [
        (other, {}, body), (Webhook(receiver.secret), {"webhook-id": event + "1"}, body),
        (Webhook(receiver.secret), {"webhook-timestamp": str(int(time.time()) - 600)}, body),
        (Webhook(receiver.secret), {}, body.replace(b"Acme", b"Acmf")),
    ]:
        with pytest.raises(Exception, match="signature|Signature|timestamp"):
            webhook.verify(data, {**headers, **changed})
