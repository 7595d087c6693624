"""How a visitor gets to each page. Each function returns the tab."""
from service import APP, UNKNOWN_STATE, UNKNOWN_TOKEN, free_port, http
from steps import choose, confirm, shows, sign_in_at_mock, sign_in_at_sandbox, stay, wait_in


def link_page(service, visitor, language):
    return visitor.open(service.create(language)["link_url"])


def continue_page(service, visitor, language):
    tab = link_page(service, visitor, language)
    asked = stay(tab, "**/ui/sandbox?*")
    choose(tab, "sandbox")
    wait_in(tab, "the page goes on by itself", lambda: asked)
    return tab


def sandbox_page(service, visitor, language):
    tab = link_page(service, visitor, language)
    choose(tab, "sandbox")
    return tab


def confirm_page(service, visitor, language):
    tab = link_page(service, visitor, language)
    sign_in_at_sandbox(tab)
    return tab


def declined_page(service, visitor, language):
    tab = link_page(service, visitor, language)
    sign_in_at_sandbox(tab, "decline")
    return tab


def failed_page(service, visitor, language):
    tab = link_page(service, visitor, language)
    sign_in_at_sandbox(tab, "error")
    return tab


def too_late_page(service, visitor, language):
    tab = link_page(service, visitor, language)
    sign_in_at_sandbox(tab, "late")
    return tab


def returning_page(service, visitor, language):
    tab = confirm_page(service, visitor, language)
    asked = stay(tab, APP + "?**")
    tab.locator("#confirm").click()
    wait_in(tab, "the page goes on by itself", lambda: asked)
    return tab


def completed_page(service, visitor, language):
    """As somebody else sees it."""
    session = service.create(language)
    completing = visitor.open(session["link_url"])
    sign_in_at_sandbox(completing)
    confirm(completing)
    visitor.context.clear_cookies()
    return visitor.open(session["link_url"])


def own_completed_page(service, visitor, language):
    """As the one who completed it sees it."""
    tab = confirm_page(service, visitor, language)
    address = tab.url
    confirm(tab)
    return visitor.open(address)


def expired_page(service, visitor, language):
    session = service.create(language)
    service.expire(session)
    return visitor.open(session["link_url"])


def unknown_page(service, visitor, language):
    return visitor.open(f"{service.base}/ui?token={UNKNOWN_TOKEN}&language={language}")


def refused_page(service, visitor, language):
    """An answer that no sign-in waits for, in a browser that is at one."""
    tab = sandbox_page(service, visitor, language)
    shows(tab, "sandbox")
    tab.goto(f"{service.base}/ui/callback/sandbox?state={UNKNOWN_STATE}&code=approve")
    return tab


def too_many_page(service, visitor, language):
    """A session whose user had ten answers of suppliers."""
    session = service.create(language)
    tab = visitor.open(session["link_url"])
    service.answer_sign_ins(session, 10)
    choose(tab, "sandbox")
    return tab


def supplier_down_page(service, visitor, language):
    """A supplier whose provider nobody answers for."""
    service.change(
        """
        INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name)
        VALUES ('down', 'Down Energy', %s, 'client', 'SUPPLIER_MOCK_SECRET')
        """,
        f"http://127.0.0.1:{free_port()}")
    try:
        tab = link_page(service, visitor, language)
        choose(tab, "down")
        shows(tab, "failed")
        return tab
    finally:
        service.change("DELETE FROM suppliers WHERE slug = 'down'")


def taken_page(service, visitor, language):
    """Somebody else's account completed the session while this visitor was at the confirm page."""
    session = service.create(language)
    first, tab = visitor.open(session["link_url"]), visitor.open(session["link_url"])
    sign_in_at_sandbox(first)
    sign_in_at_mock(tab, "second@mock.example")
    confirm(first)
    tab.locator("#confirm").click()
    return tab


def other_browser_page(service, visitor, language):
    """The answer of a sign-in that began in a browser whose cookies are not here."""
    tab = sandbox_page(service, visitor, language)
    shows(tab, "sandbox")
    visitor.context.clear_cookies()
    tab.locator("#approve").click()
    return tab


def not_found_page(service, visitor, language):
    return visitor.open(f"{service.base}/nothing?language={language}")


def unavailable_page(service, visitor, language):
    session = service.create(language)
    with service.database_gone():
        return visitor.open(session["link_url"])


# Page, its data-page, its status.
PAGES = {
    "link": (link_page, "link", 200),
    "continue": (continue_page, "continue", 200),
    "sandbox": (sandbox_page, "sandbox", 200),
    "confirm": (confirm_page, "confirm", 200),
    "declined": (declined_page, "failed", 200),
    "failed": (failed_page, "failed", 200),
    "too late": (too_late_page, "expired", 410),
    "returning": (returning_page, "returning", 200),
    "completed": (completed_page, "completed", 200),
    "own completed": (own_completed_page, "completed", 200),
    "expired": (expired_page, "expired", 410),
    "unknown": (unknown_page, "unknown", 404),
    "other browser": (other_browser_page, "refused", 400),
    "not-found": (not_found_page, "not-found", 404),
    "refused": (refused_page, "refused", 400),
    "too many": (too_many_page, "refused", 429),
    "supplier down": (supplier_down_page, "failed", 424),
    "taken": (taken_page, "completed", 409),
    "unavailable": (unavailable_page, "unavailable", 503),
}
