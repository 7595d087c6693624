"""What a visitor does and sees."""
import secrets

from service import APP, wait_until


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
    if expect:
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


def new_user(provider, name="maria.jansen"):
    """Somebody who was never there: (name, password)."""
    user = f"{name}.{secrets.token_hex(4)}"
    return (user, provider.add_user(user)) if provider.add_user else (f"{user}@mock.example", None)


def sign_in_as(tab, provider, user, password):
    """From the session's page, at any of the providers, to whatever page comes of it."""
    if provider.slug == "mock-energy":
        sign_in_at_mock(tab, user, expect=None)
    elif provider.slug == "canaille-power":
        # Access tokens of one user and one second are the same, which its database refuses.
        tab.wait_for_timeout(1000)
        choose(tab, provider.slug)
        tab.locator("input[name=login]").fill(user)
        tab.keyboard.press("Enter")
        # Whoever is signed in gives no password, and whoever gave consent is not asked again.
        password_field, consent = tab.locator("input[name=password]"), tab.locator("button[name=answer][value=accept]")
        ours = tab.locator("main[data-page]")
        password_field.or_(consent).or_(ours).first.wait_for()
        if password_field.count():
            password_field.fill(password)
            tab.keyboard.press("Enter")
            consent.or_(ours).first.wait_for()
        if consent.count():
            consent.click()
    else:
        choose(tab, provider.slug)
        tab.locator("#username").wait_for()
        # It empties its form when it has read who is signed in.
        tab.wait_for_load_state("networkidle")
        tab.locator("#username").fill(user)
        tab.locator("#password").fill(password)
        tab.locator("#loginbut").click()
        consent = tab.get_by_role("button", name="Grant access")
        go_on = tab.locator("button[title='Continue to client application']")
        consent.or_(go_on).first.wait_for()
        if consent.count():
            tab.locator("#grant-profile").check()
            tab.locator("#grant-email").check()
            consent.click()
            consent.wait_for(state="detached")
        go_on.click()


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
