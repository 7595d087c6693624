"""A new build and its migration reach two replicas behind HAProxy, and no request is lost."""
import http.client
import shutil
import signal
import ssl
import time

from drill import REDIRECT_URL, REPOSITORY, SESSIONS, Traffic, answers, cluster, command, request, start, table, wait_until

from balancer import Balancer


def main():
    settings = {"SHUTDOWN_DELAY_SECONDS": "4", "TRUSTED_PROXIES": "127.0.0.1"}
    with cluster(settings=settings) as made:
        start(made)
        key = next(iter(made.keys.values()))
        newer = made.scratch / "newer"
        shutil.copytree(REPOSITORY / "migrations", newer)
        number = len(list(newer.iterdir())) + 1
        (newer / f"{number:04}_drill.sql").write_text("ALTER TABLE link_sessions ADD COLUMN drill text;\n")
        directory = made.scratch / "haproxy"
        directory.mkdir()
        with Balancer([replica.port for replica in made.replicas], directory).running() as balancer:
            trust = ssl.create_default_context(cafile=directory / "ca.pem")

            def send(_, key):
                connection = http.client.HTTPSConnection("localhost", balancer.port, timeout=10, context=trust)
                try:
                    body = {"user_id": "u-1", "redirect_url": REDIRECT_URL}
                    return request(None, "POST", SESSIONS, key, body, connection=connection)
                finally:
                    connection.close()

            with Traffic([0], key, threads=8, pause=0.1, send=send) as traffic:
                time.sleep(3)
                begin = time.monotonic()
                made.environment["MIGRATIONS_DIRECTORIES"] = directories = f"{newer},{made.migrations}"
                command(made, "migrate")
                migrated = time.monotonic() - begin
                for replica in made.replicas:
                    wait_until("it has seen it", lambda: request(
                        replica.port, "GET", "/health/ready")[1]["checks"]["migrations"]["state"] == "ahead")
                seconds = []
                for replica in made.replicas:
                    begin = time.monotonic()
                    replica.environment["MIGRATIONS_DIRECTORIES"] = directories
                    replica.process.send_signal(signal.SIGTERM)
                    assert replica.process.wait(60) == 0
                    replica.start()
                    wait_until("it is ready", lambda: answers(replica.port))
                    seconds.append(time.monotonic() - begin)
                    # Until the balancer has it again.
                    time.sleep(3)
        counts = traffic.counts()
        assert set(counts) == {201}, counts
        stored = made.primary.sql("SELECT count(*) FROM link_sessions")[0][0]
        assert stored == counts[201], f"{counts} and {stored} rows: HAProxy sent again what a replica had begun"
        table("rolling upgrade across a migration, behind HAProxy with TLS", ["what", "measured"], [
            ["migrate, while both replicas serve", f"{migrated:.2f} s"],
            ["a replica, from SIGTERM to ready (4 s of delay)", " and ".join(f"{second:.2f} s" for second in seconds)],
            ["requests meanwhile, each on a connection of its own", counts[201]],
            ["of them lost, or answered with anything but 201", 0],
            ["the longest time without an answer", f"{traffic.longest_gap():.2f} s"]])


if __name__ == "__main__":
    main()
