"""Real OpenID Connect providers to sign in at, served from threads of the test run."""
import logging
import os
import secrets
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field

import werkzeug.serving
from service import http

# Another site than the service's 127.0.0.1, as a supplier's is: cookies and requests between the two are cross-site.
HOST = "localhost"

HANGS_UP = "500 Hangs Up"

logging.getLogger("werkzeug").setLevel(logging.ERROR)
logging.getLogger("oidc_provider_mock").setLevel(logging.CRITICAL)


@dataclass
class Provider:
    slug: str
    name: str
    issuer: str
    client_id: str
    client_secret: str
    secret_name: str
    # (path with query, Referer) of everything that was asked of it.
    requests: list = field(default_factory=list)
    allow_redirects_to: callable = lambda redirect_uri: None
    # Makes a user of this name; their password.
    add_user: callable = None
    # Whether its ID tokens say for whom they are.
    name_audience: callable = None
    # Paths at which it is down, and how: it answers so with a status, or hangs up.
    down: set = field(default_factory=set)
    down_by: str = "503 Service Unavailable"
    # Held by whatever touches its data: its database, SQLite, refuses one of two that write at once.
    turn: threading.Lock = field(default_factory=threading.Lock)

    def endpoint(self, name):
        """As its metadata name it; "metadata" is where they are."""
        metadata = self.issuer + "/.well-known/openid-configuration"
        return metadata if name == "metadata" else http.get(metadata).json()[name]


@contextmanager
def serve(provider, app, port):
    def recorded(environ, start_response):
        path = environ["PATH_INFO"] + "?" + environ.get("QUERY_STRING", "")
        provider.requests.append((path, environ.get("HTTP_REFERER", "")))
        if environ["PATH_INFO"] in provider.down:
            return refuse(environ, start_response)
        with provider.turn:
            return app(environ, start_response)

    def refuse(environ, start_response):
        if provider.down_by == HANGS_UP:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(provider.down_by, [("Content-Type", "text/html")])
        return [b"<!doctype html><title>Down</title><main data-page=down>Down for maintenance</main>"]

    server = werkzeug.serving.make_server("127.0.0.1", port, recorded, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def oidc_provider_mock(port):
    """Signs in whoever types a name. It takes any client and any redirect URI, and checks no PKCE verifier."""
    import oidc_provider_mock

    provider = Provider(
        slug="mock-energy", name="Mock Energy", issuer=f"http://{HOST}:{port}", client_id="link-sessions",
        client_secret=secrets.token_urlsafe(24), secret_name="SUPPLIER_MOCK_SECRET")
    return serve(provider, oidc_provider_mock.app(require_nonce=True), port)


def canaille(port, directory):
    """A provider for production use: passwords, consent, client authentication, PKCE, and `iss` in its answers.

    Its data is in SQLite: its `memory` backend takes all conditions of a query for alternatives, and finds other users'
    codes and consents.
    """
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, to this machine
    from canaille import create_app
    from canaille.app import models
    from canaille.backends import Backend
    from joserfc.jwk import RSAKey

    provider = Provider(
        slug="canaille-power", name="Canaille Power & Light", issuer=f"http://{HOST}:{port}",
        client_id="link-sessions", client_secret=secrets.token_urlsafe(24), secret_name="SUPPLIER_CANAILLE_SECRET")
    app = create_app(
        env_file=None,
        config={
            "SECRET_KEY": secrets.token_urlsafe(32),
            "SERVER_NAME": f"{HOST}:{port}",
            "PREFERRED_URL_SCHEME": "http",
            "CANAILLE": {
                "DATABASE": "sql",
                "FORCE_HTTPS": False,
                "JAVASCRIPT": False,
                "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"], "READ": ["user_name"], "WRITE": []}},
                "LOGGING": {"version": 1, "disable_existing_loggers": False},
            },
            "CANAILLE_SQL": {
                "DATABASE_URI": f"sqlite:///{directory}/canaille.sqlite",
                "PASSWORD_HASH_PARAMS": {"pbkdf2_sha512__rounds": 1000},
            },
            # No trusted domains: its consent page always shows.
            "CANAILLE_OIDC": {
                "ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)],
                "TRUSTED_DOMAINS": [],
            },
        })
    logging.getLogger("canaille").setLevel(logging.CRITICAL)
    with app.app_context(), Backend.instance.session():
        client = models.Client(
            client_id=provider.client_id, client_name="NOX", client_secret=provider.client_secret,
            client_uri="https://nox.example", redirect_uris=[], scope=["openid", "profile", "email"],
            grant_types=["authorization_code"], response_types=["code"],
            token_endpoint_auth_method="client_secret_basic", id_token_signed_response_alg="RS256", contacts=[])
        Backend.instance.save(client)

    def change_client(change):
        with provider.turn, app.app_context(), Backend.instance.session():
            client = Backend.instance.get(models.Client, client_id=provider.client_id)
            change(client)
            Backend.instance.save(client)

    def allow_redirects_to(redirect_uri):
        change_client(lambda client: setattr(client, "redirect_uris", [redirect_uri]))

    def name_audience(named):
        change_client(lambda client: setattr(client, "audience", [client] if named else []))

    def add_user(name):
        password = secrets.token_urlsafe(16)
        with provider.turn, app.app_context(), Backend.instance.session():
            Backend.instance.save(models.User(
                user_name=name, formatted_name="Maria Jansen", given_name="Maria", family_name="Jansen",
                emails=[f"{name}@canaille.example"], password=password))
        return password

    name_audience(True)
    provider.allow_redirects_to, provider.add_user, provider.name_audience = allow_redirects_to, add_user, name_audience
    return serve(provider, app, port)
