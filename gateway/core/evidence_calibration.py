"""Whether the stated confidence keeps its promise: four criteria that no one model can slip through together.

calibration_gap      mean confidence less hit rate: its interval within 5 points on both sides
calibration_buckets  the same in buckets of equal mass, each large enough to tell 5 points from 10
calibration_slope    what happened against the log odds that were stated: 0.8 to 1.2, and known well enough
resolution           better than one who always states the same: a constant is calibrated, and worth nothing

bench/evidence_study.py measures how often a model that is 10 points off passes, and how often a perfect one does.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from gateway.core.criterion import Criterion, Finding, more_for_width, unmeasured
from gateway.core.evidence_statistics import (
    BLOCKS_MIN,
    Scored,
    blocks_of,
    gap_interval,
    resolution_interval,
    slope_interval,
)
from gateway.core.figures import NORMAL_95, Interval
from gateway.core.promotion import CALIBRATION_GAP_MAX, SLOPE_MAX, SLOPE_MIN

OUTCOMES_JUDGED_MIN: Final = 400
"""With fewer outcomes no figure is told."""
BUCKETS_MAX: Final = 5
BUCKET_OUTCOMES_MIN: Final = 600
"""Its hit rate has a standard error of 2 points: 5 points can be told from 10."""
BUCKET_ALLOWANCE: Final = 0.5
"""So many standard errors a bucket's gap may exceed the limit by chance."""
BUCKET_FAIL: Final = 2.58
"""So many standard errors beyond the limit fail: 99 %, since several buckets are looked at."""
SLOPE_HALF_MAX: Final = 0.35
"""A slope that is known less well says nothing of the range."""


def calibration_criteria(outcomes: Sequence[Scored], seed: int) -> tuple[Criterion, ...]:
    """The four, over outcomes that came out right or wrong, oldest first; the same seed gives the same figures."""
    blocks = blocks_of(outcomes)
    if len(outcomes) < OUTCOMES_JUDGED_MIN or len(blocks) < BLOCKS_MIN:
        return _unjudged(len(outcomes), len(blocks))
    return (
        _gap(blocks, len(outcomes), seed),
        _buckets(outcomes),
        _slope(blocks, len(outcomes)),
        _resolution(blocks, len(outcomes), seed),
    )


def _unjudged(n: int, blocks: int) -> tuple[Criterion, ...]:
    limits = {
        "calibration_gap": CALIBRATION_GAP_MAX,
        "calibration_buckets": CALIBRATION_GAP_MAX,
        "calibration_slope": SLOPE_MIN,
        "resolution": 0.0,
    }
    missing = max(OUTCOMES_JUDGED_MIN - n, 1)
    sentence = (
        f"{n} outcomes in {blocks} separate stretches of time say too little: at least {OUTCOMES_JUDGED_MIN} in"
        f" {BLOCKS_MIN} are needed."
    )
    return tuple(
        unmeasured(name, limit=limit, n=n, needed_more=missing, sentence=sentence) for name, limit in limits.items()
    )


def _gap(blocks: Sequence[Sequence[Scored]], n: int, seed: int) -> Criterion:
    found = gap_interval(blocks, seed)
    finding = Finding.NOT_ENOUGH
    if found.low >= -CALIBRATION_GAP_MAX and found.high <= CALIBRATION_GAP_MAX:
        finding = Finding.PASS
    elif found.low > CALIBRATION_GAP_MAX or found.high < -CALIBRATION_GAP_MAX:
        finding = Finding.FAIL
    room = CALIBRATION_GAP_MAX - abs(found.value)
    return _judged(
        "calibration_gap",
        finding,
        found,
        limit=CALIBRATION_GAP_MAX,
        n=n,
        needed_more=more_for_width(n, half=_half(found), room=room),
        sentence=f"What was promised lies {_points(found.value)} points above what came true (from"
        f" {_points(found.low)} to {_points(found.high)}); at most 5 either way are allowed.",
    )


def _buckets(outcomes: Sequence[Scored]) -> Criterion:
    ordered = sorted(outcomes, key=lambda outcome: outcome.confidence)
    count = min(BUCKETS_MAX, len(ordered) // BUCKET_OUTCOMES_MIN)
    if count == 0:
        missing = BUCKET_OUTCOMES_MIN - len(ordered)
        sentence = f"No bucket is large enough: {missing} more outcomes are needed."
        return unmeasured(
            "calibration_buckets", limit=CALIBRATION_GAP_MAX, n=len(ordered), needed_more=missing, sentence=sentence
        )
    edges = [len(ordered) * place // count for place in range(count + 1)]
    gaps = [_bucket_gap(ordered[low:high]) for low, high in pairwise(edges)]
    worst, error = max(gaps, key=lambda gap: abs(gap[0]) - BUCKET_ALLOWANCE * gap[1])
    excess = abs(worst) - CALIBRATION_GAP_MAX
    finding = Finding.NOT_ENOUGH
    if excess <= BUCKET_ALLOWANCE * error:
        finding = Finding.PASS
    elif excess > BUCKET_FAIL * error:
        finding = Finding.FAIL
    return _judged(
        "calibration_buckets",
        finding,
        Interval(value=worst, low=worst - NORMAL_95 * error, high=worst + NORMAL_95 * error),
        limit=CALIBRATION_GAP_MAX,
        n=len(ordered),
        needed_more=len(ordered),
        sentence=f"In the worst of {count} buckets what was promised lies {_points(worst)} points above what came"
        f" true; at most 5 either way are allowed, and {_points(BUCKET_ALLOWANCE * error)} for chance.",
    )


def _bucket_gap(bucket: Sequence[Scored]) -> tuple[float, float]:
    """The gap of one bucket, and its standard error if the promise were kept."""
    promised = math.fsum(outcome.confidence for outcome in bucket) / len(bucket)
    came_true = sum(outcome.right for outcome in bucket) / len(bucket)
    return promised - came_true, math.sqrt(max(promised * (1.0 - promised), 0.0) / len(bucket))


def _slope(blocks: Sequence[Sequence[Scored]], n: int) -> Criterion:
    found = slope_interval(blocks)
    half = _half(found)
    finding = Finding.NOT_ENOUGH
    if found.high < SLOPE_MIN or found.low > SLOPE_MAX:
        finding = Finding.FAIL
    elif SLOPE_MIN <= found.value <= SLOPE_MAX and half <= SLOPE_HALF_MAX:
        finding = Finding.PASS
    limit = SLOPE_MIN if found.value < 1.0 else SLOPE_MAX
    inside = SLOPE_MIN <= found.value <= SLOPE_MAX
    return _judged(
        "calibration_slope",
        finding,
        found if math.isfinite(half) else None,
        limit=limit,
        n=n,
        needed_more=more_for_width(n, half=half, room=SLOPE_HALF_MAX if inside else 0.0),
        value=found.value,
        sentence=_slope_sentence(found.value, half),
    )


def _slope_sentence(slope: float, half: float) -> str:
    asked = f"{SLOPE_MIN} to {SLOPE_MAX} is allowed, known to {SLOPE_HALF_MAX}."
    if not math.isfinite(half):
        return f"No slope can be told: all stated probabilities are alike; {asked}"
    return (
        f"The slope of what happened on the log odds that were stated is {slope:.2f}, known to {half:.2f} either way;"
        f" {asked}"
    )


def _resolution(blocks: Sequence[Sequence[Scored]], n: int, seed: int) -> Criterion:
    found = resolution_interval(blocks, seed)
    finding = Finding.NOT_ENOUGH
    if found.low > 0.0:
        finding = Finding.PASS
    elif found.high < 0.0:
        finding = Finding.FAIL
    return _judged(
        "resolution",
        finding,
        found,
        limit=0.0,
        n=n,
        needed_more=more_for_width(n, half=_half(found), room=found.value),
        sentence=f"The Brier score is better by {found.value:.5f} (from {found.low:.5f} to {found.high:.5f}) than that"
        " of one who always states the same; more than 0 is asked.",
    )


def _judged(
    name: str,
    finding: Finding,
    found: Interval | None,
    *,
    limit: float,
    n: int,
    needed_more: int,
    sentence: str,
    value: float | None = None,
) -> Criterion:
    more = needed_more if finding is Finding.NOT_ENOUGH else 0
    return Criterion(
        name=name,
        finding=finding,
        value=value if found is None else found.value,
        limit=limit,
        interval=found,
        n=n,
        needed_more=more,
        sentence=sentence + (f" It is not shown yet: at least {more} more outcomes are needed." if more else ""),
    )


def _half(found: Interval) -> float:
    return (found.high - found.low) / 2.0


def _points(share: float) -> str:
    return f"{100.0 * share:.1f}"
