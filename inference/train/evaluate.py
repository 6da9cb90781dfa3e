"""The evaluation of a recipe on markets: walk-forward, figures, reliability, canaries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from inference.core.card import Bucket, Canary, Figures, Fold
from inference.train.bars import Market
from inference.train.canaries import Subject, run_canaries
from inference.train.ensemble import Pipeline, Progress, Walked, walk_forward
from inference.train.examples import Examples, UnusableError, examples_of
from inference.train.members import BOOSTING
from inference.train.metrics import auc, ece, figures_of, log_loss, reliability_table, rows_of_folds
from inference.train.predictions import Predictions
from inference.train.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What was measured."""

    recipe: Recipe
    markets: tuple[Market, ...]
    examples: Examples
    walked: Walked
    figures: Figures
    folds: tuple[Fold, ...]
    reliability: tuple[Bucket, ...]
    member_auc: tuple[float, ...]
    """Of each member by itself, in the order of the members."""
    canaries: tuple[Canary, ...]

    @property
    def predictions(self) -> Predictions:
        """Of all folds, in the order of time."""
        return self.walked.predictions


def evaluate(
    markets: Sequence[Market],
    recipe: Recipe,
    *,
    pipeline: Pipeline | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Measures the recipe on the markets. Raises UnusableError when they are too few, too short or do not fit together.

    `jobs` threads grow the forests; the figures are the same whatever it is.
    """
    if recipe.market == "real" and any(market.simulated for market in markets):
        raise UnusableError("bars of the simulated market make no model of a real market: name the market simulated")
    used = pipeline or Pipeline()
    examples = examples_of(markets, recipe.feature_names, recipe.label, features=used.features, labels=used.labels)
    folds = used.split(examples, recipe.walk)
    walked = walk_forward(examples, folds, recipe, jobs=jobs, progress=progress)
    said = walked.predictions
    subject = Subject(
        markets=markets,
        pipeline=used,
        recipe=recipe,
        examples=examples,
        folds=folds,
        auc_on_time=auc(said.members[:, BOOSTING], said.up),
    )
    return Evaluation(
        recipe=recipe,
        markets=tuple(markets),
        examples=examples,
        walked=walked,
        figures=figures_of(said, walked.base_rise, threshold=recipe.threshold, fee_bps=recipe.fee_bps),
        folds=_folds(walked),
        reliability=reliability_table(said.confidence, said.hits),
        member_auc=tuple(auc(column, said.up) for column in said.members.T),
        canaries=run_canaries(subject, progress),
    )


def moment(ms: int) -> str:
    """Milliseconds since 1970 as a card's moment."""
    return datetime.fromtimestamp(ms // 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _folds(walked: Walked) -> tuple[Fold, ...]:
    said = walked.predictions
    found = []
    for slope, rows in zip(walked.slopes, rows_of_folds(said), strict=True):
        closed = said.closed_ms[rows]
        found.append(
            Fold(
                start=moment(int(closed[0])),
                end=moment(int(closed[-1])),
                rows=int(rows.sum()),
                auc=auc(said.prob_long[rows], said.up[rows]),
                log_loss=log_loss(said.rise[rows], said.up[rows]),
                ece=ece(said.confidence[rows], said.hits[rows]),
                slope=slope,
            )
        )
    return tuple(found)
