"""One criterion of the evidence and what was found of it: never a bare yes."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.core.figures import Interval, wilson

NEEDED_MAX: Final = 1_000_000
"""More than this is told as this: no such evidence will come."""


class Finding(StrEnum):
    """What the evidence says of a criterion."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_ENOUGH = "not_enough"
    """Neither is shown yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One criterion, measured."""

    name: str
    finding: Finding
    value: float | None
    """What was measured; None when nothing could be."""
    limit: float
    """What it is held against."""
    interval: Interval | None
    """The value's interval of 95 %; None where the value is no estimate."""
    n: int
    """What it was measured on: orders, outcomes or days."""
    needed_more: int
    """How many more of these it takes at least, if they are as good as the limit asks; 0 unless NOT_ENOUGH."""
    sentence: str
    """What was found and what is asked, for a person."""


def counted(name: str, what: str, *, have: int, asked: int) -> Criterion:
    """A minimum: enough, or so many more."""
    missing = max(0, asked - have)
    tail = f"; {missing} more are needed" if missing else ""
    return Criterion(
        name=name,
        finding=Finding.NOT_ENOUGH if missing else Finding.PASS,
        value=float(have),
        limit=float(asked),
        interval=None,
        n=have,
        needed_more=missing,
        sentence=f"{have} of at least {asked} {what}{tail}.",
    )


def held(name: str, *, kept: bool, value: float, limit: float, n: int, sentence: str) -> Criterion:
    """A rule that is kept or broken, with nothing to estimate."""
    return Criterion(
        name=name,
        finding=Finding.PASS if kept else Finding.FAIL,
        value=value,
        limit=limit,
        interval=None,
        n=n,
        needed_more=0,
        sentence=sentence,
    )


def unmeasured(name: str, *, limit: float, n: int, needed_more: int, sentence: str) -> Criterion:
    """Too little for a figure."""
    return Criterion(
        name=name,
        finding=Finding.NOT_ENOUGH,
        value=None,
        limit=limit,
        interval=None,
        n=n,
        needed_more=needed_more,
        sentence=sentence,
    )


def below(name: str, found: Interval, *, limit: float, n: int, needed_more: int, sentence: str) -> Criterion:
    """An estimate that must lie below a limit: its whole interval below passes, its whole interval above fails."""
    finding = Finding.NOT_ENOUGH
    if found.high < limit:
        finding = Finding.PASS
    elif found.low > limit:
        finding = Finding.FAIL
    return Criterion(
        name=name,
        finding=finding,
        value=found.value,
        limit=limit,
        interval=found,
        n=n,
        needed_more=needed_more if finding is Finding.NOT_ENOUGH else 0,
        sentence=sentence + _tail(finding, needed_more),
    )


def more_for_share(events: int, n: int, limit: float) -> int:
    """How many more without an event bring the upper end of a share's interval below the limit."""
    total = max(n, 1)
    while wilson(events, total).high >= limit and total < NEEDED_MAX:
        total += max(1, total // 100)
    return total - n


def more_for_width(n: int, *, half: float, room: float) -> int:
    """How many more, of the same kind, make an interval of this half width as narrow as the room that it has."""
    if room <= 0.0 or not math.isfinite(half):
        return n
    return min(max(1, math.ceil(n * ((half / room) ** 2 - 1.0))), NEEDED_MAX)


def _tail(finding: Finding, needed_more: int) -> str:
    if finding is Finding.NOT_ENOUGH:
        return f" It is not shown yet: at least {needed_more} more are needed."
    return ""
