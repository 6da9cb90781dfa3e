"""What became of an order, told to its caller."""

from dataclasses import dataclass, replace

from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import Failure, OrderRecord, OrderState, Outcome
from gateway.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to an order that was not refused."""

    record: OrderRecord
    replayed: bool = False


FILLED_STATES = frozenset({OrderState.FILLED, OrderState.PARTIALLY_FILLED})


def with_outcome(intent: OrderRecord, outcome: Outcome, at_ms: int) -> OrderRecord:
    """The record of an order after the venue has spoken; what it was judged by stands in its first record alone."""
    failure = None
    if outcome.state is OrderState.REJECTED:
        failure = Failure(
            reason=Reason.VENUE_REJECTED,
            message="Nothing was filled: the venue rejected the order. Mend it and send it with a new key.",
            metadata={"detail": outcome.detail},
        )
    ended = outcome.state not in OPEN_STATES
    return replace(
        intent,
        state=outcome.state,
        # What an order that may go on filling has filled so far is told with its end: fills are counted once.
        fills=outcome.fills if ended else (),
        failure=failure,
        updated_ms=at_ms,
        evidence=outcome.evidence if ended else None,
        venue_order_id=outcome.venue_order_id or intent.venue_order_id,
        facts=None,
        policy_id="",
    )


def answer_of(record: OrderRecord, *, replayed: bool) -> Answer | Failure:
    """What a caller is told of a record: the refusal that it holds, or the order."""
    if record.failure is not None:
        return record.failure
    return Answer(record=record, replayed=replayed)


def message_of(record: OrderRecord, *, dry_run: bool) -> str:  # noqa: PLR0911 - one for each state
    """One sentence for a person."""
    match record.state:
        case OrderState.FILLED:
            return "Paper trading mode - order simulated" if dry_run else "Order executed"
        case OrderState.PENDING:
            return "The order is recorded, and its end is not known yet. Keep the key and ask again."
        case OrderState.PARTIALLY_FILLED:
            prefix = "Paper trading mode - order simulated" if dry_run else "Order executed"
            return f"{prefix}; the book filled a part of it and the rest was cancelled"
        case OrderState.CANCELLED:
            return "Nothing was filled: the book had no price within the limit. Try again with a new key."
        case OrderState.UNKNOWN:
            return "The venue's answer was lost. Keep the key and ask again: the order will not be sent twice."
        case OrderState.EXPIRED:
            return "The order was never sent, and will not be. Ask for a new decision."
        case OrderState.REFUSED | OrderState.REJECTED:
            return "No order was filled."
