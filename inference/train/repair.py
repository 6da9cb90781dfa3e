"""Repairs of bars as found: each made only when asked for by name, and told afterwards. None makes up a value.

They are made in the order of `Repair`, whatever the order in which they are asked for: what later ones look at is then
in order and once. What they do stands with their names in inference/train/findings.py.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from inference.train.findings import Repair
from inference.train.found import Found, TimeUnit
from inference.train.quality import broken_rows, repeated_rows, view_of
from inference.train.quality_market import View, flat_bars, spiked_bars, stale_bars, swapped_bars

Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A repair that was made."""

    repair: Repair
    rows: int
    """The rows that it changed, moved or dropped."""


def repaired(found: Found, asked: Collection[Repair]) -> tuple[Found, tuple[Done, ...]]:
    """The rows after the repairs, and what each of them did; one that had nothing to do is told with 0 rows."""
    done = []
    for repair in Repair:
        if repair in asked:
            found, rows = _REPAIRS[repair](found)
            done.append(Done(repair=repair, rows=rows))
    return found, tuple(done)


def told(done: Collection[Done]) -> str:
    """For the source of a market: what was done to it; empty when nothing was."""
    made = [f"{one.repair.value} ({one.rows} rows)" for one in done if one.rows]
    return f"; repaired: {', '.join(made)}" if made else ""


def _timestamps(found: Found) -> tuple[Found, int]:
    time_ms = found.time_ms
    return replace(found, time=time_ms, time_unit=TimeUnit.MS), int((time_ms != found.time).sum())


def _sort(found: Found) -> tuple[Found, int]:
    order = np.argsort(found.time_ms, kind="stable")
    return found.take(order), int((order != np.arange(order.size)).sum())


def _duplicates(found: Found) -> tuple[Found, int]:
    order = np.argsort(found.time_ms, kind="stable")
    equal, _ = repeated_rows(found.take(order))
    return _without(found, order[equal])


def _drop_conflicting(found: Found) -> tuple[Found, int]:
    order = np.argsort(found.time_ms, kind="stable")
    _, conflicting = repeated_rows(found.take(order))
    return _without(found, order[conflicting])


def _drop_broken(found: Found) -> tuple[Found, int]:
    return _without(found, np.flatnonzero(np.logical_or.reduce(list(broken_rows(found).values()))))


def _swapped_volume(found: Found) -> tuple[Found, int]:
    rows = _marked(found, swapped_bars)
    if found.quote_volume is None or not rows.size:
        return found, 0
    volume, quote = found.volume.copy(), found.quote_volume.copy()
    volume[rows], quote[rows] = found.quote_volume[rows], found.volume[rows]
    return replace(found, volume=volume, quote_volume=quote), int(rows.size)


def _dropping(marks: Callable[[View], Marks]) -> Callable[[Found], tuple[Found, int]]:
    """A repair that drops what a check marks."""

    def drop(found: Found) -> tuple[Found, int]:
        return _without(found, _marked(found, marks))

    return drop


def _marked(found: Found, marks: Callable[[View], Marks]) -> NDArray[np.int64]:
    view = view_of(found)
    return np.arange(0) if view is None else view.rows[marks(view)]


def _without(found: Found, rows: NDArray[np.int64]) -> tuple[Found, int]:
    kept = np.ones(len(found), np.bool_)
    kept[rows] = False
    return found.take(kept), int(rows.size)


_REPAIRS: Mapping[Repair, Callable[[Found], tuple[Found, int]]] = MappingProxyType(
    {
        Repair.TIMESTAMPS: _timestamps,
        Repair.SORT: _sort,
        Repair.DUPLICATES: _duplicates,
        Repair.DROP_CONFLICTING: _drop_conflicting,
        Repair.DROP_BROKEN: _drop_broken,
        Repair.DROP_SPIKES: _dropping(spiked_bars),
        Repair.DROP_STALE: _dropping(stale_bars),
        Repair.DROP_FLAT: _dropping(flat_bars),
        Repair.SWAPPED_VOLUME: _swapped_volume,
    }
)
