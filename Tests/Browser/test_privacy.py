"""Where tokens and results go: nowhere but to the service and, in the end, to the manufacturer's app."""
from urllib.parse import urlsplit

from service import APP
from steps import complete, confirm, link, shows, sign_in_at_canaille, sign_in_at_mock, sign_in_at_sandbox

# Every test of this directory checks as much for its own visitors, and for the log: see Visitor.judge. Here is one that
# would fail if that check saw nothing.


def test_no_token_reaches_another_origin_a_referer_or_the_log(service, new_visitor, mock_energy, canaille):
    session = service.create("en")
    token = session["link_token"]
    visitor = new_visitor()
    tab = visitor.open(session["link_url"])
    sign_in_at_mock(tab, "private@mock.example")
    tab.locator("a#again").click()
    shows(tab, "link")
    sign_in_at_canaille(tab, canaille)
    shows(tab, "confirm")
    url = confirm(tab)

    origins = {urlsplit(address)._replace(path="", query="").geturl() for _, address, _ in visitor.requests}
    assert {service.base, mock_energy.issuer, canaille.issuer, "https://your-app.com"} <= origins, "the record saw all"
    assert any(token in address for _, address, _ in visitor.requests), "and it saw the token where it belongs"
    for _, address, body in visitor.requests:
        if not address.startswith(service.base + "/"):
            assert token not in address + (body or "")
    referrers = [headers["referer"] for headers in visitor.headers if "referer" in headers]
    assert service.base + "/" in referrers, "the record saw Referers"
    assert not any(token in referrer or "data=" in referrer for referrer in referrers)
    # What the providers saw themselves.
    for provider in (mock_energy, canaille):
        assert provider.requests
        for path, referrer in provider.requests:
            assert token not in path + referrer
            if referrer.startswith(service.base):
                assert referrer == service.base + "/"
    # The result went to the app and nowhere else.
    data = link_data(url)
    for _, address, body in visitor.requests:
        assert data not in address + (body or "") or address.startswith(APP), address
    log = service.log_file.read_text()
    assert "/ui" in log, "the log saw the requests"
    assert token not in log and data not in log


def link_data(url):
    return url.split("data=")[1].split("&")[0]


def test_the_app_gets_no_referer_with_a_path(service, new_visitor):
    visitor = new_visitor()
    complete(service, visitor, service.create("en"))
    told = {headers["referer"] for headers in visitor.headers if "referer" in headers}
    assert told == {service.base + "/"}


def test_nothing_is_kept_in_the_browser_but_the_sign_ins_cookie(service, new_visitor):
    visitor = new_visitor()
    tab = visitor.open(service.create("en")["link_url"])
    sign_in_at_sandbox(tab)
    state = visitor.context.storage_state(indexed_db=True)
    assert [cookie["name"][:8] for cookie in state["cookies"]] == ["sign-in-"]
    assert state["origins"] == []
    assert link(tab, "back").startswith(APP)
