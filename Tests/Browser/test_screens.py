"""On every screen, with every setting, and with names that try something."""
import re

import pytest
from accessibility import OVERFLOW, expect_reachable_by_keyboard, findings
from pages import PAGES
from service import APP, manufacturer_key
from steps import confirm, page_name, shows, sign_in_at_sandbox

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
    key = manufacturer_key(kind)
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
    service.change(
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
        service.change("DELETE FROM suppliers WHERE slug = 'odd'")
