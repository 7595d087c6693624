"""What befalls the replicas and their database. Each returns when it is over."""
import os
import secrets
import signal
import subprocess
import time

import psycopg

from nodes import EXECUTABLE, PROJECT


class Nemeses:
    """One thing at a time, as the random numbers say."""

    def __init__(self, cluster, random):
        self.cluster, self.random = cluster, random

    @classmethod
    def names(cls):
        return [name for name in vars(cls) if name[0] != "_" and name not in ("names", "befall")]

    def befall(self, name):
        getattr(self, name)()

    def _some_time(self, most=4):
        time.sleep(self.random.uniform(0.5, most))

    # Replicas.

    def kill_replica(self):
        replica = self.random.choice(self.cluster.replicas)
        replica.end()
        time.sleep(self.random.uniform(0, 1))
        replica.start()

    def end_gracefully(self):
        replica = self.random.choice(self.cluster.replicas)
        replica.process.terminate()
        replica.process.wait(60)
        replica.start()

    def freeze_replica(self):
        self._freeze([self.random.choice(self.cluster.replicas)])

    def freeze_both_replicas(self):
        self._freeze(self.cluster.replicas)

    def _freeze(self, replicas):
        for replica in replicas:
            replica.process.send_signal(signal.SIGSTOP)
        self._some_time()
        for replica in replicas:
            replica.process.send_signal(signal.SIGCONT)

    # Their connections to the database.

    def end_backends(self):
        for _ in range(self.random.randint(1, 5)):
            self.cluster.primary.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'link-session%'")
            time.sleep(self.random.uniform(0, 0.3))

    def cut_connections(self):
        """Also in the middle of an answer, and after a commit that nobody hears of."""
        for _ in range(self.random.randint(1, 5)):
            self.cluster.tell_proxy(self.random.choice(["cut", "halve", "swallow"]))
            time.sleep(self.random.uniform(0, 0.5))

    def hold_connections(self):
        self.cluster.tell_proxy(f"hold {self.random.uniform(0.5, 4):.3f}")

    # PostgreSQL.

    def crash_database(self):
        self.cluster.primary.crash()
        time.sleep(self.random.uniform(0, 1))
        self.cluster.primary.start()

    def freeze_database(self):
        self._freeze_node(self.cluster.primary)

    def freeze_standby(self):
        """No commit is acknowledged."""
        self._freeze_node(self.cluster.standby)

    def _freeze_node(self, node):
        node.signal(signal.SIGSTOP)
        self._some_time()
        node.signal(signal.SIGCONT)

    def fail_over(self):
        """The old primary is gone for good, and a new standby is made from the new one."""
        self.cluster.promote_standby()
        self._some_time()
        self.cluster.add_standby()

    def fill_disk(self):
        """PostgreSQL refuses what needs room, and ends itself where it cannot write its log."""
        if not self.cluster.primary.disk:
            raise RuntimeError("only root can mount a disk that can be full")
        primary = self.cluster.primary
        primary.disk.fill()
        if self.random.random() < 0.5:
            try:
                # Else the log has files to write on for a while.
                for _ in range(40):
                    primary.sql("SELECT pg_switch_wal() FROM pg_logical_emit_message(true, 'torture', '')")
            except psycopg.Error:
                pass
        self._some_time(6)
        primary.disk.free()
        primary.start_again()

    def jump_clock(self):
        """There and back: forwards the one time, and backwards the other."""
        self.cluster.clock.set(self.random.choice([-600, -30, -2, 2, 30, 600]) * self.random.uniform(0.5, 1))
        self._some_time()
        self.cluster.clock.set(0)

    # Operators.

    def change_limits(self):
        self.cluster.primary.sql(
            "UPDATE manufacturers SET creates_a_second = %s, creates_at_once = %s WHERE id = %s",
            *self.random.choice([(None, None), (5, 10), (1000, 1000)]), self.random.choice(list(self.cluster.keys)))

    def grow_table(self):
        """A migration that takes the lock of all sessions for a moment."""
        column = f"torture_{secrets.token_hex(4)}"
        with psycopg.connect(self.cluster.primary.url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '300ms'")
            try:
                connection.execute(f"ALTER TABLE link_sessions ADD COLUMN {column} text")
            except psycopg.errors.LockNotAvailable:
                pass

    def migrate(self):
        """An operator's own migration, applied by two at once."""
        number = len(os.listdir(self.cluster.migrations)) + 1
        (self.cluster.migrations / f"{number:04}_torture.sql").write_text(
            f"INSERT INTO manufacturers (name, redirect_policy) VALUES ('Torture {number}', 'unrestricted');")
        commands = [
            subprocess.Popen(
                [EXECUTABLE, "migrate"], cwd=PROJECT,
                env=self.cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)]
        for command in commands:
            output, _ = command.communicate(timeout=60)
            if command.returncode:
                raise RuntimeError(f"migrate: {output[-250:]}")
