"""Clients that do everything, while everything befalls two replicas and their database; then what the history must be.

A request whose answer was lost has an unknown outcome: what it asked for may have happened, or not.
"""
import argparse
import asyncio
import base64
import collections
import os
import random
import re
import secrets
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path

from cluster import AUTHENTICATOR_KEY, Cluster, digest
from http_client import UnknownOutcome, request
from plants import PLANTS
from receivers import Receivers

SESSIONS = "/v2/manufacturer/link-sessions"
EVENTS = "/v2/manufacturer/events"
ENDS = {"link_session.completed", "link_session.expired"}
# Beside what each kind of request may be answered: what anybody may be told at a bad time.
ANY_TIME = {429, 503}
ALLOWED = {
    "create": {201}, "create under a key": {201}, "find": {200}, "find another's": {404}, "expire": {200, 409},
    "view": {200}, "complete": {200, 410}, "page": {200, 410}, "list": {200}, "events": {200}, "wait": {200},
    "with a revoked key": {200, 401},
}


class Session:
    def __init__(self, manufacturer, key, answer):
        self.manufacturer, self.key, self.created = manufacturer, key, answer
        self.token = answer["link_token"]
        self.id = str(uuid.UUID(bytes=base64.urlsafe_b64decode(self.token + "==")[:16]))
        self.opened = False
        self.completions = []  # bodies of 200
        self.expiries = []
        self.refused_completions = 0


class History:
    def __init__(self):
        self.faults = []
        self.start = time.monotonic()
        self.sessions = {}
        self.keyed = collections.defaultdict(list)
        self.counts = collections.Counter()
        self.unknown = 0

    def fault(self, text):
        if len(self.faults) < 50:
            print(f"FAULT after {time.monotonic() - self.start:.0f} s: {text}", flush=True)
        self.faults.append(text)

    def require(self, condition, text):
        if not condition:
            self.fault(text)


class Torture:
    def __init__(self, cluster, clients):
        self.cluster, self.clients = cluster, clients
        self.history = History()
        self.is_over = False
        self.readers = {}
        self.receivers = Receivers(list(cluster.keys), cluster.environment["WEBHOOK_SECRETS"])

    # What clients do.

    async def ask(self, kind, method, path, key=None, body=None, headers=(), replica=None):
        replica = replica or random.choice(self.cluster.replicas)
        try:
            answer = await request(replica.port, method, path, key, body, headers, 70 if kind == "wait" else 8)
        except UnknownOutcome:
            self.history.unknown += 1
            return None
        self.history.counts[f"{kind} {answer.status}"] += 1
        self.history.require(
            answer.status in ALLOWED[kind] | ANY_TIME, f"{kind} {path[:60]}: {answer.status} {answer.body[:300]}")
        return answer if answer.status in ALLOWED[kind] else None

    async def create(self, manufacturer):
        key = self.cluster.keys[manufacturer]
        body = {"user_id": f"user-{random.randrange(500)}", "redirect_url": "https://your-app.com/callback"}
        if random.random() < 0.3:
            return await self.create_under_key(manufacturer, key, body)
        if answer := await self.ask("create", "POST", SESSIONS, key, body):
            return self.made(manufacturer, key, answer)
        return None

    async def create_under_key(self, manufacturer, key, body):
        name = secrets.token_hex(8)
        tries = [
            self.ask("create under a key", "POST", SESSIONS, key, body, [f"Idempotency-Key: {name}"], replica)
            for replica in random.choices(self.cluster.replicas, k=random.randint(1, 3))]
        session = None
        for answer in await asyncio.gather(*tries):
            if answer:
                self.history.keyed[manufacturer, name].append(answer.json)
                session = session or self.made(manufacturer, key, answer)
        return session

    def made(self, manufacturer, key, answer):
        session = Session(manufacturer, key, answer.json)
        return self.history.sessions.setdefault(session.token, session)

    def backdated(self, manufacturer):
        """A session of nearly ten minutes ago, so that its time is over soon: its row is written beside the service."""
        seconds = random.uniform(3, 40)
        milliseconds = int((time.time() - 600 + seconds) * 1000)
        tail = bytearray(os.urandom(10))
        tail[0] = 0x70 | tail[0] & 0x0F
        tail[2] = 0x80 | tail[2] & 0x3F
        number = milliseconds.to_bytes(6, "big") + bytes(tail)
        token = base64.urlsafe_b64encode(number + os.urandom(24)).decode().rstrip("=")
        self.cluster.primary.sql(
            """
            INSERT INTO link_sessions
                (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
            SELECT %s, %s, %s, %s, 'late', 'https://your-app.com/callback', 'nl', t, t + interval '600 seconds'
            FROM date_trunc('second', to_timestamp(%s::float8)) AS t
            """,
            uuid.UUID(bytes=number), number[9], digest(token), manufacturer, milliseconds / 1000)
        key = self.cluster.keys[manufacturer]
        created = {"link_token": token, "created_at": milliseconds // 1000, "expires_at": milliseconds // 1000 + 600}
        return self.history.sessions.setdefault(token, Session(manufacturer, key, created))

    async def complete(self, session):
        path = f"/v2/authenticator/link-sessions/{session.token}/complete"
        racers = [
            self.ask("complete", "POST", path, AUTHENTICATOR_KEY) for _ in range(random.choice([1, 1, 2, 4]))]
        for answer in await asyncio.gather(*racers):
            if answer and answer.status == 200:
                session.completions.append(answer.json)
            elif answer:
                session.refused_completions += 1

    async def expire(self, session):
        if answer := await self.ask("expire", "POST", f"{SESSIONS}/{session.token}/expire", session.key):
            if answer.status == 200:
                session.expiries.append(answer.json)

    async def open(self, session):
        if random.random() < 0.5:
            answer = await self.ask("page", "GET", f"/ui?token={session.token}")
            # A page of an ended session is no first look.
            session.opened |= bool(answer and b"/ui/sign-ins" in answer.body)
        else:
            answer = await self.ask(
                "view", "GET", f"/v2/authenticator/link-sessions/{session.token}", AUTHENTICATOR_KEY)
            session.opened |= bool(answer and answer.json["status"] == "open")

    async def life(self):
        manufacturer = random.choice(list(self.cluster.keys))
        session = await self.create(manufacturer)
        if not session:
            return
        for step in random.choices([self.open, self.complete, self.expire, self.look], [4, 3, 1, 2], k=random.randint(1, 5)):
            await step(session)

    async def late_life(self):
        manufacturer = random.choice(list(self.cluster.keys))
        try:
            session = await asyncio.to_thread(self.backdated, manufacturer)
        except Exception:  # the database is away
            return
        await self.open(session)
        left = session.created["expires_at"] - time.time()
        if random.random() < 0.5:
            await asyncio.sleep(max(0, left + random.uniform(-1.5, 0.5)))
            await self.complete(session)

    async def look(self, session):
        await self.ask("find", "GET", f"{SESSIONS}/{random.choice([session.token, session.id])}", session.key)
        others = [key for owner, key in self.cluster.keys.items() if owner != session.manufacturer]
        await self.ask("find another's", "GET", f"{SESSIONS}/{session.token}", random.choice(others))
        if random.random() < 0.1:
            await self.ask("list", "GET", f"{SESSIONS}?limit=5&status=open", session.key)

    async def client(self):
        while not self.is_over:
            await (self.late_life() if random.random() < 0.1 else self.life())

    async def read(self, manufacturer, number):
        """Follows the feed of a manufacturer, and begins anew at times with what it had."""
        seen = self.readers[manufacturer, number] = []
        after = "evt_0"
        while True:
            path = f"{EVENTS}?after={after}&limit={random.choice([1, 20, 100])}"
            waits = number % 2 and not self.is_over
            answer = await self.ask(
                "wait" if waits else "events", "GET", path + ("&wait=5" if waits else ""), self.cluster.keys[manufacturer])
            if not answer:
                await asyncio.sleep(0.2)
                continue
            page = answer.json
            seen += page["data"]
            after = page["next"]
            if not page["data"]:
                if self.is_over == "settled":
                    return
                await asyncio.sleep(0.3)

    async def revoke_keys(self):
        """A key that is revoked opens nothing a second later, whatever befalls the database."""
        while not self.is_over:
            await asyncio.sleep(random.uniform(3, 8))
            try:
                name = "Manufacturer 00"
                key = await asyncio.to_thread(self.cluster.add_key, name, "revoked")
                await asyncio.sleep(1.2)
                await self.ask("with a revoked key", "GET", SESSIONS, key)
                await asyncio.to_thread(
                    self.cluster.primary.sql, "UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", digest(key))
            except Exception:  # the database is away
                continue
            await asyncio.sleep(1)
            for replica in self.cluster.replicas:
                answer = await self.ask("with a revoked key", "GET", SESSIONS, key, replica=replica)
                self.history.require(not answer or answer.status == 401, "a revoked key was good a second later")

    async def befall(self, seconds, names):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(random.uniform(1, 6))
            name = random.choice(names)
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            try:
                await asyncio.to_thread(getattr(self.cluster, name))
            except Exception as error:
                print(f"    {name}: {error!r}"[:300], flush=True)

    async def run(self, seconds, names):
        await self.receivers.start()
        await asyncio.to_thread(self.receivers.add, self.cluster.primary)
        readers = [
            asyncio.create_task(self.read(manufacturer, number)) for manufacturer in self.cluster.keys for number in range(2)]
        clients = [asyncio.create_task(self.client()) for _ in range(self.clients)]
        revoking = asyncio.create_task(self.revoke_keys())
        await self.befall(seconds, names)
        self.is_over = "settling"
        await asyncio.gather(*clients, revoking)
        await asyncio.to_thread(self.cluster.primary.sql, "UPDATE manufacturers SET creates_a_second = NULL, creates_at_once = NULL")
        # Whatever was passed over because it was under way has its end by then.
        await asyncio.to_thread(self.settle)
        self.is_over = "settled"
        await asyncio.wait_for(asyncio.gather(*readers), 120)
        await self.resume_webhooks()
        await self.check()

    async def resume_webhooks(self):
        """An endpoint that was down for the whole time is up, and its operator says so."""
        self.receivers.is_up = True
        await asyncio.to_thread(self.cluster.primary.sql, "UPDATE webhook_endpoints SET resumed_at = now()")
        feeds = {manufacturer: self.readers[manufacturer, 0] for manufacturer in self.cluster.keys}
        end = time.monotonic() + 180
        while self.receivers.missing(feeds) and time.monotonic() < end:
            await asyncio.sleep(1)

    def settle(self):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            time.sleep(2)
            late = self.cluster.primary.sql(
                """
                SELECT (SELECT count(*) FROM link_session_events WHERE position = 0),
                       (SELECT count(*) FROM link_sessions WHERE user_id = 'late' AND expires_at > now() - interval '5 seconds')
                """)[0]
            if late == (0, 0):
                break
        # As if a quarter of an hour had passed.
        self.cluster.primary.sql("UPDATE event_feed SET expired_until = expired_for_sure_until")
        time.sleep(5)

    # What must be so.

    async def check(self):
        history = self.history
        feeds = {}
        for manufacturer in self.cluster.keys:
            feeds[manufacturer] = self.readers[manufacturer, 0]
            self.history.require(
                [event["id"] for event in feeds[manufacturer]] == [event["id"] for event in self.readers[manufacturer, 1]]
                and feeds[manufacturer] == self.readers[manufacturer, 1],
                f"two readers of manufacturer {manufacturer} saw different events")
            numbers = [int(event["id"][4:]) for event in feeds[manufacturer]]
            history.require(numbers == sorted(set(numbers)), "the feed's order is not that of its ids")
        ends = collections.defaultdict(list)
        opened = set()
        for manufacturer, events in feeds.items():
            for event in events:
                session = event["data"]["link_session"]["id"]
                if event["type"] in ENDS:
                    ends[manufacturer, session].append(event)
                if event["type"] == "link_session.opened":
                    opened.add(session)
        stored = {
            str(row[0]): row[1:] for row in self.cluster.primary.sql(
                """
                SELECT id, manufacturer_id, extract(epoch FROM completed_at)::bigint, extract(epoch FROM expires_at)::bigint,
                       opened_at IS NOT NULL, extract(epoch FROM created_at)::bigint FROM link_sessions
                """)}
        for session in history.sessions.values():
            self.check_session(session, stored.get(session.id), ends[session.manufacturer, session.id], opened)
        for (manufacturer, name), answers in history.keyed.items():
            history.require(len({answer["link_token"] for answer in answers}) == 1, f"{name} made several sessions")
            history.require(all(answer == answers[0] for answer in answers), f"{name} was answered differently")
        known = {(session.manufacturer, session.id) for session in history.sessions.values()}
        for manufacturer, session in ends:
            history.require(
                stored.get(session, (None,))[0] == manufacturer, f"{session} has events at another manufacturer")
        for fault in self.receivers.check(feeds):
            history.fault(fault)
        # What was made without anybody being told: an answer was lost, and nobody has the token.
        lost = len(stored) - len(known)
        print(f"{len(history.sessions)} sessions, {lost} more whose answer was lost, {sum(map(len, feeds.values()))} events, "
              f"{len(ends)} ends, {history.unknown} unknown outcomes")
        for name, count in sorted(history.counts.items()):
            print(f"    {count:8} {name}")

    def check_session(self, session, row, ends, opened):
        require, name = self.history.require, session.id
        if row is None:
            return require(False, f"{name} was answered with 201 and is not there")
        manufacturer, completed_at, expires_at, is_opened, created_at = row
        require(manufacturer == session.manufacturer, f"{name} is another manufacturer's")
        require(not session.opened or is_opened, f"{name} was seen and is not opened")
        require(not is_opened or session.id in opened, f"{name} was opened and has no event of it")
        times = {answer["completed_at"] for answer in session.completions}
        require(len(times) <= 1, f"{name} was completed at {times}")
        require(not times or times == {completed_at}, f"{name} was completed at {times}, and is at {completed_at}")
        require(not (session.completions and session.expiries), f"{name} was completed and expired")
        require(completed_at is None or completed_at < created_at + 600, f"{name} was completed after its time")
        require(not session.expiries or completed_at is None, f"{name} was expired and is completed")
        if session.expiries:
            require({answer["expires_at"] for answer in session.expiries} == {expires_at}, f"{name} expired twice")
        kinds = [event["type"] for event in ends]
        is_over = expires_at <= time.time() - 5
        if completed_at is not None:
            require(kinds == ["link_session.completed"], f"{name} is completed and has {kinds}")
        elif is_over and (is_opened or expires_at < created_at + 600):
            require(kinds == ["link_session.expired"], f"{name} is over and has {kinds}")
        else:
            require(kinds == [], f"{name} is open, or nobody opened it, and has {kinds}")
        return None


NEMESES = [
    "kill_replica", "freeze_replica", "end_gracefully", "cut_connections", "crash_database", "freeze_database",
    "fail_over", "change_limits", "grow_table",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=None, help="repeats the choices of a run")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--manufacturers", type=int, default=6)
    parser.add_argument("--only", action="append", choices=NEMESES, help="instead of everything that may befall")
    parser.add_argument("--plant", choices=PLANTS, help="a fault that has to be found")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(1 << 32)
    random.seed(seed)
    print(f"--seed {seed}", flush=True)
    # Whoever ends a run ends its servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="lss-torture-", dir=os.environ.get("TORTURE_DIRECTORY")) as scratch:
        os.chmod(scratch, 0o755)
        cluster = Cluster(Path(scratch), arguments.manufacturers)
        try:
            if arguments.plant:
                cluster.primary.sql(PLANTS[arguments.plant])
            cluster.start()
            time.sleep(3)
            torture = Torture(cluster, arguments.clients)
            asyncio.run(torture.run(arguments.minutes * 60, arguments.only or NEMESES))
            log = "".join(replica.log.read_text() for replica in cluster.replicas)
            for line in log.splitlines():
                if " error " in line or " critical " in line or "Fatal" in line:
                    torture.history.fault(f"the log: {line[:300]}")
            causes = collections.Counter(
                re.sub(r".*(method=\S+).*(route=\S+).*(status=\S+).*", r"\1 \2 \3", line) + " " +
                "".join(re.findall(r"cause=.*?(?= \w+=|$)", line)) for line in log.splitlines() if "status=5" in line)
            for cause, count in causes.most_common(12):
                print(f"    {count:8} {cause[:200]}")
            for session in torture.history.sessions.values():
                torture.history.require(session.token not in log, "the log holds a token")
        finally:
            cluster.end()
    print(f"{len(torture.history.faults)} faults, --seed {seed}")
    sys.exit(bool(torture.history.faults))


if __name__ == "__main__":
    main()
