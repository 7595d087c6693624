"""Clients that are generated from openapi.json, as integrators generate theirs: each drives a whole session."""
import importlib
import json
import os
import shutil
import subprocess
import sys
from base64 import urlsafe_b64decode
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from service import ACME_KEY, APP, AUTHENTICATOR_KEY, REPOSITORY, wait_until

DOCUMENT = REPOSITORY / "Sources/HTTPFront/openapi.json"


# The generators are beside the Python that runs this.
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_python(service, tmp_path, monkeypatch):
    # What it cannot make sense of is a failure.
    run(
        "openapi-python-client", "generate", "--fail-on-warning", "--path", DOCUMENT, "--meta", "none", "--output-path",
        "generated", folder=tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    client = importlib.import_module("generated")
    models = importlib.import_module("generated.models")

    def call(name, key, *arguments, **options):
        tag = "authenticator" if key == AUTHENTICATOR_KEY else "manufacturer"
        caller = client.AuthenticatedClient(
            service.base, token=key, auth_header_name="x-api-key", prefix="", httpx_args={"trust_env": False},
            raise_on_unexpected_status=True)
        return importlib.import_module(f"generated.api.{tag}.{name}").sync(*arguments, client=caller, **options)

    user = "user-of-python"
    create = {
        "body": models.CreateLinkSession(
            user_id=user, redirect_url=APP, language=models.CreateLinkSessionLanguage.FR,
            metadata=models.Metadata.from_dict({"order": "A-1042"})),
        "idempotency_key": "python-1"}
    created = call("create_link_session", ACME_KEY, **create)
    service.secrets.add(created.link_token)
    assert created.link_token in created.link_url and created.completed_at is None
    assert call("create_link_session", ACME_KEY, **create) == created

    opened = call("get_link_session", ACME_KEY, created.link_token)
    assert opened.status == models.Status.OPEN and opened.metadata["order"] == "A-1042"
    by_id = call("get_link_session", ACME_KEY, str(opened.id))
    assert by_id.id == opened.id and not by_id.link_token

    greeted = call("get_link_session_for_authenticator", AUTHENTICATOR_KEY, created.link_token)
    assert greeted.manufacturer == created.manufacturer
    completed = call(
        "complete_link_session", AUTHENTICATOR_KEY, created.link_token,
        body=models.CompleteLinkSession(supplier="sandbox", supplier_user_id="maria"))
    assert completed.completed_at >= created.created_at

    data = parse_qs(urlsplit(completed.return_url).query)["data"][0]
    code = json.loads(urlsafe_b64decode(data + "=="))["code"]
    confirmation = call(
        "confirm_link_session", ACME_KEY, created.link_token, body=models.ConfirmLinkSession(user_id=user, code=code))
    assert (confirmation.supplier, confirmation.connected_at) == ("sandbox", completed.completed_at)

    page = call("list_link_sessions", ACME_KEY, user_id=user, status=models.Status.COMPLETED)
    assert [session.id for session in page.data] == [opened.id]
    types = ["link_session.opened", "link_session.completed", "link_session.confirmed"]
    wait_until("all is told", lambda: types == [
        event.type_.value for event in call("list_link_session_events", ACME_KEY, str(opened.id)).data])

    refused = call("expire_link_session", ACME_KEY, str(opened.id))
    assert refused.code == models.ErrorCode.LINK_SESSION_COMPLETED


def test_typescript(service, tmp_path):
    run(
        "openapi-generator-cli", "generate", "-g", "typescript-fetch", "-i", DOCUMENT, "-o", "generated", folder=tmp_path)
    shutil.copy(Path(__file__).with_name("client.ts"), tmp_path)
    # What is generated has implicit `any` with compilers before 4.9.
    run(
        "tsc", "--strict", "--noImplicitAny", "false", "--target", "es2021", "--lib", "es2021,dom", "--module", "commonjs",
        "--outDir", "compiled", "client.ts", folder=tmp_path)
    token = run("node", "compiled/client.js", service.base, ACME_KEY, AUTHENTICATOR_KEY, folder=tmp_path)
    service.secrets.add(token.strip())
