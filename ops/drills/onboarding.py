"""A manufacturer and a supplier are brought in: from the first command to the first session and sign-in."""
import http.server
import json
import signal
import threading
import time

from drill import Receiver, admin, answers, cluster, complete, create, request, start, table, wait_until


class Provider:
    """As much of an OpenID Connect provider as is asked before a user comes."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                body = json.dumps(self.jwks if handler.path == "/jwks" else self.metadata).encode()
                handler.send_response(200)
                handler.send_header("content-type", "application/json")
                handler.send_header("content-length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        # A public key (RFC 8037, appendix A.2).
        self.jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "use": "sig", "alg": "EdDSA",
                               "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
        self.metadata = {
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"]}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def main():
    with cluster(settings={"SHUTDOWN_DELAY_SECONDS": "0"}) as made:
        start(made)
        ports = [replica.port for replica in made.replicas]
        rows = []
        receiver = Receiver()
        begin = time.monotonic()
        admin(made, "add-manufacturer", "--name", "Warm Home", "--brand", "warm home",
              "--redirect-url", "https://your-app.com/callback", "--apply")
        key = admin(made, "add-key", "Warm Home", "--label", "production", "--apply").splitlines()[-1]
        admin(made, "add-webhook", "Warm Home", "--url", receiver.url, "--apply")
        rows.append(["manufacturer: the three commands", time.monotonic() - begin])
        wait_until("its key is known", lambda: all(create(port, key)[0] == 201 for port in ports))
        rows.append(["until its backend makes a session at both replicas", time.monotonic() - begin])
        _, session = create(ports[0], key)
        # What happens before a replica has its webhook is sent as well.
        assert complete(ports[1], session["link_token"])[0] == 200
        wait_until("the event came", lambda: receiver.events)
        rows.append(["until its first event reaches its webhook", time.monotonic() - begin])

        provider = Provider()
        begin = time.monotonic()
        # A new secret is in the replicas' environment before anybody is led there.
        for replica in made.replicas:
            replica.environment["SUPPLIER_GREEN_GRID_SECRET"] = "drill"
            replica.process.send_signal(signal.SIGTERM)
            assert replica.process.wait(60) == 0
            replica.start()
            wait_until("it is ready", lambda: answers(replica.port))
        rows.append(["supplier: the secret into both replicas, one after the other", time.monotonic() - begin])
        made.environment["SUPPLIER_GREEN_GRID_SECRET"] = "drill"
        asked = time.monotonic()
        admin(made, "add-supplier", "green-grid", "--name", "Green Grid", "--issuer", provider.issuer,
              "--client-id", "nox", "--client-secret-name", "SUPPLIER_GREEN_GRID_SECRET", "--apply")
        rows.append(["add-supplier, which asks its provider", time.monotonic() - asked])

        def is_offered():
            return all(
                any(supplier["slug"] == "green-grid" and supplier["available"] for supplier in request(
                    port, "GET", "/v2/manufacturer/suppliers", key)[1]["data"]) for port in ports)

        wait_until("it is offered", is_offered)
        rows.append(["until both replicas offer it", time.monotonic() - begin])
        _, session = create(ports[0], key)
        status, page = request(
            ports[0], "POST", "/ui/sign-ins", body=f"token={session['link_token']}&language=en&supplier=green-grid",
            headers={"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"})
        assert status == 200 and f"{provider.issuer}/authorize".encode() in page, status
        rows.append(["until a user is led to its provider", time.monotonic() - begin])
        table("onboarding of a manufacturer and of a supplier (seconds)", ["what", "measured"], rows)


if __name__ == "__main__":
    main()
