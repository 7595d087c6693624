# Usage: WEBHOOK_SECRET=whsec_… PORT=3000 python3 webhook.py
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen = set()  # stands for your database: an event can come twice


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        # the bytes as they came: what was parsed and written again has another signature
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            return self.answer(400)
        # answer soon, and do the work afterwards: what takes longer than ten seconds is sent again
        if event["id"] not in seen:
            print(event["id"], event["type"], event["metadata"]["external_user_id"], flush=True)
        seen.add(event["id"])
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver).serve_forever()
