"""What the replicas use while they are tortured: a line of JSON for each every ten seconds."""
import json
import os
import re
import threading
import time
import urllib.request
from pathlib import Path


class Samples:
    SECONDS = 10

    def __init__(self, cluster, file):
        self.cluster, self.file = cluster, file
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        if self.file:
            self.thread.start()

    def __exit__(self, *_):
        self.is_over.set()

    def run(self):
        start = time.monotonic()
        with open(self.file, "w") as file:
            while not self.is_over.wait(self.SECONDS):
                for number, replica in enumerate(self.cluster.replicas):
                    sample = {"seconds": round(time.monotonic() - start), "replica": number, **self.sample(replica)}
                    file.write(json.dumps(sample) + "\n")
                file.flush()

    def sample(self, replica):
        """Of a replica that is away: nothing."""
        try:
            process = Path(f"/proc/{replica.process.pid}")
            status = (process / "status").read_text()
            sample = {
                "age": round(time.time() - process.stat().st_ctime),
                "resident_kib": int(re.search(r"VmRSS:\s+(\d+)", status)[1]),
                "threads": int(re.search(r"Threads:\s+(\d+)", status)[1]),
                "descriptors": len(os.listdir(process / "fd")),
            }
            with urllib.request.urlopen(f"http://127.0.0.1:{replica.management_port}/metrics", timeout=2) as answer:
                metrics = answer.read().decode()
            sample["metrics_bytes"] = len(metrics)
            sample |= {
                name: float(value) for name, value in re.findall(r"^(\w*partitions\w*) (\S+)$", metrics, re.MULTILINE)}
            return sample
        except (OSError, TypeError, AttributeError):
            return {}
