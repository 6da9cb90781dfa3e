"""kill -9 at every labelled step of live trading x every way in which the exchange fails an order, and a control.

python -m bench.live_crash [--naive] [--folder PATH] [MODE ...]   every mode unless some are named

Each case is an account of its own at a simulated exchange in a process of its own, and real gateway processes: an order
is sent, the gateway is killed, it starts again, and the client retries with the same key, and with the same key and
other content. At the end the venue's own books must have exactly one order, or none that is proven, and the journal be
those books to the last digit. Exit code 1 when a rule is broken.

--naive runs the control instead: a gateway that sends as most examples of pybit do. It breaks them.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.crash.matrix import Column, run_matrix, totals
from bench.crash.modes import MODES


def main() -> int:
    """Run, and print a line for each case."""
    by_name = {mode.name: mode for mode in MODES}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", metavar="MODE", nargs="*", help=f"one of {', '.join(by_name)}")
    parser.add_argument("--naive", action="store_true", help="run the control")
    parser.add_argument("--folder", type=Path, help="where journals and logs are kept; else they are deleted")
    options = parser.parse_args()
    unknown = sorted(set(options.modes) - set(by_name))
    if unknown:
        parser.error(f"there is no mode {unknown[0]}")
    modes = [by_name[name] for name in options.modes] or list(MODES)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as kept_nowhere:
        columns = asyncio.run(run_matrix(modes, options.folder or Path(kept_nowhere), naive=options.naive))
    _print(columns)
    endings = [ending for column in columns for ending in column.endings]
    print(f"\n{totals(endings)}\n{len(modes)} modes, {time.monotonic() - began:.0f} s")
    return int(any(ending.broken for ending in endings))


def _print(columns: Sequence[Column]) -> None:
    print(f"{'mode':28} {'killed at':15} {'orders':6} {'sends':5} {'state':17} {'evidence':9} how, and what is broken")
    for column in columns:
        for ending in column.endings:
            rules = f"; BROKEN: {', '.join(rule.name for rule in ending.broken)}" if ending.broken else ""
            print(
                f"{column.mode.name:28} {ending.case.kill:15} {ending.orders:6} {ending.sends_before}+"
                f"{ending.sends_after:<3} {ending.state:17} {ending.evidence:9} {ending.way.value}{rules}"
            )


if __name__ == "__main__":
    sys.exit(main())
