"""The load: h2load, the same for every contender, and what it saw.

h2load is a small C program, so that the load takes little of the two cores that
it shares with what it measures. It is closed-loop: each connection sends its next
request when the last is answered.
"""

import pathlib
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass

TIMEOUT_SECONDS = 60.0  # ten times what the longest run should take
_GRPC = ("-H", "content-type: application/grpc", "-H", "te: trailers")
_JSON = ("--h1", "-H", "content-type: application/json")


class LoadError(Exception):
    """The load could not be made, or something else than a good answer came back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """What one run of the load saw."""

    requests: int
    seconds: float
    """From the first request's start to the last answer's end."""
    p50_ms: float
    p99_ms: float
    load_cpu_seconds: float
    """CPU time of the load generator itself."""


def require_h2load() -> str:
    """h2load's version; raises LoadError when it is not there."""
    if shutil.which("h2load") is None:
        raise LoadError("h2load is not installed: apt-get install nghttp2-client")
    return subprocess.run(["h2load", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def load(*, url: str, body: pathlib.Path, grpc: bool, connections: int, requests: int) -> Latencies:
    """Send copies of the body over so many connections. Raises LoadError unless all are answered with 200."""
    with tempfile.NamedTemporaryFile(prefix="h2load-") as log:
        headers = _GRPC if grpc else _JSON
        counts = ["-n", str(requests), "-c", str(connections), "-m", "1", "-t", "1"]
        command = ["h2load", *counts, *headers, "-d", str(body), f"--log-file={log.name}", url]
        before = _children_cpu_seconds()
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        if done.returncode != 0:
            raise LoadError(f"h2load ended with {done.returncode}: {done.stderr[-500:]}")
        used = _children_cpu_seconds() - before
        lines = pathlib.Path(log.name).read_text(encoding="ascii").splitlines()
    return _read_log(lines, requests, url, used)


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_log(lines: list[str], requests: int, url: str, load_cpu_seconds: float) -> Latencies:
    """The log's lines: start (microseconds), HTTP status, duration (microseconds)."""
    rows = [tuple(map(int, line.split("\t")[:3])) for line in lines]
    bad = sorted({status for _, status, _ in rows if status != 200})
    if bad or len(rows) != requests:
        raise LoadError(f"{url}: {len(rows)} answers to {requests} requests, statuses other than 200: {bad}")
    durations = sorted(duration for _, _, duration in rows)
    begin = min(start for start, _, _ in rows)
    end = max(start + duration for start, _, duration in rows)
    return Latencies(
        requests=requests,
        seconds=(end - begin) / 1e6,
        p50_ms=quantile(durations, 0.50) / 1e3,
        p99_ms=quantile(durations, 0.99) / 1e3,
        load_cpu_seconds=load_cpu_seconds,
    )


def quantile(ordered: list[int], fraction: float) -> int:
    """The smallest value that at least this fraction of the values does not exceed."""
    return ordered[max(0, -(-int(fraction * 10_000) * len(ordered) // 10_000) - 1)]
