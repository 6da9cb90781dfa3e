"""Whatever orders come at once, and whatever becomes of them, no exposure passes its cap."""

import asyncio
from dataclasses import replace
from decimal import Decimal

from builders import BTC, a_book, an_instrument, an_order
from fakes import FakeVenue
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from gateway.core.model import Evidence, Fill, Level, OrderKey, OrderState, Outcome, Side, Symbol

ETH, SOL = Symbol("ETHUSDT"), Symbol("SOLUSDT")
MIDS = {BTC: Decimal(60_000), ETH: Decimal(2500), SOL: Decimal(125)}
CAPS = {
    "symbol_cap_usd": Decimal(5000),
    "gross_cap_usd": Decimal(9000),
    "net_cap_usd": Decimal(6000),
    "leverage_max": Decimal("0.08"),
}
"""A leverage of 0.08 is 8,000 dollars of 100,000: it binds before the gross cap, until the equity grows."""
ROUNDING_USD = Decimal("0.000001")


class MixedVenue(FakeVenue):
    """Fills at the mid, in part, not at all or with a lost answer, as each order's turn has it, after a while."""

    def __init__(self, ends):
        super().__init__()
        self.ends = ends

    async def submit(self, approved):
        self.submitted.append(approved)
        state, share, turns = self.ends[len(self.submitted) % len(self.ends)]
        for _ in range(turns):
            await asyncio.sleep(0)
        if state is OrderState.UNKNOWN:
            return Outcome(state=state)
        qty = approved.qty_usd * share / MIDS[approved.order.symbol]
        fills = (Fill(price=MIDS[approved.order.symbol], qty=qty, fee_usd=Decimal(0)),) if qty else ()
        return Outcome(state=state, fills=fills, evidence=Evidence.PAPER)


ENDS = st.lists(
    st.sampled_from(
        [
            (OrderState.FILLED, Decimal(1), 0),
            (OrderState.FILLED, Decimal(1), 3),
            (OrderState.PARTIALLY_FILLED, Decimal("0.5"), 1),
            (OrderState.CANCELLED, Decimal(0), 2),
            (OrderState.UNKNOWN, Decimal(0), 1),
        ]
    ),
    min_size=1,
    max_size=5,
)
ORDERS = st.lists(
    st.builds(
        an_order,
        symbol=st.sampled_from([BTC, ETH, SOL]),
        side=st.sampled_from(Side),
        requested_usd=st.decimals(min_value=100, max_value=20_000, places=2),
        confidence=st.sampled_from([Decimal("0.7"), Decimal(1)]),
        reduce_only=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


def a_world(ends):
    world = World(symbols=frozenset(MIDS), depth_within_bps=Decimal(10_000), **CAPS)
    world.venue = MixedVenue(ends)
    for symbol, mid in MIDS.items():
        world.market.books[symbol] = a_deep_book(mid)
        world.market.instruments[symbol] = an_instrument(symbol=symbol, min_qty=Decimal("0.00001"))
    world.restart()
    return world


def a_deep_book(mid):
    qty = Decimal(10**6)
    return replace(
        a_book(),
        bids=(Level(price=mid - Decimal("0.01"), qty=qty),),
        asks=(Level(price=mid + Decimal("0.01"), qty=qty),),
    )


def keyed(orders):
    return [replace(order, key=OrderKey(f"k{number}")) for number, order in enumerate(orders)]


def ranges(world):
    """Of each symbol the least and the most that it may come to hold, from the journal alone."""
    newest = {record.order.key: record for record in world.journal.records}
    held = {symbol: [Decimal(0), Decimal(0)] for symbol in MIDS}
    for record in newest.values():
        sign, bounds = record.order.side.sign, held[record.order.symbol]
        if record.state in {OrderState.PENDING, OrderState.UNKNOWN}:
            bounds[0 if sign < 0 else 1] += sign * record.approved_usd
        for at in (0, 1):
            bounds[at] += sign * record.filled_usd
    return held


def assert_within_caps(world):
    held = ranges(world)
    largest = {symbol: max(abs(low), abs(high)) for symbol, (low, high) in held.items()}
    gross = sum(largest.values())
    assert all(usd <= CAPS["symbol_cap_usd"] + ROUNDING_USD for usd in largest.values()), held
    assert gross <= CAPS["gross_cap_usd"] + ROUNDING_USD, held
    assert gross <= 100_000 * CAPS["leverage_max"] + ROUNDING_USD, held


def net_of(world):
    held = ranges(world).values()
    return max(sum(high for _, high in held), -sum(low for low, _ in held))


@settings(max_examples=150, deadline=None)
@given(orders=ORDERS, ends=ENDS, batch=st.integers(1, 12))
def test_exposure_after_any_sequence_of_concurrent_orders_never_exceeds_any_cap(orders, ends, batch):
    asyncio.run(all_at_once(orders, ends, batch))


async def all_at_once(orders, ends, batch):
    """Orders in batches, each batch at once; looked at whenever anything was recorded. A close may add to the net."""
    world = a_world(ends)
    numbered = keyed(orders)
    for first in range(0, len(numbered), batch):
        running = [asyncio.create_task(world.path.execute(order, "ann")) for order in numbered[first : first + batch]]
        while not all(task.done() for task in running):
            assert_within_caps(world)
            await asyncio.sleep(0)
        for task in running:
            await task
        assert_within_caps(world)
    restarted_from = ranges(world)
    world.restart()
    assert ranges(world) == restarted_from
    assert_totals_are_the_journals(world)


def assert_totals_are_the_journals(world):
    """The running totals are what a fold of the journal says."""
    open_now = list(world.journal.open_orders())
    for symbol in MIDS:
        for side in Side:
            pending = [
                record.approved_usd for record in open_now if (record.order.symbol, record.order.side) == (symbol, side)
            ]
            assert world.account.pending_usd(symbol, side) == sum(pending)
    assert world.account.open_count() == len(open_now)


@settings(max_examples=100, deadline=None)
@given(orders=ORDERS, ends=ENDS)
def test_the_net_exposure_never_exceeds_its_cap_while_nothing_is_closed(orders, ends):
    """Closing a hedge may add to the net, and is never refused for it: so every symbol keeps its side here."""
    sides = {BTC: Side.BUY, ETH: Side.BUY, SOL: Side.SELL}
    kept = [order for order in orders if order.side is sides[order.symbol] and not order.reduce_only]

    async def run():
        world = a_world(ends)
        running = [asyncio.create_task(world.path.execute(order)) for order in keyed(kept)]
        while not all(task.done() for task in running):
            assert net_of(world) <= CAPS["net_cap_usd"] + ROUNDING_USD
            await asyncio.sleep(0)
        assert net_of(world) <= CAPS["net_cap_usd"] + ROUNDING_USD

    asyncio.run(run())


async def test_the_caps_bind_at_all():
    """Else the properties above say nothing."""
    world = a_world([(OrderState.FILLED, Decimal(1), 0)])
    sides = {BTC: Side.BUY, ETH: Side.BUY, SOL: Side.SELL}
    orders = [
        an_order(symbol=symbol, side=side, requested_usd=Decimal(20_000), confidence=Decimal(1))
        for symbol, side in sides.items()
    ]
    answers = [await world.path.execute(order) for order in keyed(orders)]
    told = [(answer.record.adjustments[-1].step, answer.record.approved_usd) for answer in answers]
    assert told == [("symbol_cap", 5000), ("net_cap", 1000), ("leverage", 2000)]
