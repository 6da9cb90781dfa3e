"""The memory of the last minute: what is counted, and that it forgets."""

from dataclasses import replace
from decimal import Decimal

from builders import BTC, NOW_MS, an_order

from gateway.core.model import OrderKey, Side, Symbol
from gateway.recent_orders import MINUTE_MS, RecentOrders


def test_a_minute_ends_with_its_last_moment():
    recent = RecentOrders()
    recent.note(an_order(), "ann", NOW_MS)
    assert recent.count("ann", BTC, NOW_MS + MINUTE_MS - 1) == 1
    assert recent.count("ann", BTC, NOW_MS + MINUTE_MS) == 0


def test_nothing_is_kept_of_what_is_over():
    recent = RecentOrders()
    for number in range(100):
        recent.note(an_order(key=OrderKey(f"k{number}"), requested_usd=Decimal(number + 1)), "ann", NOW_MS + number)
    recent.note(an_order(symbol=Symbol("ETHUSDT")), "bob", NOW_MS + 10 * MINUTE_MS)
    assert (len(recent._sent), len(recent._counts), len(recent._newest)) == (1, 1, 1)  # noqa: SLF001 - its memory


def test_the_newest_order_of_a_kind_is_the_one_that_counts():
    recent = RecentOrders()
    recent.note(an_order(key=OrderKey("a")), "ann", NOW_MS)
    recent.note(an_order(key=OrderKey("b")), "ann", NOW_MS + 500)
    third = an_order(key=OrderKey("c"), requested_usd=Decimal("2000.00"))
    assert recent.like_age_ms(third, NOW_MS + 700) == 200
    assert recent.like_age_ms(third, NOW_MS + MINUTE_MS + 100) == MINUTE_MS - 400
    assert recent.like_age_ms(third, NOW_MS + MINUTE_MS + 500) is None


def test_an_order_is_not_like_itself_nor_like_one_of_another_symbol_side_or_size():
    recent = RecentOrders()
    recent.note(an_order(), "ann", NOW_MS)
    other = an_order(key=OrderKey("other"))
    assert recent.like_age_ms(an_order(), NOW_MS) is None
    assert recent.like_age_ms(other, NOW_MS) == 0
    for change in ({"symbol": Symbol("ETHUSDT")}, {"side": Side.SELL}, {"requested_usd": Decimal(2001)}):
        assert recent.like_age_ms(replace(other, **change), NOW_MS) is None


def test_a_clock_that_was_set_back_makes_nothing_old():
    recent = RecentOrders()
    recent.note(an_order(), "ann", NOW_MS)
    other = an_order(key=OrderKey("other"))
    assert (recent.like_age_ms(other, NOW_MS - 10_000), recent.count("ann", BTC, NOW_MS - 10_000)) == (0, 1)
