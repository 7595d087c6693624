"""A supplier's provider that is down at one of its endpoints, as its users meet it: a page that says so and leads on, and the
rest of the way once the provider is back."""
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from accessibility import OVERFLOW, expect_reachable_by_keyboard, findings
from providers import HANGS_UP
from steps import choose, confirm, link, new_user, shows, sign_in_as, wait_in


@pytest.fixture(scope="session")
def suppliers(mock_energy, canaille, glewlwyd):
    return [mock_energy, canaille, glewlwyd]


@pytest.fixture(params=["503 Service Unavailable", HANGS_UP], ids=["answers 503", "hangs up"])
def manner(request):
    return request.param


def path(provider, name):
    return urlsplit(provider.endpoint(name)).path


@contextmanager
def down(provider, name, manner):
    provider.down_by = manner
    provider.down.add(path(provider, name))
    try:
        yield
    finally:
        provider.down.clear()


def read_anew(service):
    """What the service read of a provider before, it would keep for a while."""
    service.stop()
    service.start()


# Which of a page's buttons and links look like the main one.
MAIN = """all => all.filter(element => getComputedStyle(element).backgroundColor ===
    getComputedStyle(document.querySelector('#again')).backgroundColor).map(element => element.id)"""


def expect_a_way_on(service, tab, provider):
    """One heading, one main action, another way, and nothing from elsewhere."""
    shows(tab, "failed")
    assert tab.locator("h1").count() == 1
    assert provider.name in tab.locator("main").inner_text(), "it says who does not answer"
    assert tab.locator("main a, main button").evaluate_all(MAIN) == ["again"]
    service.expect_result(link(tab, "back"), "failed")
    assert findings(tab) == []
    assert tab.evaluate(OVERFLOW) <= 0
    loaded = tab.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(address.startswith(service.base + "/") for address in loaded), loaded
    expect_reachable_by_keyboard(tab)


def expect_the_rest_of_the_way(service, tab, provider, user, session):
    assert service.status(session) == "open"
    tab.locator("a#again").click()
    shows(tab, "link")
    sign_in_as(tab, provider, *user)
    shows(tab, "confirm")
    assert findings(tab) == []
    service.expect_result(confirm(tab), "completed")
    assert service.supplier_user(session)[0] == provider.slug


def test_metadata(service, visitor, provider, manner):
    user, session = new_user(provider), service.create("en")
    read_anew(service)
    tab = visitor.open(session["link_url"])
    with down(provider, "metadata", manner):
        with tab.expect_response("**/ui/sign-ins") as answered:
            choose(tab, provider.slug)
        assert answered.value.status == 424
        expect_a_way_on(service, tab, provider)
    expect_the_rest_of_the_way(service, tab, provider, user, session)


@pytest.mark.parametrize("name", ["jwks_uri", "token_endpoint"])
def test_keys_and_tokens(service, visitor, provider, manner, name):
    user, session = new_user(provider), service.create("en")
    read_anew(service)
    tab = visitor.open(session["link_url"])
    with down(provider, name, manner):
        sign_in_as(tab, provider, *user)
        expect_a_way_on(service, tab, provider)
        assert service.refusals(session)[-1][0] == "sign_in_refused"
    expect_the_rest_of_the_way(service, tab, provider, user, session)


@pytest.fixture
def without_email(service, provider):
    """UserInfo is asked where the ID token has no e-mail address."""
    service.change("UPDATE suppliers SET scopes = '{openid}' WHERE slug = %s", provider.slug)
    yield
    service.change("UPDATE suppliers SET scopes = '{openid,profile,email}' WHERE slug = %s", provider.slug)


def test_user_info_alone_keeps_nobody_from_signing_in(service, visitor, provider, manner, without_email):
    user, session = new_user(provider), service.create("en")
    tab = visitor.open(session["link_url"])
    user_info, asked = path(provider, "userinfo_endpoint"), len(provider.requests)
    with down(provider, "userinfo_endpoint", manner):
        sign_in_as(tab, provider, *user)
        shows(tab, "confirm")
    assert any(address.startswith(user_info) for address, _ in provider.requests[asked:])
    assert "Customer number ending in" in tab.locator("main").inner_text(), "which the ID token says"
    assert findings(tab) == []
    service.expect_result(confirm(tab), "completed")
    assert service.supplier_user(session)[0] == provider.slug


def test_authorization(service, new_visitor, provider, manner):
    """The page is the provider's, or the browser's: what is ours is that going back leads on."""
    user = new_user(provider)
    # Canaille 0.3.6 asks for the account again and again while it asks for consent as well.
    tab = new_visitor().open(service.create("en")["link_url"])
    sign_in_as(tab, provider, *user)
    shows(tab, "confirm")

    session, visitor = service.create("en"), new_visitor()
    tab = visitor.open(session["link_url"])
    with down(provider, "authorization_endpoint", manner):
        choose(tab, provider.slug)
        wait_in(tab, "the provider's address", lambda: tab.url.startswith((provider.issuer, "chrome-error:")))
        tab.wait_for_load_state()
    tab.go_back()
    shows(tab, "link")
    assert findings(tab) == []
    sign_in_as(tab, provider, *user)
    shows(tab, "confirm")
    service.expect_result(confirm(tab), "completed")
