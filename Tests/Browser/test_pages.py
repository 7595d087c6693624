"""Every page in every language: for everybody, with nothing but a keyboard, and what it says."""
import re

import pytest
from accessibility import OVERFLOW, expect_reachable_by_keyboard, findings
from pages import PAGES
from service import APP, LANGUAGES, http, manufacturer_key
from steps import link, shows, sign_in_at_sandbox

WITHOUT_SESSION = {"unknown", "unavailable", "not-found"}
# They answer a request that cannot be made again.
WITHOUT_LANGUAGE_LINKS = {"continue", "returning", "refused", "other browser", "too many", "supplier down", "taken"}

LOCALES = {"nl": "nl-NL", "en": "en-GB", "fr": "fr-FR", "es": "es-ES"}


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
    expect_no_script_but_our_own(tab, name)
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


def expect_no_script_but_our_own(tab, name):
    """Where time runs, or a list can be searched; test_choosing.py has the pages without it."""
    sources = tab.locator("script").evaluate_all("scripts => scripts.map(script => script.getAttribute('src'))")
    if name in ("link", "confirm"):
        assert len(sources) == 1 and re.fullmatch(r"/ui/page\.js\?v=[0-9a-z]+", sources[0]), sources
    else:
        assert sources == []


def expect_language_links(tab):
    languages = tab.locator("footer a[lang]").evaluate_all("links => links.map(link => link.lang)")
    assert set(languages) | {tab.locator("html").get_attribute("lang")} == set(LANGUAGES)


def expect_no_missing_text(tab):
    """No placeholder of a template, no key of a catalogue, no number that is none."""
    text = tab.locator("body").inner_text()
    assert not re.search(r"\{\{|\}\}|undefined|\bnull\b|\bnil\b|Optional\(|[a-z]+_[a-z]+", text), text


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
    # Where scripts run it counts down; test_choosing.py has the sentence without.
    assert re.search(r"\b(9:[0-5]\d|10:00) min", text), text
    suppliers = tab.locator("button[name=supplier]").evaluate_all("buttons => buttons.map(button => button.value)")
    assert sorted(suppliers) == ["canaille-power", "mock-energy", "sandbox"]
    for name in ("Mock Energy", "Canaille Power & Light", "Sandbox Energy"):
        assert tab.get_by_role("button", name=name).count() == 1


def test_a_supplier_that_is_disabled_cannot_be_chosen(service, visitor):
    service.change("UPDATE suppliers SET enabled = false WHERE slug = 'mock-energy'")
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
        service.change("UPDATE suppliers SET enabled = true WHERE slug = 'mock-energy'")


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
    key = service.add_manufacturer("Closing Down", "closing down", [APP], manufacturer_key("closing down"))
    session = service.create("en", key=key)
    tab = visitor.open(session["link_url"])
    shows(tab, "link")
    service.change("UPDATE manufacturers SET enabled = false WHERE name = 'Closing Down'")
    tab.reload()
    shows(tab, "unknown")


def test_a_redirect_url_that_is_allowed_no_more_is_no_way_back(service, visitor):
    key = service.add_manufacturer("Moving House", "moving house", [APP], manufacturer_key("moving house"))
    session = service.create("en", key=key)
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    service.change("UPDATE manufacturers SET redirect_urls = '{https://elsewhere.example/}' WHERE name = 'Moving House'")
    tab.locator("#confirm").click()
    shows(tab, "unknown")
    assert service.status(session, key) == "open"
    tab.goto(session["link_url"])
    shows(tab, "unknown")
    assert "your-app.com" not in tab.content()
