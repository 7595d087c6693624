"""Several tabs, and several browsers, at one session. Each ends in a page that makes sense."""
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

from service import APP, http
from steps import choose, confirm, link, page_name, shows, sign_in_at_mock, sign_in_at_sandbox

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
