"""The limits that follow from the settings, and what an unset one follows from."""

from decimal import Decimal

import pytest

from gateway.core.hours import parse_hours, parse_windows
from gateway.policy import policy_of
from gateway.settings import SettingsError, load

LIVE = {
    "TRADING_MODE": "live",
    "BYBIT_ENV": "simulator",
    "BYBIT_API_KEY": "SIMKEY0001",
    "BYBIT_API_SECRET": "SIMSECRET0001",
}


def of(**environment):
    return policy_of(load(environment))


def test_unset_caps_follow_from_the_symbols_cap():
    policy = of(PER_SYMBOL_USD_CAP="1000", SYMBOLS="BTCUSDT,ETHUSDT")
    assert (policy.order_usd_max, policy.symbol_cap_usd) == (1000, 1000)
    assert (policy.gross_cap_usd, policy.net_cap_usd) == (2000, 2000)
    assert of(GROSS_USD_CAP="700").net_cap_usd == 700


def test_caps_that_are_set_hold():
    policy = of(ORDER_USD_MAX="10", GROSS_USD_CAP="20", NET_USD_CAP="0", LEVERAGE_MAX="1.5")
    caps = (policy.order_usd_max, policy.gross_cap_usd, policy.net_cap_usd, policy.leverage_max)
    assert caps == (10, 20, 0, Decimal("1.5"))


def test_paper_and_live_differ_where_nobody_said_otherwise():
    paper, live = of(), of(**LIVE)
    assert (paper.require_decision, paper.duplicate_window_ms) == (False, 0)
    assert (live.require_decision, live.duplicate_window_ms) == (True, 1000)
    said = of(**LIVE, REQUIRE_DECISION="off", DUPLICATE_WINDOW_MS="0")
    assert (said.require_decision, said.duplicate_window_ms) == (False, 0)
    said = of(REQUIRE_DECISION="on", DUPLICATE_WINDOW_MS="250")
    assert (said.require_decision, said.duplicate_window_ms) == (True, 250)


def test_the_defaults_guard_against_slips_and_a_broken_market():
    policy = of()
    assert (policy.open_orders_max, policy.order_rate_max) == (20, 600)
    assert (policy.price_collar_bps, policy.spread_bps_max) == (500, 100)
    assert (policy.depth_within_bps, policy.depth_usd_min) == (50, 0)
    assert (policy.daily_loss_usd_max, policy.daily_loss_max, policy.losing_trades_max) == (None, None, 0)
    assert (policy.kelly_fraction, policy.target_ann_vol, policy.leverage_max) == (0, None, 3)
    assert (policy.trading_hours, policy.maintenance) == ((), ())


def test_every_other_limit_is_what_its_setting_says():
    policy = of(
        OPEN_ORDERS_MAX="3",
        ORDER_RATE_MAX="4",
        PRICE_COLLAR_BPS="5",
        SPREAD_BPS_MAX="6",
        DEPTH_USD_MIN="7",
        DEPTH_WITHIN_BPS="8",
        DAILY_LOSS_USD_MAX="9",
        DAILY_LOSS_PCT_MAX="0.1",
        LOSING_TRADES_MAX="11",
        COOL_DOWN_SECONDS="12",
        KELLY_FRACTION="0.13",
        TARGET_ANN_VOL="0.14",
        TRADING_HOURS="Mon 08:00-09:00",
        MAINTENANCE="2026-11-24T10:00/2026-11-24T11:00",
    )
    assert (policy.open_orders_max, policy.order_rate_max) == (3, 4)
    assert (policy.price_collar_bps, policy.spread_bps_max, policy.depth_usd_min, policy.depth_within_bps) == (
        5,
        6,
        7,
        8,
    )
    assert (policy.daily_loss_usd_max, policy.daily_loss_max) == (9, Decimal("0.1"))
    assert (policy.losing_trades_max, policy.cool_down_ms) == (11, 12_000)
    assert (policy.kelly_fraction, policy.target_ann_vol) == (Decimal("0.13"), Decimal("0.14"))
    assert policy.trading_hours == parse_hours("Mon 08:00-09:00")
    assert policy.maintenance == parse_windows("2026-11-24T10:00/2026-11-24T11:00")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LEVERAGE_MAX", "0"),
        ("OPEN_ORDERS_MAX", "0"),
        ("ORDER_USD_MAX", "NaN"),
        ("GROSS_USD_CAP", "-1"),
        ("DUPLICATE_WINDOW_MS", "60001"),
        ("PRICE_COLLAR_BPS", "Infinity"),
        ("SPREAD_BPS_MAX", "0"),
        ("TRADING_HOURS", "always"),
        ("MAINTENANCE", "now"),
        ("DAILY_LOSS_PCT_MAX", "5"),
        ("REQUIRE_DECISION", "yes"),
        ("KELLY_FRACTION", "1.01"),
        ("TARGET_ANN_VOL", "0"),
    ],
)
def test_a_limit_out_of_its_range_is_refused_by_name(name, text):
    with pytest.raises(SettingsError, match=f"^{name}='{text}' must be"):
        load({name: text})
