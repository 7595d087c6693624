"""What people do with browsers: back, reload, tabs, other browsers, no cookies. Each ends in a page that makes sense."""
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import (
    APP, choose, complete, confirm, http, link, page_name, shows, sign_in_at_mock, sign_in_at_sandbox, stay, wait_in)

# --- Back.


def test_back_from_the_supplier_leads_to_the_sessions_page(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    tab.go_back()
    shows(tab, "link")
    sign_in_at_sandbox(tab)
    service.expect_result(confirm(tab), "completed")


def test_back_from_the_confirm_page_and_answering_again_keeps_the_sign_in(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    tab.go_back()
    shows(tab, "sandbox")
    tab.locator("#approve").click()
    tab.locator("main[data-page=refused], main[data-page=confirm]").wait_for()
    assert service.status(session) == "open"
    assert tab.locator("main a[href], main button").count() >= 1, "no dead end"
    if page_name(tab) == "refused":
        tab.go_back()
        tab.go_forward()
    tab.goto(session["link_url"])
    sign_in_at_sandbox(tab)
    service.expect_result(confirm(tab), "completed")


def test_back_from_the_app_shows_that_all_is_done(service, visitor):
    session = service.create("en")
    tab, url = complete(service, visitor, session)
    shows(tab, "app")
    tab.go_back()
    shows(tab, "completed")
    assert link(tab, "back") == url, "the one who completed it can still take the result to the app"
    tab.go_back()
    shows(tab, "sandbox")
    tab.go_back()
    shows(tab, "completed")
    tab.locator("a#back").click()
    shows(tab, "app")


# --- Reload.


@pytest.mark.parametrize("page", ["link", "sandbox", "confirm", "failed", "expired", "unknown", "refused"])
def test_a_reloaded_page_is_the_same_page(service, visitor, page):
    session = service.create("en")
    tab = visitor.new_tab()
    if page == "unknown":
        tab.goto(f"{service.base}/ui?token={'A' * 43}")
    else:
        tab.goto(session["link_url"])
        if page in ("sandbox", "refused"):
            choose(tab, "sandbox")
            shows(tab, "sandbox")
            if page == "refused":
                tab.goto(f"{service.base}/ui/callback/sandbox?state={'A' * 43}")
        elif page != "link":
            sign_in_at_sandbox(tab, {"confirm": "approve", "failed": "decline", "expired": "late"}[page])
    shows(tab, page)
    before = tab.locator("main").inner_text()
    tab.reload()
    shows(tab, page)
    assert tab.locator("h1").inner_text() in before
    assert service.status(session) != "completed"


def test_a_confirm_page_reloaded_after_completion_gives_the_same_result_byte_for_byte(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    address = tab.url
    url = confirm(tab)
    for _ in range(2):
        tab.goto(address)
        shows(tab, "completed")
        assert link(tab, "back") == url
    tab.reload()
    assert link(tab, "back") == url
    # The session's own link, in this browser.
    tab.goto(session["link_url"])
    shows(tab, "completed")
    assert link(tab, "back") in (url, session["redirect_url"])


def test_a_returning_page_that_is_reloaded_returns_again_with_the_same_result(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    asked = stay(tab, APP + "?**")
    tab.locator("#confirm").click()
    shows(tab, "returning")
    first = link(tab, "return")
    wait_in(tab, "the page goes on by itself", lambda: asked == [first])
    tab.reload()  # the browser posts again
    shows(tab, "returning")
    assert link(tab, "return") == first
    tab.unroute(APP + "?**")
    tab.locator("a#return").click()
    shows(tab, "app")


def test_a_continue_page_that_is_reloaded_still_leads_to_the_supplier(service, visitor):
    tab = visitor.open(service.create("en")["link_url"])
    asked = stay(tab, "**/ui/sandbox?*")
    choose(tab, "sandbox")
    shows(tab, "continue")
    wait_in(tab, "the page goes on by itself", lambda: asked)
    tab.reload()
    shows(tab, "continue")
    tab.unroute("**/ui/sandbox?*")
    tab.locator("a#continue").click()
    shows(tab, "sandbox")
    tab.locator("#approve").click()
    shows(tab, "confirm")


def test_the_result_is_there_for_ten_minutes_and_then_no_more(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    address = tab.url
    confirm(tab)
    service.age(session, 9)
    tab.goto(address)
    assert "data=" in link(tab, "back")
    service.age(session, 2)
    tab.reload()
    shows(tab, "completed")
    assert link(tab, "back") == session["redirect_url"]
    # Posting again brings nothing back either.
    cookie = visitor.cookies()[0]
    answer = http.post(address, headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"{cookie['name']}={cookie['value']}"})
    assert "data=" not in answer.text


# --- Tabs.


def test_two_tabs_of_one_session_are_two_sign_ins(service, visitor):
    session = service.create("en")
    first, second = visitor.open(session["link_url"]), visitor.open(session["link_url"])
    choose(first, "sandbox")
    choose(second, "sandbox")
    shows(first, "sandbox")
    shows(second, "sandbox")
    assert len(visitor.cookies()) == 2
    first.locator("#approve").click()
    second.locator("#approve").click()
    shows(first, "confirm")
    shows(second, "confirm")
    url = confirm(first)
    second.locator("#confirm").click()
    second.locator("main[data-page=app], main[data-page=completed]").wait_for()
    # The sandbox has the same user for both: the answer is the same, or it is said that all is done.
    if page_name(second) == "app":
        assert second.url == url
    assert service.find(session)["completed_at"] == service.expect_result(url, "completed")["iat"]


def test_a_tab_with_another_supplier_user_is_told_that_the_first_one_counts(service, visitor):
    session = service.create("en")
    first, second = visitor.open(session["link_url"]), visitor.open(session["link_url"])
    sign_in_at_mock(first, "first@mock.example")
    sign_in_at_mock(second, "second@mock.example")
    confirm(first)
    with second.expect_response(second.url) as answered:
        second.locator("#confirm").click()
    assert answered.value.status == 409
    shows(second, "completed")
    assert service.supplier_user(session) == ("mock-energy", "first@mock.example")
    assert ("completion_refused" in [event for event, _ in service.refusals(session)])


def test_two_sessions_in_one_browser_do_not_mix(service, visitor):
    sessions = [service.create("en", user="u-first"), service.create("en", user="u-second")]
    tabs = [visitor.open(session["link_url"]) for session in sessions]
    for tab in tabs:
        sign_in_at_sandbox(tab)
    for tab, user in zip(reversed(tabs), ["u-second", "u-first"]):
        assert service.expect_result(confirm(tab), "completed")["manufacturer_user_id"] == user


def test_a_session_that_expires_while_its_pages_are_open_completes_no_more(service, visitor):
    session = service.create("en")
    tab, at_supplier, at_link = (visitor.open(session["link_url"]) for _ in range(3))
    sign_in_at_sandbox(tab)
    choose(at_supplier, "sandbox")
    shows(at_supplier, "sandbox")
    service.expire(session)
    tab.locator("#confirm").click()
    shows(tab, "expired")
    at_supplier.locator("#approve").click()
    shows(at_supplier, "expired")
    choose(at_link, "sandbox")
    shows(at_link, "expired")
    for each in (tab, at_supplier, at_link):
        service.expect_result(link(each, "back"), "expired")
    assert service.status(session) == "expired"
    assert ("completion_refused", "expired") in service.events(session)


# --- Other browsers.


def test_a_second_browser_with_the_link_of_an_open_session_can_sign_in_itself(service, new_visitor):
    session = service.create("en")
    first = new_visitor().open(session["link_url"])
    sign_in_at_sandbox(first)
    other = new_visitor()
    second = other.open(session["link_url"])
    shows(second, "link")
    assert other.cookies() == []
    # The confirm page of the first browser is not for the second.
    stolen = other.open(first.url)
    assert page_name(stolen) in ("refused", "unknown")
    sign_in_at_sandbox(second)
    service.expect_result(confirm(second), "completed")


def test_a_second_browser_after_completion_gets_the_plain_link_back(service, new_visitor):
    session = service.create("en")
    completing = new_visitor()
    tab = completing.open(session["link_url"])
    sign_in_at_sandbox(tab)
    address, url = tab.url, confirm(tab)
    data = parse_qs(urlsplit(url).query)["data"][0]
    other = new_visitor()
    for opened in (session["link_url"], address):
        seen = other.open(opened)
        assert page_name(seen) in ("completed", "refused", "unknown")
        assert data not in seen.content()
        if page_name(seen) == "completed":
            assert link(seen, "back") == session["redirect_url"]
    seen = other.open(session["link_url"])
    shows(seen, "completed")
    seen.locator("a#back").click()
    seen.wait_for_url(APP)
    assert other.arrivals == [APP]


def test_of_two_browsers_that_confirm_different_users_one_wins_and_the_other_learns_nothing(service, new_visitor):
    session = service.create("en")
    users = ["alice.winter@mock.example", "bob.summer@mock.example"]
    visitors = [new_visitor() for _ in users]
    tabs = [visitor.open(session["link_url"]) for visitor in visitors]
    for tab, user in zip(tabs, users):
        sign_in_at_mock(tab, user)
    for tab in tabs:
        tab.locator("#confirm").click(no_wait_after=True)
    for tab in tabs:
        tab.locator("main[data-page=app], main[data-page=completed]").wait_for()
    assert sorted(page_name(tab) for tab in tabs) == ["app", "completed"]

    winner = [page_name(tab) for tab in tabs].index("app")
    loser = tabs[1 - winner]
    fields = service.expect_result(tabs[winner].url, "completed")
    assert service.supplier_user(session) == ("mock-energy", users[winner])
    text = loser.locator("body").inner_text()
    for part in (*users[winner].split("@")[0].split("."), fields["nox_user_id"], fields["code"]):
        assert part not in text and part not in loser.content()
    assert link(loser, "back") == session["redirect_url"]
    loser.reload()
    assert "data=" not in loser.content()
    assert "completion_refused" in [event for event, _ in service.refusals(session)]


def test_of_many_confirmations_at_once_one_user_wins(service, new_visitor):
    session = service.create("en")
    tries = []
    for number in range(6):
        visitor = new_visitor()
        tab = visitor.open(session["link_url"])
        sign_in_at_mock(tab, f"racer-{number}@mock.example")
        cookie = visitor.cookies()[0]
        tries.append((tab.url, {"Sec-Fetch-Site": "same-origin", "Cookie": f"{cookie['name']}={cookie['value']}"}))
    with ThreadPoolExecutor(len(tries)) as threads:
        answers = list(threads.map(lambda each: http.post(each[0], headers=each[1]), tries))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (len(tries) - 1)
    winner = [answer.status_code for answer in answers].index(200)
    assert service.supplier_user(session) == ("mock-energy", f"racer-{winner}@mock.example")
    for answer in answers:
        assert ("data=" in answer.text) == (answer.status_code == 200)
    # Again: the same for each.
    with ThreadPoolExecutor(len(tries)) as threads:
        again = list(threads.map(lambda each: http.post(each[0], headers=each[1]), tries))
    assert [answer.status_code for answer in again] == [answer.status_code for answer in answers]


def test_the_same_user_from_two_browsers_completes_once_and_only_the_first_gets_the_result(service, new_visitor):
    session = service.create("en")
    tabs = [new_visitor().open(session["link_url"]) for _ in range(2)]
    for tab in tabs:
        sign_in_at_mock(tab, "same@mock.example")
    url = confirm(tabs[0])
    tabs[1].locator("#confirm").click()
    tabs[1].locator("main[data-page=app], main[data-page=completed]").wait_for()
    assert service.supplier_user(session) == ("mock-energy", "same@mock.example")
    # Completed data goes only to the browser that completed.
    if page_name(tabs[1]) == "app":
        assert tabs[1].url in (url, APP), "whoever gets a result gets the same"
    else:
        assert link(tabs[1], "back") == APP


# --- No cookies.


def test_a_browser_without_cookies_is_told_so_and_not_left_alone(service, visitor_without_cookies):
    session = service.create("en")
    tab = visitor_without_cookies.open(session["link_url"])
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    assert visitor_without_cookies.cookies() == []
    tab.locator("#approve").click()
    shows(tab, "refused")
    assert "cookie" in tab.locator("main").inner_text().lower()
    assert service.status(session) == "open"
    assert "sign_in_refused" in [event for event, _ in service.refusals(session)]


# --- Languages.


def test_a_language_once_chosen_stays(service, visitor):
    tab = visitor.open(service.create("nl")["link_url"])
    tab.locator("footer a[lang=fr]").click()

    def expect(language):
        tab.locator(f"html[lang={language}]").wait_for()

    expect("fr")
    shows(tab, "link")
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    expect("fr")
    tab.locator("#approve").click()
    shows(tab, "confirm")
    expect("fr")
    tab.locator("footer a[lang=es]").click()
    expect("es")
    shows(tab, "confirm")
    service.expect_result(confirm(tab), "completed")


@pytest.mark.parametrize("page", ["sandbox", "failed", "expired", "completed"])
def test_every_page_of_a_session_speaks_the_language_that_is_chosen_on_it(service, visitor, page):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    if page == "sandbox":
        choose(tab, "sandbox")
    elif page == "completed":
        sign_in_at_sandbox(tab)
        address = tab.url
        confirm(tab)
        tab.goto(address)
    else:
        sign_in_at_sandbox(tab, {"failed": "decline", "expired": "late"}[page])
    shows(tab, page)
    text = tab.locator("main").inner_text()
    tab.locator("footer a[lang=nl]").click()
    tab.locator("html[lang=nl]").wait_for()
    shows(tab, page)
    assert tab.locator("main").inner_text() != text


# --- The database is gone.


def test_a_flow_goes_on_where_it_was_once_the_database_is_back(service, visitor):
    session = service.create("en")
    tabs = [visitor.open(session["link_url"]) for _ in range(3)]
    sign_in_at_sandbox(tabs[0])
    choose(tabs[1], "sandbox")
    shows(tabs[1], "sandbox")
    with service.database_gone():
        tabs[0].locator("#confirm").click()
        shows(tabs[0], "unavailable")
        tabs[1].locator("#approve").click()
        shows(tabs[1], "unavailable")
        choose(tabs[2], "sandbox")
        shows(tabs[2], "unavailable")
    assert service.status(session) == "open"
    tabs[1].reload()
    shows(tabs[1], "confirm")
    tabs[2].reload()  # posts again
    shows(tabs[2], "sandbox")
    tabs[0].reload()  # posts again
    shows(tabs[0], "app")
    service.expect_result(tabs[0].url, "completed")
