"""The throwaway PostgreSQL: its databases, its CPU time, its write-ahead log."""
import contextlib
import os
import re
import subprocess

import machine

# As scripts/bench made it. The key's digest authenticates; keys that are made today have a form of their own.
API_KEY = "bench-key"
AUTHENTICATOR_KEY = "bench-authenticator-key"
REDIRECT_URL = "https://your-app.com/callback"

# Link tokens of rows that SQL makes: canonical base64url of 32 bytes, distinct, and known again from their number.
TOKEN_FUNCTION = """
CREATE SCHEMA bench;
CREATE FUNCTION bench.token(number bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT rtrim(translate(encode(sha256(convert_to('bench ' || number, 'UTF8')), 'base64'), '+/', '-_'), '=')
$$;
"""

FILL = """
INSERT INTO link_sessions
SELECT sha256(convert_to(bench.token(number), 'UTF8')), 1, 'manufacturer_user_id_' || number,
       '{url}', (ARRAY['nl', 'en', 'fr', 'es'])[1 + number % 4], created_at, created_at + interval '10 minutes',
       CASE WHEN {completed} THEN created_at + interval '70 seconds' END
FROM generate_series({first}, {last}) AS number,
     LATERAL (SELECT date_trunc('second', now() - interval '1 second' * ({age}))) AS made (created_at);
"""


class Postgres:
    def __init__(self, sockets, data, programs, executable, commands):
        self.sockets, self.programs = sockets, programs
        self._data, self._executable, self._commands = data, executable, commands
        self._read_postmaster()
        self.version = self.sql("SHOW server_version", "postgres").split()[0]

    def _read_postmaster(self):
        with open(f"{self._data}/postmaster.pid") as file:
            self._postmaster = int(file.readline())

    @contextlib.contextmanager
    def having(self, settings):
        """The server, started anew with other settings; ends with its `with` block."""
        self._restart("".join(f"ALTER SYSTEM SET {name} = '{value}';\n" for name, value in settings.items()))
        try:
            yield
        finally:
            self._restart("ALTER SYSTEM RESET ALL;")

    def _restart(self, change):
        self.sql(change, "postgres")
        owner = os.stat(self._data)
        as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [f"{self.programs}/pg_ctl", "--silent", "--wait", "--timeout=120", "--mode=fast",
             f"--pgdata={os.path.basename(self._data)}", "--log=log", "restart"],
            cwd=os.path.dirname(self._data), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_owner)
        if done.returncode:
            raise machine.Failure("PostgreSQL did not start again")
        self._read_postmaster()

    def url(self, database):
        """In the form that libpq, pgx and asyncpg all read."""
        return f"postgres://postgres@/{database}?host={self.sockets}&port=5432"

    def sql(self, text, database):
        """Runs statements one by one, and returns what they print, without its last line end."""
        result = subprocess.run(
            [f"{self.programs}/psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--field-separator=\t",
             "--set=ON_ERROR_STOP=1", "--dbname", self.url(database)],
            input=text, capture_output=True, text=True)
        if result.returncode:
            raise machine.Failure(f"PostgreSQL: {result.stderr.strip()}")
        return result.stdout.rstrip("\n")

    def number(self, text, database):
        return int(self.sql(text, database))

    def row(self, text, database):
        return [int(field) for field in self.sql(text, database).split("\t")]

    def cpu_seconds(self):
        return sum(machine.cpu_seconds(self._postmaster))

    def wal(self):
        """Where the write-ahead log ends, as a number of bytes."""
        return self.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')", "postgres")

    def wal_images(self, start, end):
        """How many bytes between two such places are images of whole pages; None where the log is gone already."""
        def place(number):
            return f"{number >> 32:X}/{number & 0xFFFFFFFF:X}"

        said = subprocess.run(
            [f"{self.programs}/pg_waldump", "--stats", f"--path={self._data}/pg_wal", f"--start={place(start)}",
             f"--end={place(end)}"], capture_output=True, text=True)
        total = re.search(r"^Total\s+\d+\s+\d+ \[.*?\]\s+(\d+) \[", said.stdout, re.MULTILINE)
        return int(total.group(1)) if total and not said.returncode else None

    def checkpoints(self):
        return self.number("SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter", "postgres")

    # Databases.

    def make_blank(self):
        """A migrated database with a manufacturer, whose id is 1, and its key: all others are copies."""
        self.sql("CREATE DATABASE blank", "postgres")
        for command in ["admin", "create-roles"], ["migrate"]:
            if command[0] not in self._commands:
                continue
            done = subprocess.run(
                [self._executable, *command], env={"DATABASE_URL": self.url("blank"), "LINK_SESSION_ENV": "local"},
                capture_output=True, text=True)
            if done.returncode:
                raise machine.Failure(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()}")
        self.sql(
            TOKEN_FUNCTION + f"""
            INSERT INTO manufacturers (name, brand, redirect_urls)
            VALUES ('Acme Manufacturing', 'acme manufacturing', ARRAY['{REDIRECT_URL}']);
            INSERT INTO api_keys (manufacturer_id, key_hash, label) SELECT id, sha256('{API_KEY}'), 'benchmark' FROM manufacturers;
            """, "blank")

    def copy(self, source, name):
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        self.sql(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy", "postgres")

    def drop(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")

    def load_into_memory(self, database):
        """The rows and their key, as a server has them that has run for some time."""
        self.sql(
            """
            CREATE EXTENSION IF NOT EXISTS pg_prewarm;
            SELECT pg_prewarm('link_sessions'), pg_prewarm('link_sessions_pkey');
            """, database)

    # Rows.

    def empty(self, database):
        """No rows, and a fresh checkpoint, so that no run pays for the one before."""
        self.sql("TRUNCATE link_sessions CASCADE", database)
        self.sql("CHECKPOINT", database)

    def rows(self, database, since=None):
        """Counted when no more arrive: a request whose caller is gone may still be under way."""
        where = f"WHERE created_at >= '{since}'" if since else ""
        query = f"SELECT count(*) FROM link_sessions {where}"
        before, now = -1, self.number(query, database)
        while before != now:
            self.sql("SELECT pg_sleep(0.1)", database)
            before, now = now, self.number(query, database)
        return now

    def missing(self, database, tokens):
        """How many of these tokens have no row."""
        listed = ",".join(f"('{token}')" for token in tokens)
        return self.number(
            f"""
            SELECT count(*) FROM (VALUES {listed}) AS given (token)
            WHERE NOT EXISTS (SELECT FROM link_sessions WHERE token_hash = sha256(convert_to(token, 'UTF8')))
            """, database) if tokens else 0

    def next_second(self, database):
        """Waits for it and returns it: rows that are made from here on are of this second or later."""
        return self.sql(
            """
            SELECT pg_sleep(extract(epoch FROM date_trunc('second', clock_timestamp()) + interval '1 second' - clock_timestamp()))
            \\g /dev/null
            SELECT date_trunc('second', clock_timestamp() + interval '1 millisecond')
            """, database)

    def fill_open(self, database, first, last):
        """Sessions made now, and open for ten minutes."""
        self.sql(FILL.format(url=REDIRECT_URL, first=first, last=last, age="0", completed="false"), database)
        self.sql("VACUUM ANALYZE link_sessions", database)
        self.sql("CHECKPOINT", database)

    def fill_past(self, database, rows, days):
        """Sessions of the past days, the oldest first, half of them completed.

        The rows are checked as ever, but for the foreign key, and the primary key is built afterwards: with pages
        filled to 70 %, as random digests leave them one INSERT after the other.
        """
        age = f"({rows} - number) * {days * 86400 / rows:.9f} + 1000"
        # What refers to the primary key goes with it and comes back after it.
        references = self.sql(
            """
            SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s;', conrelid::regclass, conname, pg_get_constraintdef(oid))
            FROM pg_constraint WHERE confrelid = 'link_sessions'::regclass
            """, database)
        self.sql(
            "SET session_replication_role = replica; ALTER TABLE link_sessions DROP CONSTRAINT link_sessions_pkey CASCADE;"
            + FILL.format(url=REDIRECT_URL, first=1, last=rows, age=age, completed="number % 2 = 0")
            + f"""
            SET maintenance_work_mem = '512MB';
            ALTER TABLE link_sessions
                ADD CONSTRAINT link_sessions_pkey PRIMARY KEY (token_hash) WITH (fillfactor = 70);
            ALTER INDEX link_sessions_pkey RESET (fillfactor);
            {references}
            """, database)
        self.sql("VACUUM (FREEZE, ANALYZE) link_sessions", database)

    def write_tokens(self, path, database, query):
        """The tokens of the numbers that `query` returns as `number`, one a line."""
        with open(path, "w") as file:
            file.write(self.sql(f"SELECT bench.token(number) FROM ({query}) AS numbers", database) + "\n")

    def event_bytes(self, database):
        """What an event of a session takes on disk with its indexes; None where there are none."""
        if not self.sql("SELECT to_regclass('link_session_events')", database):
            return None
        size, events = self.row(
            "SELECT pg_total_relation_size('link_session_events'), count(*) FROM link_session_events", database)
        return size / events if events else None

    def sizes(self, database):
        names = ["table", "primary_key", "other_indexes"]
        return dict(zip(names, self.row(
            """
            SELECT pg_table_size('link_sessions'), pg_relation_size('link_sessions_pkey'),
                   pg_indexes_size('link_sessions') - pg_relation_size('link_sessions_pkey')
            """, database)))
