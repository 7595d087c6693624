"""A primary and its synchronous standby, two replicas of the service, and what can befall them."""
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from service import AUTHENTICATOR_KEY, PROJECT, digest, free_port, manufacturer_key

BIN = Path(os.environ["TEST_POSTGRES_BINDIR"])
USER = os.environ.get("TEST_POSTGRES_USER")
EXECUTABLE = Path(os.environ.get("TORTURE_BINARY", PROJECT / ".build/debug/link-session-service"))


def as_server(*command, **options):
    """PostgreSQL refuses to run as root."""
    user = {"user": USER, "group": USER, "extra_groups": []} if USER else {}
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, cwd="/", **user, **options)


def parent(process):
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


class Node:
    """A PostgreSQL server that listens on a socket of its own."""

    SETTINGS = (
        "-c listen_addresses= -c port=5432 -c max_connections=100 -c wal_level=replica -c hot_standby=on "
        "-c wal_receiver_timeout=5s -c wal_sender_timeout=5s -c log_parameter_max_length=0")

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(mode=0o700)
        if USER:
            shutil.chown(directory, USER)
        self.data = directory / "data"

    def start(self):
        as_server(
            BIN / "pg_ctl", "--silent", "--wait", f"--pgdata={self.data}", f"--log={self.directory}/log",
            f"--options={self.SETTINGS} -c unix_socket_directories={self.directory}", "start")

    def processes(self):
        """The postmaster and all that it started."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        return [main, *(process for process in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(process) == main)]

    def signal(self, number):
        for process in self.processes():
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass

    def crash(self):
        processes = self.processes()
        self.signal(signal.SIGKILL)
        while any(parent(process) is not None for process in processes):
            time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    @property
    def url(self):
        return f"postgres://postgres@/postgres?host={self.directory}"

    def sql(self, statement, *values):
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


class Replica:
    def __init__(self, environment, log):
        self.port = free_port()
        self.environment = environment | {"HTTP_PORT": str(self.port), "HTTP_MANAGEMENT_PORT": str(free_port())}
        self.log = log
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [EXECUTABLE, "serve"], cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Cluster:
    def __init__(self, scratch, manufacturers):
        self.primary = Node(scratch / "a")
        as_server(
            BIN / "initdb", f"--pgdata={self.primary.data}", "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8")
        self.primary.start()
        self.standby = Node(scratch / "b")
        as_server(
            BIN / "pg_basebackup", f"--pgdata={self.standby.data}", f"--host={self.primary.directory}", "--port=5432",
            "--username=postgres", "--write-recovery-conf", "--checkpoint=fast")
        self.standby.start()
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql("SELECT pg_reload_conf()")
        self.has_failed_over = False
        hosts = f"{self.primary.directory},{self.standby.directory}"
        self.environment = {
            "PATH": os.environ["PATH"], "LINK_SESSION_ENV": "local", "PUBLIC_BASE_URL": "http://127.0.0.1",
            "DATABASE_URL": f"postgres://postgres@/postgres?host={hosts}&port=5432,5432&target_session_attrs=read-write",
            "AUTHENTICATOR_API_KEY_DIGESTS": "torture:" + digest(AUTHENTICATOR_KEY).hex(),
            "MIGRATIONS_DIRECTORIES": "migrations", "LOG_LEVEL": "info",
            "RETURN_CODE_SECRETS": secrets.token_urlsafe(32), "IDEMPOTENCY_SECRETS": secrets.token_urlsafe(32),
            "WEBHOOK_SECRETS": secrets.token_urlsafe(32),
        }
        for key in ["RETURN_SIGNING_KEYS", "SANDBOX_SIGNING_KEY", "WEBHOOK_SIGNING_KEYS"]:
            self.environment[key] = self.run("generate-signing-key")
        self.run("admin", "create-roles")
        self.run("migrate")
        self.keys = {}
        for number in range(manufacturers):
            name = f"Manufacturer {number:02}"
            manufacturer = self.add_manufacturer(name)
            self.keys[manufacturer] = self.add_key(name, f"torture-{number}")
        self.replicas = [Replica(self.environment, scratch / f"replica-{n}.log") for n in range(2)]

    def run(self, *arguments):
        result = subprocess.run(
            [EXECUTABLE, *arguments], cwd=PROJECT, env=self.environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout.strip()

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

    def start(self):
        for replica in self.replicas:
            replica.start()

    def end(self):
        for replica in self.replicas:
            replica.end()
        for node in [self.primary, self.standby]:
            try:
                node.signal(signal.SIGCONT)
                node.crash()
            except (FileNotFoundError, ProcessLookupError):
                pass

    # What befalls them. Each returns when it is over.

    def kill_replica(self):
        replica = random.choice(self.replicas)
        replica.end()
        time.sleep(random.uniform(0, 1))
        replica.start()

    def freeze_replica(self):
        replica = random.choice(self.replicas)
        replica.process.send_signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.5, 4))
        replica.process.send_signal(signal.SIGCONT)

    def end_gracefully(self):
        replica = random.choice(self.replicas)
        replica.process.terminate()
        replica.process.wait(60)
        replica.start()

    def cut_connections(self):
        for _ in range(random.randint(1, 5)):
            self.primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'link-session%'")
            time.sleep(random.uniform(0, 0.3))

    def crash_database(self):
        self.primary.crash()
        time.sleep(random.uniform(0, 1))
        self.primary.start()

    def freeze_database(self):
        self.primary.signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.5, 4))
        self.primary.signal(signal.SIGCONT)

    def fail_over(self):
        """Once: the old primary is gone for good."""
        if self.has_failed_over:
            return self.cut_connections()
        self.has_failed_over = True
        self.primary.crash()
        as_server(BIN / "pg_ctl", "--silent", "--wait", f"--pgdata={self.standby.data}", "promote")
        self.primary, self.standby = self.standby, self.primary
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.primary.sql("SELECT pg_reload_conf()")
        return None

    def change_limits(self):
        self.primary.sql(
            "UPDATE manufacturers SET creates_a_second = %s, creates_at_once = %s WHERE id = %s",
            *random.choice([(None, None), (5, 10), (1000, 1000)]), random.choice(list(self.keys)))

    def grow_table(self):
        """A migration that has nothing to do with sessions, and takes their lock for a moment."""
        column = f"torture_{secrets.token_hex(4)}"
        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '300ms'")
            try:
                connection.execute(f"ALTER TABLE link_sessions ADD COLUMN {column} text")
            except psycopg.errors.LockNotAvailable:
                pass
