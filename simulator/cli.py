"""The command line of the simulator."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from simulator import replay_options, serve_options
from simulator.bars import BARS_COUNT_MAX, BARS_ORIGIN_MS, INTERVALS_MINUTES, bars, write_csv
from simulator.process import HOUR_MS
from simulator.symbols import INSTRUMENTS

SPEED_MIN, SPEED_MAX = 0.1, 3_600.0


def main(arguments: Sequence[str]) -> int:
    """Run one command; 0 is success, 1 a server that cannot start, 2 a wrong argument."""
    options = _parser().parse_args(arguments)
    return _write_bars(options) if options.command == "bars" else _serve(options)


def _serve(options: argparse.Namespace) -> int:
    # Imported here: writing bars needs no HTTP server.
    from simulator.server import ServerConfig, serve_until_signal  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        replay = replay_options.replay(options)
    except (OSError, ValueError) as error:
        print(f"python -m simulator serve: {error}", file=sys.stderr)  # noqa: T201 - told like argparse's own faults
        return 2
    config = ServerConfig(
        seed=options.seed,
        symbols=options.symbols,
        host=options.host,
        port=options.port,
        speed=options.speed,
        replay=replay,
        accounts=serve_options.accounts(options),
        keys=serve_options.keys(options),
        lags=options.lags,
        limits=serve_options.limits(options),
        faults=options.fault_file.rules,
        faults_seed=options.fault_file.seed,
    )
    try:
        asyncio.run(serve_until_signal(config))
    except (OSError, ValueError) as error:
        logging.getLogger("simulator").error("cannot serve: %s", error)  # noqa: TRY400 - the cause is the message
        return 1
    return 0


def _write_bars(options: argparse.Namespace) -> int:
    instrument = INSTRUMENTS[options.symbol]
    try:
        rows = bars(
            instrument=instrument,
            interval_minutes=options.interval_minutes,
            count=options.count,
            seed=options.seed,
            origin_ms=options.origin_ms,
            edge_changes=options.edge_from,
        )
    except ValueError as fault:
        print(f"python -m simulator bars: {fault}", file=sys.stderr)  # noqa: T201 - told like argparse's own faults
        return 2
    if options.out is None:
        write_csv(sys.stdout, instrument, rows)
        return 0
    with options.out.open("w", encoding="ascii", newline="\n") as out:
        write_csv(out, instrument, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_bars(commands.add_parser("bars", help="write bars of the simulated market as CSV, oldest first"))
    _add_serve(
        commands.add_parser("serve", help="serve the market and the exchange over Bybit's v5 REST and WebSocket")
    )
    return parser


def _add_bars(bars_command: argparse.ArgumentParser) -> None:
    bars_command.add_argument("--symbol", choices=sorted(INSTRUMENTS), default="BTCUSDT")
    bars_command.add_argument("--interval-minutes", type=int, choices=INTERVALS_MINUTES, default=60)
    bars_command.add_argument("--count", type=_integer(1, BARS_COUNT_MAX), default=40_000, help="bars to write")
    bars_command.add_argument("--seed", type=_integer(0, 2**63 - 1), default=7, help="the market's seed")
    bars_command.add_argument(
        "--origin-ms", type=_whole_hour, default=BARS_ORIGIN_MS, help="time of the first bar, Unix ms, a whole hour"
    )
    bars_command.add_argument(
        "--edge-from",
        metavar="HOUR=EDGE",
        type=_edge_change,
        action="append",
        default=[],
        help="another edge from this hour of the market on: drift on purpose; may be repeated, hours rising",
    )
    bars_command.add_argument("--out", type=Path, help="file to write; standard output when absent")


def _add_serve(serve_command: argparse.ArgumentParser) -> None:
    serve_command.add_argument("--host", default="127.0.0.1", help="address to listen on")
    serve_command.add_argument("--port", type=_integer(0, 65_535), default=50_050, help="0 takes a free port")
    serve_command.add_argument("--seed", type=_integer(0, 2**63 - 1), default=7, help="the market's seed")
    serve_command.add_argument(
        "--symbols", type=_symbols, default=list(INSTRUMENTS), help=f"comma-separated, of {', '.join(INSTRUMENTS)}"
    )
    serve_command.add_argument(
        "--speed", type=_speed, default=1.0, help=f"market seconds a second, {SPEED_MIN} to {SPEED_MAX:.0f}"
    )
    replay_options.add_replay(serve_command)
    serve_options.add_trading(serve_command)


def _edge_change(text: str) -> tuple[int, float]:
    """An argparse type: HOUR=EDGE."""
    hour, _, edge = text.partition("=")
    if not hour.isdecimal():
        raise argparse.ArgumentTypeError(f"must be HOUR=EDGE like 1000=-0.22, got {text!r}")
    value = float(edge)
    if not -0.5 < value < 0.5:  # noqa: PLR2004 - else the probability of a rise leaves 0 to 1
        raise argparse.ArgumentTypeError(f"the edge must lie between -0.5 and 0.5, got {text!r}")
    return int(hour), value


def _integer(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: an integer within a range."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}, got {value}")
        return value

    parse.__name__ = "integer"  # argparse names it in "invalid integer value"
    return parse


def _symbols(text: str) -> list[str]:
    symbols = list(dict.fromkeys(text.split(",")))
    unknown = [symbol for symbol in symbols if symbol not in INSTRUMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown symbol {unknown[0]!r}; there are {', '.join(INSTRUMENTS)}")
    return symbols


def _speed(text: str) -> float:
    value = float(text)
    if not SPEED_MIN <= value <= SPEED_MAX:
        raise argparse.ArgumentTypeError(f"must be {SPEED_MIN} to {SPEED_MAX}, got {value}")
    return value


def _whole_hour(text: str) -> int:
    value = int(text)
    if value < 0 or value % HOUR_MS:
        raise argparse.ArgumentTypeError(f"must be a whole hour in Unix milliseconds, got {value}")
    return value
