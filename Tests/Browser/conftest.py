"""What the browser tests share: the running service, providers to sign in at, and visitors with a browser each."""
import base64
import hashlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import jwt
import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

import providers

REPOSITORY = Path(__file__).resolve().parents[2]
# Where the built service is, and config/ and migrations/ beside it.
PROJECT = Path(os.environ.get("TEST_PROJECT_DIRECTORY", REPOSITORY))
EXECUTABLE = PROJECT / ".build/debug/link-session-service"
CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")

LANGUAGES = ["nl", "en", "fr", "es"]
APP = "https://your-app.com/callback"
ACME_KEY = "test-key-of-acme-0123456789abcdefghijklmnopqrs"
BETA_KEY = "test-key-of-beta-0123456789abcdefghijklmnopqrs"
AUTHENTICATOR_KEY = "test-key-of-the-authenticator-0123456789abcdef"
SESSIONS = "/v2/manufacturer/link-sessions"

# Whatever proxies the machine has, they are not for this.
http = httpx.Client(trust_env=False, timeout=10)

collect_ignore = [] if os.environ.get("UPDATE_SCREENSHOTS") == "1" else ["test_screenshots.py"]


def digest(text):
    return hashlib.sha256(text.encode()).digest()


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


# --- The service, on a database of its own.


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
        self.database = f"browser_{secrets.token_hex(8)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database}")
        self.database_url = server_url.rpartition("/")[0] + "/" + self.database
        self.environment = {
            "PATH": os.environ["PATH"],
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            "DATABASE_URL": self.database_url,
            "PUBLIC_BASE_URL": self.base,
            "HTTP_PORT": str(self.port),
            "AUTHENTICATOR_API_KEY_DIGESTS": digest(AUTHENTICATOR_KEY).hex(),
            "MIGRATIONS_DIRECTORIES": "migrations",
            "LOG_LEVEL": "debug",
            "RETURN_CODE_SECRETS": secrets.token_urlsafe(32),
        }
        for supplier in suppliers:
            self.environment[supplier.secret_name] = supplier.client_secret
            supplier.allow_redirects_to(f"{self.base}/ui/callback/{supplier.slug}")
        self.environment["RETURN_SIGNING_KEYS"] = self.run("generate-signing-key")
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
            DO $$ BEGIN CREATE ROLE browser_tests_service LOGIN IN ROLE link_session_service;
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
            "DATABASE_URL": self.database_url.replace("postgres@", "browser_tests_service@", 1)}
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

    def create(self, language="nl", user="u-1", redirect_url=APP, key=ACME_KEY):
        def created():
            answer = http.post(
                self.base + SESSIONS, headers={"x-api-key": key},
                json={"user_id": user, "redirect_url": redirect_url, "language": language})
            return answer.status_code != 401 and answer  # a new key is known within a second

        answer = wait_until("the key is known", created, 5)
        assert answer.status_code == 201, answer.text
        session = answer.json()
        assert session["link_url"].startswith(self.base + "/ui?token=")
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
            WHERE token_hash = %s
            """,
            minutes, minutes, minutes, digest(session["link_token"]))

    def events(self, session):
        """(event, reason) in the order in which they happened."""
        return self.sql(
            "SELECT event, reason FROM link_session_events WHERE token_hash = %s ORDER BY occurred_at",
            digest(session["link_token"]))

    def refusals(self, session):
        return [(event, reason) for event, reason in self.events(session) if event.endswith("_refused")]

    def supplier_user(self, session):
        return self.sql(
            "SELECT supplier, supplier_user_id FROM link_sessions WHERE token_hash = %s", digest(session["link_token"]))[0]

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
        for name in ("RETURN_SIGNING_KEYS", "SANDBOX_SIGNING_KEY", "RETURN_CODE_SECRETS"):
            assert self.environment[name] not in log


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failure is shown with what the service logged last."""
    report = yield
    service = getattr(item, "funcargs", {}).get("service")
    if report.failed and service:
        report.sections.append(("the service's log", "\n".join(service.log_file.read_text().splitlines()[-15:])))
    return report


@pytest.fixture(scope="session")
def mock_energy():
    with providers.oidc_provider_mock(free_port()) as provider:
        yield provider


@pytest.fixture(scope="session")
def canaille(tmp_path_factory):
    with providers.canaille(free_port(), tmp_path_factory.mktemp("canaille")) as provider:
        yield provider


@pytest.fixture(scope="module")
def service(mock_energy, canaille, tmp_path_factory):
    server_url = os.environ.get("TEST_DATABASE_URL")
    assert server_url, "TEST_DATABASE_URL is not set: run the tests with scripts/test --browser"
    service = Service(server_url, tmp_path_factory.mktemp("service"), [mock_energy, canaille])
    try:
        service.start()
        yield service
        service.expect_silent_log()
    finally:
        service.end()


# --- Visitors.


class Visitor:
    """A person with a browser: what it asks for and complains about is recorded, and judged when the test is over."""

    # What Chrome itself says about any document with such a status.
    STATUS_LINE = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d|50[23]) ")
    # A few parameters open something to whoever has them.
    SECRET_PARAMETERS = {"token", "state", "code", "data", "signature"}

    def __init__(self, service, context):
        self.service = service
        self.context = context
        self.requests = []  # (method, url, body)
        self.headers = []  # of every request as it went out, names in lower case
        self.complaints = []  # errors on the console
        self.arrivals = []  # URLs at which the manufacturer's app was opened
        context.on("console", self.hear)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.route("https://your-app.com/**", self.arrive)

    def hear(self, message):
        # What providers' own pages do is theirs.
        ours = message.page is None or message.page.url.startswith(self.service.base + "/")
        if ours and message.type in ("error", "warning") and not self.STATUS_LINE.match(message.text):
            self.complaints.append(message.text)

    def arrive(self, route):
        self.arrivals.append(route.request.url)
        route.fulfill(content_type="text/html", body="<!doctype html><title>App</title><main data-page=app>The app</main>")

    def new_tab(self):
        tab = self.context.new_page()
        tab.set_default_timeout(10_000)
        record = self.context.new_cdp_session(tab)
        record.on("Network.requestWillBeSent", lambda event: self.requests.append(
            (event["request"]["method"], event["request"]["url"], event["request"].get("postData", ""))))
        record.on("Network.requestWillBeSentExtraInfo", lambda event: self.headers.append(
            {name.lower(): value for name, value in event["headers"].items()}))
        record.send("Network.enable")
        return tab

    def open(self, url):
        tab = self.new_tab()
        tab.goto(url)
        return tab

    def cookies(self):
        """The sign-ins' cookies."""
        return [cookie for cookie in self.context.cookies(self.service.base) if "sign-in-" in cookie["name"]]

    def judge(self):
        assert not self.complaints, f"the browser complained: {self.complaints}"
        base = self.service.base
        for _, url, body in self.requests:
            for name, value in parse_qsl(urlsplit(url).query) + parse_qsl(body):
                if name in self.SECRET_PARAMETERS and len(value) >= 16:
                    self.service.secrets.add(value)
        for cookie in self.cookies():
            self.service.secrets.update(part for part in cookie["value"].split(".") if len(part) >= 16)
        tokens = self.link_tokens()
        for _, url, body in self.requests:
            if not url.startswith(base + "/"):
                parts = [url, body]
                for _, value in parse_qsl(urlsplit(url).query):
                    parts.append(decoded(value))
                assert not any(token in part for token in tokens for part in parts), f"a token went to {url}"
        for headers in self.headers:
            referrer = headers.get("referer", "")
            assert not referrer.startswith(base) or referrer == base + "/", f"a Referer told {referrer}"
            assert not any(token in referrer for token in tokens), f"a Referer told {referrer}"

    def link_tokens(self):
        return {parse_qs(urlsplit(url).query)["token"][0] for _, url, _ in self.requests
                if url.startswith(self.service.base + "/ui?") and "token=" in url}


def decoded(text):
    """Base64url as text, or nothing."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        return ""


# No name is looked up but this machine's: what a page asks of anybody else fails, and shows on the console.
ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--disable-background-networking",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright):
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def new_visitor(service, chromium):
    """Makes visitors, each with a browser of their own: cookies and history are not shared."""
    visitors = []

    def make(**options):
        options.setdefault("viewport", {"width": 390, "height": 844})
        options.setdefault("locale", "en-GB")
        visitors.append(Visitor(service, chromium.new_context(**options)))
        return visitors[-1]

    yield make
    try:
        for visitor in visitors:
            visitor.judge()
    finally:
        for visitor in visitors:
            visitor.context.close()


@pytest.fixture
def visitor(new_visitor):
    return new_visitor()


@pytest.fixture
def visitor_without_cookies(service, playwright, tmp_path):
    """With all cookies blocked, in the browser's own settings."""
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default/Preferences").write_text(
        json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}}))
    context = playwright.chromium.launch_persistent_context(tmp_path, executable_path=CHROMIUM, args=ARGUMENTS)
    visitor = Visitor(service, context)
    yield visitor
    try:
        visitor.judge()
    finally:
        context.close()


# --- What a visitor does and sees.


def shows(tab, name):
    """Waits until the tab shows the page, with its stylesheet."""
    try:
        tab.locator(f"main[data-page={name}]").wait_for()
        tab.wait_for_load_state()
    except Exception:
        raise AssertionError(f"expected the page {name}, but {describe(tab)}") from None


def page_name(tab):
    return tab.locator("main").get_attribute("data-page")


def describe(tab):
    """What a tab shows, for a failure's message; without the query, which can hold a token."""
    try:
        text = tab.locator("body").inner_text(timeout=1000)
        main = tab.locator("main[data-page]")
        page = main.get_attribute("data-page", timeout=1000) if main.count() else "no page of the service"
        return f"{tab.url.split('?')[0]} shows {page}: {text[:300]}"
    except Exception:
        return f"{tab.url.split('?')[0]} shows nothing"


def choose(tab, supplier):
    """Chooses a supplier on the session's page."""
    tab.locator(f"button[name=supplier][value={supplier}]").click()


def stay(tab, pattern):
    """From now on the tab asks for such addresses and stays where it is, until `tab.unroute(pattern)`: so a page that
    goes on by itself can be looked at. Returns the addresses asked for, as they come."""
    asked = []

    def keep(route):
        asked.append(route.request.url)
        route.fulfill(status=204)

    tab.route(pattern, keep)
    return asked


def wait_in(tab, what, condition, seconds=5):
    """As `wait_until`, while the tab goes on."""
    def turn():
        tab.wait_for_timeout(20)
        return condition()

    return wait_until(what, turn, seconds)


def sign_in_at_sandbox(tab, outcome="approve"):
    """From the session's page to the page after the sandbox's answer."""
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    tab.locator(f"#{outcome}").click()
    shows(tab, {"approve": "confirm", "decline": "failed", "error": "failed", "late": "expired"}[outcome])


def sign_in_at_mock(tab, user, expect="confirm"):
    choose(tab, "mock-energy")
    tab.locator("input[name=sub]").fill(user)
    tab.get_by_role("button", name="Authorize", exact=True).click()
    shows(tab, expect)


def sign_in_at_canaille(tab, provider, answer="accept"):
    """As a user who was never there before. Returns the user's name, which is the subject of the ID token."""
    user = f"maria.jansen.{secrets.token_hex(4)}"
    password = provider.add_user(user)
    choose(tab, provider.slug)
    tab.locator("input[name=login]").fill(user)
    tab.keyboard.press("Enter")
    tab.locator("input[name=password]").fill(password)
    tab.keyboard.press("Enter")
    tab.locator(f"button[name=answer][value={answer}]").click()
    return user


def confirm(tab):
    """Confirms the account; the URL at which the browser arrives in the manufacturer's app."""
    tab.locator("#confirm").click()
    tab.wait_for_url(APP + "?**")
    return tab.url


def complete(service, visitor, session, outcome="approve"):
    """The whole way with the sandbox; the tab and the URL at which it arrives."""
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    return tab, confirm(tab)


def link(tab, name):
    """Where a link of the page leads."""
    return tab.locator(f"a#{name}").get_attribute("href")


def findings(tab):
    """What axe-core finds serious or critical."""
    violations = Axe().run(tab).response["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for violation in violations if violation["impact"] in ("serious", "critical") for node in violation["nodes"]]
