"""The fixtures: providers to sign in at, and visitors with a browser each."""
import json
import os

import pytest
from playwright.sync_api import sync_playwright

# Their assertions say as much as those of the tests.
pytest.register_assert_rewrite("accessibility", "pages", "refusals", "steps", "visitor")

import glewlwyd as glewlwyd_server
import providers
from service import free_port
from visitor import ARGUMENTS, CHROMIUM, CHROMIUM_WITH_SETTINGS, Visitor

collect_ignore = [] if os.environ.get("UPDATE_SCREENSHOTS") == "1" else ["test_screenshots.py"]


@pytest.fixture(scope="session")
def mock_energy():
    with providers.oidc_provider_mock(free_port()) as provider:
        yield provider


@pytest.fixture(scope="session")
def canaille(tmp_path_factory):
    with providers.canaille(free_port(), tmp_path_factory.mktemp("canaille")) as provider:
        yield provider


@pytest.fixture(scope="session")
def glewlwyd(tmp_path_factory):
    with glewlwyd_server.glewlwyd(free_port(), tmp_path_factory.mktemp("glewlwyd")) as provider:
        yield provider


@pytest.fixture(scope="session")
def suppliers(mock_energy, canaille):
    return [mock_energy, canaille]


@pytest.fixture(params=["mock_energy", "canaille", "glewlwyd"])
def provider(request):
    """Each of them, where a module's suppliers are all three."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright):
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def new_visitor(service, chromium):
    """Makes visitors, each with a browser of their own: cookies and history are not shared."""
    visitors = []

    def make(**options):
        options.setdefault("viewport", {"width": 390, "height": 844})
        options.setdefault("locale", "en-GB")
        visitors.append(Visitor(service, chromium.new_context(**options)))
        return visitors[-1]

    yield make
    try:
        for visitor in visitors:
            visitor.judge()
    finally:
        for visitor in visitors:
            visitor.context.close()


@pytest.fixture
def visitor(new_visitor):
    return new_visitor()


@pytest.fixture
def visitor_without_cookies(service, playwright, tmp_path):
    """With all cookies blocked, in the browser's own settings."""
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default/Preferences").write_text(
        json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}}))
    context = playwright.chromium.launch_persistent_context(
        tmp_path, executable_path=CHROMIUM_WITH_SETTINGS, args=ARGUMENTS)
    visitor = Visitor(service, context)
    yield visitor
    try:
        visitor.judge()
    finally:
        context.close()
