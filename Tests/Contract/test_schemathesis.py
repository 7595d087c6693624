"""schemathesis makes requests of openapi.json, good and bad ones, and finds no answer that the document does not have."""
import os
import subprocess
import sys
from pathlib import Path

from service import AUTHENTICATOR_KEY, BETA_KEY, REPOSITORY

HERE = Path(__file__).parent


def test_nothing_is_found(service, tmp_path):
    schemathesis = Path(sys.executable).with_name("schemathesis")
    environment = {"MANUFACTURER_KEY": BETA_KEY, "AUTHENTICATOR_KEY": AUTHENTICATOR_KEY, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [
            schemathesis, "--config-file", HERE / "schemathesis.toml", "run", "--url", service.base,
            REPOSITORY / "Sources/HTTPFront/openapi.json"],
        cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
