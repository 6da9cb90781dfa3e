from decimal import Decimal
from typing import Any

import pytest
from builders import BTC, NOW_MS, an_instrument, an_order
from fakes import FakeMarket
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import a_record

from gateway.adapters.venue_paper import PROTECTION, PaperVenue
from gateway.core.model import Book, Evidence, Fill, Level, OrderLinkId, OrderState, Outcome, Side
from gateway.core.risk import Approved, restore

FEE = Decimal("0.00055")
STEP = Decimal("0.001")


def levels(*rows: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(price=Decimal(price), qty=Decimal(qty)) for price, qty in rows)


def the_book(received_ms: int = NOW_MS, **sides: Any) -> Book:
    bids = sides.get("bids", levels(("59997", "0.020"), ("59990", "0.030"), ("59000", "10")))
    asks = sides.get("asks", levels(("60003", "0.020"), ("60010", "0.030"), ("61000", "10")))
    return Book(bids=bids, asks=asks, received_ms=received_ms)


def a_venue(book: Book | None = None, **instrument: Any) -> tuple[PaperVenue, FakeMarket]:
    market = FakeMarket({BTC: book or the_book()}, {BTC: an_instrument(**instrument)})
    return PaperVenue(market=market, fee_bps=Decimal("5.5")), market


def approved(qty_usd: str | Decimal, side: Side = Side.BUY, link: str = "tg1", **order: Any) -> Approved:
    return restore(
        order=an_order(side=side, **order),
        order_link_id=OrderLinkId(link),
        qty_usd=Decimal(qty_usd),
        confidence=Decimal("0.9"),
        adjustments=(),
        mid_price=Decimal(60_000),
        at_ms=NOW_MS,
    )


def filled_qty(outcome: Outcome) -> Decimal:
    return sum((fill.qty for fill in outcome.fills), Decimal(0))


def notional(outcome: Outcome) -> Decimal:
    return sum((fill.notional_usd for fill in outcome.fills), Decimal(0))


async def test_a_small_order_fills_at_the_touch_and_pays_the_taker_fee() -> None:
    venue, _ = a_venue()
    outcome = await venue.submit(approved("660"))
    fill = Fill(price=Decimal(60003), qty=Decimal("0.010"), fee_usd=Decimal("0.3300165"))
    assert outcome == Outcome(state=OrderState.FILLED, fills=(fill,), evidence=Evidence.PAPER)


async def test_a_larger_order_walks_the_book_at_worse_prices() -> None:
    venue, _ = a_venue()
    sold = await venue.submit(approved("2400", Side.SELL))
    assert sold.state is OrderState.FILLED
    assert [(fill.price, fill.qty) for fill in sold.fills] == [
        (Decimal(59997), Decimal("0.020")),
        (Decimal(59990), Decimal("0.020")),
    ]


async def test_nothing_is_filled_beyond_one_percent_from_the_touch() -> None:
    venue, _ = a_venue()
    outcome = await venue.submit(approved("4800"))
    assert outcome.state is OrderState.PARTIALLY_FILLED
    assert filled_qty(outcome) == Decimal("0.050")
    assert max(fill.price for fill in outcome.fills) == Decimal(60010)


async def test_an_order_that_meets_no_whole_step_is_cancelled() -> None:
    thin = the_book(asks=levels(("60003", "0.0004")))
    venue, _ = a_venue(thin)
    assert await venue.submit(approved("660")) == Outcome(state=OrderState.CANCELLED, evidence=Evidence.PAPER)


async def test_without_a_book_or_filters_nothing_is_filled() -> None:
    venue, market = a_venue()
    market.books.clear()
    assert await venue.submit(approved("660", link="a")) == Outcome(state=OrderState.CANCELLED, evidence=Evidence.PAPER)
    market.books[BTC] = the_book()
    market.instruments.clear()
    assert await venue.submit(approved("660", link="b")) == Outcome(state=OrderState.CANCELLED, evidence=Evidence.PAPER)


@pytest.mark.parametrize(
    ("qty_usd", "filters", "words"),
    [
        ("59", {}, "quantity 0.000 is below the minimum 0.001"),
        ("120", {"min_qty": Decimal("0.005")}, "quantity 0.001 is below the minimum 0.005"),
        ("120", {"min_notional_usd": Decimal(100)}, "order value is below the minimum 100 USDT"),
        ("4000", {"max_market_qty": Decimal("0.05")}, "quantity 0.066 is above the maximum 0.05"),
    ],
)
async def test_what_the_filters_forbid_is_rejected(qty_usd: str, filters: dict[str, Decimal], words: str) -> None:
    venue, _ = a_venue(**filters)
    assert await venue.submit(approved(qty_usd)) == Outcome(
        state=OrderState.REJECTED, detail=words, evidence=Evidence.PAPER
    )


async def test_the_same_order_link_id_is_filled_once() -> None:
    venue, _ = a_venue()
    first = await venue.submit(approved("660"))
    assert await venue.submit(approved("660")) is first
    assert await venue.find(a_record(order_link_id=OrderLinkId("tg1"))) is first
    assert await venue.find(a_record(order_link_id=OrderLinkId("tg2"))) is None


async def test_what_one_order_took_is_gone_until_the_next_book() -> None:
    venue, market = a_venue()
    await venue.submit(approved("1300", link="a"))
    second = await venue.submit(approved("660", link="b"))
    assert [fill.price for fill in second.fills] == [Decimal(60010)]
    market.books[BTC] = the_book(NOW_MS + 250)
    third = await venue.submit(approved("660", link="c"))
    assert [fill.price for fill in third.fills] == [Decimal(60003)]


@pytest.mark.parametrize("side", list(Side))
async def test_a_reduce_only_order_closes_a_position_to_the_last_step(side: Side) -> None:
    venue, _ = a_venue()
    qty = Decimal("0.037")
    worth = (qty * Decimal(60_000)).quantize(Decimal("1e-8")) - Decimal("1e-8")
    outcome = await venue.submit(approved(worth, side, reduce_only=True))
    assert (outcome.state, filled_qty(outcome)) == (OrderState.FILLED, qty)


PRICES = st.integers(1, 10**7).map(lambda ticks: Decimal(ticks) / 10)
QUANTITIES = st.decimals("0.0001", "50", places=4)


@st.composite
def books(draw: st.DrawFn) -> Book:
    touch = draw(PRICES)
    gaps = draw(st.lists(st.integers(1, 400), min_size=1, max_size=8))
    spread = draw(st.integers(1, 50))
    bids, asks, bid, ask = [], [], touch, touch + Decimal(spread) / 10
    for gap in gaps:
        if bid > 0:
            bids.append(Level(price=bid, qty=draw(QUANTITIES)))
        asks.append(Level(price=ask, qty=draw(QUANTITIES)))
        bid, ask = bid - Decimal(gap) / 10, ask + Decimal(gap) / 10
    return Book(bids=bids, asks=asks, received_ms=NOW_MS)


@given(
    book=books(),
    side=st.sampled_from(Side),
    qty_usd=st.decimals("0.01", "100000", places=8),
)
async def test_no_fill_is_free_better_than_the_touch_or_more_than_asked_for(
    book: Book, side: Side, qty_usd: Decimal
) -> None:
    venue, _ = a_venue(book)
    outcome = await venue.submit(approved(qty_usd, side))
    opposite = book.asks if side is Side.BUY else book.bids
    touch = opposite[0].price
    depth = {level.price: level.qty for level in opposite}

    assert notional(outcome) <= qty_usd
    assert filled_qty(outcome) * book.mid <= qty_usd
    for fill in outcome.fills:
        assert 0 < fill.qty <= depth[fill.price]
        assert fill.qty % STEP == 0
        assert fill.fee_usd == fill.notional_usd * FEE > 0
        assert (fill.price - touch) * side.sign >= 0
        assert abs(fill.price - touch) <= touch * PROTECTION
    if outcome.state in {OrderState.CANCELLED, OrderState.REJECTED}:
        assert outcome.fills == ()
    else:
        assert outcome.fills


@given(book=books(), orders=st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 10_000)), max_size=8))
async def test_orders_together_never_take_more_than_one_book_holds(book: Book, orders: list[tuple[Side, int]]) -> None:
    venue, _ = a_venue(book)
    taken: dict[tuple[Side, Decimal], Decimal] = {}
    for number, (side, qty_usd) in enumerate(orders):
        outcome = await venue.submit(approved(str(qty_usd), side, link=f"tg{number}"))
        for fill in outcome.fills:
            taken[side, fill.price] = taken.get((side, fill.price), Decimal(0)) + fill.qty
    for level in book.asks:
        assert taken.get((Side.BUY, level.price), Decimal(0)) <= level.qty
    for level in book.bids:
        assert taken.get((Side.SELL, level.price), Decimal(0)) <= level.qty


def test_paper_orders_can_always_be_filled() -> None:
    venue, _ = a_venue()
    assert venue.block(reduce_only=False) is None
