"""A person with a browser."""
import base64
import os
import re
from urllib.parse import parse_qs, parse_qsl, urlsplit

# The same engine without a browser's own windows: a visitor takes a quarter of the processor time. It reads no settings
# of a profile.
CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium-headless-shell")
CHROMIUM_WITH_SETTINGS = "/usr/bin/chromium"
# No name is looked up but this machine's: what a page asks of anybody else fails, and shows on the console.
ARGUMENTS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--disable-background-networking",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]


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
