"""Receivers of webhooks, one manufacturer's each of a kind, and what they must have got."""
import asyncio
import base64
import collections
import hashlib
import hmac
import json
import multiprocessing
import os
import random

from nodes import PRIORITY


def signature(secret, salt, message):
    """`v1` of Standard Webhooks, with the secret that an endpoint's salt stands for."""
    key = hmac.digest(base64.urlsafe_b64decode(secret + "=="), b"webhook secret " + salt, hashlib.sha256)
    return "v1," + base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()


class Server:
    """Receives for all, in a process of its own: what waits for the clients' turn would count as the receiver's time.

    Tells the other end of `pipe` its port and what is wrong with a webhook, and when asked what it has taken.
    """

    def __init__(self, pipe, secret, salts):
        self.pipe, self.secret, self.salts = pipe, secret, salts
        self.taken = collections.defaultdict(collections.Counter)
        # Of these the sender was still there when the receiver had answered.
        self.heard = collections.defaultdict(collections.Counter)
        self.digests = {}
        self.is_up = False

    @classmethod
    def main(cls, *arguments):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        asyncio.run(cls(*arguments).run())

    async def run(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1000)
        self.pipe.send(server.sockets[0].getsockname()[1])
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self.obey)
        await server.serve_forever()

    def obey(self):
        try:
            command = self.pipe.recv()
        except EOFError:
            os._exit(0)
        self.is_up |= command == "up"
        if command == "report":
            self.pipe.send((dict(self.taken), dict(self.heard)))

    def require(self, condition, text):
        if not condition:
            self.pipe.send(text)

    async def serve(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            _, manufacturer, kind = line.split()[1].split("/")
            where = int(manufacturer), kind
            self.verify(where, headers, body)
            if status := await self.answer(where, reader):
                if status == 200:
                    self.taken[where][headers["webhook-id"]] += 1
                    self.heard[where][headers["webhook-id"]] += not reader.at_eof()
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def verify(self, where, headers, body):
        message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        self.require(
            signature(self.secret, self.salts[where], message) in headers["webhook-signature"].split(),
            f"a webhook of {where} is not signed")
        event, digest = json.loads(body), hashlib.sha256(body).digest()[:8]
        self.require(
            event["id"] == headers["webhook-id"] and self.digests.setdefault(event["id"], digest) == digest,
            f"{event['id']} came with other words")

    async def answer(self, where, reader):
        kind = where[1]
        if kind == "silent" and not self.is_up:
            await reader.read()  # until the sender gives up
            return None
        if not self.is_up and (kind == "failing" or kind == "flaky" and random.random() < 0.1):
            return 500
        if kind in ("slow", Receivers.ERASED):
            await asyncio.sleep(random.uniform(0, 0.5))
        return 200


class Receivers:
    """`good` takes all at once, and `slow` takes its time; until `is_up`, `flaky` refuses a tenth, `failing` refuses all, and
    `silent` never answers."""

    KINDS = ["good", "flaky", "slow", "failing", "silent"]
    # Of the manufacturer whose sessions are erased: slow, so that an answer comes when its session is gone.
    ERASED = "erased"
    # So many events to a receiver at once.
    UNDER_WAY = 8
    PROMISE = "webhooks at least once, to whom they belong"

    def __init__(self, manufacturers, erased, secret, history):
        self.secret, self.history = secret, history
        self.salts = {(erased, self.ERASED): hashlib.sha256(b"erased").digest()[:16]} | {
            (manufacturer, self.KINDS[number % len(self.KINDS)]): hashlib.sha256(f"{manufacturer}".encode()).digest()[:16]
            for number, manufacturer in enumerate(manufacturers)}
        self.taken, self.heard = {}, {}
        self.is_reported = asyncio.Event()

    async def start(self):
        # A fork would inherit the threads' locks.
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        context.Process(target=Server.main, args=(other, self.secret, self.salts), daemon=True).start()
        other.close()
        self.port = await asyncio.to_thread(self.pipe.recv)
        asyncio.get_running_loop().add_reader(self.pipe.fileno(), self.listen)

    def listen(self):
        told = self.pipe.recv()
        if isinstance(told, str):
            self.history.fault(self.PROMISE, told)
        else:
            self.taken, self.heard = told
            self.is_reported.set()

    def be_up(self):
        self.pipe.send("up")

    async def report(self):
        """Learns what was taken until now."""
        self.is_reported.clear()
        self.pipe.send("report")
        await self.is_reported.wait()

    def add(self, node):
        for (manufacturer, kind), salt in self.salts.items():
            node.sql(
                "INSERT INTO webhook_endpoints (manufacturer_id, url, secret_salt) VALUES (%s, %s, %s)",
                manufacturer, f"http://127.0.0.1:{self.port}/{manufacturer}/{kind}", salt)

    def events(self, where):
        return {event[0] for event in self.history.feeds[where[0]].events}

    def missing(self):
        """How many events each receiver has not got."""
        return {
            where: missing for where in self.salts
            if where[1] != self.ERASED and (missing := len(self.events(where) - self.taken.get(where, {}).keys()))}

    def check(self, most_again):
        """`most_again`: so many may come again, where the sender was ended before it had the answer, or saved it."""
        for where, missing in self.missing().items():
            self.history.fault(self.PROMISE, f"the receiver {where} has not got {missing} events")
        totals = collections.defaultdict(collections.Counter)
        for where, taken in self.taken.items():
            if where[1] == self.ERASED:
                continue
            feed = self.history.feeds[where[0]]
            # What came when the readers had ended is in no list of theirs.
            foreign = {event for event in taken.keys() - self.events(where) if feed.is_read_until(event)}
            self.history.require(not foreign, self.PROMISE, f"the receiver {where} got {len(foreign)} events of others")
            again, heard = (
                sum(max(0, count - 1) for count in counter.values()) for counter in (taken, self.heard[where]))
            totals[where[1]].update(events=len(taken), again=again, heard=heard)
            self.history.require(
                heard <= max(most_again, len(taken) / 1000), self.PROMISE,
                f"the receiver {where} got {heard} of {len(taken)} events again")
        for kind, total in totals.items():
            print(
                f"    webhooks, {kind}: {total['events']} events, {total['again']} of them again, {total['heard']} of these "
                "though the sender was there when it was answered")
