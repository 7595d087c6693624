"""A probe that asks as one careful caller would while others flood."""
import socket
import threading
import time

import load


class Probe:
    """A few callers with kept connections, made before the flood, and one with a new connection for each create."""

    KEPT, PAUSE, TIMEOUT = 8, 0.05, 10

    def __init__(self, port):
        self._port, self._ended = port, threading.Event()
        self.kept, self.fresh = [], []  # (second, status or the error's name, milliseconds)
        connections = [self._connect() for _ in range(self.KEPT)]
        self._threads = [threading.Thread(target=self._keep, args=(each,)) for each in connections]
        self._threads.append(threading.Thread(target=self._renew))

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _connect(self):
        return socket.create_connection(("127.0.0.1", self._port), self.TIMEOUT)

    def _measure(self, into, act):
        began, second = time.monotonic(), time.time()
        try:
            outcome = act()
        except (OSError, ValueError) as error:
            outcome = type(error).__name__
        into.append((second, outcome, (time.monotonic() - began) * 1000))
        return outcome

    def _keep(self, connection):
        while not self._ended.wait(self.PAUSE):
            with connection, connection.makefile("rb") as stream:
                def act():
                    connection.sendall(load.CREATE)
                    return load.read_answer(stream)[0]

                while isinstance(self._measure(self.kept, act), int):
                    if self._ended.wait(self.PAUSE):
                        return
            try:
                connection = self._connect()
            except OSError:
                return

    def _renew(self):
        def act():
            with self._connect() as connection, connection.makefile("rb") as stream:
                try:
                    connection.sendall(load.CREATE)
                except OSError:
                    pass  # closed already; its answer may still be there to read
                return load.read_answer(stream)[0]

        while not self._ended.wait(self.PAUSE):
            self._measure(self.fresh, act)

    def summary(self, since, until):
        """Of what was asked between two times: by outcome, how often and how fast."""
        found = {}
        for name, samples in (("kept", self.kept), ("fresh", self.fresh)):
            outcomes = {}
            for second, outcome, milliseconds in samples:
                if since <= second < until:
                    outcomes.setdefault(str(outcome), []).append(milliseconds)
            found[name] = {
                outcome: {"count": len(times), "p50_ms": load.quantile(sorted(times), 0.5), "p99_ms": load.quantile(sorted(times), 0.99),
                          "max_ms": max(times)}
                for outcome, times in outcomes.items()}
        return found
