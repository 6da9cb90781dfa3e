"""Exposure in the worst case, open profit and loss, and depth, against hand-worked figures."""

from decimal import Decimal

from builders import BTC, NOW_MS

from gateway.core.exposure import depth_usd, held_usd, open_pnl_usd, other_exposure
from gateway.core.facts import OtherExposure
from gateway.core.ledger import Position
from gateway.core.model import Book, Level, Side, Symbol

ETH, SOL = Symbol("ETHUSDT"), Symbol("SOLUSDT")
POSITIONS = {
    BTC: Position(qty=Decimal("0.1"), entry_price=Decimal(50_000)),
    ETH: Position(qty=Decimal(-2), entry_price=Decimal(3000)),
}
MIDS = {BTC: Decimal(60_000), ETH: Decimal(2500)}
PENDING = {
    (ETH, Side.BUY): Decimal(1000),
    (ETH, Side.SELL): Decimal(2000),
    (SOL, Side.BUY): Decimal(300),
    (BTC, Side.BUY): Decimal(77),
}


def exposure(gross, long, short):
    return OtherExposure(gross_usd=Decimal(gross), long_usd=Decimal(long), short_usd=Decimal(short))


def test_each_symbol_counts_on_its_larger_side_with_orders_under_way_at_their_worst():
    """ETH: 5,000 short, 4,000 to 7,000 with its orders; SOL: 300 long at most."""
    assert other_exposure(BTC, POSITIONS, PENDING, MIDS) == exposure(7300, -3700, 7000)
    assert other_exposure(SOL, POSITIONS, PENDING, MIDS) == exposure(7000 + 6077, -4000 + 6077, 7000 - 6000)


def test_an_account_that_holds_nothing_else_has_no_other_exposure():
    assert other_exposure(BTC, {BTC: POSITIONS[BTC]}, {}, {}) == exposure(0, 0, 0)


def test_what_is_held_needs_a_price_and_what_is_under_way_alone_does_not():
    assert other_exposure(BTC, POSITIONS, PENDING, {BTC: Decimal(60_000)}) is None
    assert other_exposure(BTC, {}, PENDING, {}) == exposure(2300, 1300, 2000)
    assert held_usd(POSITIONS, PENDING, {BTC: Decimal(60_000)}) is None
    assert open_pnl_usd(POSITIONS, {ETH: Decimal(2500)}) is None


def test_open_profit_and_loss_is_that_of_all_positions():
    assert open_pnl_usd(POSITIONS, MIDS) == 1000 + 1000
    assert open_pnl_usd({}, {}) == 0


def test_what_is_held_counts_every_order_under_way_as_filled_whole():
    assert held_usd(POSITIONS, PENDING, MIDS) == {BTC: 6077, ETH: -6000, SOL: 300}


def level(price, qty):
    return Level(price=Decimal(price), qty=Decimal(qty))


def test_depth_is_what_stands_on_the_side_that_is_taken_up_to_the_distance_and_no_further():
    """The mid is 100; 100 basis points of it reach from 99 to 101."""
    book = Book(
        bids=(level("99.5", 1), level("99", 2), level("98.99", 50)),
        asks=(level("100.5", 3), level("101", 4), level("101.01", 50)),
        received_ms=NOW_MS,
    )
    assert depth_usd(book, Side.BUY, Decimal(100)) == Decimal("100.5") * 3 + 101 * 4
    assert depth_usd(book, Side.SELL, Decimal(100)) == Decimal("99.5") + 99 * 2
    assert depth_usd(book, Side.BUY, Decimal(1)) == 0
