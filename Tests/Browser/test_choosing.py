"""Choosing among many suppliers, with a script and without, the time that is left, and logos."""
import re

import pytest
from accessibility import OVERFLOW, expect_reachable_by_keyboard, findings
from pages import PAGES
from refusals import callback_of_sandbox
from service import APP, digest, manufacturer_key, wait_until
from steps import choose, confirm, link, shows, sign_in_at_sandbox

NAMES = ["Électricité de Strasbourg", "Ørsted", "Vattenfall", "Stromgroß", "شركة الطاقة"]


@pytest.fixture
def sixty_suppliers(service):
    """Beside those that the service has: their providers are never asked."""
    service.change(
        """
        INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name)
        SELECT 'grid-' || n, (%s::text[])[n %% 5 + 1] || ' ' || n, 'https://grid.example/' || n, 'c', 'SUPPLIER_MOCK_SECRET'
        FROM generate_series(1, 60) n
        """,
        NAMES)
    yield
    service.change("DELETE FROM suppliers WHERE starts_with(slug, 'grid-')")


def shown(tab):
    return tab.locator("#suppliers button").filter(visible=True).evaluate_all("all => all.map(button => button.value)")


def press_tab_until(tab, selector, limit=12):
    for _ in range(limit):
        if tab.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        tab.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


# --- Many suppliers.


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_among_sixty_suppliers_one_is_found_and_chosen_by_keyboard_alone(service, new_visitor, sixty_suppliers, script):
    visitor = new_visitor(java_script_enabled=script)
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    shows(tab, "link")
    if not script:
        # Without a script of the page's own the tests have none to ask with: the keyboard alone.
        for _ in range(2):
            tab.keyboard.press("Tab")
            if tab.locator("#search:focus").count():
                break
        assert tab.locator("#search:focus").count() == 1
        tab.keyboard.type("sandbox ENERGY")
        tab.keyboard.press("Enter")
        tab.locator("#all").wait_for()
        assert tab.locator("#search").input_value() == "sandbox ENERGY"
        assert tab.locator("#suppliers button").count() == 1
        for _ in range(8):
            if tab.locator("#suppliers button:focus").count():
                break
            tab.keyboard.press("Tab")
    else:
        press_tab_until(tab, "#search")
        tab.keyboard.type("sandbox ENERGY")
        assert shown(tab) == ["sandbox"]
        press_tab_until(tab, "#suppliers button")
    tab.keyboard.press("Enter")
    shows(tab, "sandbox")
    tab.locator("#approve").press("Enter")
    shows(tab, "confirm")
    tab.locator("#confirm").press("Enter")
    tab.wait_for_url(APP + "?**")
    service.expect_result(tab.url, "completed")


@pytest.mark.parametrize("query, number", [
    ("electricite", 12), ("ÉLECTRICITÉ", 12), ("orsted", 12), ("ørsted 6", 6), ("stromgross", 12), ("strasbourg elec", 12),
    ("شركة", 12), ("vattenfall 57", 1), ("nobody", 0), ("  ", 63), ("<b>", 13),
])
def test_the_script_finds_what_the_service_finds(service, visitor, sixty_suppliers, query, number):
    tab = visitor.open(service.create("en")["link_url"])
    tab.locator("#search").fill(query)
    narrowed = shown(tab)
    assert tab.locator("#found").inner_text() == (f"Found: {number}" if query.strip() else "")
    tab.locator("#search").press("Enter")
    tab.wait_for_url("**&q=*")
    shows(tab, "link")
    assert shown(tab) == narrowed
    assert len(narrowed) == number
    assert tab.locator("a#missing").is_visible(), "no dead end"
    assert findings(tab) == []


def test_sixty_suppliers_are_fit_for_everybody(service, new_visitor, sixty_suppliers):
    visitor = new_visitor(viewport={"width": 320, "height": 640})
    tab = visitor.open(service.create("fr")["link_url"])
    shows(tab, "link")
    assert tab.locator("#suppliers button").count() == 63
    assert tab.evaluate(OVERFLOW) <= 0
    assert findings(tab) == []
    expect_reachable_by_keyboard(tab)
    assert len(tab.content().encode()) < 30_000


def test_what_was_sought_stays_when_the_language_changes(service, visitor, sixty_suppliers):
    tab = visitor.open(service.create("en")["link_url"])
    tab.locator("#search").fill("orsted 6")
    tab.locator("#search").press("Enter")
    tab.locator("#all").wait_for()
    tab.locator("footer a[lang=es]").click()
    tab.locator("html[lang=es]").wait_for()
    assert tab.locator("#search").input_value() == "orsted 6"
    assert len(shown(tab)) == 6
    tab.locator("#all").click()
    tab.wait_for_url(lambda url: "q=" not in url)
    assert len(shown(tab)) == 63


def test_few_suppliers_need_no_search(service, visitor):
    tab = visitor.open(service.create("en")["link_url"])
    assert tab.locator("#search").count() == 0


def test_a_supplier_that_is_not_listed_leads_back_with_the_reason(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    tab.locator("a#missing").click()
    tab.wait_for_url(APP + "?**")
    assert service.expect_result(tab.url, "failed")["reason"] == "supplier_not_listed"
    assert service.status(session) == "open"


def test_the_supplier_that_the_manufacturer_names_is_the_main_action_and_no_must(service, visitor):
    tab = visitor.open(service.create("en", supplier="mock-energy")["link_url"])
    main = tab.locator("#suppliers button").first
    assert main.inner_text().strip() == "Go on with Mock Energy"
    assert "main" in main.get_attribute("class").split()
    assert tab.locator("legend").inner_text() == "Or choose another supplier"
    assert tab.locator("button[value=mock-energy]").count() == 1, "it is there once"
    assert findings(tab) == []
    expect_reachable_by_keyboard(tab)
    sign_in_at_sandbox(tab)


def test_only_the_suppliers_that_the_manufacturer_offers_can_be_chosen(service, visitor):
    tab = visitor.open(service.create("en", suppliers=["sandbox"])["link_url"])
    assert shown(tab) == ["sandbox"]
    assert tab.locator("a#missing").is_visible()


def test_suppliers_whose_sign_ins_keep_failing_are_last_with_a_sentence(service, visitor):
    service.sql("INSERT INTO supplier_outcomes VALUES ('canaille-power', now(), 1, 9, 0)")
    session = service.create("en", supplier="canaille-power")
    tab = visitor.open(session["link_url"])

    def is_last():
        tab.reload()
        return tab.locator("legend.note").count()

    try:
        wait_until("the service knows", is_last, 15)
        assert shown(tab) == ["mock-energy", "sandbox", "canaille-power"]
        assert tab.locator("button.main").count() == 0, "what fails is no main action"
        assert "often fails at the moment" in tab.locator("main").inner_text()
        assert findings(tab) == []
        choose(tab, "canaille-power")
        tab.locator("input[name=login]").wait_for()
    finally:
        service.sql("DELETE FROM supplier_outcomes")


# --- Without a script, and the time that is left.


@pytest.mark.parametrize("page", ["link", "confirm"])
def test_without_a_script_the_time_is_a_sentence_and_all_works(service, new_visitor, page):
    visitor = new_visitor(java_script_enabled=False)
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    assert tab.locator("#time").inner_text() == "You have about 10 min left."
    sign_in_at_sandbox(tab)
    assert tab.locator("#time").inner_text() == "You have about 10 min left."
    service.expect_result(confirm(tab), "completed")


def test_with_a_script_the_time_counts_down_and_says_when_it_is_over(service, visitor):
    tab = visitor.new_tab()
    tab.clock.install()
    tab.goto(service.create("en")["link_url"])
    time = tab.locator("#time")
    first = re.fullmatch(r"You have (9:5\d|10:00) min left\.", time.inner_text())
    assert first, time.inner_text()
    assert time.get_attribute("role") == "timer", "which no screen reader reads out by itself"
    tab.clock.run_for(61_000)
    assert re.fullmatch(r"You have 8:5\d min left\.", time.inner_text()), time.inner_text()
    tab.clock.run_for(600_000)
    assert time.inner_text() == "The time is up. Begin again in the app of Acme Manufacturing."
    assert findings(tab) == []


# --- Another browser.


def test_an_answer_in_another_browser_is_refused_with_the_reason_and_a_way_on(service, new_visitor):
    session = service.create("en")
    first = new_visitor()
    tab = first.open(session["link_url"])
    callback = callback_of_sandbox(tab)
    other = new_visitor(viewport={"width": 320, "height": 640})
    seen = other.open(callback)
    shows(seen, "refused")
    assert "in which you began" in seen.locator("main").inner_text()
    assert session["link_token"] not in seen.content(), "a callback's address opens no session"
    assert seen.locator("a#again").count() == 0
    assert link(seen, "back") == APP, "and nothing is signed"
    # All there is to do is the main thing to do.
    assert seen.locator("a#back").evaluate("element => getComputedStyle(element).backgroundColor") != "rgba(0, 0, 0, 0)"
    assert findings(seen) == []
    # With the link itself it begins again here.
    seen.goto(session["link_url"])
    choose(seen, "sandbox")
    shows(seen, "sandbox")
    seen.goto(callback)
    shows(seen, "refused")
    seen.locator("a#again").click()
    shows(seen, "link")
    sign_in_at_sandbox(seen)
    service.expect_result(confirm(seen), "completed")


def test_whoever_asks_for_the_address_of_a_form_is_led_back(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    tab.goto(f"{service.base}/ui/sign-ins")
    shows(tab, "not-found")
    assert findings(tab) == []
    tab.locator("a#again").click()
    shows(tab, "link")


# --- Logos.

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8H0z" fill="#c00"/></svg>'


@pytest.fixture
def logo(service):
    service.change(
        "INSERT INTO logos (digest, media_type, bytes) VALUES (sha256(%s), 'image/svg+xml', %s)", SVG.encode(), SVG.encode())
    service.change("UPDATE suppliers SET logo = sha256(%s) WHERE slug = 'mock-energy'", SVG.encode())
    service.change("UPDATE manufacturers SET logo = sha256(%s) WHERE name = 'Acme Manufacturing'", SVG.encode())
    yield f"/ui/logos/{digest(SVG).hex()}"
    service.change("UPDATE suppliers SET logo = NULL")
    service.change("UPDATE manufacturers SET logo = NULL")
    service.change("DELETE FROM logos")


@pytest.mark.parametrize("width", [320, 1280])
def test_a_logo_is_an_image_beside_its_name(service, new_visitor, logo, width):
    visitor = new_visitor(viewport={"width": width, "height": 800})
    tab = visitor.open(service.create("en")["link_url"])
    shows(tab, "link")
    images = tab.locator(f"img[src='{logo}']")
    assert images.count() == 2
    for image in images.all():
        assert image.get_attribute("alt") == "", "the name stands beside it"
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    assert tab.get_by_role("button", name="Mock Energy", exact=True).count() == 1
    assert tab.locator("svg").count() == 0
    assert tab.evaluate(OVERFLOW) <= 0
    assert findings(tab) == []
    sign_in_at_sandbox(tab)
    assert tab.locator(f"header img[src='{logo}']").count() == 1


def test_a_logo_that_is_opened_by_itself_does_nothing(service, visitor, logo):
    tab = visitor.new_tab()
    answer = tab.goto(service.base + logo)
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "immutable" in answer.headers["cache-control"]


# --- On every screen.


@pytest.mark.parametrize("page", ["link", "confirm", "declined", "expired"])
@pytest.mark.parametrize("kind", ["one word", "words", "right to left"])
def test_a_brand_of_200_characters_overflows_nowhere(service, new_visitor, page, kind):
    brand = {"one word": "Wärmepumpen" * 18, "words": "Heating and Cooling of the Netherlands " * 6,
             "right to left": "شركة الطاقة المنزلية " * 10}[kind].strip()[:200].strip()
    key = manufacturer_key(f"{page} {kind}")
    service.add_manufacturer(f"Long {page} {kind}", brand, [APP], key)
    visitor = new_visitor(viewport={"width": 320, "height": 640})
    session = service.create("nl", key=key)
    tab = visitor.open(session["link_url"])
    if page == "expired":
        service.expire(session, key)
        tab.reload()
    elif page != "link":
        sign_in_at_sandbox(tab, {"confirm": "approve", "declined": "decline"}[page])
    shows(tab, PAGES[page][1])
    assert tab.evaluate(OVERFLOW) <= 0
    assert findings(tab) == []


@pytest.mark.parametrize("language", ["nl", "en", "fr", "es"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_language_link_is_left_over_on_a_line_of_its_own(service, new_visitor, language, width):
    visitor = new_visitor(viewport={"width": width, "height": 640})
    tab = visitor.open(service.create(language)["link_url"])
    tops = tab.locator("footer nav a").evaluate_all("links => links.map(link => Math.round(link.getBoundingClientRect().top))")
    lines = [tops.count(top) for top in sorted(set(tops))]
    assert lines in ([4], [2, 2]), lines


def test_a_brand_is_not_broken_within_a_word_on_a_phone(service, visitor):
    tab = PAGES["confirm"][0](service, visitor, "en")
    shows(tab, "confirm")
    height = tab.locator("dd", has_text="Acme Manufacturing").evaluate("element => element.getClientRects()[0].height")
    assert height < 48, "one line"


def test_colors_that_a_user_forces_leave_the_main_action_to_be_seen(service, new_visitor):
    visitor = new_visitor(forced_colors="active", reduced_motion="reduce")
    tab = PAGES["confirm"][0](service, visitor, "en")
    shows(tab, "confirm")
    main, other = (
        tab.locator(selector).evaluate("element => parseFloat(getComputedStyle(element).borderTopWidth)")
        for selector in ("#confirm", "#back"))
    assert main > other
    assert tab.locator("#confirm").evaluate("element => getComputedStyle(element).transitionDuration") in ("0s", "")
