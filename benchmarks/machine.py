"""The machine, and the processes on it: started, stopped, and read from /proc."""
import os
import re
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Ends the measurement with one line for a person."""


def describe():
    """What the figures depend on, without the machine's name or any path."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    with open("/proc/meminfo") as file:
        kib = int(re.search(r"^MemTotal:\s*(\d+)", file.read(), re.MULTILINE).group(1))
    kernel = re.match(r"\d+\.\d+", os.uname().release)
    return {
        "cpu": model.group(1).strip() if model else os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(kib / 1024 / 1024),
        "kernel": kernel.group(0) if kernel else os.uname().release,
    }


def _stat(pid):
    """The fields of /proc/PID/stat from the third on, or None where the process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def exists(pid):
    return _stat(pid) is not None


def tree(pid):
    """A process and all below it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(name)):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def cpu_seconds(pid):
    """(user, system) of a process and all below it, with those below that have ended and were waited for."""
    user = system = 0
    for each in tree(pid):
        if fields := _stat(each):
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return user / TICKS, system / TICKS


def status(pid, *keys):
    """Numbers of /proc/PID/status, summed over a process and all below it: memory in KiB."""
    sums = dict.fromkeys(keys, 0)
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/status") as file:
                lines = dict(line.split(":", 1) for line in file)
        except (FileNotFoundError, ProcessLookupError):
            continue
        for key in keys:
            sums[key] += int(lines.get(key, "0").split()[0])
    return sums


def descriptors(pid):
    """Of a process and all below it."""
    count = 0
    for each in tree(pid):
        try:
            count += len(os.listdir(f"/proc/{each}/fd"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return count


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(arguments, environment=None, output=None):
    """Starts a program that ends when this one does, whatever ends this one."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", *arguments],
        env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL, stderr=subprocess.STDOUT if output else None)


def stop(process, at_once=False):
    """SIGTERM, a second one where it need not drain, and SIGKILL for whatever of it is there after 15 s."""
    everything = tree(process.pid) if process.poll() is None else []
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        if at_once:
            time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        for pid in everything:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()


def wait_until(check, seconds, process, what):
    """Asks `check` every 2 ms, while `process` runs. Returns the seconds that it took."""
    began = time.monotonic()
    while not check():
        if process.poll() is not None:
            raise Failure(f"{what}: it ended by itself (exit code {process.returncode})")
        if time.monotonic() - began > seconds:
            raise Failure(f"{what}: not ready after {seconds} s")
        time.sleep(0.002)
    return time.monotonic() - began
