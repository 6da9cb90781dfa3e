"""`sweep`: measures many recipes, and keeps what came out of each in a table.

Exit codes: 0 done; 1 the sweep could not begin or go on, or every cell failed; 2 a wrong argument.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from inference.train.bars import DataFaultError, Market, read_market
from inference.train.show import showing
from inference.train.sweep import Backend, Cell, Setting, SweepFaultError, best_first, grid, sweep
from inference.train.sweep_run import EvaluateCell, Pools, pool_sha256, read_axis, usual_settings

OK, FAILED = 0, 1
SHOWN = 10
"""Rows that are printed; the table has all."""
_FIGURES = ("auc", "auc_low", "log_loss", "ece", "hit_rate_at_threshold", "coverage", "net_edge_bps", "canaries_fired")


def add_sweep_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command `sweep`; sets `run`, which takes the options and gives the exit code."""
    parser = subparsers.add_parser("sweep", help="measure many recipes in parallel and keep the table of results")
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="bars; each is swept by itself")
    add("--pool", action="store_true", help="train on all files together instead")
    add("--vary", action="append", default=[], metavar="NAME=V1,V2", help="a setting and its values; may be repeated")
    add("--list", action="store_true", help="print every setting with its usual value, and stop")
    add("--out", type=_parquet, default=Path("var/sweeps/sweep.parquet"), help="table (default: %(default)s)")
    add("--backend", choices=get_args(Backend), default="joblib", help="what runs the cells (default: joblib)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes on this machine (default: one a core)")
    add("--address", help="of a Ray cluster; absent: ray is started here for the time of the sweep")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the cells that the table does not have yet, and prints the best."""
    try:
        pools = _pools(options)
        usual = usual_settings(next(iter(pools.values())))
        if options.list:
            print("\n".join(f"{name}={value}" for name, value in usual.items()))
            return OK
        cells = _cells(pools, usual, options.vary)
        with showing("cells") as show:
            rows = sweep(
                cells,
                EvaluateCell(pools=pools),
                table=options.out,
                backend=options.backend,
                workers=options.workers,
                address=options.address,
                progress=lambda done, total: show("sweep", done, total),
            )
    except (SweepFaultError, DataFaultError) as fault:
        print(fault, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"stopped; what is done stands in {options.out}, the same command goes on from there", file=sys.stderr)
        return FAILED
    return _report(rows, cells, options.out)


def _pools(options: argparse.Namespace) -> Pools:
    """The markets, each by itself or all together, by the files' names."""
    markets = {path.name: read_market(path) for path in options.files}
    if len(markets) < len(options.files):
        raise SweepFaultError("two files have the same name")
    if len({market.bars.bar_seconds for market in markets.values()}) > 1:
        raise SweepFaultError("the files' bars differ in length: sweep them one after the other")
    if options.pool:
        return {"+".join(markets): tuple(markets.values())}
    return {name: (market,) for name, market in markets.items()}


def _cells(pools: Pools, usual: Mapping[str, Setting], vary: Sequence[str]) -> list[Cell]:
    axes: dict[str, Sequence[Setting]] = {name: (value,) for name, value in usual.items()}
    axes |= dict(read_axis(text, usual) for text in vary)
    return [cell for name, markets in pools.items() for cell in grid(_bars(name, markets) | axes)]


def _bars(name: str, markets: Sequence[Market]) -> dict[str, Sequence[Setting]]:
    return {"bars": (name,), "bars_sha256": (pool_sha256(markets),)}


def _report(rows: Sequence[Mapping[str, Any]], cells: Sequence[Cell], table: Path) -> int:
    """The best cells of this sweep, the failed ones, and how many were tried."""
    keys = {cell.key for cell in cells}
    mine = [row for row in rows if row["key"] in keys]
    varied = [name for name, _ in cells[0].settings if len({dict(cell.settings)[name] for cell in cells}) > 1]
    for row in best_first(mine, "auc")[:SHOWN]:
        told = {name: row[name] for name in (*varied, *_FIGURES) if row.get(name) is not None}
        print(
            "  ".join(
                f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in told.items()
            )
        )
    failed = [row for row in mine if row["error"]]
    for row in failed[:SHOWN]:
        print(f"{row['key']}: {row['error']}", file=sys.stderr)
    print(f"{table} and {table.with_suffix('.csv').name}: {len(rows)} rows, {len(failed)} of this sweep failed")
    print(f"{len(rows)} recipes were tried: a model of one of them is trained with --trials {len(rows)}")
    return FAILED if len(failed) == len(mine) else OK


def _parquet(text: str) -> Path:
    if not text.endswith(".parquet"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .parquet")
    return Path(text)
