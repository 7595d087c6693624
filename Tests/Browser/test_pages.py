"""Every page in every language: for everybody, on every screen, with nothing but a keyboard."""
import re

import pytest
from conftest import (
    APP, LANGUAGES, choose, confirm, findings, free_port, http, link, page_name, shows, sign_in_at_mock,
    sign_in_at_sandbox, stay, wait_in)

# How a visitor gets to each page. Each returns the tab.


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
    return visitor.open(f"{service.base}/ui?token={'A' * 43}&language={language}")


def refused_page(service, visitor, language):
    """An answer that no sign-in waits for, in a browser that is at one."""
    tab = sandbox_page(service, visitor, language)
    shows(tab, "sandbox")
    tab.goto(f"{service.base}/ui/callback/sandbox?state={'A' * 43}&code=approve")
    return tab


def too_many_page(service, visitor, language):
    """The eleventh sign-in of a session."""
    session = service.create(language)
    tab = visitor.open(session["link_url"])
    for _ in range(10):
        http.post(
            f"{service.base}/ui/sign-ins", headers={"Sec-Fetch-Site": "same-origin"},
            data={"token": session["link_token"], "language": language, "supplier": "sandbox"})
    choose(tab, "sandbox")
    return tab


def supplier_down_page(service, visitor, language):
    """A supplier whose provider nobody answers for."""
    service.sql(
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
        service.sql("DELETE FROM suppliers WHERE slug = 'down'")


def taken_page(service, visitor, language):
    """Somebody else's account completed the session while this visitor was at the confirm page."""
    session = service.create(language)
    first, tab = visitor.open(session["link_url"]), visitor.open(session["link_url"])
    sign_in_at_sandbox(first)
    sign_in_at_mock(tab, "second@mock.example")
    confirm(first)
    tab.locator("#confirm").click()
    return tab


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
    "refused": (refused_page, "refused", 400),
    "too many": (too_many_page, "refused", 429),
    "supplier down": (supplier_down_page, "failed", 502),
    "taken": (taken_page, "completed", 409),
    "unavailable": (unavailable_page, "unavailable", 503),
}

WITHOUT_SESSION = {"unknown", "unavailable"}
# They answer a request that cannot be made again.
WITHOUT_LANGUAGE_LINKS = {"continue", "returning", "refused", "too many", "supplier down", "taken"}

LOCALES = {"nl": "nl-NL", "en": "en-GB", "fr": "fr-FR", "es": "es-ES"}

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_fit_for_everybody(service, new_visitor, page, language):
    reach, name, status = PAGES[page]
    visitor = new_visitor(viewport={"width": 320, "height": 640}, locale=LOCALES[language])
    statuses = {}
    visitor.context.on("response", lambda response: statuses.update({response.url: (response.status, response.all_headers)}))
    tab = reach(service, visitor, language)
    shows(tab, name)
    answered, headers = statuses[tab.url]

    assert answered == status
    assert tab.locator("html").get_attribute("lang") == language
    assert tab.title().strip(), "the page has a title"
    assert tab.locator("h1").count() == 1
    assert findings(tab) == []
    assert tab.evaluate(OVERFLOW) <= 0, "the page scrolls sideways at 320 pixels"
    assert tab.locator("script").count() == 0, "the page works without JavaScript because it has none"
    expect_no_missing_text(tab)
    expect_reachable_by_keyboard(tab)
    expect_light(service, tab)
    expect_security_headers(headers())
    if page not in WITHOUT_SESSION:
        assert tab.locator("a#back, a#return, a#continue, #approve").count() >= 1, "no dead end"
    if page not in WITHOUT_LANGUAGE_LINKS | WITHOUT_SESSION:
        expect_language_links(tab)


@pytest.mark.parametrize("page", sorted(WITHOUT_SESSION))
def test_a_page_without_a_session_can_be_had_in_another_language(service, visitor, page):
    tab = PAGES[page][0](service, visitor, "nl")
    shows(tab, page)
    expect_language_links(tab)


def expect_language_links(tab):
    languages = tab.locator("footer a[lang]").evaluate_all("links => links.map(link => link.lang)")
    assert set(languages) | {tab.locator("html").get_attribute("lang")} == set(LANGUAGES)


def expect_no_missing_text(tab):
    """No placeholder of a template, no key of a catalogue, no number that is none."""
    text = tab.locator("body").inner_text()
    assert not re.search(r"\{\{|\}\}|undefined|\bnull\b|\bnil\b|Optional\(|[a-z]+_[a-z]+", text), text


FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex='-1'])"

FOCUS = """
() => {
    const element = document.activeElement, style = getComputedStyle(element);
    const all = [...document.querySelectorAll(%r)];
    const box = element.getBoundingClientRect();
    return {
        index: all.indexOf(element), name: element.outerHTML.slice(0, 100),
        ringed: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none',
        inView: box.bottom > 0 && box.top < innerHeight && box.left >= 0 && box.right <= innerWidth,
        large: box.width >= 24 && box.height >= 24 || style.display === 'inline',
    };
}
""" % FOCUSABLE


def expect_reachable_by_keyboard(tab):
    """Tab reaches everything in the order of the page, and shows where it is."""
    count = tab.locator(FOCUSABLE).count()
    for index in range(count):
        tab.keyboard.press("Tab")
        focus = tab.evaluate(FOCUS)
        assert focus["index"] == index, f"Tab number {index + 1} reached {focus}"
        assert focus["ringed"] and focus["inView"] and focus["large"], focus


def expect_light(service, tab):
    """Below 30 kB with its stylesheet, and nothing from elsewhere."""
    weight = len(tab.content().encode())
    for sheet in tab.locator("link[rel=stylesheet]").all():
        address = sheet.evaluate("element => element.href")
        assert address.startswith(service.base + "/"), address
        weight += len(http.get(address).content)
    assert weight < 30_000
    loaded = tab.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(address.startswith(service.base + "/") for address in loaded), loaded


def expect_security_headers(headers):
    policy = {
        words[0]: set(words[1:])
        for words in (directive.split() for directive in headers["content-security-policy"].split(";")) if words}
    assert policy["default-src"] == {"'none'"}
    assert policy["form-action"] == {"'self'"}
    assert policy["frame-ancestors"] == {"'none'"}
    assert policy["base-uri"] == {"'none'"}
    words = set().union(*policy.values())
    assert not words & {"*", "data:", "http:", "https:", "'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'"}
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "strict-origin"
    assert "strict-transport-security" not in headers, "a loopback address is no https site"


def test_a_language_in_the_link_wins_over_the_sessions(service, visitor):
    session = service.create("nl")
    tab = visitor.open(session["link_url"].replace("language=nl", "language=es"))
    assert tab.locator("html").get_attribute("lang") == "es"
    tab.goto(f"{service.base}/ui?token={session['link_token']}")
    assert tab.locator("html").get_attribute("lang") == "nl"
    tab.goto(session["link_url"].replace("language=nl", "language=xx"))
    assert tab.locator("html").get_attribute("lang") == "nl"


def test_the_sessions_page_says_who_asks_and_how_much_time_is_left(service, visitor):
    tab = visitor.open(service.create("en")["link_url"])
    text = tab.locator("main").inner_text()
    assert "Acme Manufacturing" in text
    assert re.search(r"\b(9|10) min", text), text
    suppliers = tab.locator("button[name=supplier]").evaluate_all("buttons => buttons.map(button => button.value)")
    assert sorted(suppliers) == ["canaille-power", "mock-energy", "sandbox"]
    for name in ("Mock Energy", "Canaille Power & Light", "Sandbox Energy"):
        assert tab.get_by_role("button", name=name).count() == 1


def test_a_supplier_that_is_disabled_cannot_be_chosen(service, visitor):
    service.sql("UPDATE suppliers SET enabled = false WHERE slug = 'mock-energy'")
    try:
        session = service.create("en")
        tab = visitor.open(session["link_url"])
        shows(tab, "link")
        assert tab.locator("button[value=mock-energy]").count() == 0
        answer = http.post(
            f"{service.base}/ui/sign-ins", headers={"Sec-Fetch-Site": "same-origin"},
            data={"token": session["link_token"], "language": "en", "supplier": "mock-energy"})
        assert 400 <= answer.status_code < 500
        assert "set-cookie" not in answer.headers
        assert 'id="back"' in answer.text, "no dead end"
    finally:
        service.sql("UPDATE suppliers SET enabled = true WHERE slug = 'mock-energy'")


def test_a_session_that_ended_an_hour_ago_is_unknown(service, visitor):
    session = service.create("en")
    service.age(session, 69)
    tab = visitor.open(session["link_url"])
    shows(tab, "expired")
    assert service.expect_result(link(tab, "back"), "expired").keys() == {"status", "iss", "aud", "iat", "exp", "jti"}
    service.age(session, 2)
    tab.reload()
    shows(tab, "unknown")
    assert tab.locator("a#back").count() == 0


def test_a_disabled_manufacturers_sessions_are_unknown(service, visitor):
    key = service.add_manufacturer("Closing Down", "closing down", [APP], "test-key-of-closing-down-0123456789abcdefghijkl")
    session = service.create("en", key=key)
    tab = visitor.open(session["link_url"])
    shows(tab, "link")
    service.sql("UPDATE manufacturers SET enabled = false WHERE name = 'Closing Down'")
    tab.reload()
    shows(tab, "unknown")


def test_a_redirect_url_that_is_allowed_no_more_is_no_way_back(service, visitor):
    key = service.add_manufacturer("Moving House", "moving house", [APP], "test-key-of-moving-house-0123456789abcdefghijkl")
    session = service.create("en", key=key)
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    service.sql("UPDATE manufacturers SET redirect_urls = '{https://elsewhere.example/}' WHERE name = 'Moving House'")
    tab.locator("#confirm").click()
    shows(tab, "unknown")
    assert service.status(session, key) == "open"
    tab.goto(session["link_url"])
    shows(tab, "unknown")
    assert "your-app.com" not in tab.content()


# --- Screens and settings.


@pytest.mark.parametrize("page", ["link", "sandbox", "confirm", "declined", "expired", "unknown"])
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_contrast_is_enough_in_light_and_dark_on_a_desktop(service, new_visitor, page, colors):
    visitor = new_visitor(color_scheme=colors, viewport={"width": 1280, "height": 800})
    tab = PAGES[page][0](service, visitor, "en")
    shows(tab, PAGES[page][1])
    assert findings(tab) == []
    assert tab.evaluate(OVERFLOW) <= 0
    background = tab.evaluate(
        "[document.body, document.documentElement].map(e => getComputedStyle(e).backgroundColor)"
        ".find(color => color !== 'rgba(0, 0, 0, 0)')")
    red = int(re.match(r"rgba?\((\d+)", background or "rgb(255")[1])
    assert red > 200 if colors == "light" else red < 80, background


@pytest.mark.parametrize("page", ["link", "sandbox", "confirm", "declined"])
def test_a_desktop_zoomed_to_400_percent_reads_without_scrolling_sideways(service, new_visitor, page):
    # 1280 by 1024 pixels, each as large as sixteen (WCAG 2.2, success criterion 1.4.10).
    visitor = new_visitor(viewport={"width": 320, "height": 256}, device_scale_factor=4)
    tab = PAGES[page][0](service, visitor, "fr")
    shows(tab, PAGES[page][1])
    assert tab.evaluate(OVERFLOW) <= 0
    expect_reachable_by_keyboard(tab)


@pytest.mark.parametrize("page", ["link", "confirm"])
def test_text_of_double_size_and_wide_spacing_is_not_cut_off(service, new_visitor, page):
    # WCAG 2.2, success criteria 1.4.4 and 1.4.12.
    visitor = new_visitor(viewport={"width": 640, "height": 640})
    tab = PAGES[page][0](service, visitor, "nl")
    shows(tab, PAGES[page][1])
    tab.evaluate("""
        document.documentElement.style.fontSize = '200%';
        for (const element of document.querySelectorAll('body *')) {
            element.style.lineHeight = '1.5';
            element.style.letterSpacing = '0.12em';
            element.style.wordSpacing = '0.16em';
        }
        """)
    assert tab.evaluate(OVERFLOW) <= 0
    cut = tab.evaluate("""
        [...document.querySelectorAll('main *')].filter(element =>
            ['hidden', 'clip'].includes(getComputedStyle(element).overflowX)
            && (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1))
        .map(element => element.outerHTML.slice(0, 100))
        """)
    assert cut == []


def test_a_page_without_its_stylesheet_still_reads(service, visitor):
    tab = visitor.new_tab()
    tab.route("**/*.css", lambda route: route.fulfill(body="", content_type="text/css"))
    tab.goto(service.create("en")["link_url"])
    shows(tab, "link")
    assert tab.locator("button[value=sandbox]").is_visible()
    assert findings(tab) == []


# --- Names that try something.

NAMES = {
    "markup": '<script>alert("x")</script> & "Sons" \'n\' <b>Co</b>',
    "long": "Wärmepumpenfabrikationsgesellschaft" * 5,
    "right to left": "شركة الطاقة المنزلية",
    "emoji": "🔥 Heat 🏡",
    "mustache": "{{name}} {{{name}}} {{#x}}",
    "entity": "A&amp;B &lt;i&gt;",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_brand_is_shown_as_it_is_whatever_it_holds(service, new_visitor, kind):
    brand = NAMES[kind]
    key = f"test-key-{kind.replace(' ', '-')}-0123456789abcdefghijklmnopq"
    service.add_manufacturer(f"Maker {kind}", brand, [APP], key)
    session = service.create("en", key=key)
    visitor = new_visitor(viewport={"width": 320, "height": 640})
    tab = visitor.open(session["link_url"])
    for reach in (lambda: shows(tab, "link"), lambda: sign_in_at_sandbox(tab)):
        reach()
        # As the API says it: each word with a capital letter.
        assert session["brand"] in re.sub(r"[\u2066-\u2069]", "", tab.locator("main").text_content()), page_name(tab)
        assert tab.locator("main script, main b, main i").filter(has_text="alert").count() == 0
        assert tab.evaluate(OVERFLOW) <= 0, "the name makes the page scroll sideways"
        assert findings(tab) == []
    url = confirm(tab)
    shows(tab, "app")
    assert service.status(session, key) == "completed"
    assert url.startswith(APP + "?data=")


def test_a_supplier_is_shown_as_it_is_whatever_its_name_holds(service, visitor):
    name = '<img src=x onerror=alert(1)> & "Power"'
    service.sql(
        """
        INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name)
        VALUES ('odd', %s, 'https://odd.example', 'client', 'SUPPLIER_MOCK_SECRET')
        """,
        name)
    try:
        tab = visitor.open(service.create("en")["link_url"])
        assert tab.locator("button[value=odd]").inner_text().strip() == name
        assert tab.locator("main img").count() == 0
    finally:
        service.sql("DELETE FROM suppliers WHERE slug = 'odd'")
