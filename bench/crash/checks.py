"""What must hold of every case when it is over, whoever traded: pure, over what the exchange and the journal say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from bench.crash.world import BALANCE_USD
from gateway.core.audit import AuditReport, Fault
from gateway.core.model import Evidence, OrderRecord, OrderState, RiskState

ENDED_WITH_ORDER = {OrderState.FILLED, OrderState.PARTIALLY_FILLED, OrderState.CANCELLED}
ENDED_WITHOUT = {OrderState.EXPIRED, OrderState.REJECTED}
PROOF = {Evidence.ABSENCE, Evidence.UNSENT, Evidence.REPLY}
"""What says that there is no order."""


class Rule(StrEnum):
    """What is promised of one order, whatever happened."""

    ONE_ORDER = "at most one order at the venue"
    SENT_ONCE = "what the venue took is not sent again, though it would refuse the same id"
    ORDER_OR_PROOF = "an ended order is at the venue, or is proven never to have been"
    FILLS = "the journal has the venue's fills, to the last digit"
    ACCOUNT = "position, entry, fees and wallet are the venue's, to the last digit"
    JOURNAL = "the journal is sound, its chain whole, and nothing is open"
    REPLAY = "a retry gets the same answer, which no crash takes back"
    MISMATCH = "the same key with other content is refused"
    TRADING = "the gateway trades on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is known of a case when it is over."""

    truth: Mapping[str, Any]
    """Of the venue."""
    audit: AuditReport | Fault
    record: OrderRecord | None
    """The order, by the journal."""
    answers: Sequence[Mapping[str, Any]]
    """What the client was told once the order had ended: the first answer and two retries."""
    mismatches: Sequence[str]
    """What became of the same key with other content: the code and the reason, or the order that was taken."""
    sends: Sequence[Mapping[str, Any]]
    """Every request to make an order, in the order in which they reached the venue."""


def broken(story: Story) -> tuple[Rule, ...]:
    """The rules that do not hold."""
    return tuple(rule for rule, holds in _RULES.items() if not holds(story))


def _one_order(story: Story) -> bool:
    return len(story.truth["orders"]) <= 1


def _sent_once(story: Story) -> bool:
    return not any(entry["accepted"] for entry in story.sends[:-1])


def _order_or_proof(story: Story) -> bool:
    record, orders = story.record, story.truth["orders"]
    if record is None or record.evidence is None:
        return False
    if record.state in ENDED_WITH_ORDER:
        return [order["orderId"] for order in orders] == [record.venue_order_id]
    return record.state in ENDED_WITHOUT and record.evidence in PROOF and not orders


def _fills(story: Story) -> bool:
    recorded = story.record.fills if story.record else ()
    ours = sorted((fill.exec_id, fill.price, fill.qty, fill.fee_usd) for fill in recorded)
    return ours == sorted(
        (one["execId"], Decimal(one["price"]), Decimal(one["qty"]), Decimal(one["fee"]))
        for one in story.truth["executions"]
    )


def _account(story: Story) -> bool:
    if isinstance(story.audit, Fault):
        return False
    ledger, account = story.audit.ledger, story.truth["account"]
    ours = {symbol: (held.qty, held.qty * held.entry_price) for symbol, held in ledger.positions.items()}
    theirs = {symbol: (Decimal(held["qty"]), Decimal(held["cost"])) for symbol, held in account["positions"].items()}
    return (
        {symbol: qty for symbol, (qty, _) in ours.items()} == {symbol: qty for symbol, (qty, _) in theirs.items()}
        and all(abs(ours[symbol][1] - theirs[symbol][1]) < Decimal("1e-20") for symbol in theirs)
        and (ledger.realised_usd, ledger.fees_usd) == (Decimal(account["realised"]), Decimal(account["fees"]))
        and Decimal(BALANCE_USD) + ledger.earned_usd == Decimal(account["balances"]["USDT"])
    )


def _journal(story: Story) -> bool:
    audit = story.audit
    return isinstance(audit, AuditReport) and audit.ok and not audit.open_orders and sum(audit.states.values()) == 1


def _replay(story: Story) -> bool:
    first, *retries = story.answers
    told = first.get("order", {}).get("state")
    kept = story.record.state.value if story.record else None
    return bool(retries) and all(retry == first for retry in retries) and told in {None, kept}


def _mismatch(story: Story) -> bool:
    return bool(story.mismatches) and set(story.mismatches) == {"ALREADY_EXISTS IDEMPOTENCY_KEY_REUSED"}


def _trading(story: Story) -> bool:
    return isinstance(story.audit, AuditReport) and story.audit.risk_state is RiskState.ACTIVE


_RULES: Mapping[Rule, Callable[[Story], bool]] = {
    Rule.ONE_ORDER: _one_order,
    Rule.SENT_ONCE: _sent_once,
    Rule.ORDER_OR_PROOF: _order_or_proof,
    Rule.FILLS: _fills,
    Rule.ACCOUNT: _account,
    Rule.JOURNAL: _journal,
    Rule.REPLAY: _replay,
    Rule.MISMATCH: _mismatch,
    Rule.TRADING: _trading,
}
