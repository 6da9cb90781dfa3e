"""The facts of one moment, as they are gathered from the account, the market and the guard."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BAR_MS, BTC, NOW_MS, a_bar, a_book, a_quote, an_instrument, an_order
from world import World

from gateway.core.facts import OtherExposure, Permission
from gateway.core.model import BarSeries, Failure, Level, OrderKey, OrderState, Side, Symbol
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.core.results import DAY_MS

ETH = Symbol("ETHUSDT")
HOUR_MS = 3_600_000


@pytest.fixture
def world():
    world = World(symbols=frozenset({BTC, ETH}))
    world.market.books[ETH] = a_book("60000")
    world.market.instruments[ETH] = an_instrument(symbol=ETH)
    return world


async def gathered(world, client="ann", **changes):
    return await world.path._facts.gather(an_order(**changes), client)  # noqa: SLF001 - what the path judges by


async def bought(world, key="bought", client="ann", **changes):
    values = {"confidence": Decimal(1), "requested_usd": Decimal(3000)} | changes
    answer = await world.path.execute(an_order(key=OrderKey(key), **values), client)
    assert isinstance(answer, Answer), answer
    return answer


def moved(world, symbol, mid):
    world.market.books[symbol] = a_book(mid)


async def test_a_quote_has_the_depth_of_the_side_that_the_order_takes(world):
    world.market.books[BTC] = replace(
        a_book(),
        bids=(Level(price=Decimal(59_997), qty=Decimal(1)), Level(price=Decimal(59_699), qty=Decimal(5))),
        asks=(Level(price=Decimal(60_003), qty=Decimal(2)), Level(price=Decimal(60_300), qty=Decimal(5))),
    )
    buy, sell = await gathered(world), await gathered(world, side=Side.SELL)
    assert buy.quote == a_quote(depth_usd=Decimal(60_003) * 2 + 60_300 * 5)
    assert sell.quote == a_quote(depth_usd=Decimal(59_997))
    world.market.books[BTC] = a_book("61000")
    assert (await gathered(world)).quote == a_quote("61000", depth_usd=Decimal(610_030))


async def test_without_a_book_there_is_no_quote(world):
    del world.market.books[BTC]
    assert (await gathered(world)).quote is None


async def test_what_other_symbols_hold_is_told_at_their_prices(world):
    await bought(world, symbol=ETH)
    moved(world, ETH, "66000")
    facts = await gathered(world)
    exposure = OtherExposure(gross_usd=Decimal(3300), long_usd=Decimal(3300), short_usd=Decimal(-3300))
    assert (facts.others, facts.equity_usd) == (exposure, 100_000 + 300 - Decimal("1.65"))
    world.clock.at_ms += 5001
    facts = await gathered(world)
    assert (facts.others, facts.equity_usd, facts.day_pnl_usd) == (None, None, None)


async def test_a_price_from_the_future_tells_no_exposure(world):
    await bought(world, symbol=ETH)
    world.market.books[ETH] = replace(a_book(), received_ms=NOW_MS + 1)
    assert (await gathered(world)).others is None


async def test_an_opening_order_waits_for_the_prices_of_what_is_held(world):
    await bought(world, symbol=ETH)
    del world.market.books[ETH]
    refusal = await world.path.execute(an_order())
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.MARKET_DATA_STALE


async def test_the_days_result_is_what_was_earned_and_what_is_open(world):
    await bought(world)
    moved(world, BTC, "59000")
    assert (await gathered(world)).day_pnl_usd == Decimal(-50) - Decimal("1.65")
    world.venue.price = Decimal(59_000)
    exit_order = an_order(key=OrderKey("exit"), side=Side.SELL, reduce_only=True, confidence=None)
    await world.path.execute(replace(exit_order, requested_usd=Decimal(5000)))
    world.clock.at_ms += DAY_MS
    assert (await gathered(world)).day_pnl_usd == 0


async def test_a_restart_keeps_the_days_loss_and_the_losses_in_a_row(world):
    await bought(world)
    world.venue.price = Decimal(54_000)
    moved(world, BTC, "54000")
    exit_order = an_order(key=OrderKey("exit"), side=Side.SELL, reduce_only=True, confidence=None)
    await world.path.execute(replace(exit_order, requested_usd=Decimal(5000)))
    before = await gathered(world)
    assert before.day_pnl_usd == Decimal(-300) - Decimal("1.65") - Decimal("1.485")
    assert (before.losing_streak, before.last_loss_ms) == (1, NOW_MS)
    world.restart()
    assert await gathered(world) == replace(before, orders_in_minute=0)


async def test_a_daily_loss_refuses_until_midnight_through_the_whole_path():
    world = World(daily_loss_usd_max=Decimal(100))
    await bought(world)
    world.market.books[BTC] = a_book("58000")
    refusal = await world.path.execute(an_order(key=OrderKey("more")))
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.DAILY_LOSS
    assert refusal.metadata == {"loss_usd": "101.65000000", "loss_usd_max": "100.00000000"}
    assert isinstance(await world.path.execute(replace(an_order(), side=Side.SELL, reduce_only=True)), Answer)


async def test_orders_count_for_their_client_and_symbol_for_a_minute(world):
    await bought(world, client="ann")
    await bought(world, key="other", client="bob")
    assert [(await gathered(world, client)).orders_in_minute for client in ("ann", "bob", "eve")] == [1, 1, 0]
    assert (await gathered(world, "ann", symbol=ETH)).orders_in_minute == 0
    world.clock.at_ms += 60_000
    assert (await gathered(world, "ann")).orders_in_minute == 0


async def test_the_rate_limit_of_orders_refuses_one_client_alone():
    world = World(order_rate_max=2)
    for number in range(2):
        await bought(world, key=f"k{number}", requested_usd=Decimal(100 + number))
    refusal = await world.path.execute(an_order(key=OrderKey("more")), "ann")
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.ORDER_RATE
    assert isinstance(await world.path.execute(an_order(key=OrderKey("more")), "bob"), Answer)


async def test_an_order_like_one_just_sent_is_refused_under_another_key_and_replayed_under_its_own():
    world = World(duplicate_window_ms=1000)
    first = an_order(requested_usd=Decimal("100.00"))
    assert isinstance(await world.path.execute(first), Answer)
    assert isinstance(await world.path.execute(first), Answer)
    copy = replace(first, key=OrderKey("copy"), requested_usd=Decimal(100))
    refusal = await world.path.execute(copy)
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.DUPLICATE_ORDER
    for key, change in (("a", {"requested_usd": Decimal(101)}), ("b", {"side": Side.SELL})):
        assert isinstance(await world.path.execute(replace(copy, key=OrderKey(key), **change)), Answer)
    world.clock.at_ms += 1000
    assert isinstance(await world.path.execute(replace(copy, key=OrderKey("later"))), Answer)


async def test_open_orders_are_counted_over_all_symbols(world):
    world.venue.answer = OrderState.UNKNOWN
    await bought(world, symbol=ETH)
    assert ((await gathered(world)).open_orders, (await gathered(world)).unknown_orders) == (1, False)
    world.restart()
    assert (await gathered(world, symbol=ETH)).unknown_orders


async def test_the_reference_is_the_mark_price_else_the_newest_bars_close(world):
    assert (await gathered(world)).reference_price is None
    world.market.series[BTC] = BarSeries(bar_seconds=3600, bars=(a_bar(close=59_000.5),))
    assert (await gathered(world)).reference_price == Decimal("59000.5")
    world.market.marks[BTC] = Decimal(60_010)
    assert (await gathered(world)).reference_price == 60_010
    world.market.marks.clear()
    world.clock.at_ms += 2 * HOUR_MS
    assert (await gathered(world)).reference_price is None


async def test_what_the_account_has_earned_is_asked_for_each_order(world):
    world.permission = Permission(stage="PAPER_TINY", refusal="", cap_usd=Decimal(100))
    answer = await bought(world)
    assert [step.step for step in answer.record.adjustments] == ["stage_cap"]
    assert answer.record.approved_usd == 100
    world.permission = replace(world.permission, refusal="nothing was earned")
    refusal = await world.path.execute(an_order(key=OrderKey("next")))
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.NOT_PROMOTED


def bars(size, newest_open_ms=BAR_MS):
    """Closes that go up and down by `size`."""
    opened = range(newest_open_ms - 99 * HOUR_MS, newest_open_ms + 1, HOUR_MS)
    return BarSeries(
        bar_seconds=3600,
        bars=tuple(
            a_bar(open_time_ms=at_ms, close=60_000 * math.exp(size * (number % 2)))
            for number, at_ms in enumerate(opened)
        ),
    )


@pytest.fixture
def targeted():
    """An account that may move by 1 percent in a year, of symbols that move by 0.1 percent in an hour."""
    world = World(symbols=frozenset({BTC, ETH}), target_ann_vol=Decimal("0.01"))
    for symbol in (BTC, ETH):
        world.market.books[symbol], world.market.series[symbol] = a_book(), bars(0.001)
        world.market.instruments[symbol] = an_instrument(symbol=symbol)
    return world


async def test_volatility_is_told_only_where_there_is_a_target(world, targeted):
    world.market.series[BTC] = bars(0.001)
    assert (await gathered(world)).volatility is None
    facts = await gathered(targeted)
    assert facts.volatility.symbol == pytest.approx(0.001 * math.sqrt(365 * 24))
    assert facts.volatility.portfolio_usd == 0


async def test_an_order_is_cut_down_to_the_target_with_all_that_is_held(targeted):
    """1,000 dollars a year over 9.36 percent are 10,684 dollars of exposure in all, whichever symbol it is of."""
    targeted.path._policy = replace(targeted.policy, symbol_cap_usd=Decimal(10**6), gross_cap_usd=Decimal(10**6))  # noqa: SLF001
    targeted.path._policy = replace(targeted.path._policy, net_cap_usd=Decimal(10**6))  # noqa: SLF001
    await bought(targeted, requested_usd=Decimal(6000), symbol=ETH)
    answer = await bought(targeted, key="next", requested_usd=Decimal(20_000))
    assert [step.step for step in answer.record.adjustments] == ["volatility"]
    assert float(answer.record.approved_usd) + 6000 == pytest.approx(
        0.01 * 100_000 / (0.001 * math.sqrt(8760)), rel=1e-3
    )


async def test_old_bars_and_missing_ones_tell_no_volatility(targeted):
    for series in (bars(0.001, BAR_MS - HOUR_MS), bars(0.0), None):
        targeted.market.series[BTC] = series
        refusal = await targeted.path.execute(an_order())
        assert isinstance(refusal, Failure)
        assert refusal.metadata["unknown"] == "volatility"
    targeted.market.series[BTC] = bars(0.001)
    assert isinstance(await targeted.path.execute(an_order()), Answer)


async def test_covariances_are_reckoned_once_for_each_new_bar(targeted):
    first = await gathered(targeted)
    targeted.market.series[BTC] = bars(0.002)
    second = await gathered(targeted)
    assert second.volatility.symbol == pytest.approx(2 * first.volatility.symbol)
    assert (await gathered(targeted)).volatility == second.volatility


async def test_a_position_without_a_fresh_price_tells_no_volatility(targeted):
    await bought(targeted, symbol=ETH, requested_usd=Decimal(1000))
    del targeted.market.books[ETH]
    assert (await gathered(targeted)).volatility is None
