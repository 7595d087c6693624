"""Plants each fault in turn: the checker has to find it. Prints by which promise, and how soon."""
import re
import subprocess
import sys
from pathlib import Path

from plants import PLANTS

# Among what befalls everybody; what makes a database wait for long is left out.
NEMESES = ["kill_replica", "freeze_replica", "cut_connections", "end_backends", "freeze_database"]


def find(plant, arguments):
    """The first line that says FAULT, taken apart."""
    command = [
        sys.executable, Path(__file__).with_name("torture.py"), "--plant", plant, "--minutes", "0.5",
        *(part for name in NEMESES for part in ("--only", name)), *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return re.search(r"^FAULT after (\d+) s: ([^:]*): (.*)", output, re.MULTILINE)


def main():
    missed = 0
    print("| fault | found after | by |\n| --- | --- | --- |")
    for plant in PLANTS:
        found = find(plant, sys.argv[1:])
        missed += not found
        print(f"| {plant} | {f'{found[1]} s' if found else 'not found'} | {found[2] if found else ''} |", flush=True)
    sys.exit(bool(missed))


main()
