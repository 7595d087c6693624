"""From the link to the manufacturer's app, in a browser, at the sandbox and at real OpenID Connect providers."""
import re
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import pytest
from service import APP, BETA_KEY
from steps import choose, confirm, link, shows, sign_in_at_canaille, sign_in_at_mock, sign_in_at_sandbox, stay


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def visitor(request, new_visitor):
    return new_visitor(java_script_enabled=request.param)


# --- The sandbox, each of its outcomes.


def test_an_approval_completes_the_session_and_brings_the_user_back(service, visitor):
    session = service.create("en", user="user approves")
    began = int(time.time())
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    assert service.status(session) == "open", "signing in alone completes nothing"
    text = tab.locator("main").inner_text()
    assert "Acme Manufacturing" in text and "Sandbox Energy" in text
    url = confirm(tab)

    fields = service.expect_result(url, "completed")
    found = service.find(session)
    assert found["status"] == "completed"
    assert began <= fields["iat"] == found["completed_at"] <= time.time() + 1
    assert fields["exp"] == fields["iat"] + 600
    assert fields["connected_at"] == found["completed_at"]
    assert fields["manufacturer_user_id"] == "user approves"
    assert fields["brand"] == "acme manufacturing"
    assert fields["supplier"] == "sandbox"
    assert str(uuid.UUID(fields["nox_user_id"])) == fields["nox_user_id"]
    assert fields["jti"] and fields["code"] and fields["jti"] != fields["code"]
    assert session["link_token"] not in str(fields)
    assert visitor.arrivals == [url], "the browser went there once"
    service.secrets.add(fields["code"])


def test_a_refusal_at_the_sandbox_leaves_the_session_open_and_the_user_free(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab, "decline")
    assert service.expect_result(link(tab, "back"), "failed").keys() == {"status", "iss", "aud", "iat", "exp", "jti"}
    assert service.status(session) == "open"
    assert [event for event, _ in service.refusals(session)] == ["sign_in_refused"]
    # Again, and this time all is well.
    tab.locator("a#again").click()
    shows(tab, "link")
    sign_in_at_sandbox(tab)
    service.expect_result(confirm(tab), "completed")


def test_a_failure_of_the_sandbox_leaves_the_session_open_and_the_user_free(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab, "error")
    service.expect_result(link(tab, "back"), "failed")
    assert service.status(session) == "open"
    assert [event for event, _ in service.refusals(session)] == ["sign_in_refused"]
    tab.locator("a#back").click()
    tab.wait_for_url(APP + "?**")
    assert service.status(session) == "open"


def test_an_answer_that_comes_too_late_completes_nothing(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab, "late")
    service.expect_result(link(tab, "back"), "expired")
    tab.locator("a#back").click()
    tab.wait_for_url(APP + "?**")
    assert service.status(session) == "expired"


def test_a_refusal_and_a_failure_say_different_things(service, new_visitor):
    texts = []
    for outcome in ("decline", "error"):
        tab = new_visitor().open(service.create("en")["link_url"])
        sign_in_at_sandbox(tab, outcome)
        texts.append(tab.locator("h1").inner_text() + tab.locator("main").inner_text())
    assert texts[0] != texts[1]


def test_the_way_back_without_signing_in_says_cancelled(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    tab.locator("a#back").click()
    tab.wait_for_url(APP + "?**")
    fields = service.expect_result(tab.url, "cancelled")
    assert fields.keys() == {"status", "iss", "aud", "iat", "exp", "jti"}
    assert service.status(session) == "open"


def test_the_way_back_from_the_confirm_page_completes_nothing(service, visitor):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_sandbox(tab)
    service.expect_result(link(tab, "back"), "cancelled")
    tab.locator("a#again").click()
    shows(tab, "link")
    assert service.status(session) == "open"


# --- Real providers.


def test_the_whole_way_with_a_mock_provider(service, visitor, mock_energy):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_mock(tab, "maria.jansen@mock.example")
    text = tab.locator("main").inner_text()
    assert "Mock Energy" in text
    assert "maria.jansen" not in text, "the account is masked"
    fields = service.expect_result(confirm(tab), "completed")
    assert fields["supplier"] == "mock-energy"
    assert service.supplier_user(session) == ("mock-energy", "maria.jansen@mock.example")
    assert "maria.jansen" not in str(fields)


def test_the_whole_way_with_canaille(service, visitor, canaille):
    session = service.create("nl")
    tab = visitor.open(session["link_url"])
    user = sign_in_at_canaille(tab, canaille)
    shows(tab, "confirm")
    assert tab.locator("html").get_attribute("lang") == "nl"
    text = tab.locator("main").inner_text()
    assert "Canaille Power & Light" in text
    assert "maria.jansen" not in text, "the account is masked"
    fields = service.expect_result(confirm(tab), "completed")
    assert fields["supplier"] == "canaille-power"
    assert service.supplier_user(session) == ("canaille-power", user)
    assert service.confirm(session, "u-1", fields["code"]).status_code == 200


def test_a_refusal_at_canaille_is_told_as_such(service, visitor, canaille):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    sign_in_at_canaille(tab, canaille, answer="deny")
    shows(tab, "failed")
    service.expect_result(link(tab, "back"), "failed")
    assert service.status(session) == "open"
    assert [event for event, _ in service.refusals(session)] == ["sign_in_refused"]


def test_the_supplier_is_asked_as_the_standards_say(service, new_visitor, canaille):
    visitor = new_visitor()
    tab = visitor.open(service.create("fr")["link_url"])
    choose(tab, "canaille-power")
    tab.locator("input[name=login]").wait_for()
    asked = [url for _, url, _ in visitor.requests if url.startswith(canaille.issuer + "/oauth/authorize?")]
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked[0]).query).items()}
    assert query["response_type"] == "code"
    assert query["client_id"] == canaille.client_id
    assert query["redirect_uri"] == f"{service.base}/ui/callback/canaille-power"
    assert "openid" in query["scope"].split()
    assert query["code_challenge_method"] == "S256" and re.fullmatch(r"[A-Za-z0-9_-]{43}", query["code_challenge"])
    assert len(query["state"]) >= 22 and len(query["nonce"]) >= 22
    assert len({query["state"], query["nonce"], query["code_challenge"]}) == 3


# --- Redirect URLs of other kinds.


def test_an_apps_own_scheme_is_a_way_back(service, visitor):
    session = service.create("en", redirect_url="com.acme.app:/linked", key=BETA_KEY)
    tab = visitor.open(session["link_url"])
    assert link(tab, "back").startswith("com.acme.app:/linked?data=")
    sign_in_at_sandbox(tab)
    tab.locator("#confirm").click()
    # Nothing here opens such an app: the page that would have gone there stays, with a link to press.
    shows(tab, "returning")
    assert re.fullmatch(
        r"com\.acme\.app:/linked\?data=[A-Za-z0-9_-]+&signature=[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+", link(tab, "return"))
    refresh = tab.locator("meta[http-equiv=refresh]").get_attribute("content")
    assert refresh.endswith(link(tab, "return"))
    assert service.status(session, BETA_KEY) == "completed"


@pytest.mark.parametrize("query", [
    "a=1&b=%22two%22&c='three'&d=(4)&e=%3Cb%3E&copy=5", "a=1&amp;b=2", "x=;url=https://evil.example/", "trailing&",
    "data2=1",
])
def test_what_a_redirect_urls_query_holds_comes_back_as_it_was(service, visitor, query):
    redirect_url = f"https://your-app.com/callback?{query}"
    session = service.create("en", redirect_url=redirect_url, key=BETA_KEY)
    tab = visitor.open(session["link_url"])
    assert link(tab, "back").startswith(redirect_url + "&data=")
    sign_in_at_sandbox(tab)
    tab.locator("#confirm").click()
    shows(tab, "app")
    assert visitor.arrivals[-1].replace("%27", "'").startswith(redirect_url + "&data="), visitor.arrivals


def test_a_manufacturer_without_a_brand_is_called_by_its_name(service, new_visitor):
    visitor = new_visitor()
    session = service.create("en", key=BETA_KEY)
    tab = visitor.open(session["link_url"])
    assert "Beta Devices" in tab.locator("main").inner_text()
    sign_in_at_sandbox(tab)
    assert "Beta Devices" in tab.locator("main").inner_text()
    stay(tab, APP + "?**")
    tab.locator("#confirm").click()
    shows(tab, "returning")
    assert "None" not in tab.locator("main").inner_text()


# --- With nothing but a keyboard.


def test_the_whole_way_with_nothing_but_a_keyboard(service, visitor):
    tab = visitor.open(service.create("en")["link_url"])

    def press(selector):
        for _ in range(20):
            tab.keyboard.press("Tab")
            if tab.locator(f"{selector}:focus").count():
                return tab.keyboard.press("Enter")
        raise AssertionError(f"Tab never reached {selector}")

    press("button[value=sandbox]")
    shows(tab, "sandbox")
    press("#approve")
    shows(tab, "confirm")
    press("#confirm")
    tab.wait_for_url(APP + "?**")
    service.expect_result(tab.url, "completed")


# --- A restart in the middle.


def test_a_sign_in_survives_a_restart_of_the_service(service, new_visitor):
    session = service.create("en")
    tab = new_visitor().open(session["link_url"])
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    tab.wait_for_load_state("networkidle")
    service.stop()
    service.start()
    tab.locator("#approve").click()
    shows(tab, "confirm")
    address = tab.url
    url = confirm(tab)
    tab.wait_for_load_state("networkidle")
    service.stop()
    service.start()
    tab.goto(address)
    shows(tab, "completed")
    assert link(tab, "back") == url, "byte for byte the same from another process"
