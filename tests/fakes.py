"""Stand-ins for the ports: small, in memory, and as strict as what they stand for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.core.documents import Document, DocumentKind
from gateway.core.drift import FeatureReference
from gateway.core.facts import CalibrationStanding
from gateway.core.lifecycle import OPEN_STATES, ORDER_MOVES, RiskStatus
from gateway.core.model import (
    BarLabel,
    BarSeries,
    Book,
    Decision,
    DecisionId,
    Evidence,
    Fill,
    Instrument,
    Matured,
    OrderKey,
    OrderLinkId,
    OrderRecord,
    OrderState,
    Outcome,
    Prediction,
    RiskChange,
    Symbol,
    WatchMove,
    WatchState,
)
from gateway.core.risk import Approved
from gateway.core.venue import AccountSnapshot, VenueBlock, Wallet
from gateway.ports import (
    Event,
    JournalUnavailableError,
    ModelUnavailableError,
    NotOfferedError,
    StartError,
    Step,
    VenueUnavailableError,
)


@dataclass
class FakeClock:
    at_ms: int = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.at_ms


@dataclass
class FakeMarket:
    books: dict[Symbol, Book]
    instruments: dict[Symbol, Instrument]
    source: str = "fake"
    series: dict[Symbol, BarSeries] = field(default_factory=dict)
    marks: dict[Symbol, Decimal] = field(default_factory=dict)

    def book(self, symbol: Symbol) -> Book | None:
        return self.books.get(symbol)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return self.instruments.get(symbol)

    def bars(self, symbol: Symbol) -> BarSeries | None:
        return self.series.get(symbol)

    def mark_price(self, symbol: Symbol) -> Decimal | None:
        return self.marks.get(symbol)


@dataclass
class FakeModel:
    """Says one thing of every row; `computed` is what it makes of bars, None for a server that cannot."""

    prediction: Prediction
    names: tuple[str, ...] = ("mom_20", "rv_5", "rsi_14")
    down: bool = False
    computed: Mapping[str, float] | None = None
    labels: dict[int, BarLabel] = field(default_factory=dict)
    """By when the bar opened; a server that labels nothing has none."""
    references: Sequence[FeatureReference] = ()
    sha256: str = "ab" * 32
    seen: list[Sequence[float]] = field(default_factory=list)
    """The rows that it was asked about."""
    series: list[BarSeries] = field(default_factory=list)
    """The bars that it was sent."""

    async def feature_names(self) -> Sequence[str]:
        self._answer_or_raise()
        return self.names

    async def predict_many(self, rows: Sequence[Sequence[float]]) -> Sequence[Prediction]:
        self._answer_or_raise()
        self.seen += rows
        return [self.prediction for _ in rows]

    async def ready(self) -> str | None:
        return None if self.down else self.prediction.model_version

    async def features(self, bars: BarSeries) -> Mapping[str, float]:
        self._answer_or_raise()
        self.series.append(bars)
        if self.computed is None:
            raise NotOfferedError("not offered")
        return self.computed

    async def label(self, bars: BarSeries, open_time_ms: int, model_version: str) -> BarLabel:
        self._answer_or_raise()
        self.series.append(bars)
        if not self.labels:
            raise NotOfferedError("not offered")
        return self.labels.get(open_time_ms, BarLabel.OPEN)

    async def reference(self, model_version: str) -> Sequence[FeatureReference]:
        self._answer_or_raise()
        return self.references

    async def digest(self, model_version: str) -> str:
        self._answer_or_raise()
        return self.sha256

    def _answer_or_raise(self) -> None:
        if self.down:
            raise ModelUnavailableError("down")


@dataclass
class FakeCalibration:
    """Stands as it is told, and counts the first decision of each symbol, bar and version."""

    state: WatchState = WatchState.OK
    threshold: float = 0.6
    slope: float = 1.0
    claims_max: int | None = None
    """After so many the journal cannot be read."""
    loaded: list[str] = field(default_factory=list)
    claims: set[tuple[Symbol, int, str]] = field(default_factory=set)
    durable: list[Decision] = field(default_factory=list)

    def standing(self, model_version: str | None = None) -> CalibrationStanding:
        return CalibrationStanding(state=self.state, threshold=self.threshold, slope=self.slope)

    def claim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> bool:
        claim = (symbol, bar_open_ms, model_version)
        if claim in self.claims:
            return False
        if self.claims_max is not None and len(self.claims) >= self.claims_max:
            raise JournalUnavailableError("unreadable")
        self.claims.add(claim)
        return True

    def unclaim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> None:
        self.claims.remove((symbol, bar_open_ms, model_version))

    def recorded(self, decisions: Sequence[Decision]) -> None:
        self.durable += decisions

    def load(self, model_version: str) -> None:
        self.loaded.append(model_version)


@dataclass
class FakeVenue:
    """Fills whole at a fixed price, and remembers what it was sent."""

    price: Decimal = Decimal(60_000)
    answer: OrderState = OrderState.FILLED
    dry_run: bool = True
    unreachable: bool = False
    blocked: VenueBlock | None = None
    reductions_pass: bool = False
    """Whether a block lets reduce-only orders through."""
    submitted: list[Approved] = field(default_factory=list)
    known: dict[OrderLinkId, Outcome] = field(default_factory=dict)
    cancels: int = 0
    """How often it was asked to cancel what is open."""

    def block(self, *, reduce_only: bool) -> VenueBlock | None:
        return None if reduce_only and self.reductions_pass else self.blocked

    async def submit(self, approved: Approved) -> Outcome:
        self.submitted.append(approved)
        if self.answer is OrderState.UNKNOWN:
            return Outcome(state=self.answer)
        if self.answer is not OrderState.FILLED:
            return Outcome(state=self.answer, detail="as told", evidence=Evidence.REPLY)
        fill = Fill(price=self.price, qty=approved.qty_usd / self.price, fee_usd=approved.qty_usd * Decimal("0.00055"))
        return Outcome(state=OrderState.FILLED, fills=(fill,), evidence=Evidence.PAPER)

    async def find(self, record: OrderRecord) -> Outcome | None:
        if self.unreachable:
            raise VenueUnavailableError("unreachable")
        return self.known.get(record.order_link_id)

    async def cancel_open(self) -> int:
        if self.unreachable:
            raise VenueUnavailableError("unreachable")
        self.cancels += 1
        return 0


@dataclass
class FakeVenueAccount:
    """Tells what it is told to; `asked` is from when executions were read."""

    account: AccountSnapshot | None = None
    """None: it cannot be asked."""
    asked: list[int] = field(default_factory=list)

    async def snapshot(self, since_ms: int) -> AccountSnapshot:
        self.asked.append(since_ms)
        if self.account is None:
            raise VenueUnavailableError("unreachable")
        return self.account

    def wallet(self) -> Wallet | None:
        return self.account.wallet if self.account else None

    def entry_price(self, symbol: Symbol, qty: Decimal) -> Decimal | None:
        held = self.account.positions if self.account else ()
        return next((each.entry_price for each in held if (each.symbol, each.qty) == (symbol, qty)), None)


@dataclass
class FakeTicket:
    kept: bool

    async def durable(self) -> None:
        if not self.kept:
            raise JournalUnavailableError("full")


@dataclass
class FakeJournal:
    """Keeps records in memory, and refuses a move of state that the lifecycle does not know, or without evidence."""

    full: bool = False
    full_after: int | None = None
    watch_full: bool = False
    records: list[OrderRecord] = field(default_factory=list)
    decisions: dict[DecisionId, Decision] = field(default_factory=dict)
    risk: list[RiskChange] = field(default_factory=list)
    matured: dict[DecisionId, Matured] = field(default_factory=dict)
    moves: list[WatchMove] = field(default_factory=list)
    filed: list[Document] = field(default_factory=list)
    peak: Decimal | None = None
    owner: str = ""

    async def claim(self, account_name: str) -> None:
        if self.owner not in {"", account_name}:
            raise StartError(f"it is the journal of {self.owner}")
        self.owner = account_name

    @asynccontextmanager
    async def exclusive(self, account: str) -> AsyncIterator["FakeJournal"]:
        yield self

    def find(self, key: OrderKey) -> OrderRecord | None:
        return self.find_order(key)

    def stage(self, record: OrderRecord) -> FakeTicket:
        if self.full or (self.full_after is not None and len(self.records) >= self.full_after):
            return FakeTicket(kept=False)
        earlier = self.find_order(record.order.key)
        assert earlier is None or record.state in ORDER_MOVES[earlier.state], (earlier, record)
        has_ended = record.state not in OPEN_STATES | {OrderState.REFUSED}
        assert has_ended == (record.evidence is not None), record
        assert record.state not in OPEN_STATES or not record.fills, record
        self.records.append(record)
        return FakeTicket(kept=True)

    async def append_decisions(self, decisions: Sequence[Decision]) -> None:
        if self.full:
            raise JournalUnavailableError("full")
        self.decisions |= {decision.decision_id: decision for decision in decisions}

    def list_decisions(self, *, limit: int, before: int | None) -> Sequence[tuple[int, Decision]]:
        numbered = [(number, decision) for number, decision in enumerate(self.decisions.values(), start=1)]
        return [found for found in reversed(numbered) if before is None or found[0] < before][:limit]

    async def append_risk(self, change: RiskChange) -> None:
        if self.full:
            raise JournalUnavailableError("full")
        self.risk.append(change)

    async def append_matured(self, matured: Sequence[Matured]) -> None:
        if self.full:
            raise JournalUnavailableError("full")
        for outcome in matured:
            decision = self.decisions[outcome.decision_id]
            assert decision.scored, decision
            assert outcome.decision_id not in self.matured, outcome
            self.matured[outcome.decision_id] = outcome

    async def append_watch(self, move: WatchMove) -> None:
        if self.full or self.watch_full:
            raise JournalUnavailableError("full")
        stood = next(
            (made.to_state for made in self.watch_moves(1000) if made.model_version == move.model_version), None
        )
        assert move.from_state is (stood or WatchState.OK), move
        self.moves.append(move)

    async def append_document(self, document: Document) -> None:
        if self.full:
            raise JournalUnavailableError("full")
        self.filed.append(document)

    def documents(self, kind: DocumentKind, limit: int) -> Sequence[Document]:
        return [document for document in reversed(self.filed) if document.kind is kind][:limit]

    def find_document(self, kind: DocumentKind, subject: str) -> Document | None:
        return next(
            (document for document in self.documents(kind, len(self.filed)) if document.subject == subject), None
        )

    def unmatured_decisions(self) -> Sequence[Decision]:
        return [
            decision
            for decision in self.decisions.values()
            if decision.scored and decision.decision_id not in self.matured
        ]

    def matured_decisions(self, model_version: str, limit: int) -> Sequence[Matured]:
        of_version = [outcome for outcome in self.matured.values() if outcome.model_version == model_version]
        return of_version[max(0, len(of_version) - limit) :]

    def watch_moves(self, limit: int) -> Sequence[WatchMove]:
        return self.moves[::-1][:limit]

    def note_peak(self, peak_equity_usd: Decimal) -> None:
        self.peak = peak_equity_usd

    def find_decision(self, decision_id: DecisionId) -> Decision | None:
        return self.decisions.get(decision_id)

    def find_order(self, key: OrderKey) -> OrderRecord | None:
        return next((record for record in reversed(self.records) if record.order.key == key), None)

    def find_link(self, order_link_id: OrderLinkId) -> OrderRecord | None:
        return next((record for record in reversed(self.records) if record.order_link_id == order_link_id), None)

    def list_orders(
        self, *, limit: int, before: int | None, symbol: Symbol | None
    ) -> Sequence[tuple[int, OrderRecord]]:
        newest = {record.order.key: (number, record) for number, record in enumerate(self.records, 1)}
        rows = sorted(newest.values(), key=lambda row: -row[0])
        wanted = [row for row in rows if (before is None or row[0] < before) and symbol in {None, row[1].order.symbol}]
        return wanted[:limit]

    def open_orders(self) -> Sequence[OrderRecord]:
        return [
            record
            for _, record in self.list_orders(limit=10**9, before=None, symbol=None)
            if record.state in OPEN_STATES
        ]

    def filled_orders(self) -> Sequence[OrderRecord]:
        return [record for record in self.records if record.fills]

    def risk_status(self) -> RiskStatus | None:
        if not self.risk:
            return (
                None
                if self.peak is None
                else RiskStatus(halted=False, locked=False, reducing=False, peak_equity_usd=self.peak)
            )
        last = self.risk[-1]
        return RiskStatus(
            halted=last.halted,
            locked=last.locked,
            reducing=last.reducing,
            peak_equity_usd=self.peak or last.peak_equity_usd,
        )

    def risk_changes(self, limit: int) -> Sequence[RiskChange]:
        return self.risk[::-1][:limit]

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[Event]]:
        async def nothing() -> AsyncIterator[Event]:
            return
            yield

        yield nothing()

    def health(self) -> tuple[bool, int]:
        return not self.full, len(self.records)


@dataclass
class FakeTracer:
    steps: list[Step] = field(default_factory=list)

    def reached(self, step: Step, key: OrderKey) -> None:
        self.steps.append(step)


class SlowRisk:
    """Holds back a journal's risk records until it is let go."""

    def __init__(self, journal: FakeJournal) -> None:
        self.go, self.waiting, self._append = asyncio.Event(), asyncio.Event(), journal.append_risk
        journal.append_risk = self._append_risk  # type: ignore[method-assign]

    async def _append_risk(self, change: RiskChange) -> None:
        self.waiting.set()
        await self.go.wait()
        await self._append(change)
