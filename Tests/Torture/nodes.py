"""PostgreSQL servers and replicas of the service, as processes that can be ended, frozen and started."""
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from service import AUTHENTICATOR_KEY, PROJECT, digest, free_port, manufacturer_key  # noqa: F401: others have them from here

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


# What is tested has the processor before what tests it, as on machines of their own. Not everybody may have it so.
PRIORITY = 0 if subprocess.run(["nice", "-n", "-10", "true"], capture_output=True).stderr else -10


class Clock:
    """The clock of all PostgreSQL servers, which can jump."""

    def __init__(self, directory):
        self.file = directory / "clock-offset"
        self.set(0)
        self.library = directory / "clock.so"
        subprocess.run(
            [shutil.which("clang") or shutil.which("cc"), "-shared", "-fPIC", "-O2", "-o", self.library,
             Path(__file__).with_name("clock.c")], check=True)
        self.environment = {"LD_PRELOAD": str(self.library), "CLOCK_OFFSET": str(self.file)}

    def set(self, seconds):
        # In place: the servers have it mapped.
        with open(self.file, "r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("q", int(seconds * 1e9)))
        os.chmod(self.file, 0o644)


class Disk:
    """A file system of its own, in memory, that can be full."""

    ROOM = "3g"

    @staticmethod
    def can_be_made():
        return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0

    def __init__(self, directory):
        self.directory = directory
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.ROOM},mode=0700", "torture", directory], check=True)

    def resize(self, size):
        return subprocess.run(
            ["mount", "-o", f"remount,size={size}", self.directory], capture_output=True).returncode == 0

    def fill(self):
        """Leaves nearly nothing: while others write, what is used is more than was seen."""
        for room in (0, 1 << 16, 1 << 18, 1 << 20, 1 << 22):
            state = os.statvfs(self.directory)
            if self.resize((state.f_blocks - state.f_bfree) * state.f_frsize + room):
                return

    def free(self):
        self.resize(self.ROOM)

    def end(self):
        subprocess.run(["umount", "--lazy", self.directory], check=True)


class Node:
    """A PostgreSQL server that listens on a socket of its own."""

    SETTINGS = (
        "-c listen_addresses= -c port=5432 -c max_connections=100 -c wal_level=replica -c hot_standby=on "
        "-c wal_receiver_timeout=5s -c wal_sender_timeout=5s -c log_parameter_max_length=0 -c max_wal_size=256MB "
        "-c wal_keep_size=256MB")

    def __init__(self, directory, clock, has_disk):
        self.directory, self.clock = directory, clock
        directory.mkdir(mode=0o711)
        self.data = directory / "data"
        self.data.mkdir(mode=0o700)
        self.disk = Disk(self.data) if has_disk else None
        if USER:
            for path in (directory, self.data):
                shutil.chown(path, USER, USER)

    def initialize(self):
        as_server(
            BIN / "initdb", f"--pgdata={self.data}", "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8")

    def copy(self, primary):
        """Begins anew as a standby of the primary's."""
        for entry in self.data.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        as_server(
            BIN / "pg_basebackup", f"--pgdata={self.data}", f"--host={primary.directory}", "--port=5432",
            "--username=postgres", "--write-recovery-conf", "--checkpoint=fast")

    def start(self):
        environment = os.environ | (self.clock.environment if self.clock else {})
        as_server(
            BIN / "pg_ctl", "--silent", "--wait", f"--pgdata={self.data}", f"--log={self.directory}/log",
            f"--options={self.SETTINGS} -c unix_socket_directories={self.directory}", "start", env=environment)
        for process in self.processes():
            with suppress(ProcessLookupError, PermissionError):
                os.setpriority(os.PRIO_PROCESS, process, PRIORITY)

    def start_again(self):
        """Whatever became of it."""
        end = time.monotonic() + 60
        while True:
            try:
                self.sql("SELECT 1")
                return
            except psycopg.Error:
                if time.monotonic() > end:
                    raise
            if not self.is_running:
                (self.data / "postmaster.pid").unlink(missing_ok=True)
                try:
                    self.start()
                except subprocess.CalledProcessError:
                    time.sleep(0.5)
            time.sleep(0.1)

    @property
    def is_running(self):
        try:
            return parent(int((self.data / "postmaster.pid").read_text().split()[0])) is not None
        except (FileNotFoundError, IndexError):
            return False

    def processes(self):
        """The postmaster and all that it started."""
        main = int((self.data / "postmaster.pid").read_text().split()[0])
        return [main, *(process for process in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(process) == main)]

    def signal(self, number):
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, number)

    def crash(self):
        processes = self.processes()
        self.signal(signal.SIGKILL)
        while any(parent(process) is not None for process in processes):
            time.sleep(0.02)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def end(self):
        try:
            self.signal(signal.SIGCONT)
            self.crash()
        except (FileNotFoundError, ProcessLookupError, IndexError):
            pass
        if self.disk:
            self.disk.end()

    @property
    def url(self):
        return f"postgres://postgres@/postgres?host={self.directory}"

    def sql(self, statement, *values):
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


class Replica:
    def __init__(self, environment, log):
        self.port, self.management_port = free_port(), free_port()
        self.environment = environment | {
            "HTTP_PORT": str(self.port), "HTTP_MANAGEMENT_PORT": str(self.management_port)}
        self.command = ["nice", "-n", str(PRIORITY), EXECUTABLE, "serve"]
        self.log = log
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
