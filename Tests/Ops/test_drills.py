"""The drills of ops/drills: that each alert has one, and that they still run, by the quickest of them."""
import re
import subprocess
import sys

import pytest
from service import REPOSITORY

DRILLS = REPOSITORY / "ops/drills"


def test_every_alert_is_caused_by_the_drill_of_alerts():
    rules = (REPOSITORY / "ops/prometheus/rules.yml").read_text()
    causes = re.findall(r"^@cause\((.*)\)$", (DRILLS / "alerts.py").read_text(), re.MULTILINE)
    caused = [alert for cause in causes for alert in re.findall(r'"(\w+)"', cause)]
    assert sorted(caused) == sorted(re.findall(r"^ +- alert: (\w+)$", rules, re.MULTILINE))


def test_every_drill_is_listed_with_what_it_plays():
    listed = subprocess.run([DRILLS / "run"], capture_output=True, text=True, check=True).stdout.splitlines()
    names = sorted(path.stem for path in DRILLS.glob("*.py") if path.stem != "drill")
    assert sorted(line.split()[0] for line in listed) == names
    document = (REPOSITORY / "docs/operate.md").read_text()
    for line in listed:
        assert len(line.split()) > 5, line
        assert f"`{line.split()[0]}`" in document, line


@pytest.mark.parametrize("drill", ["leaked_key"])
def test_a_drill_runs(drill):
    result = subprocess.run([sys.executable, DRILLS / f"{drill}.py"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
