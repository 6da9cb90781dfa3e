"""The checks of what bars say: repeats, spikes, volumes in each other's column, a series that becomes another market.

check            severity        fires when
stale            error, warning  a bar repeats the one before it to the last digit, volume included: error from two
                                 repeats in a row on                                              drop_stale
spike            error           a close doubles or halves and comes back with the next bar, or high or low are twice
                                 as far as open and close                                         drop_spikes
                 note            the same for a move of 5 % and 15 usual moves: real crashes do that
swapped_volume   error           volume / quote volume is the price, not quote volume / volume    swapped_volume
volume_mismatch  warning         neither of the two is
volume_shift     error           without a quote volume: the volume's level moves for good by a factor that is the
                                 price (100 or more): quote volume stands in the column on one side
                 warning         the level moves by two orders of magnitude and the factor is not the price
another_market   error           the close jumps between neighbours, stays there, and is not the same market's:
                                 by 3 times; or by half, and volume, volatility or tick change too; or by 10 % and 15
                                 usual moves, and the tick changes by 5 times, and volume or volatility too
                 warning         a jump by half that stays
tick_change      note            the grid on which prices lie changes

The same coin of another exchange goes on at the same price: only a new tick, or a volume a hundred times off, tells.
A price between 0.5 and 2 hides a swap, since there base and quote volume look alike. One quote volume in the whole of
a file without a second column cannot be seen: nothing in the file says what the unit is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import Series
from inference.train.findings import ROWS_SHOWN, Finding, Repair, Severity

STALE_REPEATS_MAX = 1
SPIKE_LOG = float(np.log(2.0))
SPIKE_NOTE_LOG = 0.05
USUAL_MOVES = 15.0
"""A move of so many median moves of its neighbourhood is unusual; real hours reach about 30 in a crash."""
RETURN_SHARE = 0.25
"""A spike comes back but for this share of its move."""
PRICE_TOLERANCE = 2.0
"""The mean price that volumes imply lies within low and high; twice outside is another unit."""
SHIFT_LOG10 = 2.0
SHIFT_TOLERANCE_LOG10 = 0.5
SHIFT_BLOCK, SHIFT_BLOCKS = 24, 8
"""Levels are medians of 8 blocks' medians of 24 bars: a busy day moves no such level a hundredfold."""
JUMP_LOG = 0.10
JUMP_HALF_LOG = float(np.log(1.5))
JUMP_SURE_LOG = float(np.log(3.0))
JUMPS_MAX = 200
"""So many candidates are looked at: a file with more of them is refused for the first."""
SCALE_BLOCK = 240
SIDE_ROWS = 200
"""Rows on each side of a jump that are compared."""
SETTLED_ROWS = 20
VOLUME_CHANGE_LOG10 = 0.7
VOLATILITY_CHANGE = 2.0
TICK_CHANGE = 5.0
TICK_ROWS = 500
_DECIMALS_MAX = 8

Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """Sound bars in the order of time, each moment once, and the rows of the file where they stand."""

    rows: NDArray[np.int64]
    step_ms: int
    time_ms: NDArray[np.int64]
    open: Series
    high: Series
    low: Series
    close: Series
    volume: Series
    quote_volume: Series | None

    @property
    def moves(self) -> Series:
        """The log return of each bar; 0 for the first."""
        return np.diff(np.log(self.close), prepend=np.log(self.close[:1]))

    @property
    def usual(self) -> Series:
        """The usual size of a move around each bar: the median of its block, never nothing."""
        return np.maximum(_block_medians(np.abs(self.moves), SCALE_BLOCK), 1e-5)

    def finding(
        self, check: str, severity: Severity, marks: Marks, sentence: str, repair: Repair | None = None
    ) -> Finding:
        """A finding of the marked bars."""
        rows = np.sort(self.rows[marks])
        return Finding(
            check=check,
            severity=severity,
            count=int(rows.size),
            rows=tuple(int(row) for row in rows[:ROWS_SHOWN]),
            sentence=sentence,
            repair=repair,
        )


def market_findings(view: View) -> Iterable[Finding]:
    """What the bars themselves say."""
    yield from _stale(view)
    yield from _spikes(view)
    yield from _volumes(view) if view.quote_volume is not None else _volume_shift(view)
    yield from _another_market(view)
    yield from _tick_change(view)


def stale_bars(view: View) -> Marks:
    """Bars that repeat the one before them, volume included; a flat bar without trades is silence, not a repeat."""
    columns = np.stack([view.open, view.high, view.low, view.close, view.volume])
    same = np.concatenate(([False], (columns[:, 1:] == columns[:, :-1]).all(axis=0)))
    return same & ((view.high > view.low) | (view.volume > 0.0))


def _stale(view: View) -> Iterable[Finding]:
    marks = stale_bars(view)
    if marks.any():
        in_a_row = _longest_run(marks)
        severity = Severity.ERROR if in_a_row > STALE_REPEATS_MAX else Severity.WARNING
        said = f"{int(marks.sum())} bars repeat the one before them to the last digit, up to {in_a_row} in a row"
        yield view.finding("stale", severity, marks, said, Repair.DROP_STALE)


def flat_bars(view: View) -> Marks:
    """Bars whose four prices are one price."""
    flat: Marks = (view.high == view.low) & (view.open == view.close) & (view.open == view.high)
    return flat


def spiked_bars(view: View, size: float | Series = SPIKE_LOG) -> Marks:
    """Bars whose close, high or low is farther than `size` (log) from where it was and is gone with the next bar."""
    there = view.moves
    back = np.append(there[1:], 0.0)
    reverts = (np.abs(there) > size) & (np.abs(back) > size) & (np.abs(there + back) < RETURN_SHARE * np.abs(there))
    above = np.log(view.high / np.maximum(view.open, view.close))
    below = np.log(np.minimum(view.open, view.close) / view.low)
    found: Marks = reverts | (above > size) | (below > size)
    return found


def _spikes(view: View) -> Iterable[Finding]:
    sure = spiked_bars(view)
    if sure.any():
        said = f"{int(sure.sum())} bars have a price twice as far as it can be, gone with the next bar"
        yield view.finding("spike", Severity.ERROR, sure, said, Repair.DROP_SPIKES)
    unusual = spiked_bars(view, np.maximum(SPIKE_NOTE_LOG, USUAL_MOVES * view.usual)) & ~sure
    if unusual.any():
        said = f"{int(unusual.sum())} bars have an unusually far price that is gone with the next bar"
        yield view.finding("spike", Severity.NOTE, unusual, said)


def swapped_bars(view: View) -> Marks:
    """Bars whose base and quote volume stand in each other's column."""
    return _implies_price(view, swapped=True) & ~_implies_price(view, swapped=False)


def _implies_price(view: View, *, swapped: bool) -> Marks:
    """Whether the two volumes, taken this way, make a mean price within the bar's low and high, give or take."""
    quote: Series = np.zeros_like(view.volume) if view.quote_volume is None else view.quote_volume
    base, paid = (quote, view.volume) if swapped else (view.volume, quote)
    traded = (base > 0.0) & (paid > 0.0)
    price = np.divide(paid, base, out=np.zeros_like(paid), where=traded)
    within: Marks = (price >= view.low / PRICE_TOLERANCE) & (price <= view.high * PRICE_TOLERANCE)
    return traded & within


def _volumes(view: View) -> Iterable[Finding]:
    swapped = swapped_bars(view)
    if swapped.any():
        said = (
            f"base and quote volume are swapped in {int(swapped.sum())} rows: volume / quote volume is the price there"
        )
        yield view.finding("swapped_volume", Severity.ERROR, swapped, said, Repair.SWAPPED_VOLUME)
    quote: Series = np.zeros_like(view.volume) if view.quote_volume is None else view.quote_volume
    neither = ((view.volume > 0.0) | (quote > 0.0)) & ~swapped & ~_implies_price(view, swapped=False)
    if neither.any():
        said = f"in {int(neither.sum())} rows quote volume / volume is not the price"
        yield view.finding("volume_mismatch", Severity.WARNING, neither, said)


def _volume_shift(view: View) -> Iterable[Finding]:
    """Level shifts of the volume by two orders of magnitude, each reported once, where it is steepest."""
    levels = _volume_levels(view.volume)
    shifts = np.array([_shift(levels, block) for block in range(levels.size)])
    while shifts.size and np.nanmax(np.abs(shifts), initial=0.0) >= SHIFT_LOG10:
        block = int(np.nanargmax(np.abs(shifts)))
        yield _shift_finding(view, _steepest(view.volume, block, np.sign(shifts[block])), float(shifts[block]))
        shifts[max(0, block - SHIFT_BLOCKS) : block + SHIFT_BLOCKS + 1] = 0.0


def _volume_levels(volume: Series) -> Series:
    """The median decimal logarithm of each whole block's volumes; NaN where half of them are nothing."""
    count = volume.size // SHIFT_BLOCK
    blocks = volume[: count * SHIFT_BLOCK].reshape(count, SHIFT_BLOCK)
    middle = np.median(blocks, axis=1)
    return np.log10(np.where(middle > 0.0, middle, np.nan))


def _shift(levels: Series, block: int) -> float:
    """How far the level moves over a block, in orders of magnitude; 0 where one side is too short to tell."""
    before, after = levels[max(0, block - SHIFT_BLOCKS) : block], levels[block + 1 : block + 1 + SHIFT_BLOCKS]
    enough = min(np.isfinite(before).sum(), np.isfinite(after).sum()) >= SHIFT_BLOCKS // 2
    return float(np.nanmedian(after) - np.nanmedian(before)) if enough else 0.0


def _steepest(volume: Series, block: int, sign: float) -> int:
    """The row around a block from which on the volume stands at its new level: where the two sides differ the most."""
    first = max(0, (block - SHIFT_BLOCKS) * SHIFT_BLOCK)
    logs = np.log10(np.maximum(volume[first : (block + SHIFT_BLOCKS + 1) * SHIFT_BLOCK], 1e-12))
    sums = np.concatenate(([0.0], np.cumsum(logs)))
    cuts = np.arange(1, logs.size)
    differences = (sums[-1] - sums[cuts]) / (logs.size - cuts) - sums[cuts] / cuts
    weights = np.sqrt(cuts * (logs.size - cuts))  # a few rows at the edge differ by chance
    return first + int(cuts[np.argmax(sign * differences * weights)])


def _shift_finding(view: View, row: int, shift: float) -> Finding:
    price = float(view.close[row])
    is_price = abs(abs(shift) - np.log10(price)) <= SHIFT_TOLERANCE_LOG10 and price >= 10.0**SHIFT_LOG10
    marks = np.arange(view.close.size) == row
    if is_price:
        side = "after" if shift > 0.0 else "before"
        said = (
            f"the volume's level moves by a factor of {10 ** abs(shift):.0f}, which is the price: "
            f"the rows {side} it hold quote volume; cut the file there"
        )
        return view.finding("volume_shift", Severity.ERROR, marks, said)
    said = f"the volume's level moves by a factor of {10 ** abs(shift):.0f}"
    return view.finding("volume_shift", Severity.WARNING, marks, said)


def _another_market(view: View) -> Iterable[Finding]:
    elapsed = np.diff(view.time_ms, prepend=view.time_ms[:1] - view.step_ms) / view.step_ms
    limit = np.maximum(JUMP_LOG, USUAL_MOVES * view.usual * np.sqrt(elapsed))
    for row in np.flatnonzero(np.abs(view.moves) > limit)[:JUMPS_MAX].tolist():
        jump = float(view.moves[row])
        if not _stays(view.close, row, jump):
            continue
        changed = _changes(view, row)
        tick = any(change.startswith("tick") for change in changed)
        factor, marks = float(np.exp(jump)), np.arange(view.close.size) == row
        said = f"the close jumps to {factor:.4g} times its neighbour and stays there"
        sure = abs(jump) >= JUMP_SURE_LOG or (abs(jump) >= JUMP_HALF_LOG and changed) or (tick and len(changed) > 1)
        if sure:
            told = f" ({', '.join(changed)})" if changed else ""
            said = f"{said}{told}: another market begins, cut the file there"
            yield view.finding("another_market", Severity.ERROR, marks, said)
        elif abs(jump) >= JUMP_HALF_LOG:
            yield view.finding("another_market", Severity.WARNING, marks, said)


def _stays(close: Series, row: int, jump: float) -> bool:
    """Whether the closes after the row keep more than half of its jump."""
    before, after = close[max(0, row - SETTLED_ROWS) : row], close[row : row + SETTLED_ROWS]
    return bool(np.log(np.median(after) / np.median(before)) / jump > 0.5)  # noqa: PLR2004 # half


def _changes(view: View, row: int) -> list[str]:
    """What else differs between the two sides of a jump, in words."""
    before, after = slice(max(0, row - SIDE_ROWS), row), slice(row, row + SIDE_ROWS)
    moves = np.abs(view.moves)
    volume = _ratio(float(np.median(view.volume[after])), float(np.median(view.volume[before])))
    volatility = _ratio(
        float(np.median(moves[row + 1 : row + SIDE_ROWS])) if row + 1 < moves.size else 0.0,
        float(np.median(moves[before])),
    )
    tick = _ratio(tick_of(view.close[after]), tick_of(view.close[before]))
    found = []
    if abs(np.log10(volume)) >= VOLUME_CHANGE_LOG10:
        found.append(f"volume {volume:.2g} times")
    if abs(np.log(volatility)) >= np.log(VOLATILITY_CHANGE):
        found.append(f"volatility {volatility:.2g} times")
    if abs(np.log(tick)) >= np.log(TICK_CHANGE) - 1e-9:
        found.append(f"tick {tick:.2g} times")
    return found


def _ratio(after: float, before: float) -> float:
    """The quotient; 1 where either side is nothing, since nothing can be told then."""
    return after / before if after > 0.0 and before > 0.0 else 1.0


def tick_of(prices: Series) -> float:
    """The coarsest grid on which all prices lie; 0 when they have more than 8 decimals."""
    for decimals in range(_DECIMALS_MAX + 1):
        scaled = prices * 10.0**decimals
        whole = np.rint(scaled)  # floats are whole, and so on any grid, from 2^53 on
        if (np.abs(scaled - whole) <= 1e-9 * np.maximum(1.0, scaled)).all() and (whole < 2.0**53).all():
            return float(np.gcd.reduce(whole.astype(np.int64))) / 10.0**decimals
    return 0.0


def _tick_change(view: View) -> Iterable[Finding]:
    starts = range(0, view.close.size - TICK_ROWS + 1, TICK_ROWS)
    ticks = np.array([tick_of(view.close[start : start + TICK_ROWS]) for start in starts])
    changed = np.flatnonzero(np.diff(ticks) != 0.0) + 1 if ticks.size else np.arange(0)
    if changed.size:
        marks = np.zeros(view.close.size, np.bool_)
        marks[changed * TICK_ROWS] = True
        first = changed[0]
        said = f"the prices' grid changes {changed.size} times, first from {ticks[first - 1]:g} to {ticks[first]:g}"
        yield view.finding("tick_change", Severity.NOTE, marks, f"{said} within the {TICK_ROWS} rows before")


def _block_medians(values: Series, block: int) -> Series:
    """The median of the block around each value; what is left over at the end counts with the last block."""
    blocks = max(1, values.size // block)
    middles = [np.median(part) for part in np.split(values, range(block, blocks * block, block))]
    return np.repeat(middles, [block] * (blocks - 1) + [values.size - block * (blocks - 1)])


def _longest_run(marks: Marks) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate(([False], marks, [False])).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max(initial=0))
