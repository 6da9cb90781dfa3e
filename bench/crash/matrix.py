"""Many cases at once, and what they come to."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.crash.case import Case, Ending, Way, run_case
from bench.crash.modes import KILLS, Mode
from bench.crash.world import an_exchange

CASES_AT_ONCE = 6
"""A case waits more than it works: about this many keep two cores busy."""
MODES_AT_ONCE = 2
"""So that the last cases of a mode do not run alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """All kills in one mode."""

    mode: Mode
    endings: Sequence[Ending]
    injected: Mapping[str, int]
    """How often each fault happened, by the exchange's own count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the cases came to."""

    cases: int
    orders: int
    """At the venue."""
    none: int
    """Cases without an order there."""
    duplicates: int
    """Orders beyond the first of their case."""
    disowned: int
    """Cases whose journal denies the order that the venue has."""
    caught: int
    """Cases in which a rule is broken."""
    ways: Mapping[Way, int]
    broken: Mapping[str, int]

    def __str__(self) -> str:
        ways = ", ".join(f"{count} {way.value}" for way, count in self.ways.items() if count)
        rules = "; ".join(f"{count} x {rule}" for rule, count in self.broken.items()) or "no rule is broken"
        return (
            f"{self.cases} cases: {self.orders} orders at the venue, {self.duplicates} of them duplicates and"
            f" {self.disowned} denied by the journal; {self.none} cases without an order; {ways};"
            f" caught {self.caught}: {rules}"
        )


async def run_matrix(modes: Sequence[Mode], folder: Path, *, naive: bool = False) -> list[Column]:
    """Every kill in each of the modes."""
    cases, columns = asyncio.Semaphore(CASES_AT_ONCE), asyncio.Semaphore(MODES_AT_ONCE)

    async def column(mode: Mode) -> Column:
        async with columns, an_exchange() as exchange:

            async def one(number: int, kill: str) -> Ending:
                async with cases:
                    case = Case(mode=mode, kill=kill, uid=1000 + number, naive=naive)
                    return await run_case(case, exchange, folder / case.key)

            endings = await asyncio.gather(*(one(number, kill) for number, kill in enumerate(KILLS)))
            return Column(mode=mode, endings=endings, injected=(await exchange.ask("faults"))["injected"])

    return await asyncio.gather(*(column(mode) for mode in modes))


def totals(endings: Sequence[Ending]) -> Totals:
    """Count."""
    ways = Counter(ending.way for ending in endings)
    return Totals(
        cases=len(endings),
        orders=sum(ending.orders for ending in endings),
        none=sum(ending.orders == 0 for ending in endings),
        duplicates=sum(max(0, ending.orders - 1) for ending in endings),
        disowned=sum(ending.orders > 0 and ending.way in {Way.EXPIRED, Way.FAILED} for ending in endings),
        caught=sum(bool(ending.broken) for ending in endings),
        ways={way: ways[way] for way in Way},
        broken=dict(Counter(rule.value for ending in endings for rule in ending.broken)),
    )
