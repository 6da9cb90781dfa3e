"""The settings of live trading: complete or refused, every fault at once, and no secret in any of them."""

from decimal import Decimal

import pytest
from canary import CANARY_SECRET, keeps_a_secret

from gateway.settings import SettingsError, load
from gateway.settings_live_table import LIVE

KEY = "SIMKEY0001"
SECRET = CANARY_SECRET
LIVE_ON = {
    "TRADING_MODE": "live",
    "BYBIT_ENV": "simulator",
    "BYBIT_API_KEY": KEY,
    "BYBIT_API_SECRET": SECRET,
}
REAL = LIVE_ON | {"BYBIT_ENV": "testnet", "MARKET_DATA": "bybit"}


def faults(environment):
    with pytest.raises(SettingsError) as caught:
        load(environment)
    assert SECRET not in str(caught.value)
    return str(caught.value).split("; ")


def test_on_paper_nothing_of_live_is_read():
    nonsense = {setting.name: "no such thing\n" for setting in LIVE}
    assert load(nonsense).live is None


def test_live_with_an_environment_and_a_key_has_safe_defaults():
    live = load(LIVE_ON).live
    assert live is not None
    assert (live.env, live.credentials.key, live.credentials.secret.reveal()) == ("simulator", KEY, SECRET)
    assert (live.rest_url, live.private_ws_url) == ("http://127.0.0.1:15050", "ws://127.0.0.1:15050/v5/private")
    assert (live.recv_window_ms, live.answer_ms, live.lag_ms_max, live.clock_skew_ms_max) == (5000, 5000, 10_000, 500)
    assert (live.slippage_tolerance_pct, live.reconcile_seconds, live.ban_seconds) == (Decimal("0.5"), 30, 600)
    assert (live.accepted, live.without_promotion) == (frozenset(), "")


def test_what_live_lacks_is_told_together():
    assert faults({"TRADING_MODE": "live"}) == [
        "TRADING_MODE=live needs BYBIT_ENV, one of simulator, demo, testnet, mainnet",
        "TRADING_MODE=live needs BYBIT_API_KEY or BYBIT_API_KEY_FILE",
        "TRADING_MODE=live needs BYBIT_API_SECRET or BYBIT_API_SECRET_FILE",
    ]


def test_faults_of_live_and_of_all_else_are_told_together():
    told = faults(LIVE_ON | {"BAR_MINUTES": "2", "RECV_WINDOW_MS": "0", "BYBIT_ENV": "moon", "BYBIT_API_KEY": "short"})
    assert [fault.partition(" ")[0] for fault in told] == [
        "BAR_MINUTES='2'",
        "BYBIT_ENV='moon'",
        "BYBIT_API_KEY",
        "RECV_WINDOW_MS='0'",
    ]


@pytest.mark.parametrize("bad", ["{}!", " {}", "{}\n", '"{}"'])
def test_a_secret_that_cannot_be_one_is_refused_without_being_shown(bad):
    assert faults(LIVE_ON | {"BYBIT_API_SECRET": bad.format(SECRET)}) == [
        "BYBIT_API_SECRET must be 8 letters and digits or more, as Bybit shows it"
    ]


def test_the_settings_show_no_secret():
    settings = load(LIVE_ON)
    assert SECRET not in f"{settings!r} {settings} {settings.live!r}"


@pytest.mark.parametrize(
    ("env", "market", "wanted"),
    [("simulator", "bybit", "simulated"), ("demo", "simulated", "bybit"), ("testnet", "simulated", "bybit")],
)
def test_prices_are_those_of_where_the_orders_go(env, market, wanted):
    told = faults(LIVE_ON | {"BYBIT_ENV": env, "MARKET_DATA": market})
    assert told == [f"BYBIT_ENV='{env}' needs MARKET_DATA={wanted}"]


def test_testnet_has_prices_of_its_own_and_demo_those_of_mainnet():
    assert load(REAL).market_ws_url == "wss://stream-testnet.bybit.com/v5/public/linear"
    assert load(REAL).market_rest_url == "https://api-testnet.bybit.com"
    demo = load(REAL | {"BYBIT_ENV": "demo"})
    assert (demo.market_rest_url, demo.market_ws_url) == (
        "https://api.bybit.com",
        "wss://stream.bybit.com/v5/public/linear",
    )
    assert load({"MARKET_DATA": "bybit"}).market_rest_url == "https://api.bybit.com"


def test_bybits_own_addresses_are_fixed():
    live = load(REAL).live
    assert (live.rest_url, live.private_ws_url) == ("", "")
    told = faults(REAL | {"BYBIT_REST_URL": "https://evil.example", "BYBIT_PRIVATE_WS_URL": "wss://evil.example"})
    assert told == [
        "BYBIT_REST_URL is for BYBIT_ENV=simulator alone: leave it unset",
        "BYBIT_PRIVATE_WS_URL is for BYBIT_ENV=simulator alone: leave it unset",
    ]


def test_a_promotion_is_named_and_a_blank_reason_is_none():
    mainnet = REAL | {"BYBIT_ENV": "mainnet"}
    live = load(mainnet | {"LIVE_WITHOUT_PROMOTION": " a drill with 100 USD ", "PROMOTION_RECORD": "record.json"}).live
    assert (live.without_promotion, live.promotion_record) == ("a drill with 100 USD", "record.json")
    assert load(mainnet | {"LIVE_WITHOUT_PROMOTION": "  "}).live.without_promotion == ""


def test_a_key_may_stand_in_a_file(tmp_path):
    key, secret = tmp_path / "key", tmp_path / "secret"
    key.write_text(f"{KEY}\n", encoding="utf8")
    keeps_a_secret(secret).write_text(f"{SECRET}\n", encoding="utf8")
    files = {"BYBIT_API_KEY_FILE": str(key), "BYBIT_API_SECRET_FILE": str(secret)}
    live = load({"TRADING_MODE": "live", "BYBIT_ENV": "simulator"} | files).live
    assert (live.credentials.key, live.credentials.secret.reveal()) == (KEY, SECRET)
    assert faults(LIVE_ON | files) == [
        "BYBIT_API_KEY and BYBIT_API_KEY_FILE are both set: leave one",
        "BYBIT_API_SECRET and BYBIT_API_SECRET_FILE are both set: leave one",
    ]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\xff\xfe", f"{SECRET} more".encode(), SECRET.encode() * 300],
    ids=["empty", "a line", "no text", "two words", "long"],
)
def test_a_file_that_holds_no_key_is_refused_without_being_shown(tmp_path, content):
    keeps_a_secret(tmp_path / "secret").write_bytes(content)
    environment = {**LIVE_ON, "BYBIT_API_SECRET": "", "BYBIT_API_SECRET_FILE": str(tmp_path / "secret")}
    assert faults(environment) == ["BYBIT_API_SECRET_FILE holds no key as Bybit shows one"]


def test_a_secret_in_the_place_of_its_file_is_not_shown():
    environment = {**LIVE_ON, "BYBIT_API_SECRET": "", "BYBIT_API_SECRET_FILE": SECRET}
    assert faults(environment) == ["BYBIT_API_SECRET_FILE cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    ("name", "taken", "refused"),
    [
        ("RECV_WINDOW_MS", ["1000", "60000"], ["999", "60001"]),
        ("VENUE_ANSWER_MS", ["500", "60000"], ["499", "60001"]),
        ("VENUE_LAG_MS_MAX", ["100", "600000"], ["99", "600001"]),
        ("CLOCK_SKEW_MS_MAX", ["10", "5000"], ["9", "5001"]),
        ("SLIPPAGE_TOLERANCE_PCT", ["0.01", "0.25", "10"], ["0.009", "10.01", "0.125", "NaN"]),
        ("RECONCILE_SECONDS", ["1", "3600"], ["0", "3601"]),
        ("VENUE_BAN_SECONDS", ["1", "86400"], ["0", "86401"]),
        ("ACCEPT_KEY_WITHDRAW", ["on", "off"], ["yes"]),
    ],
)
def test_each_has_its_range(name, taken, refused):
    for text in taken:
        assert load(LIVE_ON | {name: text}).live is not None
    for text in refused:
        assert faults(LIVE_ON | {name: text})[0].startswith(f"{name}='{text}' must")


def test_what_is_accepted_of_a_key_is_accepted_by_name():
    live = load(LIVE_ON | {"ACCEPT_KEY_UNBOUND": "on", "ACCEPT_KEY_EXPIRING": "on"}).live
    assert live.accepted == {"ACCEPT_KEY_UNBOUND", "ACCEPT_KEY_EXPIRING"}
