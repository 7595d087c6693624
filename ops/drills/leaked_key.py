"""A manufacturer's key has leaked: from the alarm to its being dead everywhere."""
import hashlib
import time

from drill import Traffic, admin, cluster, create, start, table, wait_until


def main():
    with cluster() as made:
        start(made)
        name = made.names[0]
        ports = [replica.port for replica in made.replicas]
        leaked = admin(made, "add-key", name, "--label", "production", "--apply").splitlines()[-1]
        other = admin(made, "add-key", name, "--label", "tests", "--apply").splitlines()[-1]
        wait_until("both are known", lambda: all(create(port, key)[0] == 201 for port in ports for key in [leaked, other]))
        rows = []
        # Whoever found it goes on using it.
        with Traffic(ports, leaked, threads=4, pause=0.01) as traffic:
            time.sleep(1)
            begin, alarm = time.monotonic(), time.time()
            # Whose is it? The digest is all that is known of a key.
            digest = hashlib.sha256(leaked.encode()).hexdigest()[:12]
            listed = admin(made, "list")
            assert digest in listed
            rows.append(["whose it is: admin list", time.monotonic() - begin])
            admin(made, "revoke-key", name, "--digest", digest, "--apply")
            revoked = time.time()
            rows.append(["until revoke-key --apply has ended", time.monotonic() - begin])
            wait_until("it is dead", lambda: all(create(port, leaked)[0] == 401 for port in ports))
            rows.append(["until it is refused at both replicas", time.monotonic() - begin])
            time.sleep(1)
        last = max(end for _, end, status, _ in traffic.answers if status == 201)
        rows.append(["the last session made with it, after the revocation", max(0.0, last - revoked)])
        assert last - revoked < 1.5, last - revoked
        assert all(create(port, other)[0] == 201 for port in ports), "the other key is untouched"
        stolen = sum(1 for begin, _, status, _ in traffic.answers if status == 201 and begin >= alarm)
        begin = time.monotonic()
        new = admin(made, "add-key", name, "--label", "production-2", "--apply").splitlines()[-1]
        wait_until("the new one is known", lambda: all(create(port, new)[0] == 201 for port in ports))
        rows.append(["until the manufacturer's new key is taken at both", time.monotonic() - begin])
        table("a leaked key, from the alarm to dead (seconds)", ["what", "measured"], rows)
        print(f"  {stolen} sessions were made with it after the alarm; `admin audit` has what was done:")
        print("\n".join(admin(made, "audit", "--days", "1").splitlines()[-3:]))


if __name__ == "__main__":
    main()
