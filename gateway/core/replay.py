"""The replay of a journal: every verdict made again from the facts and the limits that were recorded with it.

An order's first record tells what it was judged by. The same pure function judges it again, and the record that would
be kept is held against the one that was, field by field. Whatever differs was changed afterwards, or is judged
otherwise by this version of the gateway.

Some verdicts cannot be made again, and are counted instead: those of records before version 3, which tell no facts, and
those whose facts or limits have a form that this version does not know. Refusals that a retry may turn (503 and the
like) are never kept, and so nothing is there to make again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from gateway.core.audit import StoredRecord
from gateway.core.documents import Document
from gateway.core.fact_records import policy_from
from gateway.core.facts import Policy
from gateway.core.json_fields import RecordFormatError
from gateway.core.model import Decision, DecisionId, Failure, OrderRecord
from gateway.core.plan import intent_record, plan_order, refusal_record
from gateway.core.records import order_from

DIFFERENCES_MAX: Final = 20
"""The first differences are told; one cause often makes many."""

JUDGED: Final = tuple(field.name for field in fields(OrderRecord) if field.name not in {"order", "facts", "policy_id"})
"""What a verdict says of an order: every field but what it was judged by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A verdict that comes out otherwise than it was recorded."""

    seq: int
    """The number of the order's first record."""
    key: str
    field: str
    """The first field that differs; empty when the record cannot be judged again as it is."""
    recorded: str
    derived: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay found."""

    orders: int
    identical: int
    """Verdicts that came out as they were recorded."""
    different: int
    not_recorded: int
    """Orders whose record tells no facts: it is of an earlier version."""
    other_form: int
    """Orders whose facts or limits were recorded in a form of another version."""
    differences: Sequence[Difference]
    """The first DIFFERENCES_MAX."""
    last_seq: int
    """The last record that was looked at; 0 for none."""

    @property
    def ok(self) -> bool:
        """True when no verdict differs."""
        return self.different == 0


class Replay:
    """A replay under way."""

    def __init__(
        self,
        *,
        policy_of: Callable[[str], Document | None],
        decision_of: Callable[[DecisionId], Decision | None],
    ) -> None:
        """`policy_of` finds limits by their id, `decision_of` decisions: both as the journal has them."""
        self._policy_of = policy_of
        self._decision_of = decision_of
        self._policies: dict[str, tuple[Policy, str] | None] = {}
        self._differences: list[Difference] = []
        self._orders = self._identical = self._different = self._not_recorded = self._other_form = self._last_seq = 0

    def take(self, first: StoredRecord) -> None:
        """Judge one order again, by its first record."""
        self._orders += 1
        self._last_seq = first.seq
        try:
            recorded = order_from(first.body, self._decision)
            found = self._again(recorded)
        except RecordFormatError as fault:
            self._differs(Difference(seq=first.seq, key=first.subject, field="", recorded="", derived=str(fault)))
            return
        if found is not None:
            self._hold_against(first, recorded, found)

    def report(self) -> ReplayReport:
        """What was found so far."""
        return ReplayReport(
            orders=self._orders,
            identical=self._identical,
            different=self._different,
            not_recorded=self._not_recorded,
            other_form=self._other_form,
            differences=tuple(self._differences),
            last_seq=self._last_seq,
        )

    def _again(self, recorded: OrderRecord) -> OrderRecord | None:
        """The record that the same facts and limits make; None where they cannot be known. Raises RecordFormatError."""
        if not recorded.policy_id:
            self._not_recorded += 1
            return None
        ruled = self._policy(recorded.policy_id)
        if recorded.facts is None or ruled is None:
            self._other_form += 1
            return None
        policy, account = ruled
        verdict = plan_order(recorded.order, account, recorded.facts, policy)
        if isinstance(verdict, Failure):
            return refusal_record(recorded.order, account, verdict, recorded.facts, recorded.policy_id)
        return intent_record(verdict, recorded.facts, recorded.policy_id)

    def _hold_against(self, first: StoredRecord, recorded: OrderRecord, derived: OrderRecord) -> None:
        for name in JUDGED:
            was, now = getattr(recorded, name), getattr(derived, name)
            if was != now:
                told = Difference(seq=first.seq, key=first.subject, field=name, recorded=str(was), derived=str(now))
                self._differs(told)
                return
        self._identical += 1

    def _differs(self, difference: Difference) -> None:
        self._different += 1
        if len(self._differences) < DIFFERENCES_MAX:
            self._differences.append(difference)

    def _policy(self, policy_id: str) -> tuple[Policy, str] | None:
        if policy_id not in self._policies:
            document = self._policy_of(policy_id)
            if document is None:
                raise RecordFormatError(f"the limits {policy_id} that it names are not in the journal")
            self._policies[policy_id] = policy_from(document)
        return self._policies[policy_id]

    def _decision(self, decision_id: DecisionId) -> Decision:
        decision = self._decision_of(decision_id)
        if decision is None:
            raise RecordFormatError(f"the decision {decision_id} that its facts name is not in the journal")
        return decision
