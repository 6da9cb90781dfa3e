"""Leak canaries: checks of the pipeline as it is, run at every training, that fire when the future leaks into the past.

name              looks at            fires when                                                      what it catches
split_order       the splitter        a row that is fitted on has a label that ends within the        shuffled K-fold, a
                                      embargo of a row that is measured, or after it                  missing purge
noise_labels      splitter, features  labels of pure noise, whose windows overlap, are foretold       shuffled K-fold
shuffled_labels   splitter, features  labels shuffled by weeks are foretold                           labels in features
future_features   the features        a feature of a bar changes when later bars change               features ahead of
                                                                                                      their bar
label_end         the labels          a label changes when bars after its stated end change           too short a purge
delay_gain        features, labels    features one bar late foretell better than features on time     labels or features
                                                                                                      off by a bar
delay_loss        features, labels    features one bar late lose more than an honest edge can lose    features one bar
                                                                                                      ahead

Labels shuffled and features delayed are learned by the boosting member alone, for speed. Limits of an AUC are sampling
limits: with n rows whose labels overlap h bars, its standard error without an edge is at most sqrt(h / (3 n)); four of
them are allowed, which chance exceeds in one of 16,000 trainings. `LOSS_MAX`: on real hourly bars an honest edge lost
0.01 to 0.03 of AUC when its features came a bar late; features one bar ahead lost 0.12 (three features) to 0.46 (all)
with a label of one bar. With longer labels a few features may lose less, and future_features alone fires.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier

from inference.core.bars import Bars, Series
from inference.core.card import Canary
from inference.core.consensus import Rows
from inference.train.bars import Market
from inference.train.bootstrap import WEEK_MS
from inference.train.ensemble import Pipeline, Progress
from inference.train.examples import Examples, FeatureFunction, LabelFunction, examples_of
from inference.train.members import FitOne, Labels, fit_boosting, rise_of
from inference.train.metrics import auc
from inference.train.recipe import Recipe
from inference.train.walk import FoldRows

ERRORS_ALLOWED = 4.0
LOSS_MAX = 0.08
NOISE_BARS = 24
"""How many bars the windows of the noise labels span at least: the more they overlap, the louder a leak."""
_CUTS = (0.45, 0.7, 0.95)
"""Where the future is changed, as shares of the bars."""
_FUTURE_FACTOR = 1.07


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """What the canaries look at."""

    markets: Sequence[Market]
    pipeline: Pipeline
    recipe: Recipe
    examples: Examples
    folds: tuple[FoldRows, ...]
    auc_on_time: float
    """Of the boosting member in the walk-forward."""


def run_canaries(subject: Subject, progress: Progress | None = None) -> tuple[Canary, ...]:
    """Every canary, in the order of the table above."""
    checks = (split_order, noise_labels, shuffled_labels, future_features, label_end, delayed)
    found: list[Canary] = []
    for number, check in enumerate(checks):
        found += check(subject)
        if progress is not None:
            progress("canaries", number + 1, len(checks))
    return tuple(found)


def split_order(subject: Subject) -> tuple[Canary, ...]:
    """Whether all that is fitted ends before what it is measured on begins, the embargo between."""
    examples, embargo_ms = subject.examples, subject.recipe.walk.embargo_bars * subject.examples.bar_ms

    def late(fitted: NDArray[np.int64], measured: NDArray[np.int64]) -> int:
        return int((examples.end_ms[fitted] + embargo_ms > examples.closed_ms[measured].min()).sum())

    wrong = sum(
        late(fold.cut.members, fold.cut.calibrator)
        + late(fold.cut.members, fold.test)
        + late(fold.cut.calibrator, fold.test)
        for fold in subject.folds
    )
    meaning = "rows that are fitted on and whose label ends within the embargo of what they are measured on, or later"
    return (_canary("split_order", wrong, 0.0, passed=wrong == 0, meaning=meaning),)


def noise_labels(subject: Subject) -> tuple[Canary, ...]:
    """Whether labels of pure noise are foretold: each the sign of a sum of `NOISE_BARS` coming random steps."""
    examples, recipe = subject.examples, subject.recipe
    bars = max(NOISE_BARS, recipe.label.horizon_bars)
    drawn = _noise(examples, bars, recipe.seed)
    folds = subject.pipeline.split(drawn, recipe.walk)
    value = _walked_auc(drawn, folds, lambda X, up: _memory(X, up, recipe.seed))
    meaning = f"AUC on labels of pure noise over {bars} bars, by trees that remember moments; 0.5 is honest"
    return (_sampled("noise_labels", value, _error(drawn, folds, bars), meaning),)


def shuffled_labels(subject: Subject) -> tuple[Canary, ...]:
    """Whether labels that were shuffled by weeks, so that features say nothing of them, are foretold."""
    examples, recipe = subject.examples, subject.recipe
    shuffled = replace(examples, up=_shuffled_by_weeks(examples, recipe.seed))
    value = _walked_auc(shuffled, subject.folds, _boosting(recipe))
    meaning = "AUC on labels shuffled by weeks; 0.5 is honest"
    return (_sampled("shuffled_labels", value, _error(examples, subject.folds, recipe.label.horizon_bars), meaning),)


def future_features(subject: Subject) -> tuple[Canary, ...]:
    """Whether a feature of a bar changes when the bars after it are changed."""
    names, features = subject.recipe.feature_names, subject.pipeline.features
    changed = sum(
        _cells_changed(features, market.bars, names, int(share * len(market.bars)))
        for market in subject.markets
        for share in _CUTS
    )
    meaning = "features of bars that changed when only later bars were changed"
    return (_canary("future_features", changed, 0.0, passed=changed == 0, meaning=meaning),)


def label_end(subject: Subject) -> tuple[Canary, ...]:
    """Whether a label changes when the bars after its stated end are changed: purging goes by that end."""
    changed = sum(
        _labels_changed(subject.pipeline.labels, market.bars, subject.recipe, int(share * len(market.bars)))
        for market in subject.markets
        for share in _CUTS
    )
    meaning = "labels that changed when only bars after their stated end were changed"
    return (_canary("label_end", changed, 0.0, passed=changed == 0, meaning=meaning),)


def delayed(subject: Subject) -> tuple[Canary, ...]:
    """What happens when every feature comes one bar late: it must not help, and must not take everything away."""
    recipe, pipeline = subject.recipe, subject.pipeline
    late = examples_of(
        subject.markets,
        recipe.feature_names,
        recipe.label,
        features=one_bar_late(pipeline.features),
        labels=pipeline.labels,
    )
    folds = pipeline.split(late, recipe.walk)
    lost = subject.auc_on_time - _walked_auc(late, folds, _boosting(recipe))
    error = ERRORS_ALLOWED * _error(late, folds, recipe.label.horizon_bars)
    return (
        _canary(
            "delay_gain",
            -lost,
            error,
            passed=-lost <= error,
            meaning="AUC gained by features one bar late; more than chance means that they belong to another bar",
        ),
        _canary(
            "delay_loss",
            lost,
            LOSS_MAX,
            passed=lost <= LOSS_MAX,
            meaning="AUC lost by features one bar late; more than an honest edge loses means that they are ahead",
        ),
    )


def one_bar_late(features: FeatureFunction) -> FeatureFunction:
    """The same features, each row having those of the bar before."""

    def compute(bars: Bars, names: Sequence[str]) -> Series:
        matrix = features(bars, names)
        return np.vstack([np.full((1, matrix.shape[1]), np.nan), matrix[:-1]])

    return compute


def _noise(examples: Examples, bars: int, seed: int) -> Examples:
    """The examples with noise labels that look `bars` ahead, alike in all series, and the moment as a feature more.

    The moment says nothing of later rows, but betrays every row whose neighbours in time were fitted on.
    """
    generator = np.random.default_rng(seed)
    moments, place = np.unique(examples.closed_ms // examples.bar_ms, return_inverse=True)
    steps = generator.standard_normal(int(moments[-1] - moments[0]) + 1 + bars)
    ahead = np.lib.stride_tricks.sliding_window_view(steps, bars).sum(axis=1)
    up = ahead[(moments - moments[0])[place]] > 0.0
    return replace(
        examples,
        X=np.column_stack([examples.X, (moments - moments[0])[place].astype(np.float32)]),
        up=up,
        end_ms=np.maximum(examples.end_ms, examples.closed_ms + bars * examples.bar_ms),
    )


def _shuffled_by_weeks(examples: Examples, seed: int) -> Labels:
    """The labels with the weeks in another order; the last, shorter stretch stays whole as well."""
    week = np.unique(examples.closed_ms // WEEK_MS, return_inverse=True)[1]
    rows = np.split(np.arange(len(examples)), np.flatnonzero(np.diff(week)) + 1)
    order = np.random.default_rng(seed).permutation(len(rows))
    shuffled: Labels = examples.up[np.concatenate([rows[number] for number in order])]
    return shuffled


def _cells_changed(features: FeatureFunction, bars: Bars, names: Sequence[str], cut: int) -> int:
    before, after = features(bars, names)[:cut], features(_other_future(bars, cut), names)[:cut]
    return int((~np.isclose(before, after, rtol=0.0, atol=0.0, equal_nan=True)).sum())


def _labels_changed(labels: LabelFunction, bars: Bars, recipe: Recipe, cut: int) -> int:
    before, after = labels(bars, recipe.label), labels(_other_future(bars, cut), recipe.label)
    ended = (before.end_row < cut) & (before.values >= 0)
    return int((before.values != after.values)[ended].sum())


def _other_future(bars: Bars, cut: int) -> Bars:
    """The same bars up to `cut`, and after it others: every price and volume in another proportion."""
    factor = np.where(np.arange(len(bars)) < cut, 1.0, _FUTURE_FACTOR)
    return Bars(
        bar_seconds=bars.bar_seconds,
        open_time_ms=bars.open_time_ms,
        open=bars.open * factor,
        high=bars.high * factor,
        low=bars.low * factor,
        close=bars.close * factor,
        volume=bars.volume * np.square(factor),
    )


def _walked_auc(examples: Examples, folds: Sequence[FoldRows], fit: FitOne) -> float:
    """The AUC of one learner over all folds."""
    scores = []
    for fold in folds:
        model = fit(examples.X[fold.cut.members], examples.up[fold.cut.members])
        scores.append(rise_of(model, examples.X[fold.test]))
    tested = np.concatenate([fold.test for fold in folds])
    return auc(np.concatenate(scores), examples.up[tested])


def _boosting(recipe: Recipe) -> FitOne:
    return lambda X, up: fit_boosting(X, up, recipe.members, seed=recipe.seed)


def _memory(X: Rows, up: Labels, seed: int) -> ClassifierMixin:
    """Trees that grow until they remember moments: hopeless on later rows, and quick to betray a leak."""
    return ExtraTreesClassifier(n_estimators=20, min_samples_leaf=3, random_state=seed, n_jobs=1).fit(X, up)


def _error(examples: Examples, folds: Sequence[FoldRows], bars: int) -> float:
    """The standard error of an AUC under no edge."""
    rows = sum(fold.test.size for fold in folds)
    together = len(np.unique(examples.series))  # markets that move together say the same thing several times
    return float(np.sqrt(bars * together / (3.0 * rows)))


def _sampled(name: str, value: float, error: float, meaning: str) -> Canary:
    limit = 0.5 + ERRORS_ALLOWED * error
    return _canary(name, value, limit, passed=abs(value - 0.5) <= limit - 0.5, meaning=meaning)


def _canary(name: str, value: float, limit: float, *, passed: bool, meaning: str) -> Canary:
    return Canary(name=name, value=float(value), limit=float(limit), passed=bool(passed), meaning=meaning)
