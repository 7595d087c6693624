"""Start and rest."""
import statistics
import time

import load
from servers import Server
from tables import markdown, mebibytes, median, number

IN_ROUNDS, WITH_PEERS = False, True


def measure(bench):
    """Time to ready, and what the process holds at rest, under load, and after many creates."""
    connections, starts = 64, 1 if bench.quick else 5
    wanted = 30_000 if bench.quick else 1_000_000
    bench.database.copy("blank", "idle")
    result = {"starts": [], "peers": []}
    for _ in range(starts):
        server = Server("service", bench, "idle")
        try:
            ready = server.wait_until_ready()
        finally:
            server.__exit__()
        result["starts"].append({"ready_s": ready})
    for name in ["service", *bench.peers]:
        firsts, rest = [], None
        for _ in range(starts):
            server = Server(name, bench, "idle")
            try:
                firsts.append(server.wait_until_serving())
                time.sleep(1)
                rest = server.held()
            finally:
                server.__exit__()
        result["peers"].append({"server": name, "first_201_s": firsts, "at_rest": rest})
        bench.say(f"{name}: {statistics.median(firsts) * 1000:,.0f} ms to its first 201, {rest['VmRSS'] / 1024:,.1f} MiB at rest")

    bench.database.empty("idle")
    with Server("service", bench, "idle") as server:
        created, runs, held = 0, 0, {"at rest": server.held()}
        while created < wanted:
            run = bench.wrk(server, "create", connections, 2 if bench.quick else 5)
            time.sleep(1)
            held["under load"] = server.held()
            created += run.result()["succeeded"]
            runs += 1
        time.sleep(1 if bench.quick else 5)
        held["after"] = server.held()
        rows = bench.database.rows("idle")
        held["peak_kib"] = server.peak_kib()
    # One was created to see that the service is there.
    load.check_rows("many creates", rows, created + 1, connections * runs)
    result.update(created=created, held=held, rows=rows, connections=connections)
    bench.say(f"after {created:,} creates: {held['after']['VmRSS'] / 1024:,.1f} MiB, peak {held['peak_kib'] / 1024:,.1f} MiB")
    bench.database.drop("idle")
    return result


def table(measured):
    held = measured["held"]
    states = markdown(
        ["the service", "resident MiB", "threads", "descriptors"],
        [[name, mebibytes(held[key]["VmRSS"], 1), held[key]["Threads"], held[key]["descriptors"]]
         for name, key in (("at rest, just started", "at rest"), (f"under load, {measured['connections']} connections", "under load"),
                           (f"at rest, after {measured['created']:,} creates", "after"))])
    peers = markdown(
        ["", "ms to the first 201", "resident MiB at rest", "threads"],
        [[peer["server"], number(median(peer["first_201_s"]) * 1000), mebibytes(peer["at_rest"]["VmRSS"], 1),
          peer["at_rest"]["Threads"]] for peer in measured["peers"]])
    ready = median(start["ready_s"] for start in measured["starts"]) * 1000
    return (f"{states}\n\nPeak over all of it: {mebibytes(held['peak_kib'], 1)} MiB. From the start of the process to the first "
            f"`200` of `/health/ready`: {number(ready)} ms.\n\n{peers}")


def targets(measured):
    return []
