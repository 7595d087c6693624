"""Receivers of webhooks, one manufacturer's each of a kind, and what they must have got."""
import asyncio
import base64
import collections
import hashlib
import hmac
import json
import random


def signature(secret, salt, message):
    """`v1` of Standard Webhooks, with the secret that an endpoint's salt stands for."""
    key = hmac.digest(base64.urlsafe_b64decode(secret + "=="), b"webhook secret " + salt, hashlib.sha256)
    return "v1," + base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()


class Receivers:
    """`good` takes all at once, `flaky` refuses a tenth, `slow` takes its time, `down` takes nothing until `is_up`."""

    KINDS = ["good", "flaky", "slow", "down"]

    def __init__(self, manufacturers, secret):
        self.secret = secret
        self.salts = {
            (manufacturer, kind): hashlib.sha256(f"{manufacturer} {kind}".encode()).digest()[:16]
            for manufacturer, kind in zip(manufacturers, self.KINDS)}
        self.taken = collections.defaultdict(collections.Counter)
        self.events = {}
        self.faults = []
        self.is_up = False
        self.port = None

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    def add(self, node):
        for (manufacturer, kind), salt in self.salts.items():
            node.sql(
                "INSERT INTO webhook_endpoints (manufacturer_id, url, secret_salt) VALUES (%s, %s, %s)",
                manufacturer, f"http://127.0.0.1:{self.port}/{manufacturer}/{kind}", salt)

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode().strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                _, manufacturer, kind = line.split()[1].split("/")
                status = await self.answer(int(manufacturer), kind, headers, body)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
                break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def answer(self, manufacturer, kind, headers, body):
        event = json.loads(body)
        message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        if signature(self.secret, self.salts[manufacturer, kind], message) not in headers["webhook-signature"].split():
            self.faults.append(f"a webhook of {manufacturer} is not signed")
        if event["id"] != headers["webhook-id"] or self.events.setdefault(event["id"], body) != body:
            self.faults.append(f"{event['id']} came with other words")
        if kind == "down" and not self.is_up or kind == "flaky" and random.random() < 0.1:
            return 500
        if kind == "slow":
            await asyncio.sleep(random.uniform(0, 0.5))
        self.taken[manufacturer, kind][event["id"]] += 1
        return 200

    def missing(self, feeds):
        """How many events each receiver has not got."""
        return {
            where: missing for where in self.salts
            if (missing := len({event["id"] for event in feeds[where[0]]} - self.taken[where].keys()))}

    def check(self, feeds):
        yield from self.faults
        for where, missing in self.missing(feeds).items():
            yield f"the receiver {where} has not got {missing} events"
        for (manufacturer, kind), taken in self.taken.items():
            foreign = taken.keys() - {event["id"] for event in feeds[manufacturer]}
            if foreign:
                yield f"the receiver {manufacturer, kind} got {len(foreign)} events that are not its own"
            again = sum(count - 1 for count in taken.values())
            print(f"    webhooks, {kind}: {len(taken)} events, {again} of them again")
            if again > max(8, len(taken) // 100):
                yield f"the receiver {manufacturer, kind} got {again} of {len(taken)} events again"
