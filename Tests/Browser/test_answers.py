"""What an attacker would try with a supplier's answer: each is refused, the session stays open, and an event says so."""
from urllib.parse import parse_qs, urlsplit

import pytest
from refusals import callback_of_sandbox, changed, expect_refused
from service import UNKNOWN_STATE, session_id
from service import http as client
from steps import (
    choose, confirm, link, page_name, shows, sign_in_at_canaille, sign_in_at_mock, sign_in_at_sandbox, wait_in)

# --- The supplier's answer.


@pytest.mark.parametrize(
    "state", [UNKNOWN_STATE, "A" * 64, "A" * 43, "", None, "x", "\0", "A" * 5000],
    ids=["another", "no session's", "without a session", "empty", "none", "short", "a control character", "long"])
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
        f"{service.base}/ui/sign-ins/{session_id(session).hex}{cookie['name'][-64:]}",
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
