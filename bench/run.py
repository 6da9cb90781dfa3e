"""`make bench`: Tollgate beside two peers, in one run on this machine.

Prints a table, and writes bench/results/latest.json and docs/benchmarks.md.
Exit code 1 when something failed; a missed aim is told, and is no failure.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from bench.contenders import running
from bench.load import LoadError, require_h2load
from bench.measure import fsync_us, measure_all, memory_mb
from bench.processes import ROOT
from bench.report import Run, as_json, as_markdown, as_table, describe_machine
from tools.stack import StackError

RESULTS = ROOT / "bench" / "results" / "latest.json"
PAGE = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    try:
        outcome = measure()
    except (LoadError, StackError, RuntimeError) as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    print(as_table(outcome))
    if not arguments.no_write:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(as_json(outcome), indent=2) + "\n", encoding="utf8")
        PAGE.write_text(as_markdown(outcome), encoding="utf8")
        print(f"written: {RESULTS.relative_to(ROOT)}, {PAGE.relative_to(ROOT)}")
    return 0


def measure() -> Run:
    """One whole run."""
    tool, begin, load_before = require_h2load(), time.monotonic(), os.getloadavg()[0]
    state = ROOT / "var"  # the disk on which the journal is kept in earnest, not a folder in memory
    state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=state) as name:
        folder = pathlib.Path(name)
        disk_us = fsync_us(folder)
        with running(folder) as contenders:
            cells = measure_all(contenders, lambda text: print(f"bench: {text}", flush=True))
            memory = memory_mb(contenders)
            start_seconds = contenders.start_seconds
    return Run(
        cells=cells,
        memory_mb=memory,
        machine=describe_machine(tool, disk_us, load_before),
        commit=_commit(),
        start_seconds=start_seconds,
        seconds=time.monotonic() - begin,
    )


def _commit() -> str:
    """The commit that was measured, marked when files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+changes"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
