"""What ops/ has of alerts and dashboards fits what the service exposes, and a real Prometheus takes it."""
import json
import re
import subprocess

import pytest

from service import ACME_KEY, APP, REPOSITORY, SESSIONS, free_port, http, wait_until

RULES = REPOSITORY / "ops/prometheus/rules.yml"
RULE_TESTS = REPOSITORY / "ops/prometheus/rules.test.yml"
DASHBOARDS = sorted((REPOSITORY / "ops/grafana").glob("*.json"))
RUNBOOKS = REPOSITORY / "docs/runbooks"

ALERTS = re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE)
RECORDED = re.findall(r"^ +- record: (\S+)$", RULES.read_text(), re.MULTILINE)
METRIC = re.compile(r"\b(?:http_server|db_client|link_sessions?|process)_\w+")


def documented():
    """Names as queries have them: of histograms with their suffixes."""
    names = set()
    for name, kind in re.findall(r"^\| `(\w+)` \|[^|]*\| (\w+),", (REPOSITORY / "docs/operate.md").read_text(), re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def queries(dashboard):
    return [target["expr"] for panel in json.loads(dashboard.read_text())["panels"] for target in panel["targets"]]


def promtool(*arguments, **options):
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300, **options)
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_other_programs_call_alike_is_asked_of_this_job_alone():
    for query in [RULES.read_text(), *(query for dashboard in DASHBOARDS for query in queries(dashboard))]:
        found = re.findall(r"\b(?:http_server|db_client|process)_\w+(.{0,27})", query)
        assert all(selector == '{job="link-session-service"' for selector in found), query


def test_rules_name_metrics_that_exist():
    names = documented()
    assert len(names) > 40
    assert set(METRIC.findall(RULES.read_text())) <= names


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_name_metrics_that_exist(dashboard):
    names = documented()
    for query in queries(dashboard):
        used = set(METRIC.findall(query)) | set(re.findall(r"\blink_session:[\w:]+", query))
        assert used and used <= names | set(RECORDED), query


def test_every_alert_has_its_page_and_every_page_an_alert():
    rules = RULES.read_text()
    assert sorted(ALERTS) == sorted(path.stem for path in RUNBOOKS.glob("*.md"))
    for alert in ALERTS:
        assert f"runbook: docs/runbooks/{alert}.md" in rules
        page = (RUNBOOKS / f"{alert}.md").read_text()
        assert page.startswith(f"# {alert}\n")
        for heading in ("What it means", "What to look at", "What to do"):
            assert f"\n## {heading}\n" in page, alert


def test_every_alert_fires_and_is_silent_where_it_should():
    promtool("check", "rules", RULES)
    promtool("test", "rules", RULE_TESTS)
    tests = RULE_TESTS.read_text()
    for alert in ALERTS:
        cases = re.findall(rf"alertname: {alert}\n +exp_alerts:(.*)", tests)
        assert "" in cases, f"{alert} fires in no test"
        assert " []" in cases, f"{alert} is silent in no test"


@pytest.fixture(scope="module")
def prometheus(service, tmp_path_factory):
    """A Prometheus that scrapes the service each second, and has seen some use of it."""
    management = wait_until(
        "the port is in the log", lambda: re.search(r"serving metrics .*port=(\d+)", service.log_file.read_text())).group(1)
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "prometheus.yml").write_text(f"""
global: {{ scrape_interval: 1s, evaluation_interval: 1s }}
rule_files: [{RULES}]
scrape_configs:
  - {{ job_name: link-session-service, static_configs: [ {{ targets: ["127.0.0.1:{management}"] }} ] }}
""")
    port = free_port()
    with open(directory / "log", "w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        for number in range(20):
            session = service.create(user=f"user {number}")
        service.expire(session)
        http.post(service.base + SESSIONS, headers={"x-api-key": ACME_KEY}, json={"redirect_url": APP})

        def query(expression):
            answer = http.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}).json()
            assert answer["status"] == "success", f"{expression}: {answer}"
            return answer["data"]["result"]

        def has_seen_two_scrapes():
            try:
                return query("rate(link_sessions_created_total[1m])")
            except Exception:  # it does not listen yet
                assert process.poll() is None, (directory / "log").read_text()
                return False

        wait_until("Prometheus has two scrapes", has_seen_two_scrapes, 30)
        yield query, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{management}/metrics"
    finally:
        process.kill()
        process.wait()


# What these are of has not happened here: a limit, a refused connection, a sign-in, a check that fails.
SILENT = re.compile(r"rate_limited|refused_connections|sign_ins|supplier_failing|health_check == 0|:ratio_rate|timeouts|queue_refused")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_answers_every_query(dashboard, prometheus):
    query, _, _ = prometheus
    for expression in queries(dashboard):
        wait_until(f"an answer to {expression}", lambda: query(expression) or SILENT.search(expression), 20)


def test_prometheus_takes_both_formats(prometheus):
    _, _, metrics = prometheus
    text = http.get(metrics, headers={"accept": "text/plain"})
    promtool("check", "metrics", input=text.text)
    openmetrics = http.get(metrics, headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert openmetrics.text.endswith("# EOF\n")


def test_a_healthy_service_raises_no_alert(prometheus):
    query, base, _ = prometheus
    # It waits for a first look at the database.
    wait_until("the state is read", lambda: query("link_session_partitions_ahead >= 3"), 30)
    rules = http.get(base + "/api/v1/rules").json()["data"]["groups"]
    assert sum(len(group["rules"]) for group in rules) == len(ALERTS) + len(RECORDED)
    for group in rules:
        for rule in group["rules"]:
            assert rule["health"] == "ok", rule
            assert rule.get("state", "inactive") == "inactive", rule
