"""The gateway's settings: the only reader of the environment.

Every setting is an environment variable with a default, as settings_table.py lists them. `load` reads them once,
reports all faults together, and gives a frozen value. What is for live trading alone is read for live trading alone:
on paper a key in the environment stays there.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from gateway.core.credentials import Credentials, Secret
from gateway.core.hours import Span, Window
from gateway.core.model import Symbol
from gateway.settings_forms import Setting
from gateway.settings_live_table import ENVIRONMENTS, LIVE, SIMULATOR_PRIVATE_WS, SIMULATOR_REST
from gateway.settings_table import BYBIT_REST, BYBIT_WS, GENERAL, TESTNET_REST, TESTNET_WS

KEY_FILE_BYTES_MAX: Final = 4096
"""A longer file is no key."""


class SettingsError(Exception):
    """The environment cannot be used; the message names every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """What live trading alone needs, read and checked."""

    env: str
    """simulator, demo, testnet or mainnet."""
    credentials: Credentials
    rest_url: str
    """Empty where Bybit's own holds; so is the other."""
    private_ws_url: str
    recv_window_ms: int
    answer_ms: int
    lag_ms_max: int
    clock_skew_ms_max: int
    slippage_tolerance_pct: Decimal
    reconcile_seconds: int
    ban_seconds: int
    accepted: frozenset[str]
    """The names of the faults of a key that are accepted, as ACCEPT_KEY_WITHDRAW."""
    promotion_record: str
    """The file with the exported record of the promotion; empty when none is named."""
    without_promotion: str
    """Why live trading may start without a promotion; empty when nobody said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, read and checked."""

    trading_mode: str
    confidence_threshold: Decimal
    per_symbol_usd_cap: Decimal
    max_drawdown_pct: Decimal
    paper_equity_usd: Decimal
    paper_fee_bps: Decimal
    rate_limit_max: int
    symbols: tuple[Symbol, ...]
    market_data: str
    market_rest_url: str
    market_ws_url: str
    bar_minutes: int
    price_age_ms_max: int
    decision_age_seconds_max: int
    order_age_seconds_max: int
    model_service_addr: str
    model_name: str
    model_timeout_ms: int
    model_horizon_seconds: int
    model_market: str
    dissimilarity_max: Decimal
    calibration_alarm_at: Decimal
    calibration_raise_by: Decimal
    calibration_window: int
    recalibration: bool
    gateway_listen_addr: str
    journal_path: Path
    promotion_key_file: str
    """Empty: beside the journal."""
    trusted_proxies: tuple[str, ...]
    max_message_bytes: int
    max_concurrent_calls: int
    drain_seconds: float
    log_level: str
    crash_at: str
    order_usd_max: Decimal | None
    gross_usd_cap: Decimal | None
    net_usd_cap: Decimal | None
    leverage_max: Decimal
    open_orders_max: int
    order_rate_max: int
    duplicate_window_ms: int | None
    price_collar_bps: Decimal
    spread_bps_max: Decimal
    depth_within_bps: Decimal
    depth_usd_min: Decimal
    trading_hours: tuple[Span, ...]
    maintenance: tuple[Window, ...]
    daily_loss_usd_max: Decimal | None
    daily_loss_pct_max: Decimal | None
    losing_trades_max: int
    cool_down_seconds: int
    require_decision: bool | None
    kelly_fraction: Decimal
    target_ann_vol: Decimal | None
    live: LiveSettings | None
    """None on paper."""


_NOT_A_FIELD = frozenset({"database_url"})


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises SettingsError naming every fault."""
    source = os.environ if environment is None else environment
    faults: list[str] = []
    values = _read(GENERAL, source, faults)
    live: LiveSettings | None = None
    if values.get("trading_mode") == "live":
        live = _live(_read(LIVE, source, faults), values.get("market_data"), faults)
    if faults:
        raise SettingsError("; ".join(faults))
    if values["market_data"] == "bybit":
        own_prices = live is not None and live.env == "testnet"
        rest_url, ws_url = (TESTNET_REST, TESTNET_WS) if own_prices else (BYBIT_REST, BYBIT_WS)
        values |= {"market_rest_url": rest_url, "market_ws_url": ws_url}
    return Settings(**{name: value for name, value in values.items() if name not in _NOT_A_FIELD}, live=live)


def _read(table: Iterable[Setting], source: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """The values by their names in lower case; what cannot be read is missing, and told in `faults`."""
    values: dict[str, Any] = {}
    for setting in table:
        text = source.get(setting.name, "") or setting.default
        try:
            values[setting.name.lower()] = setting.parse(text)
        except ValueError as fault:
            faults.append(f"{setting.name} {fault}" if setting.secret else f"{setting.name}={text!r} {fault}")
    return values


def _live(values: Mapping[str, Any], market_data: str | None, faults: list[str]) -> LiveSettings | None:
    """The settings of live trading; None when one of them is missing or wrong, which is told in `faults`."""
    env, before = values.get("bybit_env"), len(faults)
    if env == "":
        faults.append(f"TRADING_MODE=live needs BYBIT_ENV, one of {', '.join(ENVIRONMENTS)}")
    key = _given(values, "bybit_api_key", faults)
    secret = _given(values, "bybit_api_secret", faults)
    faults.extend(_env_faults(env, values, market_data))
    if len(faults) > before or len(values) < len(LIVE):
        return None
    is_simulator = env == "simulator"
    return LiveSettings(
        env=str(env),
        credentials=Credentials(key=key, secret=Secret(secret)),
        rest_url=values["bybit_rest_url"] if is_simulator else "",
        private_ws_url=values["bybit_private_ws_url"] if is_simulator else "",
        recv_window_ms=values["recv_window_ms"],
        answer_ms=values["venue_answer_ms"],
        lag_ms_max=values["venue_lag_ms_max"],
        clock_skew_ms_max=values["clock_skew_ms_max"],
        slippage_tolerance_pct=values["slippage_tolerance_pct"],
        reconcile_seconds=values["reconcile_seconds"],
        ban_seconds=values["venue_ban_seconds"],
        accepted=frozenset(name.upper() for name, value in values.items() if value is True),
        promotion_record=values["promotion_record"],
        without_promotion=values["live_without_promotion"].strip(),
    )


def _given(values: Mapping[str, Any], name: str, faults: list[str]) -> str:
    """The key or its secret, from its variable or its file; empty when that was told as a fault."""
    text, file = str(values.get(name, "")), str(values.get(f"{name}_file", ""))
    variable = name.upper()
    if text and file:
        faults.append(f"{variable} and {variable}_FILE are both set: leave one")
    elif file:
        return _of_file(variable, Path(file), faults)
    elif not text and name in values:
        faults.append(f"TRADING_MODE=live needs {variable} or {variable}_FILE")
    return text


def _of_file(variable: str, path: Path, faults: list[str]) -> str:
    parse: Callable[[str], str] = next(setting.parse for setting in LIVE if setting.name == variable)
    try:
        with path.open("rb") as opened:
            text = parse(opened.read(KEY_FILE_BYTES_MAX).decode("ascii").strip())
    except OSError as fault:
        # Without the path: somebody may have put the secret itself there.
        faults.append(f"{variable}_FILE cannot be read: {fault.strerror}")
        return ""
    except ValueError:
        text = ""
    if not text:
        faults.append(f"{variable}_FILE holds no key as Bybit shows one")
    return text


def _env_faults(env: str | None, values: Mapping[str, Any], market_data: str | None) -> list[str]:
    """What does not go with the environment that orders are to go to."""
    if not env:
        return []
    faults = []
    wanted = "simulated" if env == "simulator" else "bybit"
    if market_data is not None and market_data != wanted:
        faults.append(f"BYBIT_ENV={env!r} needs MARKET_DATA={wanted}")
    for name, default in (("bybit_rest_url", SIMULATOR_REST), ("bybit_private_ws_url", SIMULATOR_PRIVATE_WS)):
        if env != "simulator" and values.get(name) not in {None, default}:
            faults.append(f"{name.upper()} is for BYBIT_ENV=simulator alone: leave it unset")
    return faults


def default_cli_addr() -> str:
    """Where `tollgate` finds the gateway: TOLLGATE_ADDR, else Envoy's port on this machine."""
    return os.environ.get("TOLLGATE_ADDR", "127.0.0.1:8000")


def default_models_addr() -> str:
    """Where `tollgate models` finds the model service: TOLLGATE_MODEL_ADDR, else Envoy's port on this machine."""
    return os.environ.get("TOLLGATE_MODEL_ADDR", "127.0.0.1:9000")


def default_journal_path() -> Path:
    """Where `tollgate doctor` finds the journal: JOURNAL_PATH, else the gateway's default."""
    return Path(os.environ.get("JOURNAL_PATH", "") or "var/journal.sqlite3")
