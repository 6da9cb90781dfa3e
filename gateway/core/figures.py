"""Live calibration in figures: what was promised against what came true, over the newest matured decisions.

ece       expected calibration error: in buckets of equal mass, the mean of |mean confidence - hit rate| by their mass
slope     of the logistic regression of "it rose" on the log odds of a rise that were stated, with an intercept; 1 is
          perfect, below 1 promises too much (D. R. Cox, "Two further applications of a model for binary regression",
          Biometrika 45, 1958)
brier     mean of (confidence - right)^2; log_loss the mean of -log of what was given to what happened

Intervals are of 95 %, by a jackknife that leaves out one block of consecutive decisions at a time, since decisions near
each other in time share their market (H. R. Kunsch, "The jackknife and the bootstrap for general stationary
observations", Annals of Statistics 17, 1989). A bucket's hit rate has Wilson's interval.

Perfect calibration does not make an ECE of 0: with ten buckets of 50 its mean is about 0.05 by chance alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from gateway.core.logistic import log_odds, slope_of
from gateway.core.model import BarLabel, Matured, Signal, Verdict

OUTCOMES_MIN: Final = 100
"""With fewer there are no figures: they would say more of chance than of the model."""

BUCKETS_MAX: Final = 10
BUCKET_OUTCOMES_MIN: Final = 50
BLOCKS: Final = 20
STUDENT_95: Final = 2.093
"""Of Student's distribution with BLOCKS - 1 degrees of freedom, two-sided."""
NORMAL_95: Final = 1.96

HISTOGRAM_STEP: Final = 0.05
PROBABILITY_MIN: Final = 1e-6
"""Probabilities are recorded to six places: a loss is told of none below."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket of a reliability table."""

    low: float
    high: float
    mean_confidence: float
    hit_rate: Interval
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """One bin of a histogram, its upper end not in it."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one window."""

    mean_confidence: float
    hit_rate: float
    coverage: float
    hit_rate_at_threshold: float | None
    mean_confidence_at_threshold: float | None
    ece: Interval
    slope: Interval
    brier: float
    log_loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFigures:
    """A shadow model beside the active one, on the decisions that both spoke on."""

    version: str
    matured: int
    hit_rate: float
    active_hit_rate: float
    log_loss: float
    active_log_loss: float
    advantage: Interval
    """The active model's loss less the shadow's."""


def figures(judged: Sequence[Matured], threshold: float) -> Figures | None:
    """The figures of decisions that came out right or wrong, oldest first; None for fewer than OUTCOMES_MIN."""
    if len(judged) < OUTCOMES_MIN:
        return None
    above = [outcome for outcome in judged if outcome.confidence >= threshold]
    ece = _jackknife(judged, _ece)
    return Figures(
        mean_confidence=_mean(judged, lambda outcome: outcome.confidence),
        hit_rate=_mean(judged, is_right),
        coverage=len(above) / len(judged),
        hit_rate_at_threshold=_mean(above, is_right) if above else None,
        mean_confidence_at_threshold=_mean(above, lambda outcome: outcome.confidence) if above else None,
        ece=Interval(value=ece.value, low=max(ece.low, 0.0), high=min(ece.high, 1.0)),
        slope=_jackknife(judged, _slope),
        brier=_mean(judged, lambda outcome: (outcome.confidence - is_right(outcome)) ** 2),
        log_loss=_mean(judged, lambda outcome: _loss(outcome.confidence, right=is_right(outcome))),
    )


def reliability(judged: Sequence[Matured]) -> tuple[Bucket, ...]:
    """Stated confidence against hit rate in buckets of equal mass, lowest first; empty below OUTCOMES_MIN."""
    if len(judged) < OUTCOMES_MIN:
        return ()
    return tuple(
        Bucket(
            low=bucket[0].confidence,
            high=bucket[-1].confidence,
            mean_confidence=_mean(bucket, lambda outcome: outcome.confidence),
            hit_rate=wilson(sum(map(is_right, bucket)), len(bucket)),
            count=len(bucket),
        )
        for bucket in _buckets(judged)
    )


def histogram(judged: Sequence[Matured]) -> tuple[Bin, ...]:
    """How often each confidence was stated, in steps of HISTOGRAM_STEP from 0.5; what lies below is in the first."""
    steps = round(0.5 / HISTOGRAM_STEP)
    counts = [0] * steps
    for outcome in judged:
        # Recorded to six places: the tiny addition only keeps 0.55 out of the bin below it.
        place = int((outcome.confidence - 0.5) / HISTOGRAM_STEP + 1e-9)
        counts[min(max(place, 0), steps - 1)] += 1
    return tuple(
        Bin(low=round(0.5 + n * HISTOGRAM_STEP, 2), high=round(0.5 + (n + 1) * HISTOGRAM_STEP, 2), count=count)
        for n, count in enumerate(counts)
    )


def shadow_figures(judged: Sequence[Matured]) -> ShadowFigures | None:
    """The newest shadow beside the active model; None with fewer than OUTCOMES_MIN decisions of both."""
    version = next((outcome.shadow.model_version for outcome in reversed(judged) if outcome.shadow), None)
    pairs = [
        (outcome, outcome.shadow.confidence, (outcome.shadow.prob_long > 0.5) == _rose(outcome))  # noqa: PLR2004 - where the favour turns
        for outcome in judged
        if outcome.shadow and outcome.shadow.model_version == version and outcome.shadow.prob_long != 0.5  # noqa: PLR2004 - it favours no side
    ]
    if version is None or len(pairs) < OUTCOMES_MIN:
        return None
    losses = [_loss(confidence, right=right) for _, confidence, right in pairs]
    active = [_loss(outcome.confidence, right=is_right(outcome)) for outcome, _, _ in pairs]
    gains = [mine - its for mine, its in zip(active, losses, strict=True)]
    return ShadowFigures(
        version=version,
        matured=len(pairs),
        hit_rate=_mean(pairs, lambda pair: pair[2]),
        active_hit_rate=_mean(pairs, lambda pair: is_right(pair[0])),
        log_loss=_mean(losses, float),
        active_log_loss=_mean(active, float),
        advantage=_jackknife(gains, lambda part: _mean(part, float)),
    )


def is_right(outcome: Matured) -> bool:
    """Whether the decision came out right."""
    return outcome.verdict is Verdict.RIGHT


def stated_log_odds(outcome: Matured, confidence: float) -> float:
    """The log odds of a rise that the decision stated with this confidence."""
    sign = -1.0 if outcome.signal is Signal.SHORT else 1.0
    return sign * log_odds(min(max(confidence, PROBABILITY_MIN), 1.0 - PROBABILITY_MIN))


def wilson(right: int, count: int) -> Interval:
    """A share and its interval (E. B. Wilson, "Probable inference", JASA 22, 1927)."""
    share, square = right / count, NORMAL_95 * NORMAL_95
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / count + square / (4 * count * count)) / (1 + square / count)
    return Interval(value=share, low=max(0.0, middle - half), high=min(1.0, middle + half))


def _rose(outcome: Matured) -> bool:
    return outcome.label is BarLabel.UP


def _loss(confidence: float, *, right: bool) -> float:
    return -math.log(max(confidence if right else 1.0 - confidence, PROBABILITY_MIN))


def _mean(items: Sequence[_T], of: Callable[[_T], float]) -> float:
    return math.fsum(of(item) for item in items) / len(items)


def _buckets(judged: Sequence[Matured]) -> list[list[Matured]]:
    """As many buckets of equal mass as have BUCKET_OUTCOMES_MIN each, BUCKETS_MAX at most, lowest first."""
    ordered = sorted(judged, key=lambda outcome: outcome.confidence)
    count = max(1, min(BUCKETS_MAX, len(ordered) // BUCKET_OUTCOMES_MIN))
    edges = [len(ordered) * place // count for place in range(count + 1)]
    return [ordered[low:high] for low, high in pairwise(edges)]


def _ece(judged: Sequence[Matured]) -> float:
    gaps = (
        abs(math.fsum(outcome.confidence for outcome in bucket) - sum(map(is_right, bucket)))
        for bucket in _buckets(judged)
    )
    return math.fsum(gaps) / len(judged)


def _slope(judged: Sequence[Matured]) -> float:
    return slope_of(
        [stated_log_odds(outcome, outcome.confidence) for outcome in judged], [_rose(outcome) for outcome in judged]
    )


def _jackknife(items: Sequence[_T], figure: Callable[[Sequence[_T]], float]) -> Interval:
    """The figure of all, and how far it moves when one block of consecutive items is left out."""
    value = figure(items)
    edges = [len(items) * place // BLOCKS for place in range(BLOCKS + 1)]
    without = [figure([*items[:low], *items[high:]]) for low, high in pairwise(edges)]
    middle = math.fsum(without) / BLOCKS
    variance = (BLOCKS - 1) / BLOCKS * math.fsum((one - middle) ** 2 for one in without)
    half = STUDENT_95 * math.sqrt(variance)
    return Interval(value=value, low=value - half, high=value + half)
