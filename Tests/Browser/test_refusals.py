"""What an attacker would try from elsewhere: each is refused, the session stays open, and an event says so."""
import http.server
import threading
from html import escape
from urllib.parse import parse_qs, urlsplit

import pytest
from refusals import callback_of_sandbox, changed, expect_refused
from service import UNKNOWN_TOKEN, session_id
from service import http as client
from steps import choose, complete, confirm, link, shows, sign_in_at_sandbox

# --- Other people's pages.


@pytest.fixture
def elsewhere():
    """Another origin's server: serves what a test puts into `pages`, at `host` 127.0.0.1 (same site) or localhost."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(urlsplit(self.path).path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    pages = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.pages = pages
    yield server
    server.shutdown()
    server.server_close()


def form(action, target="_self", **fields):
    hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items())
    return f"""<!doctype html><title>Elsewhere</title>
        <form method="post" action="{action}" target="{target}">{hidden}<button>Win</button></form>"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "another site"])
def test_another_origins_page_cannot_begin_a_sign_in(service, visitor, elsewhere, host):
    session = service.create("en")
    elsewhere.pages["/"] = form(
        f"{service.base}/ui/sign-ins", token=session["link_token"], language="en", supplier="sandbox")
    tab = visitor.open(f"http://{host}:{elsewhere.server_port}/")
    with tab.expect_response(f"{service.base}/ui/sign-ins") as answered:
        tab.locator("button").click()
    assert answered.value.status == 403
    shows(tab, "refused")
    assert visitor.cookies() == []
    expect_refused(service, session)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "another site"])
def test_another_origins_page_cannot_confirm(service, visitor, elsewhere, host):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    elsewhere.pages["/"] = form(tab.url)
    evil = visitor.open(f"http://{host}:{elsewhere.server_port}/")
    evil.locator("button").click()
    shows(evil, "refused")
    expect_refused(service, session, "completion_refused")
    # The user's own click still counts.
    service.expect_result(confirm(tab), "completed")


def test_a_sandboxed_frame_cannot_begin_a_sign_in(service, visitor, elsewhere):
    """Its forms say `Origin: null`."""
    session = service.create("en")
    content = form(
        f"{service.base}/ui/sign-ins", target="_top", token=session["link_token"], language="en", supplier="sandbox")
    elsewhere.pages["/"] = f"""<!doctype html>
        <iframe sandbox="allow-forms allow-top-navigation" srcdoc="{escape(content)}"></iframe>"""
    tab = visitor.open(f"http://127.0.0.1:{elsewhere.server_port}/")
    with tab.expect_response(f"{service.base}/ui/sign-ins") as answered:
        tab.frame_locator("iframe").locator("button").click()
    assert answered.value.status == 403
    assert answered.value.request.all_headers()["origin"] == "null"
    shows(tab, "refused")
    expect_refused(service, session)


@pytest.mark.parametrize("headers", [
    {"Origin": "null"}, {}, {"Origin": "https://evil.example"}, {"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": "own"}, {"Origin": "own, https://evil.example"}, {"Origin": "own/"},
    {"Referer": "own/ui"},
], ids=str)
def test_a_sign_in_begins_only_from_our_own_page(service, headers):
    session = service.create("en")
    headers = {name: value.replace("own", service.base) for name, value in headers.items()}
    answer = client.post(
        f"{service.base}/ui/sign-ins", headers=headers,
        data={"token": session["link_token"], "language": "en", "supplier": "sandbox"})
    assert answer.status_code == 403
    assert 'data-page="refused"' in answer.text
    assert "set-cookie" not in answer.headers
    expect_refused(service, session)


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "own"}], ids=str)
def test_a_sign_in_begins_from_our_own_page(service, headers):
    headers = {name: value.replace("own", service.base) for name, value in headers.items()}
    answer = client.post(
        f"{service.base}/ui/sign-ins", headers=headers,
        data={"token": service.create("en")["link_token"], "language": "en", "supplier": "sandbox"})
    assert answer.status_code == 200
    assert 'data-page="continue"' in answer.text
    assert "set-cookie" in answer.headers


def test_no_page_can_be_framed(service, visitor, elsewhere):
    session = service.create("en")
    elsewhere.pages["/"] = f'<!doctype html><iframe src="{escape(session["link_url"])}"></iframe>'
    tab = visitor.open(f"http://localhost:{elsewhere.server_port}/")
    tab.wait_for_timeout(500)
    assert tab.frames[1].locator("main").count() == 0
    assert tab.frames[1].url == "chrome-error://chromewebdata/"


def test_other_methods_and_types_begin_nothing(service):
    session = service.create("en")
    fields = {"token": session["link_token"], "language": "en", "supplier": "sandbox"}
    own = {"Sec-Fetch-Site": "same-origin"}
    assert client.get(f"{service.base}/ui/sign-ins", params=fields, headers=own).status_code in (404, 405)
    for answer in [
        client.post(f"{service.base}/ui/sign-ins", json=fields, headers=own),
        client.post(f"{service.base}/ui/sign-ins", data=fields | {"supplier": "nobody"}, headers=own),
        client.post(f"{service.base}/ui/sign-ins", data=fields | {"token": UNKNOWN_TOKEN}, headers=own),
        client.post(f"{service.base}/ui/sign-ins", data=fields | {"token": str(session_id(session))}, headers=own),
        client.post(f"{service.base}/ui/sign-ins", data={}, headers=own),
        client.post(f"{service.base}/ui/sign-ins", data=fields | {"language": "xx", "supplier": ""}, headers=own),
        client.post(f"{service.base}/ui/sign-ins", content=b"token=%FF%00&supplier=sandbox",
                    headers=own | {"Content-Type": "application/x-www-form-urlencoded"}),
    ]:
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])
        assert "set-cookie" not in answer.headers
    assert "sign_in_started" not in [event for event, _ in service.events(session)]


def test_nobody_is_sent_anywhere_that_the_database_does_not_name(service, visitor):
    """Open redirects: what a request says is never where the browser goes."""
    session = service.create("en")
    tab = visitor.new_tab()
    for extra in (
        "&redirect_url=https://evil.example/", "&redirect_uri=https://evil.example/", "&back=https://evil.example/",
        "&language=//evil.example", "&next=//evil.example",
    ):
        tab.goto(session["link_url"] + extra)
        shows(tab, "link")
        assert "evil.example" not in tab.content()
    callback = callback_of_sandbox(tab)
    answer = client.get(
        changed(callback, redirect_uri="https://evil.example/", iss="https://evil.example/"), follow_redirects=False)
    assert "evil.example" not in answer.text + answer.headers.get("location", "")


# --- How often.


def test_a_session_has_ten_answers_of_suppliers(service, visitor):
    session = service.create("en")
    service.answer_sign_ins(session, 9)
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab, "decline")
    tab.locator("a#again").click()
    with tab.expect_response(f"{service.base}/ui/sign-ins") as answered:
        choose(tab, "sandbox")
    assert answered.value.status == 429
    shows(tab, "refused")
    assert tab.locator("a#back").is_visible()
    assert service.status(session) == "open"


def test_what_a_scanner_begins_is_no_try_of_its_users_but_a_hundred_are_the_end(service, visitor):
    session = service.create("en")

    def begin():
        return client.post(
            f"{service.base}/ui/sign-ins", headers={"Sec-Fetch-Site": "same-origin"},
            data={"token": session["link_token"], "language": "en", "supplier": "sandbox"})

    assert [begin().status_code for _ in range(99)] == [200] * 99
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab, "decline")
    visitor.context.clear_cookies()
    assert begin().status_code == 429
    tab.goto(session["link_url"])
    with tab.expect_response(f"{service.base}/ui/sign-ins") as answered:
        choose(tab, "sandbox")
    assert answered.value.status == 429
    tab.locator("a#back").wait_for()
    assert visitor.cookies() == []
    assert service.status(session) == "open"


# --- Scanners, and what they may do.


def test_whoever_only_opens_addresses_changes_nothing(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    callback = callback_of_sandbox(tab)
    before = service.sql("SELECT * FROM link_sessions WHERE id = %s", session_id(session))
    for address in (session["link_url"], callback, callback.replace("/ui/callback/sandbox", "/ui/sandbox")):
        for method in ("HEAD", "GET"):
            client.request(method, address)
    # Even with the browser's own cookie, HEAD brings no answer.
    cookie = visitor.cookies()[0]
    client.head(callback, headers={"Cookie": f"{cookie['name']}={cookie['value']}"})
    assert service.sql("SELECT * FROM link_sessions WHERE id = %s", session_id(session)) == before
    tab.goto(callback)
    shows(tab, "confirm")
    for method in ("HEAD", "GET"):
        client.request(method, tab.url, headers={"Cookie": f"{cookie['name']}={cookie['value']}"})
    assert service.status(session) == "open"
    service.expect_result(confirm(tab), "completed")


def test_another_visitor_learns_nothing_of_a_completion(service, new_visitor):
    session = service.create("en")
    tab, url = complete(service, new_visitor(), session)
    other = new_visitor()
    seen = other.open(session["link_url"])
    shows(seen, "completed")
    assert link(seen, "back") == session["redirect_url"]
    data = parse_qs(urlsplit(url).query)["data"][0]
    assert data not in seen.content()
    assert "sandbox" not in seen.content().lower()
