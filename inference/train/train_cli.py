"""The commands fit, evaluate and demo.

Exit codes: 0 done; 1 refused or unusable, and then sentences on stderr say why. A target that `evaluate` finds missed
is a measurement and exits with 0.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from inference.core.card import Override
from inference.train import demo
from inference.train.cards import Origin
from inference.train.evaluate import evaluate
from inference.train.factory import Trained, Withheld, train
from inference.train.options import (
    MODELS,
    PROJECT,
    add_files,
    add_jobs,
    add_recipe,
    created_now,
    markets_of,
    recipe_of,
    version_now,
)
from inference.train.provenance import git_commit, libraries
from inference.train.show import showing
from inference.train.show_evaluation import json_of, lines_of
from inference.train.version_folder import replace_version


def add_train_commands(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The three commands; each sets `run`, which takes the options and gives the exit code."""
    _add_evaluate(subparsers.add_parser("evaluate", help="print the figures of a recipe on each file, and its targets"))
    _add_fit(subparsers.add_parser("fit", help="train, prove and write a version from all files together"))
    _add_demo(subparsers.add_parser("demo", help="train the demonstration model on the simulated market"))


def run_evaluate(options: argparse.Namespace) -> int:
    """Each file by itself, or all of them together."""
    markets = markets_of(options)
    found = []
    for group in [markets] if options.pool else [[market] for market in markets]:
        recipe = recipe_of(options, group[0].bars.bar_seconds)
        with showing("parts") as show:
            evaluation = evaluate(group, recipe, jobs=options.jobs, progress=show)
        if options.json:
            found.append(json_of(evaluation))
        else:
            print("\n".join(lines_of(evaluation)), flush=True)
    if options.json:
        print(json.dumps(found, indent=2))
    return 0


def run_fit(options: argparse.Namespace) -> int:
    """One version from all files."""
    markets = markets_of(options)
    recipe = recipe_of(
        options,
        markets[0].bars.bar_seconds,
        name=options.name,
        description=options.description or f"Trained on {', '.join(market.symbol for market in markets)}.",
        max_age_days=options.max_age_days or None,
    )
    origin = _origin(options.version or version_now(), tuple(options.override))
    with showing("parts") as show:
        result = train(markets, recipe, models=options.out, origin=origin, jobs=options.jobs, progress=show)
    return _told(result)


def run_demo(options: argparse.Namespace) -> int:
    """The demonstration model; one that is there already is replaced when the new one is whole."""
    started = time.monotonic()
    market = demo.demo_market()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=options.out) as unfinished, showing("parts") as show:
        result = train(
            [market],
            demo.RECIPE,
            models=Path(unfinished),
            origin=_origin(options.version, ()),
            jobs=options.jobs,
            progress=show,
        )
        if isinstance(result, Trained):
            result = replace(result, folder=replace_version(result.folder, options.out))
    code = _told(result)
    print(f"took {time.monotonic() - started:.1f} s")
    return code


def override_of(text: str) -> Override:
    """GATE=REASON of the command line."""
    gate, _, reason = text.partition("=")
    try:
        return Override(gate=gate.strip(), reason=reason.strip())
    except ValidationError as fault:
        raise argparse.ArgumentTypeError("must be GATE=REASON, the reason of 10 to 500 characters") from fault


def _told(result: Trained | Withheld) -> int:
    print("\n".join(lines_of(result.evaluation)))
    if isinstance(result, Withheld):
        print("Nothing was written: the model does not pass.", file=sys.stderr)
        print("\n".join(f"  {fault}" for fault in result.faults), file=sys.stderr)
        return 1
    export, card = result.card.export, result.card
    size_kb = (result.folder / "model.onnx").stat().st_size / 1000
    print(f"wrote {result.folder}: {size_kb:.0f} kB, {export.nodes} nodes, sha256 {card.sha256}")
    print(
        f"graph against the fitted ensemble: {export.difference_max:.1e} at most on {export.rows} rows "
        f"({export.market_rows} of the market), {export.flips} flips"
    )
    for override in card.overrides:
        print(f"gate {override.gate} was let pass: {override.reason}")
    return 0


def _origin(version: str, overrides: tuple[Override, ...]) -> Origin:
    return Origin(
        version=version,
        created=created_now(),
        git_commit=git_commit(PROJECT),
        libraries=libraries(),
        overrides=overrides,
    )


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    add_recipe(parser)
    add_jobs(parser)
    parser.add_argument("--pool", action="store_true", help="train on all files together (default: each by itself)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run_evaluate)


def _add_fit(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    add_recipe(parser)
    add_jobs(parser)
    _add_place(parser)
    parser.add_argument("--name", default="consensus", help="the model's name (default: consensus)")
    parser.add_argument("--version", help="YYYYMMDD_HHMMSS (default: now, UTC)")
    parser.add_argument("--description", help="for people (default: the symbols)")
    parser.add_argument(
        "--max-age-days", type=float, default=90.0, help="how long it may be served; 0: no limit (default: 90)"
    )
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        type=override_of,
        metavar="GATE=REASON",
        help="let a gate pass for a reason, which the card keeps; those of the export cannot be",
    )
    parser.set_defaults(run=run_fit)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    add_jobs(parser)
    parser.add_argument("--version", default=demo.VERSION, help="YYYYMMDD_HHMMSS (default: %(default)s)")
    parser.set_defaults(run=run_demo)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of models (default: the packaged one)")
