"""PostgreSQL's disk is full, and has room again: what was answered is there."""
import os
import sys
import time

from drill import Traffic, answers, cluster, create, start, table, wait_until


def main():
    if os.geteuid() != 0:
        sys.exit("full_disk: needs root, to mount a small disk")
    with cluster(has_disks=True) as made:
        # The disk is the primary's alone.
        made.primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
        made.primary.sql("SELECT pg_reload_conf()")
        made.standby.crash()
        start(made)
        key = next(iter(made.keys.values()))
        ports = [replica.port for replica in made.replicas]
        with Traffic(ports, key, threads=16, pause=0.0, send=lambda port, key: create(
                port, key, user_id="u" * 250, metadata={"drill": "x" * 450})) as traffic:
            time.sleep(3)
            full = time.time()
            made.primary.disk.fill()
            wait_until("creates are refused", lambda: any(
                status == 503 for _, _, status, _ in list(traffic.answers)), 120)
            refused = time.time()
            wait_until("no replica is ready", lambda: not any(answers(port) for port in ports))
            drained = time.time()
            time.sleep(10)
            assert not any(answers(port) for port in ports)
            assert all(replica.process.poll() is None for replica in made.replicas)
            was_running = made.primary.is_running
            begin = time.time()
            made.primary.disk.free()
            made.primary.start_again()
            wait_until("both are ready", lambda: all(answers(port) for port in ports), 120)
            ready = time.time()
            wait_until("sessions are made", lambda: any(
                sent > begin and status == 201 for sent, _, status, _ in list(traffic.answers)))
            first = min(end for sent, end, status, _ in traffic.answers if sent > begin and status == 201)
            time.sleep(2)
        counts = traffic.counts()
        assert set(counts) == {201, 503}, counts
        slowest = max(end - begin for begin, end, status, _ in traffic.answers if status == 503)
        made_sessions = made.primary.sql("SELECT count(*) FROM link_sessions")[0][0]
        assert made_sessions >= counts[201], f"{counts} and {made_sessions} rows"
        table("a full disk, and back", ["what", "measured"], [
            ["from the disk's being full to the first 503", f"{refused - full:.2f} s"],
            ["from the disk's being full to both replicas saying that they are not ready", f"{drained - full:.2f} s"],
            ["PostgreSQL meanwhile", "ran on" if was_running else "stopped by itself (PANIC), started by the drill"],
            ["the slowest 503", f"{slowest:.2f} s"],
            ["from room again to both replicas being ready", f"{ready - begin:.2f} s"],
            ["from room again to the first 201", f"{first - begin:.2f} s"],
            ["answers", ", ".join(f"{count} x {status}" for status, count in counts.items())],
            ["answered with 201 and not there", 0]])


if __name__ == "__main__":
    main()
