"""`python -m inference.train demo`: trains the demonstration model."""

import argparse
import sys
import time
from pathlib import Path

from inference.train.bars import bars_of_file, simulated_bars
from inference.train.demo import Trained, train_demo

DEMO_VERSION = "20261123_000000"
"""The version of the shipped demonstration model."""
_SYMBOL, _SEED, _COUNT = "BTCUSDT", 21, 60_000


def main() -> int:
    """Runs the command line; 0 on success."""
    options = _parser().parse_args()
    started = time.monotonic()
    bars = bars_of_file(options.bars) if options.bars else simulated_bars(symbol=_SYMBOL, seed=_SEED, count=_COUNT)
    print(f"{len(bars.closes)} bars from {bars.source}")
    trained = train_demo(bars, models=options.out, version=options.version)
    _report(trained, time.monotonic() - started)
    return 0


def _report(trained: Trained, seconds: float) -> None:
    size_kb = (trained.folder / "model.onnx").stat().st_size / 1000
    print(f"wrote {trained.folder}: {size_kb:.0f} kB, sha256 {trained.card.sha256}")
    print(
        f"graph against fitted members: {trained.export_difference:.1e} at most on {trained.export_rows} rows, no flips"
    )
    print(f"confidence slope {trained.card.confidence_slope}; on the test slice:")
    for name, value in trained.card.calibration.items():
        print(f"  {name:24} {value:g}")
    print(f"took {seconds:.1f} s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.train", description="Trains models, offline.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train the demonstration model on the simulated market")
    models = Path(__file__).parent.parent / "models"
    demo.add_argument("--out", type=Path, default=models, help="folder of models (default: the packaged one)")
    demo.add_argument("--bars", type=Path, help="CSV of hourly bars; absent: the simulator makes them")
    demo.add_argument("--version", default=DEMO_VERSION, help="YYYYMMDD_HHMMSS (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
