"""Clients that do everything, while everything befalls two replicas and their database; then what the history must be."""
import argparse
import asyncio
import collections
import os
import random
import re
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from clients import Client, Reader
from cluster import Cluster
from history import History
from nemeses import Nemeses
from nodes import Disk
from operators import Eraser, Revoker
from plants import PLANTS
from receivers import Receivers
from samples import Samples

READERS = 2


class Torture:
    def __init__(self, cluster, arguments, seed):
        self.cluster, self.arguments = cluster, arguments
        self.history = History(cluster.keys)
        self.nemeses = Nemeses(cluster, random.Random(f"{seed} nemeses"))
        self.killer, self.killed = Nemeses(cluster, random.Random(f"{seed} killer")), 0
        self.receivers = Receivers(
            list(cluster.keys), cluster.erased, cluster.environment["WEBHOOK_SECRETS"], self.history)
        if arguments.sessions:
            Client.STEPS = Client.FEW_STEPS
        self.clients = [Client(cluster, self.history, f"{seed} client {n}") for n in range(arguments.clients)]
        self.readers = [
            Reader(cluster, self.history, f"{seed} reader {n}", manufacturer, n)
            for manufacturer in cluster.keys for n in range(READERS)]
        self.revoker = Revoker(cluster, self.history, f"{seed} revoker")
        self.eraser = Eraser(cluster, self.history, f"{seed} eraser")
        self.settled_at = None
        self.begun = 0
        self.befallen = 0

    def may_begin(self):
        """Whether another session may be begun."""
        self.begun += 1
        return not self.arguments.sessions or self.begun <= self.arguments.sessions

    async def befall(self, names, clients):
        """For so many minutes, or as long as sessions are begun."""
        end = time.monotonic() + self.arguments.minutes * 60
        while (not clients.done() if self.arguments.sessions else time.monotonic() < end):
            await asyncio.sleep(self.nemeses.random.uniform(1, 2 * self.arguments.pause - 1))
            name = self.nemeses.random.choice(names)
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            self.befallen += 1
            self.history.has_clock_jumped |= name == "jump_clock"
            try:
                await asyncio.to_thread(self.nemeses.befall, name)
            except Exception as error:
                print(f"    {name}: {error!r}"[:300], flush=True)

    async def kill(self):
        """A replica every so many seconds, whatever else befalls."""
        while self.arguments.kill_every:
            await asyncio.sleep(self.arguments.kill_every)
            await asyncio.to_thread(self.killer.kill_replica)
            self.killed += 1

    async def run_until_fault(self, names):
        found = asyncio.Event()
        self.history.on_fault = found.set
        await asyncio.wait(
            [asyncio.create_task(self.run(names)), asyncio.create_task(found.wait())],
            return_when=asyncio.FIRST_COMPLETED)

    async def run(self, names):
        await self.receivers.start()
        await asyncio.to_thread(self.receivers.add, self.cluster.primary)
        killer = asyncio.create_task(self.kill())
        readers = asyncio.gather(*(reader.run() for reader in self.readers))
        clients = asyncio.gather(*(client.run(self.may_begin) for client in self.clients))
        operators = asyncio.gather(self.revoker.run(), self.eraser.run())
        await self.befall(names, clients)
        killer.cancel()
        print(f"{time.strftime('%H:%M:%S')} nothing more befalls", flush=True)
        for caller in [*self.clients, *self.readers, self.revoker, self.eraser]:
            caller.is_over = True
        await asyncio.gather(clients, operators)
        await asyncio.to_thread(
            self.cluster.primary.sql, "UPDATE manufacturers SET creates_a_second = NULL, creates_at_once = NULL")
        await asyncio.to_thread(self.settle)
        for reader in self.readers:
            reader.is_settled = True
        await asyncio.wait_for(readers, 300)
        await self.resume_webhooks()
        self.check()

    def settle(self):
        """Until all is told that happened before."""
        self.settled_at = time.time()
        sql = self.cluster.primary.sql
        self.wait_for(lambda: sql(
            """
            SELECT (SELECT count(*) FROM link_session_events WHERE position = 0),
                   (SELECT count(*) FROM link_sessions WHERE user_id = 'late' AND expires_at > now() - interval '5 seconds')
            """) == [(0, 0)])
        # As if a quarter of an hour had passed: what was passed over because it was under way has its end by then.
        sql("UPDATE event_feed SET expired_until = expired_for_sure_until")
        self.wait_for(lambda: sql(
            "SELECT expired_until >= first_id_at(to_timestamp(%s) - interval '602 seconds') FROM event_feed",
            self.settled_at) == [(True,)])

    def wait_for(self, condition):
        end = time.monotonic() + 180
        while not condition() and time.monotonic() < end:
            time.sleep(2)

    async def resume_webhooks(self):
        """An endpoint that was down for the whole time is up, and its operator says so."""
        self.receivers.be_up()
        await asyncio.to_thread(self.cluster.primary.sql, "UPDATE webhook_endpoints SET resumed_at = now()")
        begin = time.monotonic()
        await self.receivers.report()
        while self.receivers.missing() and time.monotonic() < begin + 180 + len(self.history.sessions) / 100:
            await asyncio.sleep(1)
            await self.receivers.report()
        print(f"    webhooks: all there {time.monotonic() - begin:.0f} s after they were resumed")

    def check(self):
        history = self.history
        stored = {
            str(row[0]): row[1:] for row in self.cluster.primary.sql(
                """
                SELECT id, manufacturer_id, extract(epoch FROM completed_at)::bigint, extract(epoch FROM expires_at)::bigint,
                       opened_at IS NOT NULL, extract(epoch FROM created_at)::bigint,
                       extract(epoch FROM confirmed_at)::bigint FROM link_sessions
                """)}
        history.check(stored, self.settled_at)
        self.eraser.check()
        # Without --sessions there are few events, and much befalls: those of an endpoint that were under way each time may
        # come again, and no more.
        self.receivers.check(0 if self.arguments.sessions else Receivers.UNDER_WAY * self.befallen)
        print(
            f"{len(history.sessions)} sessions, {len(stored) - len(history.sessions)} more whose answer was lost, "
            f"{sum(len(feed.events) for feed in history.feeds.values())} events, "
            f"{sum(len(feed.ends) for feed in history.feeds.values())} ends, {history.unknown} unknown outcomes, "
            f"{self.befallen} nemeses, {self.killed} more kills, {time.monotonic() - history.start:.0f} s")
        for name, count in sorted(history.counts.items()):
            print(f"    {count:8} {name}")

    def check_log(self):
        log = "".join(replica.log.read_text() for replica in self.cluster.replicas)
        for line in log.splitlines():
            if " error " in line or " critical " in line or "Fatal" in line:
                self.history.fault("the log has no error", line[:300])
        causes = collections.Counter(
            re.sub(r".*(method=\S+).*(route=\S+).*(status=\S+).*", r"\1 \2 \3", line) + " " +
            "".join(re.findall(r"cause=.*?(?= \w+=|$)", line)) for line in log.splitlines() if "status=5" in line)
        for cause, count in causes.most_common(12):
            print(f"    {count:8} {cause[:200]}")
        tokens = set(re.findall(r"[A-Za-z0-9_-]{54}", log)) & self.history.sessions.keys()
        self.history.require(not tokens, "the log has no secret", f"it holds {len(tokens)} tokens")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--sessions", type=int, help="so many sessions instead of so many minutes")
    parser.add_argument("--seed", type=int, default=None, help="repeats the choices of a run")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--manufacturers", type=int, default=6)
    parser.add_argument("--pause", type=float, default=3.5, help="seconds between what befalls, on average")
    parser.add_argument("--kill-every", type=float, help="seconds between kills of a replica, beside what befalls")
    parser.add_argument("--only", action="append", choices=Nemeses.names(), help="instead of everything that may befall")
    parser.add_argument("--samples", type=Path, help="a file for what the replicas use, every 10 seconds")
    parser.add_argument("--plant", choices=PLANTS, help="a fault that has to be found: the first one ends the run")
    return parser.parse_args()


def main():
    arguments = parse()
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1 << 32)
    random.seed(seed)
    print(f"--seed {seed}", flush=True)
    names = arguments.only or Nemeses.names()
    if "fill_disk" in names and not Disk.can_be_made():
        print("without fill_disk: a disk that can be full is mounted, by root alone")
        names.remove("fill_disk")
    # Whoever ends a run ends its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="lss-torture-", dir=os.environ.get("TORTURE_DIRECTORY")) as scratch:
        os.chmod(scratch, 0o755)
        cluster = Cluster(Path(scratch), arguments.manufacturers, "fill_disk" in names)
        try:
            cluster.build()
            if arguments.plant:
                cluster.primary.sql(PLANTS[arguments.plant])
            for replica in cluster.replicas:
                replica.start()
            time.sleep(3)
            torture = Torture(cluster, arguments, seed)
            with Samples(cluster, arguments.samples):
                asyncio.run(torture.run_until_fault(names) if arguments.plant else torture.run(names))
            torture.check_log()
        finally:
            cluster.end()
    print(f"{len(torture.history.faults)} faults, --seed {seed}")
    sys.exit(bool(torture.history.faults))


if __name__ == "__main__":
    main()
