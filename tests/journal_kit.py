"""Records to keep, and journals to keep them in."""

import contextlib
import json
import sqlite3
from decimal import Decimal
from typing import Any

from builders import BTC, NOW_MS, an_order

from gateway.adapters.journal_sqlite import SqliteJournal
from gateway.core.json_fields import canonical
from gateway.core.model import (
    Adjustment,
    Evidence,
    Failure,
    Fill,
    OrderKey,
    OrderLinkId,
    OrderRecord,
    OrderState,
    RiskChange,
    RiskState,
)
from gateway.core.reasons import Reason
from gateway.core.records import order_text, risk_text
from gateway.doctor import diagnose

FILL = Fill(price=Decimal("60003.0"), qty=Decimal("0.029"), fee_usd=Decimal("0.957047850"))


def a_record(key: str = "key-1", symbol: str = BTC, **changes: Any) -> OrderRecord:
    """The intent of an order, recorded and not yet sent."""
    values: dict[str, Any] = {
        "order": an_order(key=OrderKey(key), symbol=symbol),
        "order_link_id": OrderLinkId(f"tg-{key}"),
        "state": OrderState.PENDING,
        "approved_usd": Decimal(1800),
        "confidence": Decimal("0.9"),
        "adjustments": (
            Adjustment(step="confidence", from_usd=Decimal(2000), to_usd=Decimal("1800.0"), limit=Decimal("0.9")),
        ),
        "fills": (),
        "failure": None,
        "mid_price": Decimal(60_000),
        "created_ms": NOW_MS,
        "updated_ms": NOW_MS,
    }
    return OrderRecord(**values | changes)


def a_filled(key: str = "key-1", symbol: str = BTC, **changes: Any) -> OrderRecord:
    values: dict[str, Any] = {"state": OrderState.FILLED, "fills": (FILL,), "updated_ms": NOW_MS + 5}
    values["evidence"] = Evidence.PAPER
    return a_record(key, symbol, **values | changes)


def a_refusal(key: str = "key-1", **changes: Any) -> OrderRecord:
    failure = Failure(reason=Reason.SYMBOL_CAP, message="No room.", metadata={"cap_usd": "5000"}, field_name="qtyUsd")
    values: dict[str, Any] = {"state": OrderState.REFUSED, "approved_usd": Decimal(0), "failure": failure}
    return a_record(key, **values | changes)


def a_change(**changes: Any) -> RiskChange:
    values: dict[str, Any] = {
        "from_state": RiskState.ACTIVE,
        "to_state": RiskState.HALTED,
        "halted": True,
        "locked": False,
        "reducing": False,
        "actor": "ada",
        "reason": "drill",
        "equity_usd": Decimal("99000.5"),
        "peak_equity_usd": Decimal(100_000),
        "at_ms": NOW_MS,
    }
    return RiskChange(**values | changes)


def first_order_text(record: OrderRecord) -> str:
    """The record as version 1 wrote it."""
    shape = json.loads(second_order_text(record)) | {"v": 1}
    del shape["evidence"], shape["venue_order_id"]
    for fill in shape["fills"]:
        del fill["exec_id"]
    return canonical(shape)


def second_order_text(record: OrderRecord) -> str:
    """The record as version 2 wrote it."""
    shape = json.loads(order_text(record)) | {"v": 2}
    del shape["facts"], shape["policy_id"]
    return canonical(shape)


def first_risk_text(change: RiskChange) -> str:
    """The move as version 1 wrote it."""
    shape = json.loads(risk_text(change)) | {"v": 1}
    del shape["reducing"]
    return canonical(shape)


@contextlib.asynccontextmanager
async def running(path):
    journal = SqliteJournal(path)
    await journal.start()
    try:
        yield journal
    finally:
        await journal.close()


async def keep(journal, *records):
    """Stage all, then wait for all."""
    for ticket in [journal.stage(record) for record in records]:
        await ticket.durable()


@contextlib.contextmanager
def opened(path):
    """A connection past the journal, as an intruder would open it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        yield connection
    finally:
        connection.close()


def problems(path):
    """What the doctor says is wrong, as (record number, problem)."""
    found = diagnose(path).found
    return [(fault.seq, fault.problem) for fault in getattr(found, "faults", [found])]
