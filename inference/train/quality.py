"""The checks that bars pass before anything is trained on them. Pure: columns as found in, findings out.

check             severity         what it means; the repair that exists
too_few           error            fewer than two bars: not even their step can be told
symbols           error            the symbol column names more than one
mixed_timestamps  error            open times in different units                              timestamps
time_unit         error            the column says milliseconds and holds another unit        timestamps
order             error            newest first, or in no order                               sort
duplicates        error            rows that are the same bar                                 duplicates
conflicting       error            rows of one open time with different values                drop_conflicting
not_a_number      error            something missing, infinite or no number                   drop_broken
not_positive      error            a price that is zero or negative                           drop_broken
negative_volume   error                                                                       drop_broken
ohlc              error            open or close outside low and high                         drop_broken
off_grid          error            open times that are no whole multiple of the step
wrong_step        error            20 bars in a row of one other step: the interval changed
gaps              note, warning    bars that are missing, an outage of the market; warning above 5 %
flat, zero_volume note, warning    bars without a move, without a trade; warning above 1 %    drop_flat
and those of inference/train/quality_market.py:
stale, spike, swapped_volume, volume_mismatch, volume_shift, another_market, tick_change

Rows are judged in the order of time, each moment once, so that one fault does not hide the others; row numbers are the
file's own. Gaps are never filled. The most common step between two rows is the bars' step.

False positives: no check of severity error fires on six files of real bars (BTC and ETH, Binance and Bybit, 1 minute to
1 hour, 2017 to 2023, the crashes of 2020 and 2022 within), nor on 1,080 windows of 100 to 3,000 bars drawn from them;
of 200 splices of BTC into ETH and back all are found. A coin that loses a third within one bar and never comes
back may be taken for another market: cut such a file by its span.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import MS
from inference.train.findings import ROWS_SHOWN, Finding, Repair, Severity
from inference.train.found import MS_OF_UNIT, Found, TimeUnit
from inference.train.quality_market import View, flat_bars, market_findings

GAPS_SHARE_MAX = 0.05
FLAT_SHARE_MAX = 0.01
"""Above these shares of the bars, a note becomes a warning."""
OTHER_STEPS_MAX = 19
"""So many bars in a row of one other step may be chance; one more is another interval."""
ROWS_MIN = 2
_UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")

Marks = NDArray[np.bool_]


def check(found: Found) -> tuple[Finding, ...]:
    """Everything that is to be said of the rows, errors and notes alike, in the order of the table above."""
    if len(found) < ROWS_MIN or step_seconds(found) == 0:
        count = len(found)
        return (_finding("too_few", Severity.ERROR, np.arange(count), f"{count} rows have no step between them"),)
    order, view = np.argsort(found.time_ms, kind="stable"), view_of(found)
    return (
        *_names_and_units(found),
        *_order(found),
        *_repeats(found, order),
        *_broken(found),
        *_grid(found, order),
        *(() if view is None else (*_silence(view), *market_findings(view))),
    )


def step_seconds(found: Found) -> int:
    """The most common step between open times, in whole seconds; 0 when there is none."""
    steps = np.diff(np.unique(found.time_ms))
    if not steps.size:
        return 0
    values, counts = np.unique(steps, return_counts=True)
    return int(values[np.argmax(counts)]) // MS


def broken_rows(found: Found) -> dict[str, Marks]:
    """The rows that are no bar, by the check that says so."""
    prices = found.prices
    unpriced: Marks = np.minimum.reduce(prices) <= 0.0
    with np.errstate(invalid="ignore"):
        body_high, body_low = np.maximum(found.open, found.close), np.minimum(found.open, found.close)
        return {
            "not_a_number": ~(np.isfinite(prices).all(axis=0) & np.isfinite(found.volume)),
            "not_positive": unpriced,
            "negative_volume": found.volume < 0.0,
            "ohlc": (body_high > found.high) | (body_low < found.low),
        }


def same_as_before(found: Found) -> Marks:
    """Whether each row has the values of the row before it, its open time apart; the first has not."""
    columns = [found.open, found.high, found.low, found.close, found.volume]
    if found.quote_volume is not None:
        columns.append(found.quote_volume)
    table = np.stack(columns)
    same = ((table[:, 1:] == table[:, :-1]) | (np.isnan(table[:, 1:]) & np.isnan(table[:, :-1]))).all(axis=0)
    return np.concatenate(([False], same))


def _names_and_units(found: Found) -> Iterable[Finding]:
    if len(found.symbols) > 1:
        named = f"the symbol column names {', '.join(found.symbols[:ROWS_SHOWN])}: one file holds one market"
        yield _finding("symbols", Severity.ERROR, np.arange(0), named)
    if found.time_unit is TimeUnit.MS:
        return
    units = found.units
    there, counts = np.unique(units, return_counts=True)
    if there.size > 1:
        rare = np.flatnonzero(units != there[np.argmax(counts)])
        said = f"open times in {' and '.join(_UNITS[unit] for unit in there)}"
        yield _finding("mixed_timestamps", Severity.ERROR, rare, said, Repair.TIMESTAMPS)
    elif found.time_unit is TimeUnit.SAID_MS and MS_OF_UNIT[int(there[0])] != 1.0:
        said = f"the column is named for milliseconds and holds {_UNITS[int(there[0])]}"
        yield _finding("time_unit", Severity.ERROR, np.arange(len(found)), said, Repair.TIMESTAMPS)


def _order(found: Found) -> Iterable[Finding]:
    steps = np.diff(found.time_ms)
    falls = np.flatnonzero(steps < 0) + 1
    if falls.size:
        newest_first = bool((steps <= 0).all())
        said = (
            "rows are in the order newest first" if newest_first else f"{falls.size} rows are older than the one before"
        )
        yield _finding("order", Severity.ERROR, falls, said, Repair.SORT)


def _repeats(found: Found, order: NDArray[np.int64]) -> Iterable[Finding]:
    equal, conflicting = repeated_rows(found.take(order))
    if equal.any():
        said = f"{int(equal.sum())} rows are the same bar as another row"
        yield _finding("duplicates", Severity.ERROR, np.sort(order[equal]), said, Repair.DUPLICATES)
    if conflicting.any():
        said = f"{int(conflicting.sum())} rows share their open time with another row and differ from it"
        yield _finding("conflicting", Severity.ERROR, np.sort(order[conflicting]), said, Repair.DROP_CONFLICTING)


def repeated_rows(ordered: Found) -> tuple[Marks, Marks]:
    """Of rows in the order of time: which repeat a bar that stands before them, and which contradict another."""
    again = np.concatenate(([False], np.diff(ordered.time_ms) == 0))
    group = np.cumsum(~again) - 1
    contradicts = again & ~same_as_before(ordered)
    conflicting: Marks = np.bincount(group, weights=contradicts)[group] > 0
    return again & ~conflicting, conflicting


def _broken(found: Found) -> Iterable[Finding]:
    sentences = {
        "not_a_number": "{} rows have a value that is missing or no finite number",
        "not_positive": "{} rows have a price that is zero or negative",
        "negative_volume": "{} rows have a negative volume",
        "ohlc": "{} rows have an open or close outside their low and high",
    }
    for name, marks in broken_rows(found).items():
        if marks.any():
            said = sentences[name].format(int(marks.sum()))
            yield _finding(name, Severity.ERROR, np.flatnonzero(marks), said, Repair.DROP_BROKEN)


def _grid(found: Found, order: NDArray[np.int64]) -> Iterable[Finding]:
    step_ms = step_seconds(found) * MS
    off = np.flatnonzero(found.time_ms % step_ms != 0)
    if off.size:
        said = f"{off.size} open times are no whole multiple of {step_ms // MS} s, the most common step: cut the file"
        yield _finding("off_grid", Severity.ERROR, off, said)
    times, first = np.unique(found.time_ms[order], return_index=True)
    steps = np.diff(times) / step_ms
    yield from _other_steps(steps, order[first])
    missing = np.where(steps > 1, np.ceil(steps) - 1, 0).astype(np.int64)
    if missing.any():
        total, longest = int(missing.sum()), int(np.argmax(missing))
        severity = Severity.WARNING if total > GAPS_SHARE_MAX * (total + times.size) else Severity.NOTE
        said = (
            f"{int((missing > 0).sum())} gaps of {total} bars together, the longest of {int(missing.max())} bars "
            f"after {_moment(int(times[longest]))}"
        )
        yield _finding("gaps", severity, np.sort(order[first[1:][missing > 0]]), said)


def _other_steps(steps: NDArray[np.float64], rows: NDArray[np.int64]) -> Iterable[Finding]:
    """Long runs of one step that is not the bars' own."""
    starts = np.flatnonzero(np.concatenate(([True], steps[1:] != steps[:-1])))
    lengths = np.diff(np.append(starts, steps.size))
    long = (steps[starts] > 1) & (lengths > OTHER_STEPS_MAX)
    if long.any():
        told = f"the step is {steps[starts[long]][0]:g} bars for {int(lengths[long][0])} rows"
        yield _finding("wrong_step", Severity.ERROR, rows[starts[long]], f"{told}: the interval changed, cut the file")


def _silence(view: View) -> Iterable[Finding]:
    for name, marks, what, repair in (
        ("flat", flat_bars(view), "without any move of the price", Repair.DROP_FLAT),
        ("zero_volume", view.volume == 0.0, "without a trade", None),
    ):
        if marks.any():
            share = marks.mean()
            severity = Severity.WARNING if share > FLAT_SHARE_MAX else Severity.NOTE
            said = f"{int(marks.sum())} bars ({share:.2%}) {what}"
            yield _finding(name, severity, view.rows[marks], said, repair)


def view_of(found: Found) -> View | None:
    """The sound rows in the order of time, each moment once; None when they are too few to speak of a market."""
    sound = np.flatnonzero(~np.logical_or.reduce(list(broken_rows(found).values())))
    _, first = np.unique(found.time_ms[sound], return_index=True)
    rows = sound[first]
    if rows.size < ROWS_MIN:
        return None
    return View(
        rows=rows,
        step_ms=step_seconds(found) * MS,
        time_ms=found.time_ms[rows],
        open=found.open[rows],
        high=found.high[rows],
        low=found.low[rows],
        close=found.close[rows],
        volume=found.volume[rows],
        quote_volume=None if found.quote_volume is None else found.quote_volume[rows],
    )


def _moment(time_ms: int) -> str:
    """ISO 8601; the number itself where the calendar ends."""
    seconds = time_ms // MS
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ") if abs(seconds) < 2**37 else str(time_ms)


def _finding(
    name: str, severity: Severity, rows: NDArray[np.int64], sentence: str, repair: Repair | None = None
) -> Finding:
    shown = tuple(int(row) for row in rows[:ROWS_SHOWN])
    return Finding(check=name, severity=severity, count=int(rows.size), rows=shown, sentence=sentence, repair=repair)
