"""What the tests in Python share: the running service."""
import os

import pytest

# Its assertions say as much as those of the tests.
pytest.register_assert_rewrite("service")

from service import Service


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failure is shown with what the service logged last."""
    report = yield
    service = getattr(item, "funcargs", {}).get("service")
    if report.failed and service:
        report.sections.append(("the service's log", "\n".join(service.log_file.read_text().splitlines()[-15:])))
    return report


@pytest.fixture(scope="session")
def suppliers():
    """Where the service's users can sign in, besides the sandbox."""
    return []


@pytest.fixture(scope="module")
def service(suppliers, tmp_path_factory):
    server_url = os.environ.get("TEST_DATABASE_URL")
    assert server_url, "TEST_DATABASE_URL is not set: run the tests with scripts/test --browser"
    service = Service(server_url, tmp_path_factory.mktemp("service"), suppliers)
    try:
        service.start()
        yield service
        service.expect_silent_log()
    finally:
        service.end()
