"""What the journal keeps, as JSON text: orders, decisions and moves of the risk state.

The text is canonical (sorted keys, no spaces, ASCII), since the digest chain is
made over it. Decimals are strings, so that they come back exactly as they were;
model probabilities are floats by their shortest text. Reading is strict: a key that
is missing or unknown, or a value of another type, is a RecordFormatError.

Records are never rewritten: whoever changes a shape here raises the version of its
kind and keeps the reader of the version before. What becomes of decisions stands in
outcome_records.py.
"""

from decimal import Decimal

from gateway.core.fact_records import DecisionOf, facts_from, facts_object
from gateway.core.facts import OrderFacts
from gateway.core.json_fields import (
    Fields,
    RecordFormatError,
    canonical,
    keys_of,
    parsed,
    record_fields,
    record_version,
)
from gateway.core.model import (
    Adjustment,
    Decision,
    DecisionId,
    Evidence,
    Failure,
    Fill,
    Order,
    OrderKey,
    OrderLinkId,
    OrderRecord,
    OrderState,
    RiskChange,
    RiskState,
    Shadow,
    Side,
    Signal,
    Symbol,
)
from gateway.core.reasons import Reason

ORDER_VERSION = 3
"""Version 1 had no evidence and venue_order_id, and no exec_id of a fill; version 2 had no facts and policy_id."""
RISK_VERSION = 2
"""Version 1 had no reducing."""
DECISION_VERSION = 2
"""Version 1 had no model_confidence, disagreement, dissimilarity, bar_open_ms, scored and shadow."""


def order_text(record: OrderRecord) -> str:
    """An order's record as canonical JSON. Raises RecordFormatError when a number is not finite."""
    order = record.order
    return canonical(
        {
            "v": ORDER_VERSION,
            "order": {
                "key": order.key,
                "symbol": order.symbol,
                "side": order.side.value,
                "requested_usd": _decimal_text(order.requested_usd),
                "confidence": _optional_text(order.confidence),
                "decision_id": order.decision_id,
                "reduce_only": order.reduce_only,
            },
            "order_link_id": record.order_link_id,
            "state": record.state.value,
            "approved_usd": _decimal_text(record.approved_usd),
            "confidence": _decimal_text(record.confidence),
            "adjustments": [_adjustment_object(adjustment) for adjustment in record.adjustments],
            "fills": [_fill_object(fill) for fill in record.fills],
            "failure": None if record.failure is None else _failure_object(record.failure),
            "mid_price": _optional_text(record.mid_price),
            "created_ms": record.created_ms,
            "updated_ms": record.updated_ms,
            "evidence": None if record.evidence is None else record.evidence.value,
            "venue_order_id": record.venue_order_id,
            "facts": None if record.facts is None else facts_object(record.facts),
            "policy_id": record.policy_id,
        }
    )


def decision_text(decision: Decision) -> str:
    """A decision as canonical JSON. Raises RecordFormatError when a number is not finite."""
    return canonical(
        {
            "v": DECISION_VERSION,
            "decision_id": decision.decision_id,
            "symbol": decision.symbol,
            "signal": decision.signal.value,
            "prob_long": decision.prob_long,
            "prob_short": decision.prob_short,
            "confidence": decision.confidence,
            "model_confidence": decision.model_confidence,
            "model_version": decision.model_version,
            "horizon_seconds": decision.horizon_seconds,
            "threshold": decision.threshold,
            "allow": decision.allow,
            "reasons": decision.reasons,
            "features": dict(decision.features),
            "members": decision.members,
            "disagreement": decision.disagreement,
            "dissimilarity": decision.dissimilarity,
            "bar_open_ms": decision.bar_open_ms,
            "scored": decision.scored,
            "shadow": shadow_object(decision.shadow),
            "at_ms": decision.at_ms,
        }
    )


def risk_text(change: RiskChange) -> str:
    """A move of the risk state as canonical JSON. Raises RecordFormatError when a number is not finite."""
    return canonical(
        {
            "v": RISK_VERSION,
            "from_state": change.from_state.value,
            "to_state": change.to_state.value,
            "halted": change.halted,
            "locked": change.locked,
            "reducing": change.reducing,
            "actor": change.actor,
            "reason": change.reason,
            "equity_usd": _decimal_text(change.equity_usd),
            "peak_equity_usd": _decimal_text(change.peak_equity_usd),
            "at_ms": change.at_ms,
        }
    )


def order_from(text: str, decision_of: DecisionOf | None = None) -> OrderRecord:
    """The record that `order_text` wrote, in this version or an earlier one. Raises RecordFormatError.

    Facts are read where `decision_of` is given, and are of this gateway's form; else they are left out.
    """
    value = parsed(text, "order record")
    version = _order_version(value)
    fields = record_fields(value, "order record", _ORDER_RECORD_KEYS_OF[version], version)
    first, told = version == 1, version > 2  # noqa: PLR2004 - what the versions had, see ORDER_VERSION
    fill_keys = _FILL_1_KEYS if first else _FILL_KEYS
    return OrderRecord(
        order=_order(fields.nested("order", _ORDER_KEYS)),
        order_link_id=OrderLinkId(fields.text("order_link_id")),
        state=fields.member("state", OrderState),
        approved_usd=fields.decimal("approved_usd"),
        confidence=fields.decimal("confidence"),
        adjustments=tuple(_adjustment(item) for item in fields.objects("adjustments", _ADJUSTMENT_KEYS)),
        fills=tuple(_fill(item, first=first) for item in fields.objects("fills", fill_keys)),
        failure=None if fields.is_null("failure") else _failure(fields.nested("failure", _FAILURE_KEYS)),
        mid_price=fields.optional("mid_price", fields.decimal),
        created_ms=fields.integer("created_ms"),
        updated_ms=fields.integer("updated_ms"),
        evidence=None if first or fields.is_null("evidence") else fields.member("evidence", Evidence),
        venue_order_id="" if first else fields.text("venue_order_id"),
        facts=_facts(fields, decision_of) if told else None,
        policy_id=fields.text("policy_id") if told else "",
    )


def order_version(text: str) -> int:
    """The version of a text that `order_from` reads."""
    return _order_version(parsed(text, "order record"))


def _order_version(value: object) -> int:
    found = record_version(value)
    return next((version for version in _ORDER_RECORD_KEYS_OF if version == found), ORDER_VERSION)


def _facts(fields: Fields, decision_of: DecisionOf | None) -> OrderFacts | None:
    return None if fields.is_null("facts") else facts_from(fields.value("facts"), decision_of)


def decision_from(text: str) -> Decision:
    """The decision that `decision_text` wrote, in this version or the first. Raises RecordFormatError."""
    value = parsed(text, "decision")
    first = record_version(value) == 1
    keys, version = (_DECISION_1_KEYS, 1) if first else (_DECISION_KEYS, DECISION_VERSION)
    fields = record_fields(value, "decision", keys, version)
    return Decision(
        decision_id=DecisionId(fields.text("decision_id")),
        symbol=Symbol(fields.text("symbol")),
        signal=fields.member("signal", Signal),
        prob_long=fields.number("prob_long"),
        prob_short=fields.number("prob_short"),
        confidence=fields.number("confidence"),
        model_confidence=fields.number("confidence" if first else "model_confidence"),
        model_version=fields.text("model_version"),
        horizon_seconds=fields.integer("horizon_seconds"),
        threshold=fields.number("threshold"),
        allow=fields.flag("allow"),
        reasons=tuple(Reason(name) for name in fields.names("reasons", frozenset(Reason))),
        features=fields.numbers_by_name("features"),
        members=fields.numbers("members"),
        disagreement=None if first else fields.optional("disagreement", fields.number),
        dissimilarity=None if first else fields.optional("dissimilarity", fields.number),
        bar_open_ms=None if first else fields.optional("bar_open_ms", fields.integer),
        scored=False if first else fields.flag("scored"),
        shadow=None if first else shadow_from(fields),
        at_ms=fields.integer("at_ms"),
    )


def risk_from(text: str) -> RiskChange:
    """The move that `risk_text` wrote, in this version or the first. Raises RecordFormatError."""
    value = parsed(text, "risk change")
    first = record_version(value) == 1
    keys, version = (_RISK_1_KEYS, 1) if first else (_RISK_KEYS, RISK_VERSION)
    fields = record_fields(value, "risk change", keys, version)
    return RiskChange(
        from_state=fields.member("from_state", RiskState),
        to_state=fields.member("to_state", RiskState),
        halted=fields.flag("halted"),
        locked=fields.flag("locked"),
        reducing=False if first else fields.flag("reducing"),
        actor=fields.text("actor"),
        reason=fields.text("reason"),
        equity_usd=fields.decimal("equity_usd"),
        peak_equity_usd=fields.decimal("peak_equity_usd"),
        at_ms=fields.integer("at_ms"),
    )


_ORDER_KEYS = keys_of(Order)
_ADJUSTMENT_KEYS = keys_of(Adjustment)
_FILL_KEYS = keys_of(Fill)
_FILL_1_KEYS = _FILL_KEYS - {"exec_id"}
_FAILURE_KEYS = keys_of(Failure)
_ORDER_RECORD_KEYS = keys_of(OrderRecord) | {"v"}
_ORDER_RECORD_KEYS_OF = {
    1: _ORDER_RECORD_KEYS - {"evidence", "venue_order_id", "facts", "policy_id"},
    2: _ORDER_RECORD_KEYS - {"facts", "policy_id"},
    ORDER_VERSION: _ORDER_RECORD_KEYS,
}
_DECISION_KEYS = keys_of(Decision) | {"v"}
_DECISION_1_KEYS = _DECISION_KEYS - {
    "model_confidence",
    "disagreement",
    "dissimilarity",
    "bar_open_ms",
    "scored",
    "shadow",
}
_SHADOW_KEYS = keys_of(Shadow)
_RISK_KEYS = keys_of(RiskChange) | {"v"}
_RISK_1_KEYS = _RISK_KEYS - {"reducing"}


def shadow_object(shadow: Shadow | None) -> dict[str, object] | None:
    """A shadow's saying as the JSON object that it is within a record."""
    if shadow is None:
        return None
    return {
        "model_version": shadow.model_version,
        "prob_long": shadow.prob_long,
        "confidence": shadow.confidence,
    }


def shadow_from(fields: Fields) -> Shadow | None:
    """The shadow's saying under the key `shadow`. Raises RecordFormatError."""
    if fields.is_null("shadow"):
        return None
    shadow = fields.nested("shadow", _SHADOW_KEYS)
    return Shadow(
        model_version=shadow.text("model_version"),
        prob_long=shadow.number("prob_long"),
        confidence=shadow.number("confidence"),
    )


def _adjustment_object(adjustment: Adjustment) -> dict[str, str]:
    return {
        "step": adjustment.step,
        "from_usd": _decimal_text(adjustment.from_usd),
        "to_usd": _decimal_text(adjustment.to_usd),
        "limit": _decimal_text(adjustment.limit),
    }


def _fill_object(fill: Fill) -> dict[str, str]:
    return {
        "price": _decimal_text(fill.price),
        "qty": _decimal_text(fill.qty),
        "fee_usd": _decimal_text(fill.fee_usd),
        "exec_id": fill.exec_id,
    }


def _failure_object(failure: Failure) -> dict[str, object]:
    return {
        "reason": failure.reason.value,
        "message": failure.message,
        "metadata": dict(failure.metadata),
        "field_name": failure.field_name,
        "retry_after_seconds": failure.retry_after_seconds,
    }


def _order(fields: Fields) -> Order:
    decision_id = fields.optional("decision_id", fields.text)
    return Order(
        key=OrderKey(fields.text("key")),
        symbol=Symbol(fields.text("symbol")),
        side=fields.member("side", Side),
        requested_usd=fields.decimal("requested_usd"),
        confidence=fields.optional("confidence", fields.decimal),
        decision_id=None if decision_id is None else DecisionId(decision_id),
        reduce_only=fields.flag("reduce_only"),
    )


def _adjustment(fields: Fields) -> Adjustment:
    return Adjustment(
        step=fields.text("step"),
        from_usd=fields.decimal("from_usd"),
        to_usd=fields.decimal("to_usd"),
        limit=fields.decimal("limit"),
    )


def _fill(fields: Fields, *, first: bool) -> Fill:
    return Fill(
        price=fields.decimal("price"),
        qty=fields.decimal("qty"),
        fee_usd=fields.decimal("fee_usd"),
        exec_id="" if first else fields.text("exec_id"),
    )


def _failure(fields: Fields) -> Failure:
    return Failure(
        reason=fields.member("reason", Reason),
        message=fields.text("message"),
        metadata=fields.texts_by_name("metadata"),
        field_name=fields.optional("field_name", fields.text),
        retry_after_seconds=fields.optional("retry_after_seconds", fields.integer),
    )


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite():
        raise RecordFormatError(f"a record cannot be written: {value} is not finite")
    return str(value)


def _optional_text(value: Decimal | None) -> str | None:
    return None if value is None else _decimal_text(value)
