"""The primary is gone: its synchronous standby takes over, and nothing that was answered is lost."""
import threading
import time

from drill import Traffic, cluster, create, start, table, wait_until


def main():
    with cluster() as made:
        start(made)
        key = next(iter(made.keys.values()))
        with Traffic([replica.port for replica in made.replicas], key, threads=16, pause=0.01) as traffic:
            time.sleep(5)
            begin = time.time()
            thread = threading.Thread(target=made.promote_standby)
            thread.start()
            thread.join()
            promoted = time.time() - begin
            # Until there is another one to wait for.
            made.primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
            made.primary.sql("SELECT pg_reload_conf()")
            wait_until("sessions are made again", lambda: any(
                sent > begin + promoted and status == 201 for sent, _, status, _ in list(traffic.answers)))
            time.sleep(5)
        made_ids = {answer["link_token"] for _, _, status, answer in traffic.answers if status == 201}
        stored = made.primary.sql("SELECT count(*) FROM link_sessions")[0][0]
        refused = traffic.counts()
        assert stored >= len(made_ids), f"{len(made_ids)} were answered with 201, and {stored} are there"
        assert set(refused) <= {201, 503}, refused
        wait_until("a replica makes sessions", lambda: create(made.replicas[0].port, key)[0] == 201)
        table("failover to a synchronous standby", ["what", "measured"], [
            ["from the crash to the end of pg_ctl promote", f"{promoted:.2f} s"],
            ["the longest time without a 201", f"{traffic.longest_gap():.2f} s"],
            ["answers", ", ".join(f"{count} x {status}" for status, count in refused.items())],
            ["answered with 201 and not there", 0]])


if __name__ == "__main__":
    main()
