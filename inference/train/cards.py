"""The card of a trained ensemble."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.core.card import (
    Card,
    CardCalibration,
    CardData,
    CardFeature,
    CardLabel,
    Export,
    Override,
    Span,
    Validation,
)
from inference.core.features import KNOWN
from inference.core.labels import LabelSpec
from inference.train.autocorrelation import integrated_autocorrelation
from inference.train.bars import Market
from inference.train.calibrate import Calibration
from inference.train.dissimilarity import QUANTILE
from inference.train.evaluate import Evaluation, moment
from inference.train.examples import Examples
from inference.train.export import METHOD, node_count
from inference.train.members import MEMBER_NAMES
from inference.train.prove import Proof
from inference.train.walk import Cut

_DECILES = np.arange(1, 10) / 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where and when a version was made."""

    version: str
    created: str
    """As a card's moment."""
    git_commit: str
    libraries: dict[str, str]
    overrides: tuple[Override, ...] = ()


def card_of(
    evaluation: Evaluation, *, cut: Cut, calibration: Calibration, graph: bytes, proof: Proof, origin: Origin
) -> Card:
    """The card of the graph that was fitted on the training window `cut`."""
    recipe, examples = evaluation.recipe, evaluation.examples
    older = examples.take(cut.members)
    return Card(
        schema_version=2,
        name=recipe.name,
        version=origin.version,
        description=recipe.description,
        market=recipe.market,
        bar_seconds=examples.bar_ms // 1000,
        features=_features(older, recipe.feature_names),
        label=_label(recipe.label, examples.bar_ms // 1000),
        members=MEMBER_NAMES,
        calibration=_calibration(calibration),
        dissimilarity_quantile=QUANTILE,
        max_age_days=recipe.max_age_days,
        data=_source(evaluation.markets),
        training=_span(older),
        calibrating=_span(examples.take(cut.calibrator)),
        validation=_validation(evaluation),
        overrides=origin.overrides,
        export=_export(graph, proof),
        seed=recipe.seed,
        libraries=origin.libraries,
        git_commit=origin.git_commit,
        created=origin.created,
        sha256=hashlib.sha256(graph).hexdigest(),
    )


def _features(older: Examples, names: Sequence[str]) -> tuple[CardFeature, ...]:
    series = [older.X[older.series == number].astype(np.float64) for number in np.unique(older.series)]
    deciles = np.quantile(older.X.astype(np.float64), _DECILES, axis=0)
    return tuple(
        CardFeature(
            name=name,
            unit=KNOWN[name].unit,
            deciles=tuple(deciles[:, column].tolist()),
            autocorrelation_bars=integrated_autocorrelation([rows[:, column] for rows in series]),
        )
        for column, name in enumerate(names)
    )


def _label(label: LabelSpec, bar_seconds: int) -> CardLabel:
    ahead = "1 bar" if label.horizon_bars == 1 else f"{label.horizon_bars} bars"
    direction = f"the close {ahead} of {bar_seconds} s later is above this bar's close"
    barrier = (
        f"the price rises by {label.barrier_sigmas:g} standard deviations of the horizon before it falls by as much; "
        f"where it does neither, {direction}"
    )
    triple = label.kind == "triple_barrier"
    return CardLabel(
        kind=label.kind,
        horizon_bars=label.horizon_bars,
        barrier_sigmas=label.barrier_sigmas if triple else None,
        meaning=barrier if triple else direction,
    )


def _calibration(calibration: Calibration) -> CardCalibration:
    return CardCalibration(
        method=calibration.method,
        slope=calibration.slope,
        bias=calibration.bias,
        fitted_slope=calibration.fitted_slope,
        shrink=calibration.shrink,
    )


def _source(markets: Sequence[Market]) -> CardData:
    digests = [market.sha256 for market in markets]
    together = hashlib.sha256("\n".join(digests).encode("ascii")).hexdigest()
    return CardData(
        source="; ".join(market.source for market in markets),
        symbols=tuple(dict.fromkeys(market.symbol for market in markets)),
        bars=sum(len(market.bars) for market in markets),
        sha256=digests[0] if len(digests) == 1 else together,
    )


def _span(part: Examples) -> Span:
    return Span(start=moment(int(part.closed_ms[0])), end=moment(int(part.closed_ms[-1])), rows=len(part))


def _validation(evaluation: Evaluation) -> Validation:
    recipe = evaluation.recipe
    return Validation(
        train_bars=recipe.walk.train_bars,
        calibrate_share=recipe.walk.calibrate_share,
        test_bars=recipe.walk.test_bars,
        purge_bars=recipe.label.horizon_bars,
        embargo_bars=recipe.walk.embargo_bars,
        folds=evaluation.folds,
        figures=evaluation.figures,
        reliability=evaluation.reliability,
        canaries=evaluation.canaries,
        trials=recipe.trials,
    )


def _export(graph: bytes, proof: Proof) -> Export:
    return Export(
        method=METHOD,
        nodes=node_count(graph),
        rows=proof.parity.rows,
        market_rows=proof.market_rows,
        difference_max=proof.parity.difference_max,
        flips=proof.parity.flips,
    )
