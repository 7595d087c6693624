"""What the clients know, and what it must be like."""
import base64
import collections
import hashlib
import time
import uuid

ENDS = {"link_session.completed", "link_session.expired"}


class Session:
    # What a create said of it that every later answer says again.
    FIXED = ["manufacturer", "manufacturer_user_id", "redirect_url", "language", "created_at", "brand"]

    def __init__(self, manufacturer, key, answer):
        self.manufacturer, self.key = manufacturer, key
        self.token = answer["link_token"]
        self.id = str(uuid.UUID(bytes=base64.urlsafe_b64decode(self.token + "==")[:16]))
        self.created_at, self.expires_at = answer["created_at"], answer["expires_at"]
        self.said = {name: answer[name] for name in self.FIXED if name in answer}
        self.opened = False
        self.is_signed_in = False
        # What answers said, each of which must stay the only one.
        self.completions = set()
        self.expiries = set()
        self.confirmations = set()

    @property
    def end(self):
        """The status that is known to be its last."""
        return "completed" if self.completions else "expired" if self.expiries else None


class Feed:
    """A manufacturer's events, as all of its readers must see them."""

    def __init__(self, history, manufacturer):
        self.history, self.manufacturer = history, manufacturer
        self.events = []  # id, type, session, digest
        self.reached = collections.Counter()
        self.ends = {}
        self.opened = set()

    def is_read_until(self, event_id):
        return bool(self.events) and int(event_id[4:]) <= int(self.events[-1][0][4:])

    def read(self, reader, event):
        session = event["data"]["link_session"]["id"]
        entry = (event["id"], event["type"], session, hashlib.sha256(repr(event).encode()).digest()[:8])
        place = self.reached[reader]
        self.reached[reader] += 1
        if place < len(self.events):
            if entry != self.events[place]:
                self.history.fault(
                    "one order for all readers", f"a reader of {self.manufacturer} sees {entry[:3]} where another saw "
                    f"{self.events[place][:3]}")
            return
        if self.events and int(entry[0][4:]) <= int(self.events[-1][0][4:]):
            self.history.fault("one order for all readers", f"{entry[0]} comes after {self.events[-1][0]}")
        self.events.append(entry)
        self.history.told(self.manufacturer, event["data"]["link_session"])
        if session in self.ends and event["type"] in ENDS:
            self.history.fault("one end event each", f"{session} has {event['type']} and {self.ends[session]}")
        if event["type"] in ENDS:
            self.ends[session] = event["type"]
        if event["type"] == "link_session.opened":
            self.history.require(
                session not in self.ends or self.history.has_clock_jumped, "events in order",
                f"{session} is opened after its end")
            self.opened.add(session)


class History:
    MOST_SHOWN = 50

    def __init__(self, manufacturers):
        # Then a session may be told to be over whose time is not over by the clock of later, and what happened on either
        # side of the jump is told in the order of its times.
        self.has_clock_jumped = False
        self.faults = []  # seconds, promise, text
        self.on_fault = lambda: None
        self.start = time.monotonic()
        self.sessions = {}
        self.by_id = {}
        self.keyed = {}
        self.counts = collections.Counter()
        self.unknown = 0
        self.feeds = {manufacturer: Feed(self, manufacturer) for manufacturer in manufacturers}

    def fault(self, promise, text):
        after = time.monotonic() - self.start
        if len(self.faults) < self.MOST_SHOWN:
            print(f"FAULT after {after:.0f} s: {promise}: {text}", flush=True)
        self.faults.append((after, promise, text))
        self.on_fault()

    def require(self, condition, promise, text):
        if not condition:
            self.fault(promise, text)

    def made(self, manufacturer, key, answer):
        session = Session(manufacturer, key, answer)
        session = self.sessions.setdefault(session.token, session)
        self.by_id[session.id] = session
        self.told(manufacturer, answer, session.id)
        return session

    def told(self, manufacturer, answer, name=None, known=None):
        """An answer about a session of the manufacturer's: of what it says, nothing is another's, nor other than before.
        `known`: its end, as it was when it was asked for."""
        name = name or answer["id"]
        session = self.by_id.get(name)
        if not session:
            return
        self.require(
            session.manufacturer == manufacturer, "nobody's session in another's hands",
            f"{manufacturer} is told of {name}, which is {session.manufacturer}'s")
        wrong = [field for field, value in session.said.items() if answer.get(field, value) != value]
        self.require(not wrong, "nobody's session in another's hands", f"{name} has another {wrong}")
        # Until its time is over once more.
        if known == "completed" or known and not self.has_clock_jumped:
            self.require(
                answer["status"] == known, "one completion, its answer the same for ever",
                f"{name} was {known} and is {answer['status']}")

    def made_under_key(self, manufacturer, name, answer):
        first = self.keyed.setdefault((manufacturer, name), answer)
        self.require(
            answer == first, "an idempotent create makes one session",
            f"{name}: {answer['link_token'][:22]} and {first['link_token'][:22]}, {answer['created_at']}")

    def same(self, answers, answer, what):
        """What was answered once is the answer for ever."""
        answers.add(answer)
        self.require(len(answers) == 1, "one completion, its answer the same for ever", f"{what}: {answers}")

    # What must be so in the end.

    def check(self, stored, settled_at):
        """`settled_at`: what happened before was told when the readers ended."""
        for session in self.sessions.values():
            self.check_session(session, stored.get(session.id), settled_at)
        for manufacturer, feed in self.feeds.items():
            for reader, reached in feed.reached.items():
                self.require(
                    reached == len(feed.events), "one order for all readers",
                    f"reader {reader} of {manufacturer} saw {reached} events of {len(feed.events)}")
            for session in feed.ends:
                self.require(
                    stored.get(session, (None,))[0] == manufacturer, "nobody's session in another's hands",
                    f"{session} has its end at {manufacturer}")

    def check_session(self, session, row, settled_at):
        require, name, feed = self.require, session.id, self.feeds[session.manufacturer]
        if row is None:
            return require(False, "every 201 is there", f"{name} is not there")
        manufacturer, completed_at, expires_at, is_opened, created_at, confirmed_at = row
        own, one = "nobody's session in another's hands", "one completion, its answer the same for ever"
        require(manufacturer == session.manufacturer, own, f"{name} is another manufacturer's")
        # A first look beside a change under way is not waited for: what comes of that is told.
        require(
            not session.opened or is_opened or name in feed.ends, "every first look is told",
            f"{name} was seen and is not opened")
        require(not is_opened or name in feed.opened, "every first look is told", f"{name} was opened and has no event of it")
        require(session.completions <= {completed_at}, one, f"{name} was completed at {session.completions}, and is at {completed_at}")
        require({at for _, at in session.confirmations} <= {confirmed_at}, one, f"{name} was confirmed at another time")
        require(completed_at is None or completed_at < created_at + 600, "no completion after the time", name)
        require(not session.expiries or completed_at is None, one, f"{name} was expired and is completed")
        require(session.expiries <= {expires_at}, one, f"{name} was expired at {session.expiries}, and is at {expires_at}")
        end = feed.ends.get(name)
        is_early = expires_at < created_at + 600
        # Its replica's clock made its id, and by that its end is looked for.
        told_at = expires_at if is_early else max(expires_at, int(name.replace("-", "")[:12], 16) / 1000 + 602)
        if completed_at is not None:
            require(end == "link_session.completed", "one end event each", f"{name} is completed and has {end}")
        elif told_at <= settled_at - 5 and (is_opened or is_early):
            require(end == "link_session.expired", "one end event each", f"{name} is over and has {end}")
        elif expires_at > time.time() and not self.has_clock_jumped:
            require(end is None, "one end event each", f"{name} is open, and has {end}")
        return None
