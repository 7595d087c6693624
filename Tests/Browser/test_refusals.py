"""What an attacker would try: each is refused, the session stays open, and an event says so."""
import http.server
import threading
from html import escape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from conftest import (
    choose, complete, confirm, digest, http as client, link, page_name, shows, sign_in_at_canaille, sign_in_at_mock,
    sign_in_at_sandbox, stay, wait_in)


def expect_refused(service, session, event="sign_in_refused"):
    """Refused, on record, and nothing lost."""
    assert service.status(session) == "open"
    assert event in [name for name, _ in service.refusals(session)], service.events(session)


def callback_of_sandbox(tab):
    """From the session's page: the address at which the sandbox's approval would arrive. The browser does not go there."""
    asked = stay(tab, "**/ui/callback/**")
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    tab.locator("#approve").click()
    wait_in(tab, "the answer", lambda: asked)
    tab.unroute("**/ui/callback/**")
    return asked[0]


def changed(url, **values):
    parts = urlsplit(url)
    query = {name: value[0] for name, value in parse_qs(parts.query, keep_blank_values=True).items()} | values
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()


# --- The supplier's answer.


@pytest.mark.parametrize(
    "state", ["A" * 43, "", None, "x", "\0", "A" * 5000],
    ids=["another", "empty", "none", "short", "a control character", "long"])
def test_an_answer_with_another_state_is_refused(service, visitor, state):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    callback = callback_of_sandbox(tab)
    answer = tab.goto(changed(callback, state=state))
    shows(tab, "refused")
    assert answer.status == 400
    expect_refused(service, session)
    # The real answer still counts.
    tab.goto(callback)
    shows(tab, "confirm")


def test_an_answer_with_another_sign_ins_state_is_refused(service, new_visitor):
    victim, attacker = new_visitor(), new_visitor()
    session, other = service.create("en"), service.create("en", user="attacker")
    tab, tab_of_attacker = victim.open(session["link_url"]), attacker.open(other["link_url"])
    callback, callback_of_attacker = callback_of_sandbox(tab), callback_of_sandbox(tab_of_attacker)
    state = parse_qs(urlsplit(callback_of_attacker).query)["state"][0]
    answer = tab.goto(changed(callback, state=state))
    shows(tab, "refused")
    assert answer.status == 400
    expect_refused(service, other)
    assert service.status(session) == "open"


def test_a_tampered_code_is_refused_by_the_supplier(service, visitor, mock_energy):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    # The provider's redirect goes through; the code is changed on its way to the service.
    tab.context.route(
        f"{mock_energy.issuer}/oauth2/authorize?**", lambda route: tamper_with_redirect(route, code="tampered"))
    sign_in_at_mock(tab, "victim@mock.example", expect="failed")
    expect_refused(service, session)
    service.expect_result(link(tab, "back"), "failed")


def tamper_with_redirect(route, **values):
    answer = route.fetch(max_redirects=0)
    headers = dict(answer.headers)
    if "code=" in headers.get("location", ""):
        headers["location"] = changed(headers["location"], **values)
    route.fulfill(status=answer.status, headers=headers, body=answer.body())


def test_a_code_of_another_sign_in_is_refused(service, new_visitor, mock_energy):
    """Code injection: PKCE or the nonce gives it away (RFC 9700, section 4.5)."""
    codes = []

    def keep_code(route):
        answer = route.fetch(max_redirects=0)
        location = answer.headers.get("location", "")
        if "code=" in location:
            codes.append(parse_qs(urlsplit(location).query)["code"][0])
            return route.fulfill(status=204)
        route.fulfill(response=answer)

    attacker = new_visitor()
    tab = attacker.open(service.create("en", user="attacker")["link_url"])
    attacker.context.route(f"{mock_energy.issuer}/oauth2/authorize?**", keep_code)
    choose(tab, "mock-energy")
    tab.locator("input[name=sub]").fill("attacker@mock.example")
    tab.get_by_role("button", name="Authorize", exact=True).click()
    wait_in(tab, "the attacker's code", lambda: codes)

    session = service.create("en")
    victim = new_visitor()
    tab = victim.open(session["link_url"])
    victim.context.route(
        f"{mock_energy.issuer}/oauth2/authorize?**", lambda route: tamper_with_redirect(route, code=codes[0]))
    sign_in_at_mock(tab, "victim@mock.example", expect="failed")
    expect_refused(service, session)


def test_an_answer_at_another_suppliers_address_is_refused(service, visitor):
    """Mix-up: every supplier has an address of its own (RFC 9700, section 4.4)."""
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    callback = callback_of_sandbox(tab)
    tab.goto(callback.replace("/ui/callback/sandbox", "/ui/callback/mock-energy"))
    shows(tab, "failed")
    expect_refused(service, session)


def test_an_answer_of_another_issuer_is_refused(service, visitor, canaille):
    """RFC 9207."""
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    tab.context.route(
        f"{canaille.issuer}/oauth/authorize?**",
        lambda route: tamper_with_redirect(route, iss="https://evil.example"))
    sign_in_at_canaille(tab, canaille)
    shows(tab, "failed")
    expect_refused(service, session)


def test_an_id_token_for_nobody_is_refused(service, visitor, canaille):
    """`"aud": []`, which canaille writes for a client without audience."""
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    canaille.name_audience(False)
    try:
        sign_in_at_canaille(tab, canaille)
        shows(tab, "failed")
    finally:
        canaille.name_audience(True)
    expect_refused(service, session)


def test_an_answer_counts_once(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    callback = callback_of_sandbox(tab)
    tab.goto(callback)
    shows(tab, "confirm")
    # Again: recorded as refused, and the browser that signed in is shown where it is.
    tab.goto(callback)
    shows(tab, "confirm")
    assert service.refusals(session) == [("sign_in_refused", "state_used")]
    assert len([event for event, _ in service.events(session) if event == "signed_in"]) == 1
    service.expect_result(confirm(tab), "completed")


# --- The browser that began.


def test_an_answer_in_a_browser_that_lost_its_cookie_is_refused(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    callback = callback_of_sandbox(tab)
    assert len(visitor.cookies()) == 1
    visitor.context.clear_cookies()
    answer = tab.goto(callback)
    shows(tab, "refused")
    assert answer.status == 400
    expect_refused(service, session)


def test_an_answer_in_another_browser_is_refused(service, new_visitor):
    """Login CSRF: the attacker's own answer, opened by a victim who has a sign-in of their own."""
    attacker, victim = new_visitor(), new_visitor()
    session, other = service.create("en", user="attacker"), service.create("en")
    tab_of_attacker = attacker.open(session["link_url"])
    callback = callback_of_sandbox(tab_of_attacker)
    tab = victim.open(other["link_url"])
    sign_in_at_sandbox(tab)
    answer = tab.goto(callback)
    shows(tab, "refused")
    assert answer.status == 400
    expect_refused(service, session)
    # Whoever began is not kept from going on by somebody who only has the address.
    tab_of_attacker.goto(callback)
    shows(tab_of_attacker, "confirm")


@pytest.mark.parametrize("value", ["another browsers", "A" * 43, ""])
def test_another_browsers_cookie_opens_no_sign_in(service, new_visitor, value):
    session = service.create("en")
    owner, thief = new_visitor(), new_visitor()
    tab = owner.open(session["link_url"])
    sign_in_at_sandbox(tab)
    if value == "another browsers":
        sign_in_at_sandbox(thief.open(service.create("en", user="thief")["link_url"]))
        value = thief.cookies()[0]["value"]
    cookie = owner.cookies()[0]
    thief.context.add_cookies([{key: cookie[key] for key in ("name", "domain", "path")} | {"value": value}])
    stolen = thief.open(tab.url)
    assert page_name(stolen) in ("refused", "unknown")
    assert stolen.locator("#confirm").count() == 0
    answer = client.post(
        tab.url, headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{cookie['name']}={value}"})
    assert 400 <= answer.status_code < 500
    expect_refused(service, session, "completion_refused")


def test_a_sign_in_without_its_cookie_cannot_be_confirmed(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    visitor.context.clear_cookies()
    tab.locator("#confirm").click()
    tab.locator("main:not([data-page=confirm])").wait_for()
    assert page_name(tab) in ("refused", "unknown")
    expect_refused(service, session, "completion_refused")


def test_a_sign_in_that_was_not_answered_cannot_be_confirmed(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    callback_of_sandbox(tab)
    cookie = visitor.cookies()[0]
    answer = client.post(
        f"{service.base}/ui/sign-ins/{cookie['name'][-64:]}",
        headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{cookie['name']}={cookie['value']}"})
    assert 'data-page="link"' in answer.text
    assert service.status(session) == "open"


def test_a_declined_sign_in_cannot_be_confirmed(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab, "decline")
    cookie = visitor.cookies()[0]
    client.post(tab.url, headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{cookie['name']}={cookie['value']}"})
    assert service.status(session) == "open"


def test_the_cookie_is_bound_as_tightly_as_cookies_can_be(service, visitor):
    tab = visitor.open(service.create("en")["link_url"])
    assert visitor.cookies() == [], "no cookie before a sign-in starts"
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    [cookie] = visitor.cookies()
    assert len(cookie["name"]) == len("sign-in-") + 64
    assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
    assert len(cookie["value"]) >= 43, "256 bits at least"


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
        client.post(f"{service.base}/ui/sign-ins", data=fields | {"token": "A" * 43}, headers=own),
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


def test_a_session_has_ten_sign_ins(service, visitor):
    session = service.create("en")

    def begin():
        return client.post(
            f"{service.base}/ui/sign-ins", headers={"Sec-Fetch-Site": "same-origin"},
            data={"token": session["link_token"], "language": "en", "supplier": "sandbox"})

    assert [begin().status_code for _ in range(10)] == [200] * 10
    assert begin().status_code == 429
    tab = visitor.open(session["link_url"])
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
    before = service.sql("SELECT * FROM link_sessions WHERE token_hash = %s", digest(session["link_token"]))
    for address in (session["link_url"], callback, callback.replace("/ui/callback/sandbox", "/ui/sandbox")):
        for method in ("HEAD", "GET"):
            client.request(method, address)
    # Even with the browser's own cookie, HEAD brings no answer.
    cookie = visitor.cookies()[0]
    client.head(callback, headers={"Cookie": f"{cookie['name']}={cookie['value']}"})
    assert service.sql("SELECT * FROM link_sessions WHERE token_hash = %s", digest(session["link_token"])) == before
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
