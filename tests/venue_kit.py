"""What a venue tells of an account: complete, ordinary, and changed in the one respect that a test is about."""

from decimal import Decimal
from typing import Any

from builders import BTC, NOW_MS

from gateway.core.model import OrderLinkId, Side
from gateway.core.venue import (
    AccountSnapshot,
    Execution,
    ExecutionKind,
    VenueOrder,
    VenuePosition,
    VenueStatus,
    Wallet,
)


def a_venue_order(**changes: Any) -> VenueOrder:
    values: dict[str, Any] = {
        "venue_order_id": "v1",
        "order_link_id": OrderLinkId("tg-key-1"),
        "symbol": BTC,
        "side": Side.BUY,
        "qty": Decimal("0.029"),
        "filled_qty": Decimal(0),
        "status": VenueStatus.OPEN,
        "reduce_only": False,
        "detail": "",
        "updated_ms": NOW_MS,
    }
    return VenueOrder(**values | changes)


def an_execution(**changes: Any) -> Execution:
    values: dict[str, Any] = {
        "exec_id": "e1",
        "venue_order_id": "v1",
        "order_link_id": OrderLinkId("tg-key-1"),
        "symbol": BTC,
        "side": Side.BUY,
        "price": Decimal("60003.0"),
        "qty": Decimal("0.029"),
        "fee_usd": Decimal("0.957047850"),
        "kind": ExecutionKind.TRADE,
        "at_ms": NOW_MS,
    }
    return Execution(**values | changes)


def a_position(qty: str, symbol: str = BTC) -> VenuePosition:
    return VenuePosition(symbol=symbol, qty=Decimal(qty), entry_price=Decimal(60_003))


def a_wallet(balance: str = "100000", **changes: Any) -> Wallet:
    values: dict[str, Any] = {"balance_usd": Decimal(balance), "equity_usd": Decimal(balance), "at_ms": NOW_MS}
    return Wallet(**values | changes)


def a_snapshot(**changes: Any) -> AccountSnapshot:
    """An account that holds nothing."""
    values: dict[str, Any] = {
        "begun_ms": NOW_MS,
        "ended_ms": NOW_MS + 80,
        "open_orders": (),
        "executions": (),
        "positions": (),
        "wallet": a_wallet(),
    }
    return AccountSnapshot(**values | changes)
