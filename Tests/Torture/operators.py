"""Operators, who revoke keys and erase users while everything befalls the database."""
import asyncio
import uuid

from clients import SESSIONS, Caller
from nodes import AUTHENTICATOR_KEY, digest


class Revoker(Caller):
    """A key that is revoked opens nothing a second later, whatever befalls the database."""

    async def run(self):
        while not self.is_over:
            await asyncio.sleep(self.random.uniform(3, 8))
            try:
                key = await asyncio.to_thread(self.cluster.add_key, "Manufacturer 00", "revoked")
                await asyncio.sleep(1.2)
                await self.ask("with a revoked key", "GET", SESSIONS, key)
                await asyncio.to_thread(
                    self.cluster.primary.sql, "UPDATE api_keys SET revoked_at = now() WHERE key_hash = %s", digest(key))
            except Exception:  # the database is away
                continue
            await asyncio.sleep(1)
            for replica in self.cluster.replicas:
                answer = await self.ask("with a revoked key", "GET", SESSIONS, key, replica=replica)
                self.history.require(
                    not answer or answer.status == 401, "a revoked key is dead within a second", "it is not")


class Eraser(Caller):
    """Erases users whose sessions are told of at this moment: nothing of them is left."""

    TABLES = {
        "link_sessions": "id", "link_session_events": "session_id", "sign_ins": "session_id",
        "webhook_deliveries": "session_id"}

    def __init__(self, cluster, history, seed):
        super().__init__(cluster, history, seed)
        self.sessions = []

    async def run(self):
        while not self.is_over:
            user = self.random.randbytes(8).hex()
            body = {"user_id": user, "redirect_url": "https://your-app.com/callback"}
            answer = await self.ask("create", "POST", SESSIONS, self.cluster.erased_key, body)
            if not answer:
                await asyncio.sleep(1)
                continue
            token, name = answer.json["link_token"], answer.headers["link-session-id"]
            await self.ask("view", "GET", f"/v2/authenticator/link-sessions/{token}", AUTHENTICATOR_KEY)
            await self.ask("complete", "POST", f"/v2/authenticator/link-sessions/{token}/complete", AUTHENTICATOR_KEY)
            await asyncio.sleep(self.random.uniform(0, 1.5))
            await self.erase(user)
            self.sessions.append(uuid.UUID(name))

    async def erase(self, user):
        """Once more until it is known to be done."""
        while True:
            try:
                await asyncio.to_thread(
                    self.cluster.primary.sql, "SELECT erase_user(%s, %s, NULL)", self.cluster.erased, user)
                return
            except Exception:  # the database is away
                await asyncio.sleep(0.5)

    def check(self):
        for table, column in self.TABLES.items():
            left = self.cluster.primary.sql(f"SELECT count(*) FROM {table} WHERE {column} = ANY (%s)", self.sessions)[0][0]
            self.history.require(not left, "nothing is left of who was erased", f"{left} rows in {table}")
        print(f"    {len(self.sessions)} users were erased")
