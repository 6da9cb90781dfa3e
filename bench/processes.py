"""Processes under measurement: their CPU time and memory, from /proc, and the peers' own."""

import http.client
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 30.0
_UTIME = 11  # of the fields of /proc/PID/stat that follow the process's name; stime is next
_PARENT = 1


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU time, user and system, that these processes and those under them have used."""
    fields = (_stat(pid) for pid in _family(roots))
    return sum(int(part[_UTIME]) + int(part[_UTIME + 1]) for part in fields if part) / TICKS_PER_SECOND


def machine_cpu_seconds() -> tuple[float, float]:
    """CPU time that all programs used since boot, and that there was, over all cores; waiting for the disk is idle."""
    ticks = [int(part) for part in pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / TICKS_PER_SECOND, sum(ticks) / TICKS_PER_SECOND


def rss_mb(roots: Iterable[int]) -> float:
    """Resident memory of these processes and those under them, megabytes (10^6 bytes); shared pages count each time."""
    return sum(_rss_kb(pid) for pid in _family(roots)) * 1024 / 1e6


def _family(roots: Iterable[int]) -> set[int]:
    """The processes and all their descendants."""
    parents = {int(entry.name): _stat(int(entry.name)) for entry in pathlib.Path("/proc").glob("[0-9]*")}
    found, fresh = set(roots), set(roots)
    while fresh:
        fresh = {pid for pid, part in parents.items() if part and int(part[_PARENT]) in fresh} - found
        found |= fresh
    return found


def _stat(pid: int) -> list[str]:
    """The fields after the name in /proc/PID/stat; empty when the process has ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf8").rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _rss_kb(pid: int) -> int:
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)


class Server:
    """A peer's process, listening on a free port of loopback."""

    def __init__(self, arguments: list[str], environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        command = [sys.executable, *arguments, "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environment or {})})

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Return once it accepts connections; raises RuntimeError when it ends first or takes too long."""
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.process.args!r} does not listen")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def uvicorn(app: str, environment: dict[str, str]) -> Server:
    """One uvicorn process with uvloop and httptools; no access log, as no contender writes one."""
    options = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    return Server(["-m", "uvicorn", app, *options], environment)


def free_port() -> int:
    """A port of loopback that nothing listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])


def http_call(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one GET, or of one POST of JSON."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("POST" if body else "GET", f"/{path}", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
