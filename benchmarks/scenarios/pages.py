"""The pages."""
import json
import re

import load
from servers import Server
from tables import below, markdown, number, target

IN_ROUNDS, WITH_PEERS = False, False


def measure(bench):
    """A session's page at 50 requests a second from a warm service, and what the browser gets with it."""
    pace, seconds = 50, 5 if bench.quick else 20
    bench.database.copy("blank", "pages")
    with Server("service", bench, "pages") as server:
        url = json.loads(load.get_body(server.port, load.CREATE))["link_url"]
        page = load.request("GET", url[url.index("/ui"):])
        body = load.get_body(server.port, page)
        files = [load.get_body(server.port, load.request("GET", path)) for path in re.findall(r'(?:href|src)="(/ui/[^"?]+)', body.decode())]
        load.pace(server.port, page, pace, pace)
        milliseconds = load.pace(server.port, page, pace, pace * seconds)
    bench.database.drop("pages")
    ordered = sorted(milliseconds)
    result = {
        "pace": pace, "requests": len(ordered), "p50_ms": load.quantile(ordered, 0.5), "p99_ms": load.quantile(ordered, 0.99),
        "max_ms": ordered[-1], "page_bytes": len(body), "files_bytes": sum(map(len, {bytes(file) for file in files}))}
    bench.say(f"pages: p99 {result['p99_ms']:.1f} ms")
    return result


def table(measured):
    return markdown(
        ["requests a second", "requests", "p50 ms", "p99 ms", "slowest ms", "page kB", "stylesheet, icon and script kB"],
        [[measured["pace"], f"{measured['requests']:,}", number(measured["p50_ms"], 1), number(measured["p99_ms"], 1), number(measured["max_ms"], 1),
          number(measured["page_bytes"] / 1000, 1), number(measured["files_bytes"] / 1000, 1)]])


def targets(measured):
    yield target("a session's page at 50 requests a second, p99: below 20 ms", measured["p99_ms"], below(20), 1, " ms")
    yield target("a session's page with its stylesheet, icon and script: below 30 kB",
                 (measured["page_bytes"] + measured["files_bytes"]) / 1000, below(30), 1, " kB")
