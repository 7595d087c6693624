"""Clients that make every kind of call, and keep in the history what came of it.

A request whose answer was lost has an unknown outcome: what it asked for may have happened, or not.
"""
import asyncio
import base64
import random
import time
import uuid

from browser import Browser
from http_client import UnknownOutcome, request
from nodes import AUTHENTICATOR_KEY, digest

SESSIONS = "/v2/manufacturer/link-sessions"
EVENTS = "/v2/manufacturer/events"
# Beside what each kind of request may be answered: what anybody may be told at a bad time.
ANY_TIME = {429, 503}
ALLOWED = {
    "create": {201}, "create under a key": {201}, "find": {200}, "find another's": {404}, "expire": {200, 409},
    "view": {200}, "complete": {200, 410},
    "complete another's": {200, 409, 410}, "page": {200, 410}, "list": {200}, "events": {200}, "wait": {200},
    "timeline": {200}, "suppliers": {200}, "wait for a session": {200}, "confirm": {200, 409},
    "confirm with a wrong code": {409}, "browser": {200, 303, 409, 410}, "with a revoked key": {200, 401},
}


class Caller:
    """Chooses and asks; each has random numbers of its own, so that a seed repeats what each chooses."""

    def __init__(self, cluster, history, seed):
        self.cluster, self.history = cluster, history
        self.random = random.Random(seed)
        self.is_over = False

    async def ask(self, kind, method, path, key=None, body=None, headers=(), replica=None, form=None):
        replica = replica or self.random.choice(self.cluster.replicas)
        try:
            answer = await request(
                replica.port, method, path, key, body, headers, 70 if kind.startswith("wait") else 8, form)
        except UnknownOutcome:
            self.history.unknown += 1
            return None
        self.history.counts[f"{kind} {answer.status}"] += 1
        self.history.require(
            answer.status in ALLOWED[kind] | ANY_TIME,
            "every 201 is there" if answer.status == 404 else "only the contract's statuses",
            f"{kind} {path[:60]}: {answer.status} {answer.body[:300]}")
        return answer if answer.status in ALLOWED[kind] else None


class Client(Caller):
    """Plays lives of sessions, one after the other."""

    STEPS = {"open": 4, "complete": 3, "expire": 1, "look": 2, "sign_in": 0.5}
    # Where sessions and their ends are to be many.
    FEW_STEPS = {"open": 4, "complete": 3, "expire": 1, "look": 0.2, "sign_in": 0.1}

    async def run(self, may_begin):
        while not self.is_over and may_begin():
            await (self.late_life() if self.random.random() < 0.1 else self.life())

    async def life(self):
        manufacturer = self.random.choice(list(self.cluster.keys))
        session = await self.create(manufacturer)
        if not session:
            return
        for step in self.random.choices(list(self.STEPS), list(self.STEPS.values()), k=self.random.randint(1, 5)):
            await getattr(self, step)(session)

    async def late_life(self):
        """Of a session of nearly ten minutes ago, so that its time is over soon."""
        manufacturer = self.random.choice(list(self.cluster.keys))
        seconds, number, tail = self.random.uniform(3, 40), self.random.randbytes(10), self.random.randbytes(24)
        try:
            session = await asyncio.to_thread(self.backdated, manufacturer, seconds, number, tail)
        except Exception:  # the database is away
            return
        await self.open(session)
        left = session.expires_at - time.time()
        if self.random.random() < 0.5:
            await asyncio.sleep(max(0, left + self.random.uniform(-1.5, 0.5)))
            await self.complete(session)

    def backdated(self, manufacturer, seconds, number, tail):
        """Its row is written beside the service."""
        milliseconds = int((time.time() - 600 + seconds) * 1000)
        number = bytearray(number)
        number[0] = 0x70 | number[0] & 0x0F
        number[2] = 0x80 | number[2] & 0x3F
        number = milliseconds.to_bytes(6, "big") + bytes(number)
        token = base64.urlsafe_b64encode(number + tail).decode().rstrip("=")
        self.cluster.primary.sql(
            """
            INSERT INTO link_sessions
                (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
            SELECT %s, %s, %s, %s, 'late', 'https://your-app.com/callback', 'nl', t, t + interval '600 seconds'
            FROM date_trunc('second', to_timestamp(%s::float8)) AS t
            """,
            uuid.UUID(bytes=number), number[9], digest(token), manufacturer, milliseconds / 1000)
        created = {"link_token": token, "created_at": milliseconds // 1000, "expires_at": milliseconds // 1000 + 600}
        return self.history.made(manufacturer, self.cluster.keys[manufacturer], created)

    async def create(self, manufacturer):
        key = self.cluster.keys[manufacturer]
        body = {"user_id": f"user-{self.random.randrange(500)}", "redirect_url": "https://your-app.com/callback"}
        if self.random.random() < 0.3:
            return await self.create_under_key(manufacturer, key, body)
        if answer := await self.ask("create", "POST", SESSIONS, key, body):
            return self.made(manufacturer, key, body, answer)
        return None

    def made(self, manufacturer, key, body, answer):
        self.history.require(
            answer.json["manufacturer_user_id"] == body["user_id"] and answer.json["redirect_url"] == body["redirect_url"],
            "nobody's session in another's hands", f"a create of {body} was answered with {answer.json}"[:300])
        return self.history.made(manufacturer, key, answer.json)

    async def create_under_key(self, manufacturer, key, body):
        """Several times at once; another manufacturer can use the same key."""
        name = self.random.randbytes(8).hex()
        owners = [manufacturer] * self.random.randint(1, 3)
        if self.random.random() < 0.2:
            owners.append(self.random.choice(list(self.cluster.keys)))
        tries = [
            self.ask(
                "create under a key", "POST", SESSIONS, self.cluster.keys[owner], body, [f"Idempotency-Key: {name}"])
            for owner in owners]
        session = None
        for owner, answer in zip(owners, await asyncio.gather(*tries)):
            if answer:
                self.history.made_under_key(owner, name, answer.json)
                made = self.made(owner, self.cluster.keys[owner], body, answer)
                session = session or (made if owner == manufacturer else None)
        return session

    async def complete(self, session):
        path = f"/v2/authenticator/link-sessions/{session.token}/complete"
        # A browser may have completed it with another account.
        kind = "complete another's" if session.is_signed_in else "complete"
        racers = [self.ask(kind, "POST", path, AUTHENTICATOR_KEY) for _ in range(self.random.choice([1, 1, 2, 4]))]
        for answer in await asyncio.gather(*racers):
            if answer and answer.status == 200:
                self.told(session, answer)
                completed_at = answer.json["completed_at"]
                self.history.same(session.completions, completed_at, session.id)
                self.history.require(
                    completed_at < session.created_at + 600, "no completion after the time", session.id)

    async def expire(self, session):
        if answer := await self.ask("expire", "POST", f"{SESSIONS}/{session.token}/expire", session.key):
            if answer.status == 200:
                self.told(session, answer)
                self.history.same(session.expiries, answer.json["expires_at"], session.id)

    async def open(self, session):
        if self.random.random() < 0.5:
            answer = await self.ask("page", "GET", f"/ui?token={session.token}")
            # A page of an ended session is no first look.
            session.opened |= bool(answer and b"/ui/sign-ins" in answer.body)
        else:
            answer = await self.ask(
                "view", "GET", f"/v2/authenticator/link-sessions/{session.token}", AUTHENTICATOR_KEY)
            if answer:
                self.told(session, answer)
                session.opened |= answer.json["status"] == "open"

    async def sign_in(self, session):
        session.is_signed_in = True
        code = await Browser(self.ask, session.token).sign_in()
        if not code:
            return
        if not (found := await self.find(session)):
            return
        path, user = f"{SESSIONS}/{session.token}/confirm", found.json["manufacturer_user_id"]
        await self.ask("confirm with a wrong code", "POST", path, session.key, {"user_id": user, "code": code[::-1]})
        for _ in range(2):
            if answer := await self.ask("confirm", "POST", path, session.key, {"user_id": user, "code": code}):
                if answer.status == 200:
                    said = answer.json
                    self.history.same(session.confirmations, (said["nox_user_id"], said["confirmed_at"]), session.id)

    async def find(self, session):
        known = session.end
        answer = await self.ask(
            "find", "GET", f"{SESSIONS}/{self.random.choice([session.token, session.id])}", session.key)
        if answer:
            self.told(session, answer, known)
        return answer

    def told(self, session, answer, known=None):
        self.history.told(session.manufacturer, answer.json, session.id, known)

    async def list(self, session):
        answer = await self.ask("list", "GET", f"{SESSIONS}?limit=5&status=open", session.key)
        if not answer:
            return
        listed = answer.json["data"]
        for one in listed:
            self.history.told(session.manufacturer, one)
        ids = [one["id"] for one in listed]
        self.history.require(
            ids == sorted(ids, reverse=True) and {one["status"] for one in listed} <= {"open"}, "lists in order",
            f"open ones, the newest first: {[(one['id'], one['status']) for one in listed]}")

    async def look(self, session):
        await self.find(session)
        others = [key for owner, key in self.cluster.keys.items() if owner != session.manufacturer]
        await self.ask("find another's", "GET", f"{SESSIONS}/{session.token}", self.random.choice(others))
        if self.random.random() < 0.1:
            await self.list(session)
            await self.ask("timeline", "GET", f"{SESSIONS}/{session.id}/events", session.key)
            await self.ask("suppliers", "GET", "/v2/manufacturer/suppliers", session.key)
            await self.ask("wait for a session", "GET", f"{SESSIONS}/{session.token}?wait=1", session.key)


class Reader(Caller):
    """Follows the feed of a manufacturer from its beginning; those with an odd number wait for what comes."""

    def __init__(self, cluster, history, seed, manufacturer, number):
        super().__init__(cluster, history, seed)
        self.manufacturer, self.number = manufacturer, number
        self.is_settled = False

    async def run(self):
        after, feed = "evt_0", self.history.feeds[self.manufacturer]
        while True:
            was_settled = self.is_settled
            path = f"{EVENTS}?after={after}&limit={self.random.choice([1, 20, 100])}"
            waits = self.number % 2 and not self.is_over
            answer = await self.ask(
                "wait" if waits else "events", "GET", path + ("&wait=5" if waits else ""),
                self.cluster.keys[self.manufacturer])
            if not answer:
                await asyncio.sleep(0.2)
                continue
            page = answer.json
            for event in page["data"]:
                feed.read(self.number, event)
            after = page["next"]
            if not page["data"]:
                if was_settled:
                    return
                await asyncio.sleep(0.3)
