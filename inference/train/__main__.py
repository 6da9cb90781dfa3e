"""`python -m inference.train`: everything about models that is done offline."""

import argparse
import sys
from collections.abc import Sequence

from inference.core.bars import BarsFaultError
from inference.core.card import CardFaultError
from inference.train.bars import DataFaultError
from inference.train.data_cli import add_data_command
from inference.train.examples import UnusableError
from inference.train.measure_cli import add_measure_commands
from inference.train.recipe import RecipeFaultError
from inference.train.sweep_cli import add_sweep_command
from inference.train.train_cli import add_train_commands
from inference.train.version_folder import VersionTakenError

_REFUSED = (
    BarsFaultError,
    CardFaultError,
    DataFaultError,
    OSError,
    RecipeFaultError,
    UnusableError,
    VersionTakenError,
)
"""What the caller's files and options can bring about."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; 0 on success, 1 with a sentence on stderr when nothing could be done."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except _REFUSED as fault:
        print(f"Nothing was done: {fault}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.train", description="Trains and measures models, offline."
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    add_data_command(subparsers)
    add_train_commands(subparsers)
    add_sweep_command(subparsers)
    add_measure_commands(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
