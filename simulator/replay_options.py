"""The options of `serve` that make one symbol's market a replay of a CSV file."""

import argparse
from pathlib import Path

from simulator.replay import Replay
from simulator.symbols import INSTRUMENTS
from simulator.tape_files import moment_ms, read_bars, read_trades


def add_replay(serve_command: argparse.ArgumentParser) -> None:
    """The options."""
    options = serve_command.add_argument_group("replay of a CSV file, plain or gzipped, in place of a seeded market")
    files = options.add_mutually_exclusive_group()
    files.add_argument(
        "--replay-bars", metavar="FILE", type=Path, help="columns open_time_ms,open,high,low,close,volume"
    )
    files.add_argument("--replay-trades", metavar="FILE", type=Path, help="columns time,price,qty,side")
    options.add_argument(
        "--replay-symbol", choices=sorted(INSTRUMENTS), default="BTCUSDT", help="whose market the file is"
    )
    options.add_argument(
        "--replay-from",
        metavar="TIME",
        type=_moment,
        help="the file's moment that is now at the start, Unix ms or ISO 8601; what is before it is history."
        " Without it the file begins at the start",
    )


def replay(options: argparse.Namespace) -> Replay | None:
    """What the options say; None when nothing is replayed. OSError or ValueError for a file that cannot be."""
    path: Path | None = options.replay_bars or options.replay_trades
    if path is None:
        if options.replay_from is not None:
            raise ValueError("--replay-from needs --replay-bars or --replay-trades")
        return None
    read = read_bars if options.replay_bars else read_trades
    tape = read(path, INSTRUMENTS[options.replay_symbol])
    return Replay(symbol=options.replay_symbol, tape=tape, from_ms=options.replay_from)


def _moment(text: str) -> int:
    try:
        return moment_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be Unix milliseconds or ISO 8601, got {text!r}") from error
