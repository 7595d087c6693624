"""confined.py UNIT COMMAND...: runs it with the system calls that a systemd unit leaves it, as systemd would."""
import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000


def calls(name):
    """The system calls of a set such as @system-service."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    lines = [line.strip() for line in listed.splitlines()[1:]]
    return set().union(*(calls(line) for line in lines if line and not line.startswith("#")))


unit = Path(sys.argv[1]).read_text()
allowed = {"execve"}
for names in re.findall(r"^SystemCallFilter=(.+)$", unit, re.MULTILINE):
    found = set().union(*map(calls, names.lstrip("~").split()))
    allowed = allowed - found if names.startswith("~") else allowed | found
error = re.search(r"^SystemCallErrorNumber=(\w+)$", unit, re.MULTILINE)
library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(FAIL | getattr(errno, error[1]) if error else KILL)))
for name in allowed:
    number = library.seccomp_syscall_resolve_name(name.encode())
    # Not of this architecture: below zero.
    assert number < 0 or library.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0) == 0, name
assert library.seccomp_load(context) == 0
os.execv(sys.argv[2], sys.argv[2:])
