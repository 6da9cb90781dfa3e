"""What Bybit's private messages say, checked: orders, executions, positions, the wallet.

The rows of REST (/v5/order/realtime, /v5/order/history, /v5/execution/list, /v5/position/list,
/v5/account/wallet-balance) and of the private topics (order, execution, position, wallet) share these shapes. Texts
are bounded, numbers are plain decimals; an empty text stands for "not told". Unknown order states count as open: no
order is taken for ended on a word that is not known.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from gateway.core.model import ZERO, OrderLinkId, Side, Symbol
from gateway.core.venue import Execution, ExecutionKind, VenueOrder, VenuePosition, VenueStatus, Wallet

TEXT_MAX = 64
"""Longest id or word that is read."""

_DECIMAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
_ENDED = {
    "Filled": VenueStatus.FILLED,
    "Cancelled": VenueStatus.CANCELLED,
    "PartiallyFilledCanceled": VenueStatus.CANCELLED,
    "Deactivated": VenueStatus.CANCELLED,
    "Rejected": VenueStatus.REJECTED,
}
_KINDS = {
    "Trade": ExecutionKind.TRADE,
    "AdlTrade": ExecutionKind.VENUE,
    "BustTrade": ExecutionKind.VENUE,
    "Delivery": ExecutionKind.VENUE,
    "Settle": ExecutionKind.VENUE,
    "BlockTrade": ExecutionKind.VENUE,
    "MovePosition": ExecutionKind.VENUE,
    "Funding": ExecutionKind.FUNDING,
}

Row = Mapping[str, object]


class BadRowError(Exception):
    """A row cannot be used; the text names the field, without repeating its content."""


def parse_order(row: Row) -> VenueOrder:
    """One order, of REST or the topic `order`. Raises BadRowError."""
    return VenueOrder(
        venue_order_id=_name(row, "orderId"),
        order_link_id=OrderLinkId(_text(row, "orderLinkId")),
        symbol=parse_symbol(row),
        side=_side(row),
        qty=_decimal(row, "qty"),
        filled_qty=_decimal_or_zero(row, "cumExecQty"),
        status=_ENDED.get(_text(row, "orderStatus"), VenueStatus.OPEN),
        reduce_only=row.get("reduceOnly") is True,
        detail=_detail(row),
        updated_ms=_time(row, "updatedTime"),
    )


def parse_execution(row: Row) -> Execution:
    """One execution, of REST or the topic `execution`. Raises BadRowError."""
    return Execution(
        exec_id=_name(row, "execId"),
        venue_order_id=_text(row, "orderId"),
        order_link_id=OrderLinkId(_text(row, "orderLinkId")),
        symbol=parse_symbol(row),
        side=_side(row),
        price=_decimal(row, "execPrice"),
        qty=_decimal(row, "execQty"),
        fee_usd=_decimal_or_zero(row, "execFee"),
        kind=_KINDS.get(_text(row, "execType"), ExecutionKind.OTHER),
        at_ms=_time(row, "execTime"),
    )


def parse_symbol(row: Row) -> Symbol:
    """The symbol that a row speaks of. Raises BadRowError."""
    return Symbol(_name(row, "symbol"))


def parse_position(row: Row) -> VenuePosition | None:
    """One position; None when it is flat. Raises BadRowError: a size that is not told is not zero."""
    size = _decimal(row, "size")
    if size < 0:
        raise BadRowError("size is negative")
    if size == 0:
        return None
    entry = row.get("avgPrice") or row.get("entryPrice")  # REST says avgPrice, the topic entryPrice
    return VenuePosition(
        symbol=parse_symbol(row),
        qty=size * _side(row).sign,
        entry_price=_number("entryPrice", entry),
    )


def parse_wallet(row: Row, at_ms: int) -> Wallet:
    """The unified account's wallet, of REST or the topic `wallet`. Raises BadRowError."""
    if row.get("accountType") != "UNIFIED":
        raise BadRowError("accountType is not UNIFIED")
    return Wallet(balance_usd=_decimal(row, "totalWalletBalance"), equity_usd=_decimal(row, "totalEquity"), at_ms=at_ms)


def _detail(row: Row) -> str:
    """Why an order ended, in the venue's word."""
    for name, nothing in (("rejectReason", "EC_NoError"), ("cancelType", "UNKNOWN")):
        word = row.get(name)
        if isinstance(word, str) and word and word != nothing and word.isascii() and word.isprintable():
            return word[:TEXT_MAX]
    return ""


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable():
        raise BadRowError(f"{name} is no short text")
    return value


def _name(row: Row, name: str) -> str:
    """A text that is never empty, since it tells one thing from another."""
    value = _text(row, name)
    if not value:
        raise BadRowError(f"{name} is missing")
    return value


def _side(row: Row) -> Side:
    side = _SIDES.get(_text(row, "side"))
    if side is None:
        raise BadRowError("side is neither Buy nor Sell")
    return side


def _decimal(row: Row, name: str) -> Decimal:
    return _number(name, row.get(name))


def _decimal_or_zero(row: Row, name: str) -> Decimal:
    return _number(name, row.get(name)) if row.get(name) not in (None, "") else ZERO


def _number(name: str, text: object) -> Decimal:
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise BadRowError(f"{name} is no plain decimal text")
    return Decimal(text)


def _time(row: Row, name: str) -> int:
    """Milliseconds, which REST and the stream tell as text."""
    value = row.get(name)
    if isinstance(value, str) and value.isdecimal() and len(value) <= 15:  # noqa: PLR2004 - until the year 33658
        return int(value)
    raise BadRowError(f"{name} is no time in milliseconds")
