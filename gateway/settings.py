"""The gateway's settings: the only reader of the environment.

Every setting is an environment variable with a default, as settings_table.py lists them. `load` reads them once,
reports all faults together, and gives a frozen value.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.core.model import Symbol
from gateway.settings_table import BYBIT_REST, BYBIT_WS, TABLE


class SettingsError(Exception):
    """The environment cannot be used; the message names every fault."""


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
    trusted_proxies: tuple[str, ...]
    max_message_bytes: int
    max_concurrent_calls: int
    drain_seconds: float
    log_level: str
    crash_at: str


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
        values |= {"market_rest_url": BYBIT_REST, "market_ws_url": BYBIT_WS}
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
