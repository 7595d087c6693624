"""The throwaway PostgreSQL: its databases, its CPU time, its write-ahead log."""
import concurrent.futures
import contextlib
import math
import os
import re
import signal
import subprocess
import time

import machine

# As scripts/bench made it. The key's digest authenticates; keys that are made today have a form of their own.
API_KEY = "nox_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2ITHrW"
AUTHENTICATOR_KEY = "bench-authenticator-key"
REDIRECT_URL = "https://your-app.com/callback"

# In milliseconds.
DAY = 86_400_000

# Rows that SQL makes: a session's id is known from its number, and its token from its id. And the table of the peer
# go-random, which has the digest of a random token as its key.
SCHEMA = """
CREATE SCHEMA bench;

-- 40 bytes in base64url, as the service's tokens are.
CREATE FUNCTION bench.token(id uuid) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT rtrim(translate(encode(uuid_send(id) || substr(sha256(uuid_send(id)), 1, 24), 'base64'), '+/', '-_'), '=')
$$;

CREATE TABLE bench.random_sessions (
    token_hash      bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    manufacturer_id bigint NOT NULL REFERENCES manufacturers (id),
    user_id         text NOT NULL CHECK (char_length(user_id) BETWEEN 1 AND 256),
    redirect_url    text NOT NULL CHECK (octet_length(redirect_url) BETWEEN 1 AND 2048),
    language        text NOT NULL CHECK (language IN ('nl', 'en', 'fr', 'es')),
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL CHECK (expires_at >= created_at),
    completed_at    timestamptz CHECK (completed_at BETWEEN created_at AND expires_at)
);
CREATE INDEX ON bench.random_sessions (manufacturer_id, user_id);
"""

# A UUIDv7 with the milliseconds of its number, the version 7, the variant 10, and a shard that changes every 100 ms. One
# expression: PostgreSQL inlines it.
NUMBERED_IDS = """
CREATE OR REPLACE FUNCTION bench.id(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT overlay(overlay(overlay(
        md5(number::text) PLACING lpad(to_hex({time}), 12, '0') || '7' FROM 1)
        PLACING substr('89ab', 1 + (number % 4)::integer, 1) FROM 17)
        PLACING lpad(to_hex({time} / 100 * 97 % 256), 2, '0') FROM 19)::uuid
$$;
"""

FILL = """
INSERT INTO link_sessions (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at, completed_at)
SELECT id, get_byte(uuid_send(id), 9), sha256(convert_to(bench.token(id), 'UTF8')), 1,
       'manufacturer_user_id_' || 1000000000 + number * 611953 % 1000000000, '{url}',
       (ARRAY['nl', 'en', 'fr', 'es'])[1 + number % 4], created_at, created_at + interval '10 minutes',
       CASE WHEN {completed} THEN created_at + interval '70 seconds' END
-- OFFSET 0 keeps PostgreSQL from computing an id again for each of its uses.
FROM (SELECT number, bench.id(number), date_trunc('second', to_timestamp({time} / 1000))
      FROM generate_series({begin}::bigint, {end}::bigint) AS number OFFSET 0) AS made (number, id, created_at)
"""


def todays_partition():
    return time.strftime("link_sessions_%Y%m%d", time.gmtime())


class Postgres:
    def __init__(self, sockets, data, programs, executable):
        self.sockets, self.programs = sockets, programs
        self._data, self._executable = data, executable
        self._fills = {}
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
        self.start()

    def start(self):
        """Starts it with the options that it had, and ends one that runs. Returns when it takes connections."""
        owner = os.stat(self._data)
        as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [f"{self.programs}/pg_ctl", "--silent", "--wait", "--timeout=120", "--mode=fast",
             f"--pgdata={os.path.basename(self._data)}", "--log=log", "restart"],
            cwd=os.path.dirname(self._data), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_owner)
        if done.returncode:
            raise machine.Failure("PostgreSQL did not start again")
        self._read_postmaster()

    def signal(self, number):
        """To all its processes, the one that starts others first."""
        processes = machine.tree(self._postmaster)
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return processes

    def kill(self):
        """As a machine that loses its power, but that what was written is still there."""
        killed = self.signal(signal.SIGKILL)
        # Zombies too must be gone: the next server takes one for a server that is alive.
        while any(map(machine.exists, killed)):
            time.sleep(0.005)

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
        """A migrated database with the days' partitions, a manufacturer, whose id is 1, and its key: all others are copies."""
        self.sql("CREATE DATABASE blank", "postgres")
        for command in ["admin", "create-roles"], ["migrate"]:
            done = subprocess.run(
                [self._executable, *command], env={"DATABASE_URL": self.url("blank"), "LINK_SESSION_ENV": "local"},
                capture_output=True, text=True)
            if done.returncode:
                raise machine.Failure(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()}")
        self.sql(
            SCHEMA + f"""
            INSERT INTO manufacturers (name, brand, redirect_urls)
            VALUES ('Acme Manufacturing', 'acme manufacturing', ARRAY['{REDIRECT_URL}']);
            INSERT INTO api_keys (manufacturer_id, key_hash, label) SELECT id, sha256('{API_KEY}'), 'benchmark' FROM manufacturers;
            """, "blank")
        while self.sql("SELECT is_done FROM maintain_partitions(36500)", "blank") != "t":
            pass

    def copy(self, source, name):
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        self.sql(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy", "postgres")

    def drop(self, name):
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")

    # Rows.

    def empty(self, database):
        """No rows, and a fresh checkpoint, so that no run pays for the one before."""
        self.sql("TRUNCATE link_sessions, link_session_events, bench.random_sessions", database)
        self.sql("CHECKPOINT", database)

    def rows(self, database, since=None, table="link_sessions"):
        """Counted when no more arrive: a request whose caller is gone may still be under way."""
        # The service takes an id's time before it sends the row.
        where = f"WHERE created_at >= '{since}' AND id >= first_id_at('{since}'::timestamptz - interval '1 minute')" if since else ""
        query = f"SELECT count(*) FROM {table} {where}"
        before, now = -1, self.number(query, database)
        while before != now:
            self.sql("SELECT pg_sleep(0.1)", database)
            before, now = now, self.number(query, database)
        return now

    def missing(self, database, path, table="link_sessions"):
        """How many of the tokens in a file, one a line, have no row."""
        return self.number(
            f"""
            CREATE TEMPORARY TABLE given (token text);
            \\copy given FROM '{path}'
            SELECT count(*) FROM given
            WHERE NOT EXISTS (SELECT FROM {table} WHERE token_hash = sha256(convert_to(token, 'UTF8')))
            """, database)

    def next_second(self, database):
        """Waits for it and returns it: rows that are made from here on are of this second or later."""
        return self.sql(
            """
            SELECT pg_sleep(extract(epoch FROM date_trunc('second', clock_timestamp()) + interval '1 second' - clock_timestamp()))
            \\g /dev/null
            SELECT date_trunc('second', clock_timestamp() + interval '1 millisecond')
            """, database)

    def milliseconds(self, time, database):
        """A time that SQL computes, as ids have it."""
        return self.number(f"SELECT (extract(epoch FROM {time}) * 1000)::bigint", database)

    def fill_open(self, database, rows):
        """Sessions made now, and open for ten minutes."""
        now = self.milliseconds("statement_timestamp()", database)
        self._fill(database, rows, now - 10_000, now, completed="false")
        self.sql("CHECKPOINT", database)

    def fill_past(self, database, rows, days):
        """Sessions of today and of the days before, each day in a partition of its own, half of the sessions completed."""
        now = self.milliseconds("statement_timestamp()", database)
        self._fill(database, rows, now // DAY * DAY - (days - 1) * DAY, now - 1_000_000, completed="number % 2 = 0")

    def fill_day(self, database, rows, days_ago):
        """Sessions of one day."""
        first = (self.milliseconds("statement_timestamp()", database) // DAY - days_ago) * DAY
        self._fill(database, rows, first, first + DAY, completed="number % 2 = 0")

    def renew_today(self, database):
        """Of today's sessions those that `fill_past` made, and no others, as it left them."""
        self.sql(f"TRUNCATE {todays_partition()}", database)
        self._fills[database](self.milliseconds("statement_timestamp()", database) // DAY)

    def _fill(self, database, rows, first, end, completed):
        """A day's partition after the other, by one INSERT each, two at a time. Every row is checked, and indexed, as ever."""
        step = (end - first) / rows
        time_of_number = f"({first} + floor(number * {step:.9f}::float8)::bigint)"
        self.sql(NUMBERED_IDS.format(time=time_of_number), database)

        def fill(day):
            begin_of_day, end_of_day = (max(0, math.ceil((at - first) / step)) for at in (day * DAY, (day + 1) * DAY))
            name = time.strftime("%Y%m%d", time.gmtime(day * DAY / 1000))
            self.sql(
                FILL.format(
                    url=REDIRECT_URL, completed=completed, time=time_of_number, begin=begin_of_day, end=min(rows, end_of_day) - 1)
                + f"; VACUUM (ANALYZE) link_sessions_{name}", database)

        self._fills[database] = fill
        days = range(first // DAY, (end - 1) // DAY + 1)
        self.sql(
            f"""
            SELECT add_partition(parent, date '1970-01-01' + day)
            FROM generate_series({days[0]}, {days[-1]}) AS day,
                 unnest(ARRAY['link_sessions', 'link_session_events', 'sign_ins']) AS parent
            """, database)
        with concurrent.futures.ThreadPoolExecutor(2) as workers:
            list(workers.map(fill, days))
        self.sql("ANALYZE link_sessions", database)

    def write_tokens(self, path, database, query):
        """The tokens of the numbers that `query` returns as `number`, one a line."""
        with open(path, "w") as file:
            file.write(self.sql(f"SELECT bench.token(bench.id(number)) FROM ({query}) AS numbers", database) + "\n")

    def event_bytes(self, database):
        """What an event of a session takes on disk with its indexes."""
        size, events = self.row(
            """
            SELECT sum(pg_total_relation_size(relid)), (SELECT count(*) FROM link_session_events)
            FROM pg_partition_tree('link_session_events') WHERE isleaf
            """, database)
        return size / events if events else None

    def sizes(self, database):
        names = ["table", "primary_key", "other_indexes"]
        return dict(zip(names, self.row(
            """
            SELECT sum(pg_table_size(relid)), sum(pg_relation_size(indexrelid)), sum(pg_indexes_size(relid) - pg_relation_size(indexrelid))
            FROM pg_partition_tree('link_sessions') JOIN pg_index ON indrelid = relid AND indisprimary WHERE isleaf
            """, database)))

    def newest_index_pages(self, database):
        """The pages of today's indexes, which creates write to."""
        return self.number(f"SELECT pg_indexes_size('{todays_partition()}') / 8192", database)
