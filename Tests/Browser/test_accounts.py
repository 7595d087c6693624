"""The right account, at three real providers that are no relatives of each other."""
import pytest
from accessibility import findings
from steps import choose, confirm, new_user, shows, sign_in_as, wait_in


@pytest.fixture(scope="session")
def suppliers(mock_energy, canaille, glewlwyd):
    return [mock_energy, canaille, glewlwyd]


def test_the_wrong_account_and_then_the_right_one(service, new_visitor, provider):
    wrong, right = new_user(provider), new_user(provider, "peter.jansen")
    # Canaille 0.3.6 asks for the account again and again while it asks for consent as well.
    earlier = service.create("en", user="earlier")
    tab = new_visitor().open(earlier["link_url"])
    sign_in_as(tab, provider, *right)
    shows(tab, "confirm")
    service.expect_result(confirm(tab), "completed")

    session = service.create("en")
    tab = new_visitor().open(session["link_url"])
    sign_in_as(tab, provider, *wrong)
    shows(tab, "confirm")
    assert "m•••@" in tab.locator("main").inner_text()
    assert wrong[0] not in tab.content(), "the account is masked"
    assert findings(tab) == []
    asked = len(provider.requests)
    tab.locator("a#again").click()
    shows(tab, "link")
    # Without being asked for another account, the provider would sign the first one in.
    sign_in_as(tab, provider, *right)
    shows(tab, "confirm")
    assert any("prompt=" in path for path, _ in provider.requests[asked:])
    text = tab.locator("main").inner_text()
    assert "p•••@" in text and "m•••@" not in text
    assert findings(tab) == []
    service.expect_result(confirm(tab), "completed")
    assert service.supplier_user(session) == service.supplier_user(earlier)


def test_two_tabs_at_one_provider(service, visitor, provider):
    user = new_user(provider)
    session = service.create("en")
    first, second = visitor.open(session["link_url"]), visitor.open(session["link_url"])
    sign_in_as(first, provider, *user)
    shows(first, "confirm")
    sign_in_as(second, provider, *user)
    shows(second, "confirm")
    url = confirm(first)
    second.locator("#confirm").click()
    shows(second, "app")
    assert second.url == url, "the same result"


def keep_answer(tab, provider):
    """The provider's answer goes nowhere: the addresses at which it would have arrived, as they come."""
    kept, endpoint = [], provider.endpoint("authorization_endpoint")

    def keep(route):
        answer = route.fetch(max_redirects=0)
        location = answer.headers.get("location", "")
        if "/ui/callback/" not in location:
            return route.fulfill(response=answer)
        kept.append(location)
        return route.fulfill(status=204)

    tab.context.route(lambda url: url.startswith(endpoint), keep)
    return kept


def test_an_answer_in_another_browser_is_refused_and_leads_on_there(service, new_visitor, provider):
    """As where a supplier's app opens the system's browser."""
    user, session = new_user(provider), service.create("en")
    tab = new_visitor().open(session["link_url"])
    asked = keep_answer(tab, provider)
    sign_in_as(tab, provider, *user)
    wait_in(tab, "the answer", lambda: asked)
    other = new_visitor()
    seen = other.open(asked[0])
    shows(seen, "refused")
    assert findings(seen) == []
    assert service.status(session) == "open"
    seen.goto(session["link_url"])
    sign_in_as(seen, provider, *user)
    shows(seen, "confirm")
    service.expect_result(confirm(seen), "completed")


def test_a_refusal_at_the_mock_which_says_nothing_of_which_sign_in_it_was_is_told_as_such(service, visitor, mock_energy):
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    choose(tab, mock_energy.slug)
    tab.get_by_role("button", name="Deny", exact=True).click()
    shows(tab, "refused")
    assert "was stopped or declined" in tab.locator("main").inner_text()
    assert findings(tab) == []
    assert service.status(session) == "open"
    tab.locator("a#again").click()
    shows(tab, "link")
    sign_in_as(tab, mock_energy, *new_user(mock_energy))
    shows(tab, "confirm")
    service.expect_result(confirm(tab), "completed")


def test_glewlwyd_posts_its_answers_where_it_is_asked_to(service, visitor, glewlwyd):
    service.change("UPDATE suppliers SET response_mode = 'form_post' WHERE slug = %s", glewlwyd.slug)
    try:
        session = service.create("en")
        tab = visitor.open(session["link_url"])
        sign_in_as(tab, glewlwyd, *new_user(glewlwyd))
        shows(tab, "confirm")
        posts = [(url, body) for method, url, body in visitor.requests if method == "POST" and "/ui/callback/" in url]
        assert posts and "code=" in posts[0][1]
        assert findings(tab) == []
        service.expect_result(confirm(tab), "completed")
        assert service.supplier_user(session)[0] == glewlwyd.slug
    finally:
        service.change("UPDATE suppliers SET response_mode = NULL WHERE slug = %s", glewlwyd.slug)
