"""A primary and its synchronous standby, a proxy before each, two replicas of the service, and its manufacturers."""
import os
import secrets
import subprocess
import sys
import time

from nodes import (
    AUTHENTICATOR_KEY, BIN, EXECUTABLE, PROJECT, Clock, Node, Replica, as_server, digest, manufacturer_key)


class Cluster:
    def __init__(self, scratch, manufacturers, has_disks):
        """`has_disks`: each server has a disk of its own that can be full."""
        self.clock = Clock(scratch)
        self.primary = Node(scratch / "a", self.clock, has_disks)
        self.standby = Node(scratch / "b", self.clock, has_disks)
        self.has_disks = has_disks
        self.migrations = scratch / "own"
        self.migrations.mkdir()
        self.proxy = None
        self.replicas = []
        self.environment = {
            "PATH": os.environ["PATH"], "LINK_SESSION_ENV": "local", "PUBLIC_BASE_URL": "http://127.0.0.1",
            "DATABASE_URL": self.database_url(scratch, "postgres"),
            "OPERATOR_DATABASE_URL": self.database_url(scratch, "torture_operator"),
            "AUTHENTICATOR_API_KEY_DIGESTS": "torture:" + digest(AUTHENTICATOR_KEY).hex(),
            "MIGRATIONS_DIRECTORIES": f"migrations,{self.migrations}", "LOG_LEVEL": "info",
            "RETURN_CODE_SECRETS": secrets.token_urlsafe(32), "IDEMPOTENCY_SECRETS": secrets.token_urlsafe(32),
            "WEBHOOK_SECRETS": secrets.token_urlsafe(32),
        }
        self.scratch = scratch
        self.keys = {}
        self.erased = self.erased_key = None  # a manufacturer whose sessions are erased
        self.manufacturers = manufacturers

    def database_url(self, scratch, user):
        hosts = f"{scratch}/proxy-a,{scratch}/proxy-b"
        return f"postgres://{user}@/postgres?host={hosts}&port=5432,5432&target_session_attrs=read-write"

    def build(self):
        self.primary.initialize()
        self.primary.start()
        self.add_standby()
        sockets = []
        for node in (self.primary, self.standby):
            directory = self.scratch / f"proxy-{node.directory.name}"
            directory.mkdir(mode=0o755)
            sockets += [directory / ".s.PGSQL.5432", node.directory / ".s.PGSQL.5432"]
        self.proxy = subprocess.Popen(
            [sys.executable, os.path.join(os.path.dirname(__file__), "proxy.py"), *sockets],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.proxy.stdout.readline()
        for key in ["RETURN_SIGNING_KEYS", "SANDBOX_SIGNING_KEY", "WEBHOOK_SIGNING_KEYS"]:
            self.environment[key] = self.run("generate-signing-key")
        self.run("admin", "create-roles")
        for role in ("service", "operator"):
            self.primary.sql(f"CREATE ROLE torture_{role} LOGIN IN ROLE link_session_{role}")
        self.run("migrate")
        for number in range(self.manufacturers):
            name = f"Manufacturer {number:02}"
            manufacturer = self.add_manufacturer(name)
            self.keys[manufacturer] = self.add_key(name, f"torture-{number}")
        self.erased = self.add_manufacturer("Erased")
        self.erased_key = self.add_key("Erased", "torture-erased")
        # They run as what they are in production: no superuser, no owner.
        environment = self.environment | {"DATABASE_URL": self.database_url(self.scratch, "torture_service")}
        self.replicas = [Replica(environment, self.scratch / f"replica-{n}.log") for n in range(2)]

    def run(self, *arguments):
        result = subprocess.run(
            [EXECUTABLE, *arguments], cwd=PROJECT, env=self.environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout.strip()

    def tell_proxy(self, what):
        """Returns when it is over."""
        self.proxy.stdin.write(what + "\n")
        self.proxy.stdin.flush()
        self.proxy.stdout.readline()

    def add_standby(self):
        """Nothing is committed from then on that the standby does not have."""
        self.standby.copy(self.primary)
        self.standby.start()
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql("SELECT pg_reload_conf()")
        end = time.monotonic() + 60
        while self.primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != [(1,)]:
            assert time.monotonic() < end, "the standby does not follow"
            time.sleep(0.05)

    def promote_standby(self):
        self.primary.crash()
        as_server(BIN / "pg_ctl", "--silent", "--wait", f"--pgdata={self.standby.data}", "promote")
        self.primary, self.standby = self.standby, self.primary

    def add_manufacturer(self, name):
        return self.primary.sql(
            "INSERT INTO manufacturers (name, redirect_policy) VALUES (%s, 'unrestricted') RETURNING id", name)[0][0]

    def add_key(self, name, seed):
        key = manufacturer_key(seed + secrets.token_hex(8))
        assert self.primary.sql(
            """
            INSERT INTO api_keys (manufacturer_id, key_hash, label)
            SELECT id, %s, %s FROM manufacturers WHERE name = %s RETURNING id
            """, digest(key), seed, name)
        return key

    def end(self):
        for replica in self.replicas:
            replica.end()
        if self.proxy:
            self.proxy.kill()
        for node in (self.primary, self.standby):
            node.end()
