"""`data`: fetches bars, checks files of bars, and makes Parquet of them.

Exit codes: 0 done; 1 bars were refused, or could not be fetched; 2 a wrong argument.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from inference.core.bars import MS
from inference.train.bars import Market, market_of, origin_of, write_market
from inference.train.fetch import CATEGORIES, INTERVAL_SECONDS, MAINNET, BannedError, Endpoint, FetchFaultError, Klines
from inference.train.fetch import Series as KlineSeries
from inference.train.findings import DataFaultError, Finding, Repair, Severity
from inference.train.found import Found, found_in, found_of, read_table
from inference.train.pages import Shelf, fetch_market
from inference.train.quality import check
from inference.train.repair import Done, repaired, told
from inference.train.show import Show, showing

OK, REFUSED = 0, 1


def add_data_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `data` with its three parts; each sets `run`, which takes the options and gives the exit code."""
    data = subparsers.add_parser("data", help="fetch bars, check files of bars, convert them to Parquet")
    parts = data.add_subparsers(dest="part", required=True)
    _add_fetch(parts.add_parser("fetch", help="fetch klines of Bybit into Parquet; goes on where it was stopped"))
    _add_check(parts.add_parser("check", help="check a file of bars and say what was found"))
    _add_convert(parts.add_parser("convert", help="check a file of bars, repair what is asked for, write Parquet"))


def main(arguments: Sequence[str]) -> int:
    """Runs `data` alone."""
    parser = argparse.ArgumentParser(prog="python -m inference.train")
    add_data_command(parser.add_subparsers(required=True))
    options = parser.parse_args(["data", *arguments])
    return int(options.run(options))


def fetch(options: argparse.Namespace) -> int:
    """Fetches each symbol; one that cannot be fetched does not keep the others from it, but a ban ends all."""
    code = OK
    try:
        klines = Klines(options.endpoint)
        with showing("bars") as show:
            for symbol in options.symbols:
                code = max(code, _fetch_one(klines, symbol, options, show))
    except BannedError as fault:
        print(fault, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return REFUSED
    return code


def _fetch_one(klines: Klines, symbol: str, options: argparse.Namespace, show: Show) -> int:
    try:
        shelf = Shelf(
            folder=options.out,
            series=KlineSeries(symbol=symbol, category=options.category, interval=options.interval),
            on_this_machine=options.endpoint.on_this_machine,
        )
        market = fetch_market(
            klines,
            shelf,
            start_ms=options.start,
            end_ms=options.end,
            progress=lambda done, total: show(symbol, done, total),
        )
    except BannedError:
        raise
    except (FetchFaultError, DataFaultError) as fault:
        print(f"{symbol}: {fault}", file=sys.stderr)
        return REFUSED
    for finding in check(found_of(market.bars)):
        print(f"{symbol}: {finding.line()}")
    print(f"{shelf.market}: {_summary(market)}")
    return OK


def check_file(options: argparse.Namespace) -> int:
    """Prints every finding; refuses when one of them is an error."""
    try:
        found = found_in(read_table(options.file))
    except DataFaultError as fault:
        print(fault, file=sys.stderr)
        return REFUSED
    findings = check(found)
    _tell(options, found, findings, ())
    return REFUSED if _refused(findings) else OK


def convert(options: argparse.Namespace) -> int:
    """Repairs what was asked for, cuts the span, and writes Parquet when nothing is left that refuses."""
    try:
        table = read_table(options.file)
        found, done = repaired(found_in(table), options.repair)
        found = found.take((found.time_ms >= options.start) & (found.time_ms < options.end))
        _tell(options, found, check(found), done)
        origin = origin_of(options.file, table, found)
        source, symbol = f"{origin.source}{told(done)}", options.symbol or origin.symbol
        market = market_of(found, replace(origin, source=source, symbol=symbol), name=str(options.file))
    except DataFaultError as fault:
        print(fault, file=sys.stderr)
        return REFUSED
    write_market(market, options.out)
    print(f"{options.out}: {_summary(market)}")
    return OK


def _refused(findings: Sequence[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _tell(options: argparse.Namespace, found: Found, findings: Sequence[Finding], done: Sequence[Done]) -> None:
    """The report: for people, or as JSON on stdout and in the file that was asked for."""
    report = {
        "file": str(options.file),
        "rows": len(found),
        "refused": _refused(findings),
        "repaired": {one.repair.value: one.rows for one in done},
        "findings": [asdict(finding) for finding in findings],
    }
    text = json.dumps(report, indent=2)
    if options.report:
        options.report.write_text(text + "\n", encoding="utf-8")
    if options.json:
        print(text)
        return
    for one in done:
        print(f"repaired: {one.repair.value}: {one.rows} rows")
    for finding in findings:
        print(finding.line())
    print(f"{options.file}: {len(found)} rows, {'refused' if _refused(findings) else 'good'}")


def _summary(market: Market) -> str:
    bars = market.bars
    first, last = (_text(int(bars.open_time_ms[row])) for row in (0, -1))
    return (
        f"{market.symbol}, {len(bars)} bars of {bars.bar_seconds} s, opened {first} to {last}, sha256 {market.sha256}"
    )


def _text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / MS, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("symbols", nargs="+", metavar="SYMBOL", help="such as BTCUSDT")
    parser.add_argument("--interval", choices=INTERVAL_SECONDS, default="60", help="minutes, or D (default: 60)")
    parser.add_argument("--category", choices=CATEGORIES, default="linear", help="(default: linear)")
    parser.add_argument("--start", type=_moment, default="2020-01-01", help="first opening, UTC (default: 2020-01-01)")
    parser.add_argument("--end", type=_moment, help="bars that closed by then, UTC (default: now)")
    parser.add_argument("--out", type=Path, default=Path("var/bars"), help="folder (default: var/bars)")
    parser.add_argument(
        "--endpoint", type=_endpoint, default=MAINNET, help="Bybit's mainnet, or http on a loopback address"
    )
    parser.set_defaults(run=fetch)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help=".csv, .csv.gz or .parquet")
    _add_report(parser)
    parser.set_defaults(run=check_file)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help=".csv, .csv.gz or .parquet")
    parser.add_argument("out", type=_parquet, metavar="OUT.parquet")
    parser.add_argument("--symbol", help="default: what the file says, else its name up to the first underscore")
    parser.add_argument("--start", type=_moment, default="1970-01-01", help="first opening to keep, UTC")
    parser.add_argument("--end", type=_moment, default="9999-01-01", help="keep openings before this, UTC")
    parser.add_argument(
        "--repair", type=_repairs, default=frozenset(), help=f"comma-separated, of {', '.join(Repair)}; none unasked"
    )
    _add_report(parser)
    parser.set_defaults(run=convert)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--report", type=Path, help="write the report as JSON to this file")


def _moment(text: str) -> int:
    """An argparse type: a date or moment, UTC where no zone is said, as Unix milliseconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"no date or moment in ISO 8601: {text!r}") from fault
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * MS)


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint(url=text)
    except FetchFaultError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault


def _repairs(text: str) -> frozenset[Repair]:
    try:
        return frozenset(map(Repair, text.split(",")))
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{fault}; there are {', '.join(Repair)}") from fault


def _parquet(text: str) -> Path:
    if not text.endswith(".parquet"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .parquet")
    return Path(text)
