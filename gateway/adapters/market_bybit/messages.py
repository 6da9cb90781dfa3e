"""What Bybit's public messages say, checked: texts are bounded, numbers plain decimals, prices positive.

Shapes: Bybit v5, WebSocket topics orderbook, tickers and kline, REST /v5/market/instruments-info and /v5/market/kline,
category linear.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from gateway.core.bars import MS
from gateway.core.model import Bar, Instrument, Symbol

LEVELS_MAX = 1_000
"""Levels of one side that are kept or read at most; the stream sends 50."""
KLINES_MAX = 1_000
"""Rows of one kline answer or message."""
TEXT_MAX = 30
"""Longest number text that is read."""

_PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,14})?", re.ASCII)


class BadMessageError(Exception):
    """What the exchange sent cannot be used; the text says why, without repeating it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One orderbook message, checked."""

    snapshot: bool
    update_id: int
    exchange_ms: int
    """When the matching engine made it."""
    bids: list[tuple[Decimal, Decimal]]
    """Price and quantity; quantity 0 removes the level."""
    asks: list[tuple[Decimal, Decimal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Klines:
    """One kline answer, checked, without the bar that is still open."""

    answered_ms: int
    """When the exchange answered, by its own clock, which says what has closed."""
    bars: list[Bar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """One tickers message, checked."""

    exchange_ms: int
    """When the exchange made it."""
    mark_price: Decimal | None
    """None in a delta that leaves it as it was."""


def parse_update(message: Mapping[str, object]) -> Update:
    """Check an orderbook message. Raises BadMessageError."""
    content = message.get("data")
    if not isinstance(content, dict) or message.get("type") not in ("snapshot", "delta"):
        raise BadMessageError("no orderbook message")
    return Update(
        snapshot=message["type"] == "snapshot",
        update_id=_whole(content.get("u")),
        exchange_ms=_whole(message.get("cts")),
        bids=_levels(content.get("b")),
        asks=_levels(content.get("a")),
    )


def parse_ticker(symbol: Symbol, message: Mapping[str, object]) -> Ticker:
    """Check a tickers message. Raises BadMessageError."""
    content, kind = message.get("data"), message.get("type")
    if not isinstance(content, dict) or kind not in ("snapshot", "delta") or content.get("symbol") != symbol:
        raise BadMessageError("no tickers message of the symbol")
    told = kind == "snapshot" or "markPrice" in content
    return Ticker(
        exchange_ms=_whole(message.get("ts")), mark_price=_positive(content.get("markPrice")) if told else None
    )


def parse_closed_bars(bar_seconds: int, message: Mapping[str, object]) -> list[Bar]:
    """The bars of a kline message that have closed, oldest first. Raises BadMessageError."""
    rows = message.get("data")
    if not isinstance(rows, list) or len(rows) > KLINES_MAX or not all(isinstance(row, dict) for row in rows):
        raise BadMessageError("no kline message")
    bars = [_pushed_bar(row, bar_seconds * MS) for row in rows if row.get("confirm") is True]
    return sorted(bars, key=lambda bar: bar.open_time_ms)


def _pushed_bar(row: Mapping[str, object], span_ms: int) -> Bar:
    start_ms, end_ms = _whole(row.get("start")), _whole(row.get("end"))
    if end_ms != start_ms + span_ms - 1:
        raise BadMessageError("a bar is of another length")
    columns = [row.get(name) for name in ("open", "high", "low", "close", "volume", "turnover")]
    return _bar([str(start_ms), *columns], span_ms)


def parse_instrument(symbol: Symbol, answer: object) -> Instrument | None:
    """The filters in an instruments-info answer; None when the symbol does not trade. Raises BadMessageError."""
    if not isinstance(answer, dict) or answer.get("retCode") != 0:
        raise BadMessageError("instruments-info was refused")
    row = _row(answer, symbol)
    if row is None or row.get("status") != "Trading":
        return None
    lots, prices = row.get("lotSizeFilter"), row.get("priceFilter")
    if not isinstance(lots, dict) or not isinstance(prices, dict):
        raise BadMessageError("instruments-info has no filters")
    return Instrument(
        symbol=symbol,
        qty_step=_positive(lots.get("qtyStep")),
        min_qty=_positive(lots.get("minOrderQty")),
        max_market_qty=_positive(lots.get("maxMktOrderQty")),
        min_notional_usd=_positive(lots.get("minNotionalValue")),
        tick_size=_positive(prices.get("tickSize")),
    )


def parse_klines(symbol: Symbol, bar_seconds: int, answer: object) -> Klines:
    """The closed bars of a kline answer; each stands there once, in any order. Raises BadMessageError."""
    if not isinstance(answer, dict) or answer.get("retCode") != 0:
        raise BadMessageError("kline was refused")
    result = answer.get("result")
    rows = result.get("list") if isinstance(result, dict) and result.get("symbol") == symbol else None
    if not isinstance(rows, list) or len(rows) > KLINES_MAX:
        raise BadMessageError("kline has no list of the symbol, or too long a one")
    answered_ms, span_ms = _whole(answer.get("time")), bar_seconds * MS
    bars = [_bar(row, span_ms) for row in rows]
    opened = {bar.open_time_ms for bar in bars}
    if len(opened) < len(bars) or any(open_time_ms > answered_ms for open_time_ms in opened):
        raise BadMessageError("a bar stands there twice, or opens in the future")
    return Klines(answered_ms=answered_ms, bars=[bar for bar in bars if bar.open_time_ms + span_ms <= answered_ms])


def _bar(row: object, span_ms: int) -> Bar:
    """One row: start, open, high, low, close, volume in the base asset, and the turnover, which is not used."""
    if not isinstance(row, list) or len(row) != 7:  # noqa: PLR2004 - these seven
        raise BadMessageError("a kline row is not of seven")
    open_time_ms, remainder = divmod(_decimal(row[0]), 1)
    opened, high, low, close = map(_positive, row[1:5])
    if remainder or open_time_ms % span_ms:
        raise BadMessageError("a bar opens between two bars")
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise BadMessageError("a bar's open or close lies outside its low and high")
    return Bar(
        open_time_ms=int(open_time_ms),
        open=float(opened),
        high=float(high),
        low=float(low),
        close=float(close),
        volume=float(_decimal(row[5])),
    )


def _row(answer: Mapping[str, object], symbol: Symbol) -> Mapping[str, object] | None:
    result = answer.get("result")
    rows = result.get("list") if isinstance(result, dict) else None
    if not isinstance(rows, list):
        raise BadMessageError("instruments-info has no list")
    return next((row for row in rows if isinstance(row, dict) and row.get("symbol") == symbol), None)


def _levels(rows: object) -> list[tuple[Decimal, Decimal]]:
    if not isinstance(rows, list) or len(rows) > LEVELS_MAX:
        raise BadMessageError("the levels are no list, or too long")
    return [_level(row) for row in rows]


def _level(row: object) -> tuple[Decimal, Decimal]:
    if not isinstance(row, list) or len(row) != 2:  # noqa: PLR2004 - price and quantity
        raise BadMessageError("a level is no pair")
    return _positive(row[0]), _decimal(row[1])


def _positive(text: object) -> Decimal:
    value = _decimal(text)
    if not value:
        raise BadMessageError("a number that must be positive is zero")
    return value


def _decimal(text: object) -> Decimal:
    """A plain decimal: no sign, no exponent, no NaN, so finite and not negative."""
    if not isinstance(text, str) or len(text) > TEXT_MAX or not _PLAIN.fullmatch(text):
        raise BadMessageError("a number is no plain decimal text")
    return Decimal(text)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadMessageError("a sequence number or time is no whole number")
    return value


def parse_json(text: str) -> object:
    """Any JSON value. Raises BadMessageError."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise BadMessageError("no JSON") from fault
    return value
