"""Every setting of the gateway: its name, default, form and meaning. docs/settings.md is generated from TABLE."""

from pathlib import Path

from gateway.ports import Step
from gateway.settings_forms import Setting, decimal, integer, names, number_of, one_of, switch, symbols
from gateway.settings_live_table import LIVE
from gateway.settings_risk_table import RISK


def _sqlite_only(text: str) -> str:
    if text:
        raise ValueError("this version keeps its journal in SQLite; leave it unset and use JOURNAL_PATH")
    return text


BYBIT_REST = "https://api.bybit.com"
BYBIT_WS = "wss://stream.bybit.com/v5/public/linear"
"""Of mainnet; Bybit's demo accounts trade at its prices."""
TESTNET_REST = "https://api-testnet.bybit.com"
TESTNET_WS = "wss://stream-testnet.bybit.com/v5/public/linear"
"""Testnet has prices of its own."""

GENERAL: tuple[Setting, ...] = (
    Setting(
        name="TRADING_MODE",
        default="paper",
        parse=one_of("paper", "live"),
        meaning="`paper`: no real order ever leaves the gateway. `live`: orders go to Bybit's BYBIT_ENV, by the "
        "settings from BYBIT_ENV on; on paper none of those is read.",
    ),
    Setting(
        name="CONFIDENCE_THRESHOLD",
        default="0.6",
        parse=decimal("0.5", "1"),
        meaning="The calibrated confidence that an order needs, 0.5 to 1.",
    ),
    Setting(
        name="PER_SYMBOL_USD_CAP",
        default="5000",
        parse=decimal("0", "1000000000"),
        meaning="The most exposure in one symbol, US dollars; pending orders count.",
    ),
    Setting(
        name="MAX_DRAWDOWN_PCT",
        default="0.15",
        parse=decimal("0.0001", "1"),
        meaning="The fall from peak equity that locks trading, a fraction: 0.15 is 15 percent.",
    ),
    Setting(
        name="PAPER_EQUITY_USD",
        default="100000",
        parse=decimal("1", "1000000000"),
        meaning="What the paper account starts with, US dollars.",
    ),
    Setting(
        name="PAPER_FEE_BPS",
        default="5.5",
        parse=decimal("0", "1000"),
        meaning="The taker fee of paper fills, basis points of the notional.",
    ),
    Setting(
        name="RATE_LIMIT_MAX",
        default="100",
        parse=integer(1, 100_000_000),
        meaning="Decisions and orders that one client may ask for in a minute.",
    ),
    Setting(
        name="SYMBOLS",
        default="BTCUSDT,ETHUSDT,SOLUSDT",
        parse=symbols,
        meaning="The allow-list of symbols, separated by commas.",
    ),
    Setting(
        name="MARKET_DATA",
        default="simulated",
        parse=one_of("simulated", "bybit"),
        meaning="Where prices come from: the local simulated market, or Bybit's public stream. Live trading takes "
        "`simulated` for BYBIT_ENV=simulator and `bybit` for every other.",
    ),
    Setting(
        name="MARKET_REST_URL",
        default="http://127.0.0.1:15050",
        parse=str,
        meaning=f"The market's REST address when simulated; Bybit's is {BYBIT_REST}, on testnet {TESTNET_REST}.",
    ),
    Setting(
        name="MARKET_WS_URL",
        default="ws://127.0.0.1:15050/v5/public/linear",
        parse=str,
        meaning=f"The market's stream when simulated; Bybit's is {BYBIT_WS}, on testnet {TESTNET_WS}.",
    ),
    Setting(
        name="BAR_MINUTES",
        default="60",
        parse=number_of(1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440),
        meaning="The length of the bars that features are computed from and decisions are judged by, minutes: the "
        "model's own, one of 1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440.",
    ),
    Setting(
        name="PRICE_AGE_MS_MAX",
        default="5000",
        parse=integer(100, 600_000),
        meaning="A price older than this refuses orders, milliseconds.",
    ),
    Setting(
        name="DECISION_AGE_SECONDS_MAX",
        default="60",
        parse=integer(1, 86_400),
        meaning="A decision older than this refuses orders that name it, seconds.",
    ),
    Setting(
        name="ORDER_AGE_SECONDS_MAX",
        default="15",
        parse=integer(1, 3_600),
        meaning="After a restart, a recorded order that was never sent goes out only when younger than this, seconds.",
    ),
    Setting(
        name="MODEL_SERVICE_ADDR",
        default="127.0.0.1:15052",
        parse=str,
        meaning="The model service, host:port; any server of the Open Inference Protocol.",
    ),
    Setting(name="MODEL_NAME", default="consensus", parse=str, meaning="The model to ask for."),
    Setting(
        name="MODEL_TIMEOUT_MS",
        default="800",
        parse=integer(10, 60_000),
        meaning="How long a prediction may take, milliseconds.",
    ),
    Setting(
        name="MODEL_HORIZON_SECONDS",
        default="3600",
        parse=integer(1, 31_536_000),
        meaning="How far ahead the model looks, when its server does not say, seconds.",
    ),
    Setting(
        name="MODEL_MARKET",
        default="",
        parse=one_of("", "simulated", "real"),
        meaning="The market that the model speaks for, when its server does not say: `simulated` or `real`. Unset, "
        "such a model is allowed nothing where MARKET_DATA is `bybit`.",
    ),
    Setting(
        name="DISSIMILARITY_MAX",
        default="1",
        parse=decimal("0.01", "1000"),
        meaning="How far from the training set features may lie, as a multiple of the card's limit; further out no "
        "decision is allowed.",
    ),
    Setting(
        name="CALIBRATION_ALARM_AT",
        default="20000",
        parse=decimal("2", "1000000000000"),
        meaning="The evidence against the promised confidence, a likelihood ratio, at which the calibration watch "
        "warns; at 10 times that it raises the threshold, at 100 times it abstains.",
    ),
    Setting(
        name="CALIBRATION_RAISE_BY",
        default="0.05",
        parse=decimal("0", "0.5"),
        meaning="By how much the calibration watch raises the threshold.",
    ),
    Setting(
        name="CALIBRATION_WINDOW",
        default="500",
        parse=integer(50, 100_000),
        meaning="How many of the newest matured decisions the figures of live calibration are made of.",
    ),
    Setting(
        name="RECALIBRATION",
        default="off",
        parse=switch,
        meaning="`on`: the confidence is shrunk by what matured decisions show; it is never raised. `off`: it is the "
        "model's own.",
    ),
    Setting(
        name="GATEWAY_LISTEN_ADDR",
        default="127.0.0.1:15051",
        parse=str,
        meaning="Where the gateway's gRPC server listens, host:port.",
    ),
    Setting(
        name="JOURNAL_PATH",
        default="var/journal.sqlite3",
        parse=Path,
        meaning="The journal's file; its folder is made when missing.",
    ),
    Setting(
        name="PROMOTION_KEY_FILE",
        default="",
        parse=str,
        meaning="The key that promotions are signed with, a file that is made when missing; unset: `promotion.key` "
        "beside the journal. Paper and live trading must share it.",
    ),
    Setting(
        name="DATABASE_URL", default="", parse=_sqlite_only, meaning="PostgreSQL; not in this version: leave unset."
    ),
    Setting(
        name="TRUSTED_PROXIES",
        default="127.0.0.1,::1",
        parse=names,
        meaning="Addresses or networks whose x-forwarded-for tells the client for the rate limit.",
    ),
    Setting(
        name="MAX_MESSAGE_BYTES",
        default="4194304",
        parse=integer(1_024, 67_108_864),
        meaning="The largest gRPC message that is taken, bytes.",
    ),
    Setting(
        name="MAX_CONCURRENT_CALLS",
        default="1000",
        parse=integer(1, 100_000),
        meaning="Calls under way at once; more are refused.",
    ),
    Setting(
        name="DRAIN_SECONDS",
        default="10",
        parse=integer(0, 600),
        meaning="How long running calls may take to finish on SIGTERM, seconds.",
    ),
    Setting(
        name="LOG_LEVEL",
        default="info",
        parse=one_of("debug", "info", "warning", "error"),
        meaning="What is logged; at `info`, one line for each decision and order.",
    ),
    Setting(
        name="CRASH_AT",
        default="",
        parse=one_of("", *Step),
        meaning="For crash tests: the labelled step of the order path at which the process kills itself.",
    ),
    *RISK,
)
"""What paper and live trading share."""

TABLE: tuple[Setting, ...] = (*GENERAL, *LIVE)
"""Every setting, in the order in which the docs list them."""
