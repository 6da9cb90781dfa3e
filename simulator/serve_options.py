"""The options of `python -m simulator serve` about trading: accounts, keys, fees, lags, limits, faults."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from simulator.api.keys import ApiKey, default_keys
from simulator.api.limits import LimitConfig
from simulator.faults import MS_MAX, FaultRule, RuleError, rules_from
from simulator.local import default_accounts
from simulator.trading.contract import AccountConfig, Lags

AMOUNT_MAX = Decimal(10**12)
KEY_HELP = "the secret is none: it opens nothing but a simulated account"
_LAGS = {"apply": "apply_ms", "visible": "visible_ms", "history": "history_ms", "push": "push_ms"}
_FEES = {"taker": "taker_rate", "maker": "maker_rate", "spot": "spot_rate"}


@dataclass(frozen=True, slots=True)
class Script:
    """A file of fault rules."""

    seed: int
    rules: Sequence[FaultRule]


def add_trading(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    trading = parser.add_argument_group("trading")
    trading.add_argument(
        "--account",
        metavar="UID:USDT",
        type=_account,
        action="append",
        default=[],
        help="an account and its money, like 2:50000; may be repeated; without it there is account 1 with 100000",
    )
    trading.add_argument(
        "--key",
        metavar="KEY:SECRET:UID[:IP,IP]",
        type=_key,
        action="append",
        default=[],
        help="an API key, bound to 127.0.0.1 unless addresses are named (* binds it to none); may be repeated; "
        f"without it there are SIMKEY0001:SIMSECRET0001 and SIMKEY0002:SIMSECRET0002 of the first account; {KEY_HELP}",
    )
    trading.add_argument(
        "--fee",
        metavar="NAME=RATE",
        type=_fee,
        action="append",
        default=[],
        help="a fee of every account, as a fraction: taker=0.00055, maker=0.0002 or spot=0.001, which are the defaults",
    )
    trading.add_argument(
        "--lags",
        metavar="NAME=LOW-HIGH,...",
        type=_lags,
        default=Lags(),
        help="milliseconds after which things happen: apply=1-5 (request to match), visible=0-20 (change to lists), "
        "history=50-200 (end to history), push=0-5 (change to stream), which are the defaults; or none",
    )
    trading.add_argument(
        "--rate-limits", choices=("default", "off"), default="default", help="Bybit's limits per account and address"
    )
    trading.add_argument(
        "--fault-file",
        metavar="FILE",
        type=_script,
        default=Script(1, ()),
        help='fault rules as JSON: {"seed": 1, "rules": [...]}, as the control API takes them',
    )


def accounts(options: argparse.Namespace) -> Sequence[AccountConfig]:
    """The accounts to begin with."""
    fees: Mapping[str, Decimal] = dict(options.fee)
    return [replace(account, **fees) for account in options.account or default_accounts()]


def keys(options: argparse.Namespace) -> Sequence[ApiKey]:
    """The keys to begin with."""
    first = accounts(options)[0].uid
    return options.key or [replace(key, uid=first) for key in default_keys()]


def limits(options: argparse.Namespace) -> LimitConfig:
    """Whether anything is limited."""
    return LimitConfig(enabled=options.rate_limits == "default")


def _account(text: str) -> AccountConfig:
    uid, _, amount = text.partition(":")
    if not (uid.isascii() and uid.isdigit()):
        raise argparse.ArgumentTypeError(f"must be UID:USDT like 2:50000, got {text!r}")
    return AccountConfig(uid=int(uid), balances={"USDT": _decimal(amount, Decimal(0), AMOUNT_MAX)})


def _key(text: str) -> ApiKey:
    name, secret, uid, addresses = (*text.split(":", maxsplit=3), "", "", "")[:4]
    if not (name and secret and uid.isascii() and uid.isdigit()):
        raise argparse.ArgumentTypeError(f"must be KEY:SECRET:UID or KEY:SECRET:UID:IP,IP, got {text!r}")
    ips = tuple(addresses.split(",")) if addresses else ("127.0.0.1",)
    return ApiKey(key=name, secret=secret, uid=int(uid), ips=ips)


def _fee(text: str) -> tuple[str, Decimal]:
    name, _, rate = text.partition("=")
    if name not in _FEES:
        raise argparse.ArgumentTypeError(f"must be NAME=RATE with a name of {', '.join(_FEES)}, got {text!r}")
    return _FEES[name], _decimal(rate, Decimal(-1), Decimal(1))


def _lags(text: str) -> Lags:
    if text == "none":
        return Lags(apply_ms=(0, 0), visible_ms=(0, 0), history_ms=(0, 0), push_ms=(0, 0))
    return replace(Lags(), **dict(_lag(part) for part in text.split(",")))


def _lag(text: str) -> tuple[str, tuple[int, int]]:
    name, _, span = text.partition("=")
    low, _, high = span.partition("-")
    high = high or low
    if name not in _LAGS or not all(
        part.isascii() and part.isdigit() and len(part) <= len(str(MS_MAX)) for part in (low, high)
    ):
        raise argparse.ArgumentTypeError(f"must be none, or like apply=1-5 with a name of {', '.join(_LAGS)}: {text!r}")
    if not int(low) <= int(high) <= MS_MAX:
        raise argparse.ArgumentTypeError(f"must be low-high, at most {MS_MAX}: {text!r}")
    return _LAGS[name], (int(low), int(high))


def _script(text: str) -> Script:
    try:
        script: object = json.loads(Path(text).read_text(encoding="utf-8"))
        if not isinstance(script, dict):
            raise RuleError('must hold an object like {"seed": 1, "rules": []}')
        seed = script.get("seed", 1)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise RuleError("seed must be an integer")
        return Script(seed, rules_from(script.get("rules", [])))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _decimal(text: str, least: Decimal, most: Decimal) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not (value.is_finite() and least <= value <= most):
        raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}, got {text!r}")
    return value
