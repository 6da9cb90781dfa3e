"""Outages of the exchange under trading, over real sockets: how soon each is noticed and over, and no fill is lost.

python -m bench.outages [--quick] [NAME ...]   prints a table; --quick has a tenth of the patience

The gateway's parts run here, the exchange in a process of its own (outage_desk.py). Orders go out before, during and
after each outage. At the end every order's end must be known, and fills, quantities and fees be those of the
exchange's own books. Exit code 1 when they are not.

noticed     from the outage's beginning to the gateway's knowing that it is deaf
recovered   from the outage's end to a stream that is signed in, subscribed and heard; for a connection that is broken
            until it is made anew, from the outage's beginning
settled     from the outage's end to every order's end being known, those that were sent into the outage included
stale       from the outage's beginning to prices that risk refuses for their age; - when it is over before that
priced      from the outage's end to fresh prices; for a broken connection, from the outage's beginning
"""

import argparse
import asyncio
import logging
import math
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import structlog

from bench.outage_desk import BTC, ETH, QUICK, Desk, Pace, a_desk, an_exchange, beside, until
from gateway.core.model import Symbol

PRIVATE, PUBLIC = "/v5/private", "/v5/public/linear"
NOTICE_SECONDS = 30.0
RECOVER_SECONDS = 60.0
MINUTE_MS = 60_000

Act = Callable[[Desk], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One way to go wrong."""

    name: str
    begin: Act
    end: Act | None = None
    seconds: float | None = None
    """How long it lasts; None: a connection is broken, and stays so."""
    deafens: bool = True
    """Whether the private stream is what suffers."""
    blinds: bool = False
    """Whether prices suffer."""
    lone_fault: bool = False
    """A listener fails: the connection stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one outage did; seconds are None for what does not apply."""

    name: str
    noticed_s: float | None
    recovered_s: float | None
    settled_s: float
    stale_s: float | None
    priced_s: float | None
    orders: int
    unknown: int
    evidence: Mapping[str, int]
    fills: int
    wrong: Sequence[str]
    """What differs from the exchange's books."""


async def measure(outage: Outage, pace: Pace) -> Result:
    """One outage on a new exchange. Raises TimeoutError when it is not noticed, or not recovered from."""
    async with an_exchange() as exchange, a_desk(exchange, pace) as desk:
        stop, result = asyncio.Event(), []
        trading = asyncio.create_task(desk.trade(stop))

        async def play() -> None:
            try:
                times = await _suffer(outage, desk)
                await asyncio.sleep(pace.calm_seconds)
            finally:
                stop.set()
                await trading
            await desk.settled()
            result.append(times)

        await beside(desk.ask(), play())
        [times] = result
        await asyncio.sleep(0.3)  # the longest that the exchange hides anything
        return Result(
            name=outage.name,
            **times.figures(),
            orders=len(desk.told.records),
            unknown=len(desk.told.was_unknown),
            evidence=desk.told.evidence,
            fills=len(desk.told.fills),
            wrong=await differences(desk),
        )


@dataclass
class _Times:
    noticed_s: float | None = None
    recovered_s: float | None = None
    settled_s: float = 0.0
    stale_s: float | None = None
    priced_s: float | None = None

    def figures(self) -> dict[str, Any]:
        return vars(self)


async def _suffer(outage: Outage, desk: Desk) -> _Times:
    """Trade in calm, through the outage, until all is well again."""
    times = _Times()
    await asyncio.sleep(desk.pace.calm_seconds)
    begun = _now()
    async with asyncio.TaskGroup() as watching:
        if outage.deafens:
            watching.create_task(_watch_stream(outage, desk, times, begun))
        if outage.blinds:
            watching.create_task(_watch_prices(outage, desk, times, begun))
        await outage.begin(desk)
        if outage.seconds is not None:
            await asyncio.sleep(begun + outage.seconds - _now())
        if outage.end is not None:
            await outage.end(desk)
    healthy = _now()
    begun_or_ended = begun + (outage.seconds or 0.0)
    in_flight = list(desk.told.open)
    await until(lambda: not any(record in desk.told.open for record in in_flight), RECOVER_SECONDS)
    times.settled_s = max(_now(), healthy) - begun_or_ended
    return times


async def _watch_stream(outage: Outage, desk: Desk, times: _Times, begun: float) -> None:
    stream = desk.stream
    reconnects, faults = stream.reconnects, stream.callback_faults
    if outage.lone_fault:
        await until(lambda: stream.callback_faults > faults, NOTICE_SECONDS)
        times.noticed_s = _now() - begun
        await asyncio.sleep(max(0.0, begun + (outage.seconds or 0.0) - _now()))
        await until(lambda: desk.swept_at > desk.news.failed_at, RECOVER_SECONDS)  # it makes good what was missed
    else:
        await until(lambda: not stream.connected or stream.reconnects > reconnects, NOTICE_SECONDS)
        times.noticed_s = _now() - begun
        await until(
            lambda: stream.connected and stream.reconnects > reconnects, RECOVER_SECONDS + (outage.seconds or 0)
        )
    times.recovered_s = max(0.0, _now() - begun - (outage.seconds or 0.0))


async def _watch_prices(outage: Outage, desk: Desk, times: _Times, begun: float) -> None:
    ended = math.inf if outage.seconds is None else begun + outage.seconds

    def renewed() -> bool:
        return desk.book_age_ms < (_now() - ended) * 1000

    # A short outage is over before prices are old.
    await until(lambda: not desk.is_priced or renewed(), NOTICE_SECONDS)
    if not desk.is_priced:
        times.stale_s = _now() - begun
    await until(
        lambda: desk.is_priced and (outage.seconds is None or renewed()), RECOVER_SECONDS + (outage.seconds or 0)
    )
    times.priced_s = _now() - begun - (outage.seconds or 0.0)


async def differences(desk: Desk) -> list[str]:
    """What the desk was told, against the exchange's own books and against a snapshot of the account."""
    truth, fills, wrong = await desk.exchange.truth(), desk.told.fills, []
    done = {row["execId"]: row for row in truth["executions"]}
    wrong += [f"the fill {exec_id} was lost" for exec_id in done.keys() - fills.keys()]
    wrong += [f"the fill {exec_id} never was" for exec_id in fills.keys() - done.keys()]
    for exec_id in done.keys() & fills.keys():
        told = (fills[exec_id].price, fills[exec_id].qty, fills[exec_id].fee_usd)
        if told != tuple(Decimal(done[exec_id][name]) for name in ("price", "qty", "fee")):
            wrong.append(f"the fill {exec_id} is another one: {told}")
    links = [row["orderLinkId"] for row in truth["orders"]]
    wrong += [f"{link} was made {links.count(link)} times" for link in set(links) if links.count(link) > 1]
    arrived = {link for link, outcome in desk.told.ends.items() if outcome and outcome.venue_order_id}
    wrong += [f"{link} is there, and was told to be absent" for link in set(links) - arrived]
    wrong += [f"{link} was told to be there" for link in arrived - set(links)]
    snapshot = await desk.account.snapshot(desk.clock.now_ms() - 600_000)
    held = {str(position.symbol): position.qty for position in snapshot.positions}
    if held != _held(desk):
        wrong.append(f"positions are {held}, by the fills {_held(desk)}")
    if {execution.exec_id for execution in snapshot.executions} != done.keys():
        wrong.append("the account's executions are not the books'")
    return wrong + [f"{symbol} has a gap in its bars" for symbol in (BTC, ETH) if has_gap(desk, symbol)]


def has_gap(desk: Desk, symbol: Symbol) -> bool:
    series = desk.market.bars(symbol)
    opened = [bar.open_time_ms for bar in series.bars] if series else [0, 0]
    return any(later - earlier != MINUTE_MS for earlier, later in pairwise(opened))


def _held(desk: Desk) -> dict[str, Decimal]:
    held: dict[str, Decimal] = {}
    for link, outcome in desk.told.ends.items():
        order = desk.told.records[link].order
        for fill in outcome.fills if outcome else ():
            held[order.symbol] = held.get(order.symbol, Decimal(0)) + order.side.sign * fill.qty
    return {symbol: qty for symbol, qty in held.items() if qty}


def _now() -> float:
    return asyncio.get_running_loop().time()


# The outages.


def down(seconds: float, what: str = "all") -> Outage:
    """Nothing listens on the exchange's port; or its streams alone are away, and orders go on."""

    async def begin(desk: Desk) -> None:
        await desk.exchange.control("down", seconds=seconds, what=what)

    name = f"{'server' if what == 'all' else what} down {seconds:g} s"
    return Outage(name=name, begin=begin, seconds=seconds, blinds=True)


def broken(name: str, kind: str, path: str) -> Outage:
    """A connection that lets nothing through, or says nothing any more."""

    async def begin(desk: Desk) -> None:
        await desk.exchange.break_stream(kind, path)

    is_private = path == PRIVATE
    return Outage(name=name, begin=begin, deafens=is_private, blinds=not is_private)


def failing(seconds: float) -> Outage:
    """Whoever is told of orders fails."""

    async def begin(desk: Desk) -> None:
        desk.news.fails = True

    async def end(desk: Desk) -> None:
        desk.news.fails = False

    return Outage(name=f"callback fails {seconds:g} s", begin=begin, end=end, seconds=seconds, lone_fault=True)


def refused(seconds: float) -> Outage:
    """The private stream is cut, and its sign-in refused."""

    async def begin(desk: Desk) -> None:
        await desk.exchange.break_stream("ws_refuse_auth", PRIVATE, times=0)
        await desk.exchange.break_stream("ws_disconnect", PRIVATE)

    async def end(desk: Desk) -> None:
        await desk.exchange.control("faults/clear")

    return Outage(name=f"sign-in refused {seconds:g} s", begin=begin, end=end, seconds=seconds)


def outages(*, quick: bool) -> list[Outage]:
    """All of them."""
    return [
        down(3.0),
        *([] if quick else [down(60.0)]),
        down(1.0 if quick else 10.0, "streams"),
        broken("half-open private", "ws_half_open", PRIVATE),
        broken("silent private", "ws_stall", PRIVATE),
        failing(1.0 if quick else 3.0),
        refused(1.0 if quick else 3.0),
        broken("half-open public", "ws_half_open", PUBLIC),
        broken("silent public", "ws_stall", PUBLIC),
    ]


HEAD = (
    "outage",
    "noticed",
    "recovered",
    "settled",
    "stale",
    "priced",
    "orders",
    "unknown",
    "fills",
    "lost",
    "known by",
)


def row(result: Result) -> tuple[str, ...]:
    """One line of the table; times in seconds."""
    seconds = (result.noticed_s, result.recovered_s, result.settled_s, result.stale_s, result.priced_s)
    return (
        result.name,
        *("-" if each is None else f"{each:.2f}" for each in seconds),
        *(str(each) for each in (result.orders, result.unknown, result.fills, len(result.wrong))),
        " ".join(f"{name} {count}" for name, count in sorted(result.evidence.items())),
    )


async def main() -> int:
    """Measure the outages, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only outages whose names begin so")
    parser.add_argument("--quick", action="store_true", help="a tenth of the gateway's patience, no minute of outage")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # the table is enough
    chosen = [one for one in outages(quick=options.quick) if one.name.startswith(tuple(options.names) or "")]
    results = []
    print(" | ".join(HEAD))
    for outage in chosen:
        results.append(await measure(outage, QUICK if options.quick else Pace()))
        print(" | ".join(row(results[-1])), flush=True)
        for wrong in results[-1].wrong:
            print(f"  wrong: {wrong}", flush=True)
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
