"""The factory: markets and a recipe in; a proved version folder out, or the sentences that say why not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.core.card import Card
from inference.core.gates import faults_of
from inference.train.bars import Market
from inference.train.cards import Origin, card_of
from inference.train.ensemble import Pipeline, Progress, fit_ensemble
from inference.train.evaluate import Evaluation, evaluate
from inference.train.export import build_graph
from inference.train.prove import prove
from inference.train.recipe import Recipe
from inference.train.version_folder import check_version, write_version
from inference.train.walk import final_boundary_ms, training_cut

WriteReport = Callable[[Path, Card, Evaluation], None]
"""Writes what stands beside the card, into the version's folder before it appears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A version that was written."""

    folder: Path
    card: Card
    evaluation: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A model that a gate held back; nothing was written."""

    faults: tuple[str, ...]
    evaluation: Evaluation


def train(
    markets: Sequence[Market],
    recipe: Recipe,
    *,
    models: Path,
    origin: Origin,
    pipeline: Pipeline | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
    write_report: WriteReport | None = None,
) -> Trained | Withheld:
    """Measures the recipe, fits it on the newest training window, exports, proves and writes it.

    Raises UnusableError when the bars will not do, VersionTakenError when the version is there already.
    """
    check_version(models, recipe.name, origin.version)  # before the long work, not after it
    evaluation = evaluate(markets, recipe, pipeline=pipeline, jobs=jobs, progress=progress)
    examples = evaluation.examples
    cut = training_cut(examples, recipe.walk, final_boundary_ms(examples, recipe.walk))
    ensemble = fit_ensemble(examples, cut, recipe, jobs=jobs)
    graph = build_graph(ensemble, recipe.feature_names)
    proof = prove(graph, ensemble, examples.X, recipe.feature_names, seed=recipe.seed)
    if not math.isfinite(proof.parity.difference_max) or not proof.nan_refused:
        fault = "the graph gave something that is no number, or took one: it is not what was fitted"
        return Withheld(faults=(fault,), evaluation=evaluation)
    card = card_of(evaluation, cut=cut, calibration=ensemble.calibration, graph=graph, proof=proof, origin=origin)
    if faults := faults_of(card):
        return Withheld(faults=faults, evaluation=evaluation)

    def write_more(folder: Path) -> None:
        if write_report is not None:
            write_report(folder, card, evaluation)

    return Trained(folder=write_version(models, card, graph, write_more), card=card, evaluation=evaluation)
