"""Reading the parameters of a request: exact types, and Bybit's 10001 where one is missing or wrong."""

from decimal import Decimal

from simulator.trading.contract import Params, TradeError
from simulator.trading.decimals import read
from simulator.trading.instruments import CATEGORIES, UNTRADED_CATEGORIES

PARAMETER_ERROR = 10001
TIME_DIGITS_MAX = 15


def wrong(name: str) -> TradeError:
    """The refusal of a parameter that has a wrong type or value."""
    return TradeError(PARAMETER_ERROR, f"params error: {name} invalid")


def text(params: Params, name: str, default: str | None = None) -> str:
    """A text; required where there is no default. An empty one counts as absent."""
    value = params.get(name)
    if value is None or value == "":
        if default is None:
            raise TradeError(PARAMETER_ERROR, f"Missing some parameters that must be filled in, {name}")
        return default
    if not isinstance(value, str):
        raise wrong(name)
    return value


def one_of(params: Params, name: str, words: tuple[str, ...], default: str | None = None) -> str:
    """A text out of a closed set."""
    value = text(params, name, default)
    if value not in words:
        raise wrong(name)
    return value


def flag(params: Params, name: str) -> bool:
    """A JSON boolean, false when absent; the text "true" is none."""
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise wrong(name)
    return value


def whole(params: Params, name: str, default: int | None = None) -> int:
    """A JSON integer; the text "0" is none."""
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(name)
    return value


def number(params: Params, name: str) -> Decimal:
    """A required text that is a plain decimal of zero or more: "1e-05" is none."""
    value = read(text(params, name))
    if value is None:
        raise wrong(name)
    return value


def positive(params: Params, name: str) -> Decimal:
    """The same, above zero."""
    value = number(params, name)
    if not value:
        raise wrong(name)
    return value


def time_ms(params: Params, name: str) -> int | None:
    """A moment of a query, Unix milliseconds; None when absent."""
    value = text(params, name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= TIME_DIGITS_MAX):
        raise wrong(name)
    return int(value)


def category(params: Params) -> str:
    """One of Bybit's four categories."""
    value = params.get("category")
    if value not in (*CATEGORIES, *UNTRADED_CATEGORIES):
        raise TradeError(PARAMETER_ERROR, "Illegal category")
    return str(value)
