"""What the order path needs of the world, as protocols; adapters fill them, wiring.py picks them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from gateway.core.documents import Document, DocumentKind
from gateway.core.drift import FeatureReference
from gateway.core.facts import CalibrationStanding, OrderFacts
from gateway.core.lifecycle import RiskStatus
from gateway.core.model import (
    BarLabel,
    BarSeries,
    Book,
    Decision,
    DecisionId,
    Instrument,
    Matured,
    Order,
    OrderKey,
    OrderLinkId,
    OrderRecord,
    Outcome,
    Prediction,
    RiskChange,
    Symbol,
    WatchMove,
)
from gateway.core.risk import Approved
from gateway.core.venue import AccountSnapshot, VenueBlock, Wallet


class StartError(Exception):
    """The gateway cannot start; the message says why, and what to do."""


class JournalUnavailableError(Exception):
    """The journal could not keep a record: nothing of it was kept."""


class ModelUnavailableError(Exception):
    """The model service did not answer in time, or answered what cannot be used."""


class ModelChangedError(ModelUnavailableError):
    """The served model takes other features than those that it was sent: ask for its features, and try once more."""


class NotOfferedError(Exception):
    """The server of the model speaks only the Open Inference Protocol, and does not know what was asked of it."""


class VenueUnavailableError(Exception):
    """The venue could not be asked; for `find` only: `submit` answers UNKNOWN instead."""


class Clock(Protocol):
    """The time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        ...


class MarketData(Protocol):
    """Prices, as they last arrived; whether they are fresh is for risk to say."""

    source: str

    def book(self, symbol: Symbol) -> Book | None:
        """The newest book, or None when there is none."""
        ...

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The venue's rules for `symbol`, or None when they are not known."""
        ...

    def bars(self, symbol: Symbol) -> BarSeries | None:
        """The closed bars that are known, the newest last, 1,000 at most; None when there are none."""
        ...

    def mark_price(self, symbol: Symbol) -> Decimal | None:
        """The price that the venue values positions at, as fresh as the book's limit asks; None when it is not."""
        ...


class Model(Protocol):
    """The model service."""

    async def feature_names(self) -> Sequence[str]:
        """The features that the served model takes. Raises ModelUnavailableError."""
        ...

    async def predict_many(self, rows: Sequence[Sequence[float]]) -> Sequence[Prediction]:
        """Many rows, answered in order by one version. Raises ModelUnavailableError, ModelChangedError."""
        ...

    async def ready(self) -> str | None:
        """The version of the served model, or None when it does not answer."""
        ...

    async def features(self, bars: BarSeries) -> Mapping[str, float]:
        """The served model's features of the last bar. Raises ModelUnavailableError, NotOfferedError.

        Raises ModelUnavailableError as well when the bars cannot be used: too few, or of another length.
        """
        ...

    async def label(self, bars: BarSeries, open_time_ms: int, model_version: str) -> BarLabel:
        """What became of the label of one bar. Raises ModelUnavailableError, NotOfferedError."""
        ...

    async def reference(self, model_version: str) -> Sequence[FeatureReference]:
        """How the features were distributed in training; empty when nobody tells. Raises ModelUnavailableError."""
        ...

    async def digest(self, model_version: str) -> str:
        """The SHA-256 of a version's graph, hexadecimal; empty when nobody tells. Raises ModelUnavailableError."""
        ...


class CalibrationGuard(Protocol):
    """What live outcomes ask of decisions and orders, and which decisions they are made of."""

    def standing(self, model_version: str | None = None) -> CalibrationStanding:
        """What is asked now of that version, or of the served one. Raises JournalUnavailableError."""
        ...

    def claim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> bool:
        """Whether this decision is the first of its symbol, bar and version, which is the one that counts.

        Raises JournalUnavailableError.
        """
        ...

    def unclaim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> None:
        """Give a claim back: its decision could not be kept. Never raises."""
        ...

    def recorded(self, decisions: Sequence[Decision]) -> None:
        """Take up decisions that are durable now. Raises JournalUnavailableError."""
        ...

    def load(self, model_version: str) -> None:
        """Take a version as the served one, with what is recorded of it. Raises JournalUnavailableError."""
        ...


class Venue(Protocol):
    """Where orders go."""

    dry_run: bool
    """True when no real order leaves."""

    def block(self, *, reduce_only: bool) -> VenueBlock | None:
        """Why no such order can be sent at this moment; None when it can."""
        ...

    async def submit(self, approved: Approved) -> Outcome:
        """Send once. Never raises for a lost answer: the outcome is UNKNOWN then."""
        ...

    async def find(self, record: OrderRecord) -> Outcome | None:
        """What became of an order; UNKNOWN while that cannot be told.

        None when it is proven never to have arrived, and can no longer arrive. Raises VenueUnavailableError.
        """
        ...

    async def cancel_open(self) -> int:
        """Cancel every open order of the account, whoever made it; how many. Raises VenueUnavailableError."""
        ...


class VenueAccount(Protocol):
    """The account at the venue, for comparing it with the journal; live alone has one."""

    async def snapshot(self, since_ms: int) -> AccountSnapshot:
        """All of the account, with the executions since then. Raises VenueUnavailableError."""
        ...

    def wallet(self) -> Wallet | None:
        """The newest wallet, from the private stream or a snapshot; None before the first."""
        ...

    def entry_price(self, symbol: Symbol, qty: Decimal) -> Decimal | None:
        """The venue's own entry price of a position; None when the newest that it told is another quantity."""
        ...


class FactSource(Protocol):
    """Gathers what is known when an order is judged."""

    async def gather(self, order: Order, client: str) -> OrderFacts:
        """All facts of one moment about a client's order. Raises JournalUnavailableError: a decision cannot be read."""
        ...


class Step(StrEnum):
    """The labelled steps of the order path, at which the crash tests kill the process."""

    RECEIVED = "received"
    GATHERED = "gathered"
    PLANNED = "planned"
    STAGED = "staged"
    JOURNALED = "journaled"
    SENDING = "sending"
    SUBMITTED = "submitted"
    OUTCOME_STAGED = "outcome_staged"
    RECORDED = "recorded"


class Tracer(Protocol):
    """Told of each step as it is reached."""

    def reached(self, step: Step, key: OrderKey) -> None:
        """Called in order, once for each step."""
        ...


class Ticket(Protocol):
    """A record on its way to the disk."""

    async def durable(self) -> None:
        """Return once the record is on the disk. Raises JournalUnavailableError: it is not, and never will be."""
        ...


class Entry(Protocol):
    """The journal while one order holds it."""

    def find(self, key: OrderKey) -> OrderRecord | None:
        """The newest record of an order. Raises JournalUnavailableError."""
        ...

    def stage(self, record: OrderRecord) -> Ticket:
        """Queue a record; records become durable in the order in which they were staged."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A record that has become durable, in short."""

    sequence: int
    kind: str
    """decision, order, risk, outcome, watch, policy, promotion or twin."""
    at_ms: int
    subject: str
    state: str
    symbol: str


class Journal(Protocol):
    """The durable record of all that was decided and done."""

    async def claim(self, account_name: str) -> None:
        """Mark a new journal as this account's. Raises StartError when it is another's."""
        ...

    def exclusive(self, account: str) -> AbstractAsyncContextManager[Entry]:
        """One writer for an account at a time: what is read inside still holds when it is staged."""
        ...

    def stage(self, record: OrderRecord) -> Ticket:
        """Queue what became of an order."""
        ...

    async def append_decisions(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions. Raises JournalUnavailableError: none of them was kept."""
        ...

    async def append_risk(self, change: RiskChange) -> None:
        """Keep a move of the risk state. Raises JournalUnavailableError."""
        ...

    async def append_matured(self, matured: Sequence[Matured]) -> None:
        """Keep what became of decisions, all or none. Raises JournalUnavailableError."""
        ...

    async def append_watch(self, move: WatchMove) -> None:
        """Keep a move of the calibration watch. Raises JournalUnavailableError."""
        ...

    async def append_document(self, document: Document) -> None:
        """Keep a document. Raises JournalUnavailableError."""
        ...

    def documents(self, kind: DocumentKind, limit: int) -> Sequence[Document]:
        """The newest documents of a kind, newest first. Raises JournalUnavailableError."""
        ...

    def find_document(self, kind: DocumentKind, subject: str) -> Document | None:
        """The newest document of a kind and subject. Raises JournalUnavailableError."""
        ...

    def unmatured_decisions(self) -> Sequence[Decision]:
        """Scored decisions without an outcome, oldest first. Raises JournalUnavailableError."""
        ...

    def matured_decisions(self, model_version: str, limit: int) -> Sequence[Matured]:
        """The newest outcomes of a version's decisions, oldest first. Raises JournalUnavailableError."""
        ...

    def watch_moves(self, limit: int) -> Sequence[WatchMove]:
        """The newest moves of the calibration watch, newest first. Raises JournalUnavailableError."""
        ...

    def note_peak(self, peak_equity_usd: Decimal) -> None:
        """Remember a new peak with the next commit, within a second; a note, not an audited record."""
        ...

    def find_decision(self, decision_id: DecisionId) -> Decision | None:
        """A recorded decision. Raises JournalUnavailableError."""
        ...

    def list_decisions(self, *, limit: int, before: int | None) -> Sequence[tuple[int, Decision]]:
        """Decisions with their numbers, newest first, older than number `before`. Raises JournalUnavailableError."""
        ...

    def find_order(self, key: OrderKey) -> OrderRecord | None:
        """The newest record of an order. Raises JournalUnavailableError."""
        ...

    def find_link(self, order_link_id: OrderLinkId) -> OrderRecord | None:
        """The newest record of the order that a venue knows by this id. Raises JournalUnavailableError."""
        ...

    def list_orders(
        self, *, limit: int, before: int | None, symbol: Symbol | None
    ) -> Sequence[tuple[int, OrderRecord]]:
        """Orders with their numbers, newest first, older than number `before`. Raises JournalUnavailableError."""
        ...

    def open_orders(self) -> Sequence[OrderRecord]:
        """Orders that are pending or unknown, oldest first."""
        ...

    def filled_orders(self) -> Sequence[OrderRecord]:
        """Orders with fills, in the order in which they were filled; the ledger is made from them."""
        ...

    def risk_status(self) -> RiskStatus | None:
        """The stored risk state; None in a new journal."""
        ...

    def risk_changes(self, limit: int) -> Sequence[RiskChange]:
        """The newest moves of the risk state, newest first."""
        ...

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """What becomes durable from now on. The iterator ends early when its reader falls too far behind."""
        ...

    def health(self) -> tuple[bool, int]:
        """Whether the last write succeeded, and how many records there are."""
        ...
