"""A base backup and its log bring back a second before an accident; who was erased since is erased again."""
import secrets
import shutil
import time

from drill import Traffic, admin, as_postgres, cluster, command, create, free_port, start, table, wait_until, answers

from nodes import BIN, USER, Node, Replica


def receipt(cluster, user):
    output = admin(cluster, "erase-user", "--manufacturer", cluster.names[0], text=user)
    return next(line.split()[-1] for line in output.splitlines() if line.startswith("digest"))


def main():
    with cluster(settings={"ERASURE_DIGEST_SECRETS": secrets.token_urlsafe(32)}) as made:
        restored = Node(made.scratch / "restored", None, False)
        archive = made.scratch / "archive"
        archive.mkdir(mode=0o700)
        if USER:
            shutil.chown(archive, USER)
        primary = made.primary
        # A segment a second at most: what an archive lacks is lost with the machine.
        primary.sql("ALTER SYSTEM SET archive_mode = on")
        primary.sql(f"ALTER SYSTEM SET archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'")
        primary.sql("ALTER SYSTEM SET archive_timeout = '1s'")
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        made.standby.crash()
        primary.crash()
        primary.start()
        start(made)
        port, key = made.replicas[0].port, next(iter(made.keys.values()))
        rows = []
        for user in ["before", "after"]:
            assert create(port, key, user_id=user)[0] == 201
        with Traffic([replica.port for replica in made.replicas], key, threads=8, pause=0.02) as traffic:
            time.sleep(5)
            begin = time.monotonic()
            as_postgres(BIN / "pg_basebackup", f"--pgdata={restored.data}", f"--host={primary.directory}", "--port=5432",
                        "--username=postgres", "--checkpoint=fast", "--wal-method=none")
            rows.append(["base backup, under load", f"{time.monotonic() - begin:.2f} s"])
            digests = [receipt(made, "before")]
            time.sleep(2)
            target = primary.sql("SELECT clock_timestamp()::text")[0][0]
            moment = time.time()
            time.sleep(1)
            digests.append(receipt(made, "after"))
            # The accident.
            primary.sql("DELETE FROM link_sessions WHERE user_id = 'u-1'")
            lost = time.time()
            time.sleep(2)
        kept = sum(1 for _, end, status, _ in traffic.answers if status == 201 and end < moment)
        later = sum(1 for sent, _, status, _ in traffic.answers if status == 201 and sent > moment)
        primary.sql("SELECT pg_switch_wal()")
        time.sleep(2)
        for replica in made.replicas:
            replica.end()
        primary.crash()

        begin = time.monotonic()
        with open(restored.data / "postgresql.auto.conf", "a") as file:
            file.write(f"archive_mode = off\nrestore_command = 'cp {archive}/%f %p'\n"
                       f"recovery_target_time = '{target}'\nrecovery_target_action = promote\n")
        (restored.data / "recovery.signal").touch()
        if USER:
            shutil.chown(restored.data / "recovery.signal", USER)
        restored.start()
        made.primary = restored
        wait_until("it takes writes", lambda: restored.sql("SELECT NOT pg_is_in_recovery()")[0][0], 120)
        rows.append(["from a base backup in its place to a database that takes writes", f"{time.monotonic() - begin:.2f} s"])
        found = restored.sql("SELECT count(*) FROM link_sessions WHERE user_id = 'u-1'")[0][0]
        # What was under way at that moment may be there or not.
        assert kept <= found <= kept + 8, f"{found} sessions, and {kept} were answered before"
        rows.append(["sessions answered before the moment, and there", f"{kept} of {kept}"])
        rows.append(["sessions made after it, and gone with the accident", later])
        rows.append(["asked for the moment, the accident came after", f"{lost - moment:.2f} s"])

        for name in ["DATABASE_URL", "OPERATOR_DATABASE_URL"]:
            user = "torture_operator" if name.startswith("OPERATOR") else "postgres"
            made.environment[name] = restored.url.replace("postgres@", f"{user}@", 1)
        users = [row[0] for row in restored.sql("SELECT user_id FROM link_sessions WHERE user_id <> 'u-1'")]
        assert users == ["after"], users
        command(made, "migrate", "--check")
        erasing = time.monotonic()
        again = admin(made, "erase-again", text="\n".join(digests) + "\n")
        rows.append(["erase-again of both erasures", f"{time.monotonic() - erasing:.2f} s"])
        assert digests[1] in again, again
        assert not restored.sql("SELECT 1 FROM link_sessions WHERE user_id IN ('before', 'after')")
        replica = Replica(made.environment, made.scratch / "restored.log")
        made.replicas.append(replica)
        replica.start()
        wait_until("it is ready", lambda: answers(replica.port))
        assert create(replica.port, key)[0] == 201
        rows.append(["from a base backup in its place to the first 201, erasures repeated", f"{time.monotonic() - begin:.2f} s"])
        table(f"point-in-time restore of {found} sessions", ["what", "measured"], rows)
        restored.crash()


if __name__ == "__main__":
    main()
