"""The fixtures: the running service, providers to sign in at, and visitors with a browser each."""
import json
import os

import pytest
from playwright.sync_api import sync_playwright

# Their assertions say as much as those of the tests.
pytest.register_assert_rewrite("accessibility", "pages", "refusals", "service", "steps", "visitor")

import providers
from service import Service, free_port
from visitor import ARGUMENTS, CHROMIUM, CHROMIUM_WITH_SETTINGS, Visitor

collect_ignore = [] if os.environ.get("UPDATE_SCREENSHOTS") == "1" else ["test_screenshots.py"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failure is shown with what the service logged last."""
    report = yield
    service = getattr(item, "funcargs", {}).get("service")
    if report.failed and service:
        report.sections.append(("the service's log", "\n".join(service.log_file.read_text().splitlines()[-15:])))
    return report


@pytest.fixture(scope="session")
def mock_energy():
    with providers.oidc_provider_mock(free_port()) as provider:
        yield provider


@pytest.fixture(scope="session")
def canaille(tmp_path_factory):
    with providers.canaille(free_port(), tmp_path_factory.mktemp("canaille")) as provider:
        yield provider


@pytest.fixture(scope="module")
def service(mock_energy, canaille, tmp_path_factory):
    server_url = os.environ.get("TEST_DATABASE_URL")
    assert server_url, "TEST_DATABASE_URL is not set: run the tests with scripts/test --browser"
    service = Service(server_url, tmp_path_factory.mktemp("service"), [mock_energy, canaille])
    try:
        service.start()
        yield service
        service.expect_silent_log()
    finally:
        service.end()


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
