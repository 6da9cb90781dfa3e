"""Options that several commands take, and what they make of them."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from inference.core.labels import LabelSpec
from inference.train.bars import Market, read_market
from inference.train.recipe import Recipe, WalkSpec, default_walk, feature_set

MODELS = Path(__file__).parents[1] / "models"
"""The packaged folder of models."""
PROJECT = Path(__file__).parents[2]

JOBS_MAX = 64


def add_files(parser: argparse.ArgumentParser) -> None:
    """The files of bars."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="bars, as the command data writes or checks"
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Every choice of a recipe."""
    add = parser.add_argument
    add("--features", default="extended", help="documented, extended, or names parted by commas (default: extended)")
    add("--label", choices=("direction", "triple_barrier"), default="direction", help="default: direction")
    add("--horizon", type=int, default=1, metavar="BARS", help="how far ahead the label looks (default: 1)")
    add("--barrier-sigmas", type=float, default=1.0, metavar="N", help="of triple_barrier (default: 1)")
    add("--calibration", choices=("temperature", "sigmoid"), default="temperature", help="default: temperature")
    add("--shrink", type=float, default=0.8, help="what the fitted slope is multiplied by, up to 1 (default: 0.8)")
    add("--threshold", type=float, default=0.6, help="the confidence of a trade in the figures (default: 0.6)")
    add("--fee-bps", type=float, default=5.5, help="the taker fee of one side, basis points (default: 5.5)")
    add("--seed", type=int, default=20, help="default: 20")
    add("--market", choices=("real", "simulated"), default="real", help="the market it speaks for (default: real)")
    add("--train-bars", type=int, metavar="BARS", help="default: two years; a third of one for bars under an hour")
    add("--test-bars", type=int, metavar="BARS", help="default: half a year; a twelfth for bars under an hour")
    add(
        "--trials", type=int, default=1, help="recipes tried on these bars until this one, itself included (default: 1)"
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """How many threads grow the forests."""
    parser.add_argument(
        "--jobs", type=jobs_of, default=jobs_of("0"), help="threads that grow the forests (default: all)"
    )


def jobs_of(text: str) -> int:
    """A number of threads; 0 means one for each core."""
    count = int(text) or os.cpu_count() or 1
    if not 1 <= count <= JOBS_MAX:
        raise argparse.ArgumentTypeError(f"must be from 0 to {JOBS_MAX}")
    return count


def markets_of(options: argparse.Namespace) -> list[Market]:
    """The markets of the files."""
    return [read_market(path) for path in options.files]


def recipe_of(options: argparse.Namespace, bar_seconds: int, **more: object) -> Recipe:
    """The recipe of the options for bars of that length. Raises RecipeFaultError."""
    usual = default_walk(bar_seconds)
    return Recipe(
        market=options.market,
        feature_names=feature_set(options.features),
        label=LabelSpec(kind=options.label, horizon_bars=options.horizon, barrier_sigmas=options.barrier_sigmas),
        walk=WalkSpec(
            train_bars=usual.train_bars if options.train_bars is None else options.train_bars,
            test_bars=usual.test_bars if options.test_bars is None else options.test_bars,
        ),
        calibration=options.calibration,
        shrink=options.shrink,
        threshold=options.threshold,
        fee_bps=options.fee_bps,
        seed=options.seed,
        trials=options.trials,
        **more,  # type: ignore[arg-type] # names of further fields with their own values
    )


def version_now() -> str:
    """A version named by the present second, UTC."""
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%S")


def created_now() -> str:
    """The present second as a card's moment."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
