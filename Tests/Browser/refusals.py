"""What the tests of attacks share."""
from urllib.parse import parse_qs, urlencode, urlsplit

from steps import choose, shows, stay, wait_in


def expect_refused(service, session, event="sign_in_refused"):
    """Refused, on record, and nothing lost."""
    assert service.status(session) == "open"
    assert event in [name for name, _ in service.refusals(session)], service.events(session)


def callback_of_sandbox(tab):
    """From the session's page: the address at which the sandbox's approval would arrive. The browser does not go there."""
    asked = stay(tab, "**/ui/callback/**")
    choose(tab, "sandbox")
    shows(tab, "sandbox")
    tab.locator("#approve").click()
    wait_in(tab, "the answer", lambda: asked)
    tab.unroute("**/ui/callback/**")
    return asked[0]


def changed(url, **values):
    parts = urlsplit(url)
    query = {name: value[0] for name, value in parse_qs(parts.query, keep_blank_values=True).items()} | values
    return parts._replace(query=urlencode({name: value for name, value in query.items() if value is not None})).geturl()
