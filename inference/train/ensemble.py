"""The ensemble of one training window, and the walk-forward, which fits one for every fold and measures it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from inference.core.bars import Series
from inference.core.consensus import Rows, disagreement, mean_consensus
from inference.core.features import feature_matrix
from inference.core.labels import label_bars
from inference.train.calibrate import Calibration, fit_calibration
from inference.train.dissimilarity import Dissimilarity, fit_dissimilarity
from inference.train.examples import Examples, FeatureFunction, LabelFunction, UnusableError
from inference.train.members import Members, fit_members
from inference.train.predictions import Predictions
from inference.train.recipe import Recipe
from inference.train.walk import Cut, FoldRows, RowNumbers, Splitter, walk_forward_folds

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many parts of it are done, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The parts that a leak would sit in; the canaries (inference/train/canaries.py) look at them as they are."""

    features: FeatureFunction = feature_matrix
    labels: LabelFunction = label_bars
    split: Splitter = walk_forward_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """All that is fitted on one training window."""

    members: Members
    calibration: Calibration
    dissimilarity: Dissimilarity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walked:
    """What the walk-forward gave."""

    predictions: Predictions
    features: Rows
    """The features of each row, shape [rows, features]."""
    base_rise: Series
    """The rate of rises of each row's training rows, shape [rows]."""
    slopes: tuple[float, ...]
    """The calibration slope of each fold."""


def fit_ensemble(examples: Examples, cut: Cut, recipe: Recipe, *, jobs: int = 1) -> Ensemble:
    """The ensemble of a training window: members on its older part, calibration on its newer part.

    Raises UnusableError when a part has rises or falls alone.
    """
    older, newer = _both_sides(examples.take(cut.members)), _both_sides(examples.take(cut.calibrator))
    members = fit_members(older.X, older.up, recipe.members, seed=recipe.seed, jobs=jobs)
    consensus = mean_consensus(members.probabilities(newer.X))[:, 0]
    return Ensemble(
        members=members,
        calibration=fit_calibration(consensus, newer.up, recipe.calibration, recipe.shrink),
        dissimilarity=fit_dissimilarity(older.X),
    )


def walk_forward(
    examples: Examples, folds: Sequence[FoldRows], recipe: Recipe, *, jobs: int = 1, progress: Progress | None = None
) -> Walked:
    """Fits and measures fold after fold; the predictions are in the order of time. Raises as `fit_ensemble`."""
    parts, bases, slopes = [], [], []
    for number, fold in enumerate(folds):
        ensemble = fit_ensemble(examples, fold.cut, recipe, jobs=jobs)
        test = _both_sides(examples.take(fold.test))
        parts.append(_predict(ensemble, test, number))
        bases.append(np.full(len(test), examples.up[fold.cut.members].mean()))
        slopes.append(ensemble.calibration.slope)
        if progress is not None:
            progress("walk-forward", number + 1, len(folds))
    predictions, tested = _joined(parts), np.concatenate([fold.test for fold in folds])
    order = np.argsort(predictions.closed_ms, kind="stable")
    return Walked(
        predictions=_taken(predictions, order),
        features=examples.X[tested[order]],
        base_rise=np.concatenate(bases)[order],
        slopes=tuple(slopes),
    )


def _both_sides(part: Examples) -> Examples:
    if part.up.all() or not part.up.any():
        raise UnusableError(f"the labels of {len(part)} rows in a row are all the same: there is nothing to learn")
    return part


def _predict(ensemble: Ensemble, test: Examples, fold: int) -> Predictions:
    members = ensemble.members.probabilities(test.X)
    consensus = mean_consensus(members)[:, 0]
    return Predictions(
        closed_ms=test.closed_ms,
        series=test.series,
        fold=np.full(len(test), fold, np.int64),
        up=test.up,
        forward_return=test.forward_return,
        members=members,
        prob_long=consensus,
        rise=ensemble.calibration.rise(consensus),
        confidence=ensemble.calibration.confidence(consensus),
        disagreement=disagreement(members)[:, 0],
        dissimilarity=ensemble.dissimilarity.of(test.X),
    )


def _joined(parts: Sequence[Predictions]) -> Predictions:
    names = [field.name for field in fields(Predictions)]
    return Predictions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _taken(predictions: Predictions, rows: RowNumbers) -> Predictions:
    return Predictions(**{field.name: getattr(predictions, field.name)[rows] for field in fields(Predictions)})
