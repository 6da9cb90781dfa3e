"""The walk-forward over time: purged and embargoed, so that nothing that is measured was seen before.

    |<------------- training window ------------->|
    | members' rows          | calibrator's rows  |   test rows
    |------------------ p,e  |--------------- p,e |---------------------|
                                                  ^ boundary

The boundary moves from the end of the first training window in steps of `test_bars`. Rows are told apart by time, so
that several markets are cut at the same moments. At both joints two stretches stay unused: p, every row whose label
looks at a bar that closes later than the joint, and e, the embargo, `embargo_bars` more. Whatever is fitted (members
and their scalers, calibration, dissimilarity) is fitted inside the training window alone.

A last fold that is shorter than a sixth of `test_bars` (a month of half a year), or has fewer than `PART_ROWS_MIN`
rows, says nothing by itself; its rows join the fold before, since dropping them would drop those that matter most.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.train.examples import Examples, UnusableError
from inference.train.recipe import WalkSpec

PART_ROWS_MIN = 300
"""Fewer rows than this teach and show nothing."""
FOLDS_MAX = 500
_LAST_SHARE_MIN = 1.0 / 6.0

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """A training window as row numbers of the examples: what fits the members, and what fits the calibrator."""

    members: RowNumbers
    calibrator: RowNumbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldRows:
    """One fold: a training window, and the rows that are measured."""

    cut: Cut
    test: RowNumbers


Splitter = Callable[[Examples, WalkSpec], tuple[FoldRows, ...]]


def walk_forward_folds(examples: Examples, walk: WalkSpec) -> tuple[FoldRows, ...]:
    """The folds, oldest first. Raises UnusableError when the bars are too few for one."""
    first, last = int(examples.closed_ms[0]), int(examples.closed_ms[-1])
    step = walk.test_bars * examples.bar_ms
    starts = list(range(first + walk.train_bars * examples.bar_ms, last + 1, step))
    if len(starts) > 1 and _is_short(examples, starts[-1], round(step * _LAST_SHARE_MIN)):
        starts.pop()
    if not starts or len(starts) > FOLDS_MAX:
        raise UnusableError(_wrong_length(examples, walk, len(starts)))
    ends = [*starts[1:], last + 1]
    return tuple(_fold(examples, walk, start, end) for start, end in zip(starts, ends, strict=True))


def _is_short(examples: Examples, start_ms: int, span_ms_min: int) -> bool:
    rows = examples.closed_ms[examples.closed_ms >= start_ms]
    return rows.size < PART_ROWS_MIN or int(rows[-1]) + examples.bar_ms - start_ms < span_ms_min


def _wrong_length(examples: Examples, walk: WalkSpec, folds: int) -> str:
    if folds > FOLDS_MAX:
        return f"the walk would take {folds} folds, more than {FOLDS_MAX}: take a longer test window"
    bars = (int(examples.closed_ms[-1]) - int(examples.closed_ms[0])) // examples.bar_ms + 1
    return (
        f"the labelled rows span {bars} bars, too few for a walk-forward that trains on {walk.train_bars} bars "
        f"and tests on the next {walk.test_bars}"
    )


def _fold(examples: Examples, walk: WalkSpec, start_ms: int, end_ms: int) -> FoldRows:
    test = _between(examples, start_ms, end_ms)
    return FoldRows(cut=training_cut(examples, walk, start_ms), test=_enough(test, "the test"))


def training_cut(examples: Examples, walk: WalkSpec, boundary_ms: int) -> Cut:
    """The training window that ends before `boundary_ms`. Raises UnusableError when a part of it has too few rows."""
    window = walk.train_bars * examples.bar_ms
    start, embargo = boundary_ms - window, walk.embargo_bars * examples.bar_ms
    joint = start + round(window * (1.0 - walk.calibrate_share))

    def part(from_ms: int, to_ms: int, what: str) -> RowNumbers:
        rows = _between(examples, from_ms, to_ms)
        return _enough(rows[examples.end_ms[rows] + embargo <= to_ms], what)

    return Cut(members=part(start, joint, "the members"), calibrator=part(joint, boundary_ms, "the calibrator"))


def final_boundary_ms(examples: Examples, walk: WalkSpec) -> int:
    """The boundary whose training window takes in the newest row that has a label."""
    return int(examples.end_ms.max()) + walk.embargo_bars * examples.bar_ms


def _between(examples: Examples, from_ms: int, to_ms: int) -> RowNumbers:
    """The rows whose bar closed from the one moment to before the other."""
    first, stop = np.searchsorted(examples.closed_ms, [from_ms, to_ms])
    return np.arange(first, stop)


def _enough(rows: RowNumbers, what: str) -> RowNumbers:
    if rows.size < PART_ROWS_MIN:
        raise UnusableError(f"{rows.size} labelled rows are too few for {what}: {PART_ROWS_MIN} are needed")
    return rows
