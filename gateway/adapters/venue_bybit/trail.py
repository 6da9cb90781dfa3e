"""All that is known of one order of ours, whoever said it and in whatever order it came.

An order that has ended does not open again; of two words the later one counts, and the one that tells of more fills.
Executions count once each. The end is complete when the executions add up to what the order says was filled, to the
last digit; before that it is not told.
"""

from dataclasses import dataclass, field

from gateway.core.model import ZERO, Evidence, OrderState, Outcome
from gateway.core.venue import Execution, ExecutionKind, VenueOrder, VenueStatus

EXECUTIONS_MAX = 10_000
"""Of one order; one with more never becomes complete, and is for a person to look at."""


@dataclass(slots=True)
class Trail:
    """What is known of one order."""

    order: VenueOrder | None = None
    evidence: Evidence | None = None
    """Who first told that it ended."""
    executions: dict[str, Execution] = field(default_factory=dict)
    acked_id: str = ""
    """The venue's id of it, from the answer to the order itself."""

    def saw_order(self, order: VenueOrder, evidence: Evidence) -> None:
        """Take up what somebody says of the order."""
        if self.order is None or _weight(order) > _weight(self.order):
            self.order = order
        if self.evidence is None and order.status is not VenueStatus.OPEN:
            self.evidence = evidence

    def saw_execution(self, execution: Execution) -> None:
        """Take up an execution; the same one again changes nothing."""
        if execution.kind is ExecutionKind.TRADE and len(self.executions) < EXECUTIONS_MAX:
            self.executions.setdefault(execution.exec_id, execution)

    @property
    def exists(self) -> bool:
        """Whether the venue has said anything of it."""
        return self.order is not None or bool(self.executions) or self.acked_id != ""

    @property
    def ended(self) -> bool:
        """Whether it can be filled no more."""
        return self.order is not None and self.order.status is not VenueStatus.OPEN

    @property
    def complete(self) -> bool:
        """Whether it has ended and every fill of it is known."""
        order = self.order
        if order is None or order.status is VenueStatus.OPEN:
            return False
        whole = order.status is not VenueStatus.FILLED or order.filled_qty == order.qty
        return whole and sum((each.qty for each in self.executions.values()), ZERO) == order.filled_qty

    @property
    def venue_order_id(self) -> str:
        """The venue's id of it; empty while it is not known."""
        told = (self.acked_id, self.order.venue_order_id if self.order else "", *self._execution_ids())
        return next((known for known in told if known), "")

    @property
    def contradicts_itself(self) -> bool:
        """Whether there is more than one order under the id, or executions of another one."""
        ids = {self.acked_id, self.order.venue_order_id if self.order else "", *self._execution_ids()} - {""}
        kinds = {(each.symbol, each.side) for each in self.executions.values()}
        if self.order:
            kinds.add((self.order.symbol, self.order.side))
        return len(ids) > 1 or len(kinds) > 1

    def is_older_than(self, at_ms: int) -> bool:
        """Whether something of it happened before then, or all of it, by the venue's clock."""
        executed = any(each.at_ms < at_ms for each in self.executions.values())
        return executed or (self.order is not None and self.order.updated_ms < at_ms)

    def outcome(self) -> Outcome:
        """What became of it; UNKNOWN until that is complete."""
        order = self.order
        if order is None or not self.complete:
            return Outcome(state=OrderState.UNKNOWN, venue_order_id=self.venue_order_id)
        ordered = sorted(self.executions.values(), key=lambda each: (each.at_ms, each.exec_id))
        state = _state_of(order)
        return Outcome(
            state=state,
            fills=tuple(each.fill for each in ordered),
            detail=order.detail if state is OrderState.REJECTED else "",
            evidence=self.evidence,
            venue_order_id=self.venue_order_id,
        )

    def _execution_ids(self) -> set[str]:
        return {each.venue_order_id for each in self.executions.values()}


def _weight(order: VenueOrder) -> tuple[bool, object, int]:
    """What makes one word on an order count more than another."""
    return (order.status is not VenueStatus.OPEN, order.filled_qty, order.updated_ms)


def _state_of(order: VenueOrder) -> OrderState:
    if order.filled_qty > 0:
        return OrderState.FILLED if order.filled_qty == order.qty else OrderState.PARTIALLY_FILLED
    return OrderState.REJECTED if order.status is VenueStatus.REJECTED else OrderState.CANCELLED
