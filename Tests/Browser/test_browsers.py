"""What people do with a browser: back, reload, no cookies, other languages. Each ends in a page that makes sense."""
import pytest
from service import APP, UNKNOWN_STATE, UNKNOWN_TOKEN, http
from steps import choose, complete, confirm, link, page_name, shows, sign_in_at_sandbox, stay, wait_in

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
        tab.goto(f"{service.base}/ui?token={UNKNOWN_TOKEN}")
    else:
        tab.goto(session["link_url"])
        if page in ("sandbox", "refused"):
            choose(tab, "sandbox")
            shows(tab, "sandbox")
            if page == "refused":
                tab.goto(f"{service.base}/ui/callback/sandbox?state={UNKNOWN_STATE}")
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
