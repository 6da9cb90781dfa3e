"""The day's earnings and losses in a row, as the fills make them."""

from dataclasses import replace
from decimal import Decimal

from builders import BTC, NOW_MS, an_order
from journal_kit import a_filled

from gateway.core.ledger import Ledger
from gateway.core.model import Fill, OrderState, Side
from gateway.core.results import DAY_MS, Results

MIDNIGHT = NOW_MS // DAY_MS * DAY_MS


class Story:
    """Orders one after the other, and what they come to."""

    def __init__(self):
        self.ledger, self.results = Ledger(start_usd=Decimal(1000)), Results()

    def order(self, side, price, qty="1", fee="0", at_ms=NOW_MS):
        fill = Fill(price=Decimal(price), qty=Decimal(qty), fee_usd=Decimal(fee))
        record = a_filled(order=an_order(side=side), fills=(fill,), updated_ms=at_ms)
        return self.take(record)

    def take(self, record):
        before = self.ledger
        self.ledger = before.applied(BTC, record.order.side, record.fills)
        self.results = self.results.after(record, before, self.ledger)
        return self

    def buy(self, price, **changes):
        return self.order(Side.BUY, price, **changes)

    def sell(self, price, **changes):
        return self.order(Side.SELL, price, **changes)

    def today(self, now_ms=NOW_MS):
        return self.results.earned_today_usd(self.ledger, now_ms)


def test_a_day_earns_what_its_fills_realise_less_their_fees():
    assert Story().buy(100, fee="1").sell(110, fee="2").today() == 7


def test_what_was_earned_before_midnight_is_of_another_day():
    story = Story().buy(100, fee="1", at_ms=MIDNIGHT - 1)
    assert story.today(MIDNIGHT - 1) == -1
    assert story.today(MIDNIGHT) == 0
    story.sell(90, at_ms=MIDNIGHT)
    assert (story.today(MIDNIGHT), story.today(MIDNIGHT + DAY_MS - 1)) == (-10, -10)
    assert story.today(MIDNIGHT + DAY_MS) == 0


def test_a_clock_that_was_set_back_hides_no_loss():
    story = Story().buy(100).sell(90)
    assert story.today(NOW_MS - DAY_MS) == -10
    story.buy(100, at_ms=NOW_MS - DAY_MS).sell(95, at_ms=NOW_MS - DAY_MS)
    assert story.today() == -15


def test_closes_that_lose_add_up_and_one_that_earns_ends_the_row():
    story = Story()
    for number in (1, 2, 3):
        story.buy(100).sell(90, at_ms=NOW_MS + number)
        assert (story.results.losing_streak, story.results.last_loss_ms) == (number, NOW_MS + number)
    story.buy(100).sell(101)
    assert (story.results.losing_streak, story.results.last_loss_ms) == (0, 0)


def test_a_close_loses_when_its_fee_is_more_than_it_realises():
    assert Story().buy(100).sell(101, fee="1.01").results.losing_streak == 1
    assert Story().buy(100).sell(101, fee="1").results.losing_streak == 0


def test_a_short_that_is_bought_back_for_more_has_lost():
    assert Story().sell(100).buy(110).results.losing_streak == 1


def test_openings_and_orders_without_fills_are_no_closes():
    story = Story().buy(100, fee="5").buy(90, fee="5")
    assert story.results.losing_streak == 0
    story.sell(80)
    nothing = a_filled(order=an_order(side=Side.SELL), fills=(), state=OrderState.CANCELLED)
    assert story.take(nothing).results.losing_streak == 1
    assert story.take(replace(nothing, updated_ms=NOW_MS + 5)).results.last_loss_ms == NOW_MS
