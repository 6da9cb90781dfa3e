"""The gateway's settings: the only reader of the environment.

Every setting is an environment variable with a default. `load` reads them once,
reports all faults together, and gives a frozen value. docs/settings.md is
generated from TABLE.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gateway.core.model import Symbol
from gateway.ports import Step


class SettingsError(Exception):
    """The environment cannot be used; the message names every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable."""

    name: str
    default: str
    """As it would stand in the environment; empty: unset."""
    meaning: str
    parse: Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, read and checked."""

    trading_mode: str
    confidence_threshold: Decimal
    per_symbol_usd_cap: Decimal
    max_drawdown_pct: Decimal
    paper_equity_usd: Decimal
    paper_fee_bps: Decimal
    target_ann_vol: None
    rate_limit_max: int
    symbols: tuple[Symbol, ...]
    market_data: str
    market_rest_url: str
    market_ws_url: str
    price_age_ms_max: int
    decision_age_seconds_max: int
    order_age_seconds_max: int
    model_service_addr: str
    model_name: str
    model_timeout_ms: int
    model_horizon_seconds: int
    gateway_listen_addr: str
    journal_path: Path
    trusted_proxies: tuple[str, ...]
    max_message_bytes: int
    max_concurrent_calls: int
    drain_seconds: float
    log_level: str
    crash_at: str


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def _decimal(low: str, high: str) -> Callable[[str], Decimal]:
    def parse(text: str) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise ValueError("must be a decimal number") from None
        if not value.is_finite() or not Decimal(low) <= value <= Decimal(high):
            raise ValueError(f"must be from {low} to {high}")
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _symbols(text: str) -> tuple[Symbol, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or not all(name.isalnum() and name.isascii() and name.isupper() for name in names):
        raise ValueError("must be symbols like BTCUSDT, separated by commas")
    return tuple(Symbol(name) for name in names)


def _paper_only(text: str) -> str:
    if text == "live":
        raise ValueError("this version trades on paper only; set TRADING_MODE=paper")
    return _one_of("paper")(text)


def _never(text: str) -> None:
    if text:
        raise ValueError("this version has no volatility targeting; leave it unset")


def _sqlite_only(text: str) -> str:
    if text:
        raise ValueError("this version keeps its journal in SQLite; leave it unset and use JOURNAL_PATH")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


_BYBIT_REST = "https://api.bybit.com"
_BYBIT_WS = "wss://stream.bybit.com/v5/public/linear"

TABLE: tuple[Setting, ...] = (
    Setting(
        name="TRADING_MODE",
        default="paper",
        parse=_paper_only,
        meaning="`paper`: no real order ever leaves the gateway.",
    ),
    Setting(
        name="CONFIDENCE_THRESHOLD",
        default="0.6",
        parse=_decimal("0.5", "1"),
        meaning="The calibrated confidence that an order needs, 0.5 to 1.",
    ),
    Setting(
        name="PER_SYMBOL_USD_CAP",
        default="5000",
        parse=_decimal("0", "1000000000"),
        meaning="The most exposure in one symbol, US dollars; pending orders count.",
    ),
    Setting(
        name="MAX_DRAWDOWN_PCT",
        default="0.15",
        parse=_decimal("0.0001", "1"),
        meaning="The fall from peak equity that locks trading, a fraction: 0.15 is 15 percent.",
    ),
    Setting(
        name="PAPER_EQUITY_USD",
        default="100000",
        parse=_decimal("1", "1000000000"),
        meaning="What the paper account starts with, US dollars.",
    ),
    Setting(
        name="PAPER_FEE_BPS",
        default="5.5",
        parse=_decimal("0", "1000"),
        meaning="The taker fee of paper fills, basis points of the notional.",
    ),
    Setting(
        name="TARGET_ANN_VOL",
        default="",
        parse=_never,
        meaning="Volatility targeting; not in this version: leave unset.",
    ),
    Setting(
        name="RATE_LIMIT_MAX",
        default="100",
        parse=_integer(1, 100_000_000),
        meaning="Decisions and orders that one client may ask for in a minute.",
    ),
    Setting(
        name="SYMBOLS",
        default="BTCUSDT,ETHUSDT,SOLUSDT",
        parse=_symbols,
        meaning="The allow-list of symbols, separated by commas.",
    ),
    Setting(
        name="MARKET_DATA",
        default="simulated",
        parse=_one_of("simulated", "bybit"),
        meaning="Where prices come from: the local simulated market, or Bybit's public stream.",
    ),
    Setting(
        name="MARKET_REST_URL",
        default="http://127.0.0.1:15050",
        parse=str,
        meaning=f"The market's REST address when simulated; Bybit's is {_BYBIT_REST}.",
    ),
    Setting(
        name="MARKET_WS_URL",
        default="ws://127.0.0.1:15050/v5/public/linear",
        parse=str,
        meaning=f"The market's stream when simulated; Bybit's is {_BYBIT_WS}.",
    ),
    Setting(
        name="PRICE_AGE_MS_MAX",
        default="5000",
        parse=_integer(100, 600_000),
        meaning="A price older than this refuses orders, milliseconds.",
    ),
    Setting(
        name="DECISION_AGE_SECONDS_MAX",
        default="60",
        parse=_integer(1, 86_400),
        meaning="A decision older than this refuses orders that name it, seconds.",
    ),
    Setting(
        name="ORDER_AGE_SECONDS_MAX",
        default="15",
        parse=_integer(1, 3_600),
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
        parse=_integer(10, 60_000),
        meaning="How long a prediction may take, milliseconds.",
    ),
    Setting(
        name="MODEL_HORIZON_SECONDS",
        default="3600",
        parse=_integer(1, 31_536_000),
        meaning="How far ahead the model looks, when its server does not say, seconds.",
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
        name="DATABASE_URL", default="", parse=_sqlite_only, meaning="PostgreSQL; not in this version: leave unset."
    ),
    Setting(
        name="TRUSTED_PROXIES",
        default="127.0.0.1,::1",
        parse=_names,
        meaning="Addresses or networks whose x-forwarded-for tells the client for the rate limit.",
    ),
    Setting(
        name="MAX_MESSAGE_BYTES",
        default="4194304",
        parse=_integer(1_024, 67_108_864),
        meaning="The largest gRPC message that is taken, bytes.",
    ),
    Setting(
        name="MAX_CONCURRENT_CALLS",
        default="1000",
        parse=_integer(1, 100_000),
        meaning="Calls under way at once; more are refused.",
    ),
    Setting(
        name="DRAIN_SECONDS",
        default="10",
        parse=_integer(0, 600),
        meaning="How long running calls may take to finish on SIGTERM, seconds.",
    ),
    Setting(
        name="LOG_LEVEL",
        default="info",
        parse=_one_of("debug", "info", "warning", "error"),
        meaning="What is logged; at `info`, one line for each decision and order.",
    ),
    Setting(
        name="CRASH_AT",
        default="",
        parse=_one_of("", *Step),
        meaning="For crash tests: the labelled step of the order path at which the process kills itself.",
    ),
)
"""Every setting, in the order in which the docs list them."""

_NOT_A_FIELD = frozenset({"DATABASE_URL"})


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises SettingsError naming every fault."""
    source = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    faults: list[str] = []
    for setting in TABLE:
        text = source.get(setting.name, "") or setting.default
        try:
            value = setting.parse(text)
        except ValueError as fault:
            faults.append(f"{setting.name}={text!r} {fault}")
        else:
            values[setting.name.lower()] = value
    if faults:
        raise SettingsError("; ".join(faults))
    if values["market_data"] == "bybit":
        values |= {"market_rest_url": _BYBIT_REST, "market_ws_url": _BYBIT_WS}
    return Settings(**{name: value for name, value in values.items() if name.upper() not in _NOT_A_FIELD})


def default_cli_addr() -> str:
    """Where `tollgate` finds the gateway: TOLLGATE_ADDR, else Envoy's port on this machine."""
    return os.environ.get("TOLLGATE_ADDR", "127.0.0.1:8000")


def default_models_addr() -> str:
    """Where `tollgate models` finds the model service: TOLLGATE_MODEL_ADDR, else Envoy's port on this machine."""
    return os.environ.get("TOLLGATE_MODEL_ADDR", "127.0.0.1:9000")


def default_journal_path() -> Path:
    """Where `tollgate doctor` finds the journal: JOURNAL_PATH, else the gateway's default."""
    return Path(os.environ.get("JOURNAL_PATH", "") or "var/journal.sqlite3")
