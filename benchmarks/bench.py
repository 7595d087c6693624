"""What the scenarios share: where things are, how long and how often."""
import os

from load import Wrk


class Bench:
    def __init__(self, executable, database, peers, scratch, quick, seconds, rounds):
        self.executable, self.database, self.peers, self.scratch = executable, database, peers, scratch
        self.quick, self.seconds, self.rounds = quick, seconds, rounds

    def say(self, text):
        print(f"  {text}", flush=True)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def warm_up(self, server, request, connections, **options):
        """A second of the same, or what a quick run has time for."""
        if not self.quick:
            self.wrk(server, request, connections, 1, **options).result()

    def wrk(self, server, request, connections, seconds=None, **options):
        return Wrk(self.scratch, server.port, request, connections, seconds or self.seconds, **options)

    def with_cost(self, server, run):
        """The result of `run`, with what it cost the server and PostgreSQL."""
        database = self.database
        before = (*server.cpu_seconds(), database.cpu_seconds(), database.wal())
        result = run()
        after = (*server.cpu_seconds(), database.cpu_seconds(), database.wal())
        done = result["succeeded"]
        user, system, cpu, wal = (b - a for a, b in zip(before, after))
        images = database.wal_images(before[-1], after[-1]) if wal else 0
        result.update(
            server_user_us=user * 1e6 / done, server_system_us=system * 1e6 / done, database_us=cpu * 1e6 / done,
            wal_bytes=wal / done, wal_image_bytes=None if images is None else images / done)
        result.pop("seconds", None)
        return result
