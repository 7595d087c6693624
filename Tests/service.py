"""The service under test, and what a manufacturer's backend does with it."""
import base64
import hashlib
import os
import secrets
import signal
import socket
import string
import subprocess
import time
import uuid
import zlib
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import psycopg

REPOSITORY = Path(__file__).resolve().parents[1]
# Where the built service is, and config/ and migrations/ beside it.
PROJECT = Path(os.environ.get("TEST_PROJECT_DIRECTORY", REPOSITORY))
EXECUTABLE = PROJECT / ".build/debug/link-session-service"

LANGUAGES = ["nl", "en", "fr", "es"]
APP = "https://your-app.com/callback"
AUTHENTICATOR_KEY = "test-key-of-the-authenticator-0123456789abcdef"
SESSIONS = "/v2/manufacturer/link-sessions"

# The id of no session (a UUIDv7), a token and a sign-in's state of it that are well-formed.
UNKNOWN_ID = uuid.UUID("00ffffff-ffff-7fff-bfff-ffffffffffff")
UNKNOWN_TOKEN = base64.urlsafe_b64encode(UNKNOWN_ID.bytes + bytes(24)).decode().rstrip("=")
UNKNOWN_STATE = base64.urlsafe_b64encode(UNKNOWN_ID.bytes + bytes(32)).decode()

# Whatever proxies the machine has, they are not for this.
http = httpx.Client(trust_env=False, timeout=10)


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def manufacturer_key(name):
    """A manufacturer's key, the same for the same name: docs/administer.md has its form."""
    body = "nox_test_" + base64.urlsafe_b64encode(digest(name)).decode().rstrip("=")
    checksum = zlib.crc32(body.encode())
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    return body + "".join(digits[checksum // 62**place % 62] for place in reversed(range(6)))


ACME_KEY = manufacturer_key("acme")
BETA_KEY = manufacturer_key("beta")


def session_id(session):
    """From the token, which begins with it."""
    return uuid.UUID(bytes=base64.urlsafe_b64decode(session["link_token"] + "==")[:16])


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(what, condition, seconds=10):
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return value


class Service:
    """The built program, serving a fresh database."""

    def __init__(self, server_url, scratch, suppliers):
        self.suppliers = suppliers
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.log_file = scratch / "service.log"
        self.process = None
        # What must show up in no log: tokens and whatever else a visitor's browser was given that opens something.
        self.secrets = set()
        self.server_url = server_url
        self.database = f"test_{secrets.token_hex(8)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database}")
        self.database_url = server_url.rpartition("/")[0] + "/" + self.database
        self.environment = {
            "PATH": os.environ["PATH"],
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            "LINK_SESSION_ENV": "local",
            "DATABASE_URL": self.database_url,
            "PUBLIC_BASE_URL": self.base,
            "HTTP_PORT": str(self.port),
            "HTTP_MANAGEMENT_PORT": "0",
            "AUTHENTICATOR_API_KEY_DIGESTS": "tests:" + digest(AUTHENTICATOR_KEY).hex(),
            "MIGRATIONS_DIRECTORIES": "migrations",
            "LOG_LEVEL": "debug",
            "RETURN_CODE_SECRETS": secrets.token_urlsafe(32), "IDEMPOTENCY_SECRETS": secrets.token_urlsafe(32),
            "WEBHOOK_SECRETS": secrets.token_urlsafe(32),
        }
        for supplier in suppliers:
            self.environment[supplier.secret_name] = supplier.client_secret
            supplier.allow_redirects_to(f"{self.base}/ui/callback/{supplier.slug}")
        self.environment["RETURN_SIGNING_KEYS"] = self.run("generate-signing-key")
        self.environment["WEBHOOK_SIGNING_KEYS"] = self.run("generate-signing-key")
        self.environment["SANDBOX_SIGNING_KEY"] = self.run("generate-signing-key")
        self.run("admin", "create-roles")
        self.run("migrate")
        self.prepare_database()

    def run(self, *arguments):
        result = subprocess.run(
            [EXECUTABLE, *arguments], cwd=PROJECT, env=self.environment, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout.strip()

    def prepare_database(self):
        self.sql("""
            DO $$ BEGIN CREATE ROLE tests_service LOGIN IN ROLE link_session_service;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
            """)
        self.add_manufacturer("Acme Manufacturing", "acme manufacturing", [APP], ACME_KEY)
        self.add_manufacturer("Beta Devices", None, None, BETA_KEY)
        for supplier in self.suppliers:
            self.sql(
                """
                INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name, scopes)
                VALUES (%s, %s, %s, %s, %s, '{openid,profile,email}')
                """,
                supplier.slug, supplier.name, supplier.issuer, supplier.client_id, supplier.secret_name)

    def add_manufacturer(self, name, brand, redirect_urls, key):
        """Without redirect URLs: any well-formed one."""
        self.sql(
            "INSERT INTO manufacturers (name, brand, redirect_policy, redirect_urls) VALUES (%s, %s, %s, %s)",
            name, brand, "unrestricted" if redirect_urls is None else "registered", redirect_urls or [])
        self.sql(
            """
            INSERT INTO api_keys (manufacturer_id, key_hash, label)
            SELECT id, %s, 'test' FROM manufacturers WHERE name = %s
            """,
            digest(key), name)
        return key

    def start(self):
        # It runs as what it is in production: no superuser, no owner.
        environment = self.environment | {
            "DATABASE_URL": self.database_url.replace("postgres@", "tests_service@", 1)}
        with open(self.log_file, "a") as log:
            self.process = subprocess.Popen(
                [EXECUTABLE, "serve"], cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            assert self.process.poll() is None, f"the service ended: {self.log_file.read_text()[-2000:]}"
            try:
                return http.get(self.base + "/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_until("the service is ready", ready, 30)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        if self.process:
            self.stop()
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)")

    def sql(self, statement, *values):
        """The rows, where there are any."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def change(self, statement, *values):
        """What an operator changes; the service has it when this returns."""
        self.sql(statement, *values)
        version = self.sql("SELECT version FROM control_plane_version")[0][0]

        def is_there():
            loaded = [line for line in self.log_file.read_text().splitlines() if "control plane loaded" in line]
            return loaded and int(loaded[-1].rpartition("version=")[2]) >= version

        wait_until("the service has the change", is_there, 5)

    @contextmanager
    def database_gone(self):
        """Nobody can connect, and nobody is connected."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.database])
            try:
                yield
            finally:
                connection.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true")
        wait_until("the service is ready again", lambda: http.get(self.base + "/health/ready").status_code == 200)

    # What a manufacturer's backend does.

    def create(self, language="nl", user="u-1", redirect_url=APP, key=ACME_KEY, **options):
        def created():
            answer = http.post(
                self.base + SESSIONS, headers={"x-api-key": key},
                json={"user_id": user, "redirect_url": redirect_url, "language": language} | options)
            return answer.status_code != 401 and answer  # a new key is known within a second

        answer = wait_until("the key is known", created, 5)
        assert answer.status_code == 201, answer.text
        session = answer.json()
        assert session["link_url"].startswith(self.base + "/ui?token=")
        assert answer.headers["link-session-id"] == str(session_id(session))
        self.secrets.add(session["link_token"])
        return session

    def find(self, session, key=ACME_KEY):
        answer = http.get(f"{self.base}{SESSIONS}/{session['link_token']}", headers={"x-api-key": key})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, session, key=ACME_KEY):
        return self.find(session, key)["status"]

    def confirm(self, session, user, code, key=ACME_KEY):
        return http.post(
            f"{self.base}{SESSIONS}/{session['link_token']}/confirm", headers={"x-api-key": key},
            json={"user_id": user, "code": code})

    def expire(self, session, key=ACME_KEY):
        answer = http.post(f"{self.base}{SESSIONS}/{session['link_token']}/expire", headers={"x-api-key": key})
        assert answer.status_code == 200, answer.text

    def age(self, session, minutes):
        """As if everything about the session had happened so long ago."""
        self.sql(
            """
            UPDATE link_sessions SET created_at = created_at - %s * interval '1 minute',
                expires_at = expires_at - %s * interval '1 minute', completed_at = completed_at - %s * interval '1 minute'
            WHERE id = %s
            """,
            minutes, minutes, minutes, session_id(session))

    def events(self, session):
        """(event, reason) in the order in which they happened."""
        return self.sql(
            "SELECT event, reason FROM link_session_events WHERE session_id = %s ORDER BY occurred_at",
            session_id(session))

    def refusals(self, session):
        return [(event, reason) for event, reason in self.events(session) if event.endswith("_refused")]

    def answer_sign_ins(self, session, count):
        """As if so many sign-ins had been begun, and their suppliers had answered."""
        self.sql(
            """
            INSERT INTO sign_ins (session_id, shard, state_hash, supplier, language, answered_at)
            SELECT id, shard, sha256(number::text::bytea), 'sandbox', 'en', clock_timestamp()
            FROM link_sessions, generate_series(1, %s) AS number WHERE id = %s
            """,
            count, session_id(session))

    def supplier_user(self, session):
        return self.sql(
            "SELECT supplier, supplier_user_id FROM link_sessions WHERE id = %s", session_id(session))[0]

    # What comes back to it.

    def published_keys(self):
        answer = http.get(self.base + "/.well-known/jwks.json")
        assert answer.status_code == 200
        return jwt.PyJWKSet.from_dict(answer.json())

    def verify(self, data, signature):
        """The fields of a result, whose signature is verified as an integrator verifies it."""
        header, between, bytes_of_signature = signature.split(".")
        assert between == "", "the signature is detached"
        token = f"{header}.{data}.{bytes_of_signature}"
        head = jwt.get_unverified_header(token)
        assert (head["typ"], head["alg"]) == ("link-return+jwt", "EdDSA")
        acme = self.sql("SELECT id FROM manufacturers WHERE name = 'Acme Manufacturing'")[0][0]
        return jwt.decode(
            token, self.published_keys()[head["kid"]].key, algorithms=["EdDSA"], audience=str(acme), issuer=self.base,
            options={"require": ["iss", "aud", "iat", "exp", "jti"]})

    def expect_result(self, url, status):
        """The fields of the result that a way back to Acme's app carries."""
        assert url.startswith(APP + "?"), url
        query = parse_qs(urlsplit(url).query, strict_parsing=True)
        assert list(query) == ["data", "signature"]
        fields = self.verify(query["data"][0], query["signature"][0])
        assert fields["status"] == status
        return fields

    def expect_silent_log(self):
        """No secret that went through a browser is in the log."""
        log = self.log_file.read_text()
        assert "listening" in log
        # Nor is who signed in.
        for secret in self.secrets | {ACME_KEY, AUTHENTICATOR_KEY, "@mock.example", "maria.jansen"}:
            for line in log.splitlines():
                assert secret not in line, f"the log holds {secret}: {line}"
        for supplier in self.suppliers:
            assert supplier.client_secret not in log
        for name in ("RETURN_SIGNING_KEYS", "SANDBOX_SIGNING_KEY", "RETURN_CODE_SECRETS", "IDEMPOTENCY_SECRETS",
                     "WEBHOOK_SIGNING_KEYS", "WEBHOOK_SECRETS"):
            assert self.environment[name] not in log
