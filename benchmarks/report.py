"""The report: every scenario's table with what it was measured on, and which targets are reached."""
import os
import re

import chart
from scenarios import SCENARIOS, USUAL, creates
from tables import markdown

DOCUMENT, SOAK_DOCUMENT, CHART = "docs/performance.md", "docs/reliability.md", "docs/performance.svg"


def conditions(figures, in_rounds, with_peers):
    """What a table's figures were measured on, in one line."""
    machine = figures["machine"]
    settings = f" with {', '.join(figures['settings'])}" if figures["settings"] else ""
    versions = figures["versions"]
    taken = "" if in_rounds is None else f"; wrk {versions['wrk']}; runs of {figures['seconds']} s"
    if in_rounds:
        taken += f", {figures['rounds']} round{'s in turns' if figures['rounds'] > 1 else ''}"
    peers = ""
    if with_peers:
        peers = f", Go {versions['go']}" + (
            f", FastAPI {versions['fastapi']} with asyncpg {versions['asyncpg']} on Python {versions['python']}"
            if "fastapi" in versions else "; **FastAPI could not be installed and is left out**")
    return (f"{figures['date']}; {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; Linux {machine['kernel']}; "
            f"PostgreSQL {machine['postgresql']}{settings}{peers}{taken}.")


def targets(scenarios):
    """A table of the targets, as far as what they need was measured; None where nothing was."""
    rows = [row for name, scenario in SCENARIOS.items() if name in scenarios for row in scenario.targets(scenarios[name]) if row]
    return markdown(["target", "measured", "reached"], rows) if rows else None


def text(figures):
    """For the terminal."""
    found = [f"{conditions(figures, True, True)}{' QUICK: short runs, for a first look.' if figures['quick'] else ''}"]
    for name, measured in figures["scenarios"].items():
        found.append(f"{name} ({measured['took_s']:.0f} s)\n\n{SCENARIOS[name].table(measured)}")
    if reached := targets(figures["scenarios"]):
        found.append(reached)
    return "\n\n".join(found) + "\n"


def write_documents(figures):
    """Puts each scenario that was measured between its markers; what stands outside them is kept. Returns what was written."""
    written = set()

    def put(name, block):
        path = SOAK_DOCUMENT if name == "soak" else DOCUMENT
        with open(path) as file:
            document = file.read()
        pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL)
        if not pattern.search(document):
            raise SystemExit(f"{path} has no markers for {name}")
        with open(path + ".new", "w") as file:
            file.write(pattern.sub(lambda found: f"{found.group(1)}\n{block}\n\n{found.group(2)}", document))
        os.replace(path + ".new", path)
        written.add(path)

    scenarios = figures["scenarios"]
    for name, measured in scenarios.items():
        scenario = SCENARIOS[name]
        put(name, f"{conditions(figures, scenario.IN_ROUNDS, scenario.WITH_PEERS)}\n\n{scenario.table(measured)}")
    if USUAL <= set(scenarios):
        put("targets", targets(scenarios))
    if "creates" in scenarios:
        with open(CHART, "w") as file:
            file.write(chart.draw(creates.panels(scenarios["creates"]), conditions(figures, True, False)))
        written.add(CHART)
    return sorted(written)
