"""The commands parity and speed, which measure the conversion and write nothing."""

import argparse
from collections.abc import Sequence

from inference.train.ensemble import fit_ensemble
from inference.train.examples import Examples, UnusableError, examples_of
from inference.train.options import add_files, add_jobs, add_recipe, markets_of, recipe_of
from inference.train.parity import Known, Row, parity_rows
from inference.train.recipe import Recipe
from inference.train.speed import Timing, measure
from inference.train.walk import final_boundary_ms, training_cut

_ROUNDS = 10_000
_ROWS_MIN = 10_000


def add_measure_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The two commands; each sets `run`, which takes the options and gives the exit code."""
    parity = subparsers.add_parser("parity", help="compare every form of converted classifier with scikit-learn")
    parity.set_defaults(run=run_parity)
    speed = subparsers.add_parser("speed", help="time one row in the served graph and in a plainly converted one")
    speed.add_argument("--rounds", type=int, default=_ROUNDS, help="rows that are timed (default: %(default)s)")
    speed.set_defaults(run=run_speed)
    for parser in (parity, speed):
        add_files(parser)
        add_recipe(parser)
        add_jobs(parser)


def run_parity(options: argparse.Namespace) -> int:
    """The table of forms; 1 when a form did not do as expected."""
    recipe, examples = _examples(options)
    if len(examples) < _ROWS_MIN:
        raise UnusableError(f"{len(examples)} labelled rows are too few to compare on: {_ROWS_MIN} are needed")
    print(f"{len(examples)} rows, {len(recipe.feature_names)} features")
    print(f"{'form':46} {'largest difference':>18}  {'flips':>6}  gate")
    wrong: Sequence[Row] = []
    for row in parity_rows(examples, recipe.feature_names, seed=recipe.seed):
        print(row_text(row), flush=True)
        wrong = wrong if row.as_expected else [*wrong, row]
    return 1 if wrong else 0


def row_text(row: Row) -> str:
    """One line of the table."""
    verdict = "accepted" if row.accepted else "refused"
    known = {Known.TRUE: "", Known.WRONG: ", known to convert wrong", Known.ROWS_DECIDE: ", trees behind a scaler"}
    note = "" if row.as_expected else "  NOT AS EXPECTED"
    return f"{row.name:46} {row.parity.difference_max:18.1e}  {row.parity.flips:6d}  {verdict}{known[row.known]}{note}"


def run_speed(options: argparse.Namespace) -> int:
    """One row in both graphs."""
    recipe, examples = _examples(options)
    cut = training_cut(examples, recipe.walk, final_boundary_ms(examples, recipe.walk))
    ensemble = fit_ensemble(examples, cut, recipe, jobs=options.jobs)
    speed = measure(ensemble, examples.X, recipe.feature_names, rounds=options.rounds)
    print(f"{options.rounds} single rows, {len(recipe.feature_names)} features, microseconds")
    print("graph      nodes   hot p50   hot p99  cold p50  cold p99")
    print(timing_text("served", speed.fused))
    print(timing_text("plain", speed.plain))
    hot, cold = speed.fused.hot_p50_us / speed.plain.hot_p50_us, speed.fused.cold_p50_us / speed.plain.cold_p50_us
    print(f"served / plain: {hot:.2f} hot, {cold:.2f} cold, {speed.fused.nodes / speed.plain.nodes:.2f} of the nodes")
    return 0


def timing_text(name: str, timing: Timing) -> str:
    """One line of the table."""
    times = (timing.hot_p50_us, timing.hot_p99_us, timing.cold_p50_us, timing.cold_p99_us)
    return f"{name:10} {timing.nodes:5d}  {'  '.join(f'{one:8.1f}' for one in times)}"


def _examples(options: argparse.Namespace) -> tuple[Recipe, Examples]:
    markets = markets_of(options)
    recipe = recipe_of(options, markets[0].bars.bar_seconds)
    return recipe, examples_of(markets, recipe.feature_names, recipe.label)
