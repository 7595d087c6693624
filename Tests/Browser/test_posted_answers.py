"""A supplier that answers by a form of its own page, as Apple does: no cookie of ours comes with that."""
from html import escape
from urllib.parse import parse_qsl, urlsplit

import pytest
from steps import confirm, shows, sign_in_at_mock


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def anybody(request, new_visitor):
    return new_visitor(java_script_enabled=request.param), request.param


def post_answers(tab, provider):
    """From now on the provider posts its answers from a page of its own, where a button does it."""
    def post(route):
        answer = route.fetch(max_redirects=0)
        location = urlsplit(answer.headers.get("location", ""))
        if "/ui/callback/" not in location.path:
            return route.fulfill(response=answer)
        fields = parse_qsl(location.query) + [("user", '{"name":{"firstName":"Maria"}}'), ("id_token", "a.b.c")]
        inputs = "".join(f'<input type=hidden name="{name}" value="{escape(value)}">' for name, value in fields)
        action = escape(location._replace(query="").geturl())
        return route.fulfill(
            status=200, content_type="text/html",
            body=f'<!doctype html><form method=post action="{action}">{inputs}<button id=post>Post</button></form>')

    tab.context.route(f"{provider.issuer}/oauth2/authorize?**", post)


def test_a_posted_answer_signs_its_user_in(service, anybody, mock_energy):
    visitor, has_scripts = anybody
    session = service.create("en")
    tab = visitor.open(session["link_url"])
    post_answers(tab, mock_energy)
    sign_in_at_mock(tab, "maria.jansen@mock.example", expect=None)
    tab.locator("#post").click()
    if not has_scripts:
        shows(tab, "answer")
        tab.locator("#go-on").click()
    shows(tab, "confirm")
    service.expect_result(confirm(tab), "completed")
    assert service.supplier_user(session) == ("mock-energy", "maria.jansen@mock.example")
