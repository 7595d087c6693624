"""A manufacturer's key and the keys that sign results are replaced while they are in use."""
import signal
import time

from drill import Traffic, answers, cluster, admin, command, create, request, start, table, wait_until


def restart(cluster, settings):
    """One replica after the other, as a deployment does."""
    for replica in cluster.replicas:
        replica.environment |= settings
        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.wait(60) == 0
        replica.start()
        wait_until("it is ready", lambda: answers(replica.port))


def signing_keys(cluster):
    """The ids of the published keys, which must be the same at each replica."""
    found = {tuple(key["kid"] for key in request(replica.port, "GET", "/.well-known/jwks.json")[1]["keys"])
             for replica in cluster.replicas}
    assert len(found) == 1, found
    return found.pop()


def main():
    with cluster(settings={"SHUTDOWN_DELAY_SECONDS": "0"}) as made:
        for replica in made.replicas:
            replica.environment["PUBLIC_BASE_URL"] = f"http://127.0.0.1:{replica.port}"
        start(made)
        name = made.names[0]
        ports = [replica.port for replica in made.replicas]
        rows = []

        # The manufacturer's key: what the backend changes over to is known everywhere at once.
        old = admin(made, "add-key", name, "--label", "production", "--apply").splitlines()[-1]
        wait_until("it is known", lambda: all(create(port, old)[0] == 201 for port in ports))
        with Traffic(ports, old, threads=4, pause=0.02) as traffic:
            begin = time.monotonic()
            new = admin(made, "rotate-key", name, "--label", "production", "--overlap", "5s", "--apply").splitlines()[-1]
            rows.append(["the command rotate-key", time.monotonic() - begin])
            wait_until("it is known", lambda: all(create(port, new)[0] == 201 for port in ports))
            rows.append(["until the new key is taken at both replicas", time.monotonic() - begin])
            assert set(traffic.counts()) == {201}, "the old key is taken until its end"
            traffic.key = new
            _, _ = wait_until("the old one ends", lambda: all(create(port, old)[0] == 401 for port in ports), 20)
            rows.append(["until the old key is refused at both (overlap 5 s)", time.monotonic() - begin])
        assert set(traffic.counts()) == {201}, traffic.counts()

        # The keys of results, in the three steps of operate.md; between them integrators' caches have ten minutes.
        first = made.environment["RETURN_SIGNING_KEYS"]
        second = command(made, "generate-signing-key")
        verified = 0

        def play():
            nonlocal verified
            for replica in made.replicas:
                # Ends with 0 where the signed result is verified with a published key.
                command(
                    made, "trigger", "completed", "--key", new, "--url", f"http://127.0.0.1:{replica.port}",
                    "--redirect-url", "https://your-app.com/callback")
                verified += 1

        play()
        before = set(signing_keys(made))
        steps = [("append the new key", f"{first},{second}"), ("put it first", f"{second},{first}"),
                 ("leave the old one out", second)]
        with Traffic(ports, new, threads=4, pause=0.02) as traffic:
            for what, keys in steps:
                begin = time.monotonic()
                restart(made, {"RETURN_SIGNING_KEYS": keys})
                rows.append([f"{what}, on both replicas", time.monotonic() - begin])
                play()
        after = set(signing_keys(made))
        assert len(before - after) == 1 and len(after - before) == 1, (before, after)
        table("rotation of a manufacturer's key and of RETURN_SIGNING_KEYS (seconds)", ["what", "measured"], rows)
        print(f"  {verified} results verified before, between and after the steps, each with a published key")


if __name__ == "__main__":
    main()
