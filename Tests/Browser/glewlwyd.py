"""Glewlwyd, a provider of Debian's for production use: a server of its own, in C, whose sign-in pages are an application in
the browser. It asks for consent and can post its answers."""
import contextlib
import json
import secrets
import shutil
import sqlite3
import subprocess
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from providers import HOST, Provider, serve
from service import REPOSITORY, free_port, wait_until

# Where scripts/test unpacks its package, and what that has in common with others.
UNPACKED = REPOSITORY / ".build/glewlwyd/usr"
TABLES = UNPACKED / "share/dbconfig-common/data/glewlwyd/install/sqlite3"
MODULES = UNPACKED / "lib/glewlwyd"
SHARE = Path("/usr/share/glewlwyd")
# The one that its tables begin with.
ADMINISTRATOR = {"username": "admin", "password": "password"}
SCOPES = ["openid", "profile", "email"]

CONFIGURATION = """
port={port}
bind_address="127.0.0.1"
external_url="{external}"
login_url="login.html"
api_prefix="api"
static_files_path="{webapp}"
log_mode="file"
log_level="WARNING"
log_file="{directory}/glewlwyd.log"
cookie_secure=0
cookie_same_site="empty"
session_expiration=3600
session_key="GLEWLWYD2_SESSION_ID"
admin_session_authentication="cookie"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3"; path = "{directory}/glewlwyd.sqlite"; }};
static_files_mime_types = (
  {{ extension = ".html"; mime_type = "text/html"; }}, {{ extension = ".css"; mime_type = "text/css"; }},
  {{ extension = ".js"; mime_type = "application/javascript"; }},
  {{ extension = ".json"; mime_type = "application/json"; }}
);
"""


@contextlib.contextmanager
def glewlwyd(port, directory):
    inner = free_port()
    external = f"http://{HOST}:{port}"
    provider = Provider(
        slug="glewlwyd-heat", name="Glewlwyd Heat", issuer=f"{external}/api/oidc", client_id="link-sessions",
        client_secret=secrets.token_urlsafe(24), secret_name="SUPPLIER_GLEWLWYD_SECRET")
    configuration = directory / "glewlwyd.conf"
    configuration.write_text(CONFIGURATION.format(
        port=inner, external=external, webapp=lay_webapp(directory), modules=MODULES, directory=directory))
    with contextlib.closing(sqlite3.connect(directory / "glewlwyd.sqlite")) as tables:
        tables.executescript(TABLES.read_text())
    process = subprocess.Popen(
        [UNPACKED / "bin/glewlwyd", f"--config-file={configuration}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{inner}", trust_env=False) as client:
            prepare(provider, client, process)
            with serve(provider, forward_to(inner), port):
                yield provider
    finally:
        process.terminate()
        process.wait(10)


def lay_webapp(directory):
    """Its pages, with settings where they look for them: Debian's package has a directory in that place."""
    webapp = directory / "webapp"
    # It serves no links that lead out.
    shutil.copytree(SHARE / "webapp", webapp, ignore=shutil.ignore_patterns("config.json"))
    shutil.copy(SHARE / "templates/config.json", webapp)
    return webapp


def prepare(provider, client, process):
    def sign_in():
        assert process.poll() is None, "Glewlwyd ended"
        try:
            return client.post("/api/auth/", json=ADMINISTRATOR).status_code == 200
        except httpx.TransportError:
            return False

    wait_until("Glewlwyd is ready", sign_in)

    def add(what, **values):
        answer = client.post(f"/api/{what}/", json=values)
        assert answer.status_code == 200, answer.text

    key = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048), as_dict=True)
    optional = ("allow-non-oidc", "auth-type-token-enabled", "auth-type-password-enabled", "auth-type-client-enabled")
    add("mod/plugin", module="oidc", name="oidc", display_name="OpenID Connect", order_rank=0, readonly=False, parameters={
        "iss": provider.issuer, "jwks-private": json.dumps({"keys": [key | {"kid": "first", "alg": "RS256"}]}),
        "jwt-type": "rsa", "jwt-key-size": "256", "access-token-duration": 600, "refresh-token-duration": 600,
        "code-duration": 60, "auth-type-code-enabled": True, **dict.fromkeys(optional, False),
        "jwks-show": True, "pkce-allowed": True, "subject-type": "public", "allowed-scope": SCOPES,
        "name-claim": "on-demand", "name-claim-scope": ["profile"], "email-claim": "on-demand",
        "email-claim-scope": ["email"], "session-management-allowed": False,
        # In a form, its `iss` is encoded once too often, which makes it another issuer's.
        "oauth-as-iss-id": False,
    })
    for scope in SCOPES[1:]:
        add("scope", name=scope, display_name=scope, password_required=False)

    def allow_redirects_to(redirect_uri):
        client.delete(f"/api/client/{provider.client_id}")
        add("client", client_id=provider.client_id, name="NOX", confidential=True, enabled=True,
            client_secret=provider.client_secret, password=provider.client_secret, redirect_uri=[redirect_uri],
            authorization_type=["code"], token_endpoint_auth_method=["client_secret_basic"], scope=[])

    def add_user(name):
        password = secrets.token_urlsafe(16)
        add("user", username=name, name="Maria Jansen", email=f"{name}@glewlwyd.example", password=password, enabled=True,
            scope=SCOPES)
        return password

    provider.allow_redirects_to, provider.add_user = allow_redirects_to, add_user


def forward_to(port):
    """What a reverse proxy does."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)

    def app(environ, start_response):
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        if environ.get("CONTENT_TYPE"):
            headers["content-type"] = environ["CONTENT_TYPE"]
        headers.pop("connection", None)
        # Each request says who it comes from: the client keeps no cookies of its own.
        client.cookies.clear()
        query = environ.get("QUERY_STRING", "")
        answer = client.request(
            environ["REQUEST_METHOD"], environ["PATH_INFO"] + (f"?{query}" if query else ""), headers=headers,
            content=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        dropped = {"content-length", "content-encoding", "transfer-encoding", "connection", "date"}
        kept = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in dropped]
        start_response(f"{answer.status_code} {answer.reason_phrase}", kept)
        return [answer.content]

    return app
