"""The audit of a journal: whether its records are whole and lawful, and what they add up to.

Checked of each record, in order: its number follows, it links to the digest before
it, its digest is that of its columns, its body reads and agrees with its columns,
an order's move is one of lifecycle.ORDER_MOVES and its end has evidence, an outcome is the first of a recorded
scored decision, and a move of the calibration watch begins where its version stood.
Checked at the end: that no newest records are missing, and that the projections (orders,
and scored decisions without an outcome) are folds of the records.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.core.chain import GENESIS_DIGEST, record_digest
from gateway.core.documents import DocumentKind
from gateway.core.json_fields import RecordFormatError, canonical, parsed
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import OPEN_STATES, ORDER_MOVES
from gateway.core.model import (
    ZERO,
    Decision,
    DecisionId,
    Matured,
    OrderRecord,
    OrderState,
    RiskChange,
    RiskState,
    WatchMove,
    WatchState,
)
from gateway.core.outcome_records import outcome_from, watch_from
from gateway.core.records import decision_from, order_from, order_version, risk_from

FAULTS_MAX: Final = 20
"""The first faults are told; one cause often breaks much after it."""

FIRST_STATES: Final = frozenset({OrderState.PENDING, OrderState.REFUSED})
"""What an order's first record can say."""


_DOCUMENT_KINDS: Final = frozenset(DocumentKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One record as the journal holds it, believed in nothing."""

    seq: int
    kind: str
    subject: str
    at_ms: int
    body: str
    prev_digest: bytes
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectedOrder:
    """One row of the projection of orders."""

    key: str
    number: int
    """The number of the order's first record."""
    last_seq: int
    symbol: str
    state: str
    filled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong; seq is the record's number, None when no single record is at fault."""

    seq: int | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found."""

    faults: Sequence[Fault]
    """Empty when all is well; the first FAULTS_MAX, the first broken record first."""
    account: str
    """Whose journal it is; empty for a new one."""
    records: int
    kinds: Mapping[str, int]
    """Records by kind."""
    states: Mapping[str, int]
    """Orders by their newest state."""
    open_orders: Sequence[OrderRecord]
    unmatured: int
    """Scored decisions without an outcome."""
    watch_states: Mapping[str, str]
    """Where the calibration watch stands, by model version; a version that never moved is not in it."""
    ledger: Ledger
    """From the fills, starting at zero: its equity basis is what was earned and paid."""
    risk_state: RiskState
    last_seq: int
    head_digest: bytes
    """The digest of the newest record: noted elsewhere, it proves all that came before."""

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.faults


def audit(
    records: Iterable[StoredRecord],
    orders: Iterable[ProjectedOrder],
    unmatured: Iterable[tuple[str, int]],
    highest_seq: int,
    account: str,
) -> AuditReport:
    """Audit a journal.

    `unmatured` are the projected decisions without an outcome, each with its record's number; `highest_seq` is the
    highest number that the journal ever gave, 0 when it gave none; `account` is whose journal it is.
    """
    fold = _Fold()
    for record in records:
        fold.take(record)
    fold.check_end(highest_seq)
    fold.check_projection(orders)
    fold.check_unmatured(unmatured)
    return fold.report(account)


class _Fold:
    """The state of an audit under way."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._seq = 0
        self._digest = GENESIS_DIGEST
        self._kinds: Counter[str] = Counter()
        self._orders: dict[str, ProjectedOrder] = {}
        self._open: dict[str, OrderRecord] = {}
        self._unmatured: dict[str, tuple[int, Decision]] = {}
        self._watch_states: dict[str, WatchState] = {}
        self._ledger = Ledger(start_usd=ZERO)
        self._risk_state = RiskState.ACTIVE

    def take(self, record: StoredRecord) -> None:
        """Check one record, and go on from what it says of itself, so that one break is told once."""
        self._kinds[record.kind] += 1
        problem = self._chain_problem(record)
        self._seq, self._digest = record.seq, record.digest
        try:
            problem = self._body_problem(record) or problem
        except RecordFormatError as fault:
            problem = problem or str(fault)
        if problem:
            self._fault(record.seq, problem)

    def check_end(self, highest_seq: int) -> None:
        """Check that the newest records are there."""
        if highest_seq != self._seq:
            self._fault(None, f"the journal ends with record {self._seq}, but has given out number {highest_seq}")

    def check_projection(self, orders: Iterable[ProjectedOrder]) -> None:
        """Check that the projection says what the records say."""
        missing = dict(self._orders)
        for row in orders:
            expected = missing.pop(row.key, None)
            if row != expected:
                self._fault(row.number, f"the projected order {row.key!r} is not what its records make it")
        for key, order in missing.items():
            self._fault(order.number, f"the order {key!r} is missing from the projection")

    def check_unmatured(self, rows: Iterable[tuple[str, int]]) -> None:
        """Check that the decisions that wait for their outcome are those that the records leave."""
        found = dict(rows)
        expected = {name: seq for name, (seq, _) in self._unmatured.items()}
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                seq = expected.get(name, found.get(name))
                self._fault(seq, f"whether the decision {name!r} waits for its outcome is not what its records make it")

    def report(self, account: str) -> AuditReport:
        return AuditReport(
            faults=self._faults,
            account=account,
            records=self._kinds.total(),
            kinds=dict(self._kinds),
            states=dict(Counter(order.state for order in self._orders.values())),
            open_orders=tuple(self._open.values()),
            unmatured=len(self._unmatured),
            watch_states={version: state.value for version, state in self._watch_states.items()},
            ledger=self._ledger,
            risk_state=self._risk_state,
            last_seq=self._seq,
            head_digest=self._digest,
        )

    def _fault(self, seq: int | None, problem: str) -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(Fault(seq=seq, problem=problem))

    def _chain_problem(self, record: StoredRecord) -> str | None:
        if record.seq != self._seq + 1:
            return f"its number does not follow {self._seq}: records are missing or were put in"
        if record.prev_digest != self._digest:
            return "it does not link to the record before it"
        digest = record_digest(
            self._digest,
            seq=record.seq,
            kind=record.kind,
            subject=record.subject,
            at_ms=record.at_ms,
            body=record.body,
        )
        return None if digest == record.digest else "its digest is not that of its columns: one of them was changed"

    def _body_problem(self, record: StoredRecord) -> str | None:
        """Read the body into the fold; what in it is wrong. Raises RecordFormatError."""
        match record.kind:
            case "order":
                return self._take_order(record, order_from(record.body, _no_decision))
            case "decision":
                return self._take_decision(record, decision_from(record.body))
            case "outcome":
                return self._take_outcome(record, outcome_from(record.body))
            case "watch":
                return self._take_watch(record, watch_from(record.body))
            case "risk":
                return self._take_risk(record, risk_from(record.body))
            case kind:
                return _document_problem(record) if kind in _DOCUMENT_KINDS else f"its kind {kind!r} is not known"

    def _take_risk(self, record: StoredRecord, change: RiskChange) -> str | None:
        self._risk_state = change.to_state
        return None if record.at_ms == change.at_ms else "its time is not that of its body"

    def _take_decision(self, record: StoredRecord, decision: Decision) -> str | None:
        if decision.scored:
            self._unmatured.setdefault(record.subject, (record.seq, decision))
        same = (record.subject, record.at_ms) == (decision.decision_id, decision.at_ms)
        return None if same else "its id or time is not that of its body"

    def _take_outcome(self, record: StoredRecord, outcome: Matured) -> str | None:
        waiting = self._unmatured.pop(record.subject, None)
        if waiting is None:
            return "it is of no scored decision that waits for its outcome"
        if (record.subject, record.at_ms) != (outcome.decision_id, outcome.at_ms):
            return "its id or time is not that of its body"
        return None if _is_of(outcome, waiting[1]) else "it is not of what its decision said"

    def _take_watch(self, record: StoredRecord, move: WatchMove) -> str | None:
        was = self._watch_states.get(record.subject, WatchState.OK)
        self._watch_states[record.subject] = move.to_state
        if (record.subject, record.at_ms) != (move.model_version, move.at_ms):
            return "its version or time is not that of its body"
        return None if move.from_state is was else f"the watch stood at {was.value}, not at {move.from_state.value}"

    def _take_order(self, record: StoredRecord, order: OrderRecord) -> str | None:
        key = str(order.order.key)
        earlier = self._orders.get(key)
        problem = self._order_problem(record, order, earlier)
        if order.fills and not (earlier and earlier.filled):
            self._ledger = self._ledger.applied(order.order.symbol, order.order.side, order.fills)
        self._orders[key] = ProjectedOrder(
            key=key,
            number=earlier.number if earlier else record.seq,
            last_seq=record.seq,
            symbol=earlier.symbol if earlier else str(order.order.symbol),
            state=order.state.value,
            filled=bool(order.fills),
        )
        if order.state in OPEN_STATES:
            self._open[key] = replace(order, facts=None)
        else:
            self._open.pop(key, None)
        return problem

    def _order_problem(self, record: StoredRecord, order: OrderRecord, earlier: ProjectedOrder | None) -> str | None:
        if (record.subject, record.at_ms) != (order.order.key, order.updated_ms):
            return "its key or time is not that of its body"
        if earlier is None:
            return None if order.state in FIRST_STATES else f"an order cannot begin as {order.state.value}"
        if order.facts is not None or order.policy_id:
            return "it tells what the order was judged by, which its first record alone may"
        if order.evidence is None and order.state not in OPEN_STATES and order_version(record.body) > 1:
            return f"nothing is told of how it is known that the order ended as {order.state.value}"
        was = self._open.get(record.subject)
        if was is None or not _may_follow(was.state, order.state):
            return f"an order cannot move from {earlier.state} to {order.state.value}"
        same = (was.order, was.order_link_id, was.created_ms) == (order.order, order.order_link_id, order.created_ms)
        return None if same else "it changes what was ordered"


def _no_decision(_: DecisionId) -> None:
    """Facts are read for their form; whether their decision is there is for a replay to say."""


def _document_problem(record: StoredRecord) -> str | None:
    """A document's text is for its own module to read; here it must be canonical."""
    body = parsed(record.body, record.kind)
    return None if isinstance(body, dict) and canonical(body) == record.body else "its body is not canonical"


def _may_follow(was: OrderState, state: OrderState) -> bool:
    """A move of the table, or another look at an open order that learned nothing."""
    return state in ORDER_MOVES[was] or (state is was and was in OPEN_STATES)


def _is_of(outcome: Matured, decision: Decision) -> bool:
    """Whether an outcome tells what its decision told."""
    said = (decision.symbol, decision.model_version, decision.bar_open_ms, decision.signal, decision.confidence)
    return said == (outcome.symbol, outcome.model_version, outcome.bar_open_ms, outcome.signal, outcome.confidence)
