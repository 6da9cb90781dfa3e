"""The Journal port on one SQLite file.

Everything here runs on the event loop. Writes are encoded here and committed by
the writer's thread. Reads see what is durable; only inside `exclusive` is an
order also found while it is on its way to the disk.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from gateway.adapters.journal_sqlite.owner import OwnerLock
from gateway.adapters.journal_sqlite.reader import JournalReader
from gateway.adapters.journal_sqlite.schema import JournalUnusableError, claim
from gateway.adapters.journal_sqlite.watchers import Watchers
from gateway.adapters.journal_sqlite.writer import Group, Row, Writer
from gateway.core.documents import Document, DocumentKind
from gateway.core.lifecycle import RiskStatus
from gateway.core.model import (
    Decision,
    DecisionId,
    Matured,
    OrderKey,
    OrderLinkId,
    OrderRecord,
    RiskChange,
    Symbol,
    WatchMove,
)
from gateway.core.outcome_records import outcome_text, watch_text
from gateway.core.records import decision_text, order_text, risk_text
from gateway.ports import Entry, Event, JournalUnavailableError, Ticket

QUEUE_ROWS_MAX: Final = 16_384
"""Rows staged and not yet settled; beyond it staging fails at once. About 20 MB, and a second of work."""

ENCODE_ROWS_MAX: Final = 256
"""Decisions encoded before other callers get their turn: about 2 ms."""

PEAK_DELAY_SECONDS: Final = 0.5
"""How long a noted peak waits for a commit to go with."""

log = structlog.get_logger()

Kept = OrderRecord | Decision | RiskChange | Matured | WatchMove | Document


class SqliteJournal:
    """The durable record of all that was decided and done, in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = OwnerLock(path)
        self._reader = JournalReader(path)
        self._writer: Writer | None = None
        self._watchers = Watchers()
        self._locks: dict[str, asyncio.Lock] = {}
        self._staged: dict[OrderKey, OrderRecord] = {}
        self._rows_under_way = 0
        self._peak_due: Decimal | None = None
        self._peak_timer: asyncio.TimerHandle | None = None
        self._write_ok = False
        self._records = 0

    async def start(self) -> None:
        """Own, migrate and open the journal. Raises JournalUnusableError."""
        self._owner.take()
        writer = Writer(self._path, asyncio.get_running_loop())
        try:
            self._records = await writer.start()
            self._owner.sign()
            self._reader.open()
        except (sqlite3.Error, OSError, JournalUnusableError) as fault:
            await writer.stop()
            self._owner.release()
            if isinstance(fault, JournalUnusableError):
                raise
            raise JournalUnusableError(f"{self._path} cannot be opened: {fault}. Mend that, then start.") from fault
        self._writer = writer
        self._write_ok = True
        log.info("journal_opened", path=str(self._path), records=self._records)

    async def claim(self, account_name: str) -> None:
        """Mark a new journal as this account's. Raises JournalUnusableError when it is another's, or cannot be read."""
        try:
            await asyncio.to_thread(claim, self._path, account_name)
        except (sqlite3.Error, OSError) as fault:
            raise JournalUnusableError(f"{self._path} cannot be marked: {fault}. Mend that, then start.") from fault

    async def close(self) -> None:
        """Commit what is staged, end the watchers and give the journal up; harmless when it is not open."""
        if self._writer is None:
            return
        self._flush_peak()
        writer, self._writer = self._writer, None
        self._reader.close()  # first, so that the writer is the last to close, and leaves one whole file
        await writer.stop()
        self._cancel_peak_timer()
        self._watchers.end()
        self._owner.release()
        log.info("journal_closed", records=self._records)

    @asynccontextmanager
    async def exclusive(self, account: str) -> AsyncIterator[Entry]:
        """One writer for an account at a time; there is one lock for each of the configured accounts."""
        async with self._locks.setdefault(account, asyncio.Lock()):
            yield _Entry(self, self._staged)

    def stage(self, record: OrderRecord) -> Ticket:
        """Queue an order's record. Raises JournalUnavailableError when the queue is full or closed."""
        row = Row("order", record.order.key, record.updated_ms, order_text(record))
        ticket = self._submit([row], [record])
        self._staged[record.order.key] = record
        return ticket

    async def append_decisions(self, decisions: Sequence[Decision]) -> None:
        """Keep decisions, all or none. Raises JournalUnavailableError."""
        rows: list[Row] = []
        for start in range(0, len(decisions), ENCODE_ROWS_MAX):
            if rows:
                await asyncio.sleep(0)
            rows.extend(
                Row("decision", decision.decision_id, decision.at_ms, decision_text(decision))
                for decision in decisions[start : start + ENCODE_ROWS_MAX]
            )
        if rows:
            await self._submit(rows, decisions).durable()

    async def append_risk(self, change: RiskChange) -> None:
        """Keep a move of the risk state; its peak replaces what was noted. Raises JournalUnavailableError."""
        row = Row("risk", "risk", change.at_ms, risk_text(change))
        noted, self._peak_due = self._peak_due, None
        try:
            await self._submit([row], [change]).durable()
        except JournalUnavailableError:
            if noted is not None and self._peak_due is None:
                self.note_peak(noted)
            raise

    async def append_matured(self, matured: Sequence[Matured]) -> None:
        """Keep what became of decisions, all or none; a round of them is small. Raises JournalUnavailableError."""
        rows = [Row("outcome", outcome.decision_id, outcome.at_ms, outcome_text(outcome)) for outcome in matured]
        if rows:
            await self._submit(rows, matured).durable()

    async def append_watch(self, move: WatchMove) -> None:
        """Keep a move of the calibration watch. Raises JournalUnavailableError."""
        row = Row("watch", move.model_version, move.at_ms, watch_text(move))
        await self._submit([row], [move]).durable()

    async def append_document(self, document: Document) -> None:
        """Keep a document. Raises JournalUnavailableError."""
        row = Row(document.kind.value, document.subject, document.at_ms, document.text)
        await self._submit([row], [document]).durable()

    def documents(self, kind: DocumentKind, limit: int) -> Sequence[Document]:
        """The newest documents of a kind, newest first. Raises JournalUnavailableError."""
        return self._reader.documents(kind, limit)

    def find_document(self, kind: DocumentKind, subject: str) -> Document | None:
        """The newest document of a kind and subject. Raises JournalUnavailableError."""
        return self._reader.document(kind, subject)

    def unmatured_decisions(self) -> Sequence[Decision]:
        """Scored decisions without an outcome, oldest first. Raises JournalUnavailableError."""
        return self._reader.unmatured_decisions()

    def matured_decisions(self, model_version: str, limit: int) -> Sequence[Matured]:
        """The newest outcomes of a version's decisions, oldest first. Raises JournalUnavailableError."""
        return self._reader.matured_decisions(model_version, limit)

    def watch_moves(self, limit: int) -> Sequence[WatchMove]:
        """The newest moves of the calibration watch, newest first. Raises JournalUnavailableError."""
        return self._reader.watch_moves(limit)

    def note_peak(self, peak_equity_usd: Decimal) -> None:
        """Remember a new peak with the next commit, within a second; tried again until it is kept."""
        self._peak_due = peak_equity_usd
        self._await_peak()

    def find_decision(self, decision_id: DecisionId) -> Decision | None:
        """A recorded decision. Raises JournalUnavailableError."""
        return self._reader.decision(decision_id)

    def list_decisions(self, *, limit: int, before: int | None) -> Sequence[tuple[int, Decision]]:
        """Decisions with their numbers, newest first, older than number `before`. Raises JournalUnavailableError."""
        return self._reader.decisions(limit=limit, before=before)

    def find_order(self, key: OrderKey) -> OrderRecord | None:
        """The newest durable record of an order. Raises JournalUnavailableError."""
        return self._reader.order(key)

    def find_link(self, order_link_id: OrderLinkId) -> OrderRecord | None:
        """The newest durable record of the order with this id at a venue. Raises JournalUnavailableError."""
        return self._reader.link(order_link_id)

    def list_orders(
        self, *, limit: int, before: int | None, symbol: Symbol | None
    ) -> Sequence[tuple[int, OrderRecord]]:
        """Orders with their numbers, newest first, older than number `before`. Raises JournalUnavailableError."""
        return self._reader.orders(limit=limit, before=before, symbol=symbol)

    def open_orders(self) -> Sequence[OrderRecord]:
        """Orders that are pending or unknown, oldest first. Raises JournalUnavailableError."""
        return self._reader.open_orders()

    def filled_orders(self) -> Sequence[OrderRecord]:
        """Orders with fills, in the order in which they were filled. Raises JournalUnavailableError."""
        return self._reader.filled_orders()

    def risk_status(self) -> RiskStatus | None:
        """The stored risk state; None in a new journal. Raises JournalUnavailableError."""
        return self._reader.risk_status()

    def risk_changes(self, limit: int) -> Sequence[RiskChange]:
        """The newest moves of the risk state, newest first. Raises JournalUnavailableError."""
        return self._reader.risk_changes(limit)

    def watch(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """What becomes durable from now on; ends early when its reader falls 1,000 events behind."""
        return self._watchers.watch()

    def health(self) -> tuple[bool, int]:
        """Whether the last write succeeded, and how many records there are."""
        return self._write_ok, self._records

    def _submit(self, rows: Sequence[Row], kept: Sequence[Kept]) -> "_Ticket":
        """Queue rows as one group, the noted peak with them."""
        if self._writer is None:
            raise JournalUnavailableError("the journal is not open")
        if self._rows_under_way + len(rows) > QUEUE_ROWS_MAX:
            raise JournalUnavailableError(f"the journal's queue is full: {self._rows_under_way} records wait")
        ticket = _Ticket()
        peak_usd = self._peak_due
        self._rows_under_way += len(rows)
        self._writer.put(Group(rows=rows, peak_usd=peak_usd, settle=partial(self._settle, ticket, kept, peak_usd)))
        return ticket

    def _settle(
        self, ticket: "_Ticket", kept: Sequence[Kept], peak_usd: Decimal | None, first_seq: int, fault: str | None
    ) -> None:
        """Take the fate of a group."""
        self._rows_under_way -= len(kept)
        for record in kept:
            if isinstance(record, OrderRecord) and self._staged.get(record.order.key) is record:
                del self._staged[record.order.key]
        self._note_health(fault)
        if fault is None:
            self._records = first_seq + len(kept) - 1
            if self._peak_due is peak_usd:
                self._peak_due = None
            self._watchers.publish(lambda: [_event(first_seq + offset, record) for offset, record in enumerate(kept)])
        elif self._peak_due is not None:
            self._await_peak()
        ticket.settle(fault)

    def _note_health(self, fault: str | None) -> None:
        """Log the change from good to bad or back, not every record that is refused."""
        if fault is not None and self._write_ok:
            log.error("journal_unavailable", detail=fault)
        if fault is None and not self._write_ok:
            log.info("journal_recovered")
        self._write_ok = fault is None

    def _await_peak(self) -> None:
        """Write the noted peak by itself when no commit takes it along in time."""
        if self._peak_timer is None:
            loop = asyncio.get_running_loop()
            self._peak_timer = loop.call_later(PEAK_DELAY_SECONDS, self._flush_peak)

    def _flush_peak(self) -> None:
        self._cancel_peak_timer()
        if self._peak_due is not None and self._writer is not None:
            self._submit([], [])

    def _cancel_peak_timer(self) -> None:
        if self._peak_timer is not None:
            self._peak_timer.cancel()
            self._peak_timer = None


class _Ticket:
    """A group on its way; settled once."""

    __slots__ = ("_fault",)

    def __init__(self) -> None:
        self._fault: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def settle(self, fault: str | None) -> None:
        self._fault.set_result(fault)

    async def durable(self) -> None:
        """Return once the group is on the disk. Raises JournalUnavailableError: it is not, and never will be."""
        fault = await asyncio.shield(self._fault)  # a caller who gives up must not take the answer from others
        if fault is not None:
            raise JournalUnavailableError(fault)


class _Entry:
    """The journal while one order holds it."""

    def __init__(self, journal: SqliteJournal, staged: dict[OrderKey, OrderRecord]) -> None:
        self._journal = journal
        self._staged = staged

    def find(self, key: OrderKey) -> OrderRecord | None:
        """The newest record of an order, on its way or durable. Raises JournalUnavailableError."""
        return self._staged.get(key) or self._journal.find_order(key)

    def stage(self, record: OrderRecord) -> Ticket:
        """Queue a record. Raises JournalUnavailableError."""
        return self._journal.stage(record)


def _event(sequence: int, record: Kept) -> Event:
    """A durable record in short, as the contract's WatchEventsResponse tells it."""
    match record:
        case OrderRecord():
            kind, at_ms, subject = "order", record.updated_ms, str(record.order.key)
            state, symbol = record.state.value, str(record.order.symbol)
        case Decision():
            kind, at_ms, subject = "decision", record.at_ms, str(record.decision_id)
            state, symbol = record.signal.value, str(record.symbol)
        case RiskChange():
            kind, at_ms, subject, state, symbol = "risk", record.at_ms, record.to_state.value, record.actor, ""
        case Matured():
            kind, at_ms, subject = "outcome", record.at_ms, str(record.decision_id)
            state, symbol = record.verdict.value, str(record.symbol)
        case WatchMove():
            kind, at_ms, subject, state, symbol = "watch", record.at_ms, record.model_version, record.to_state.value, ""
        case Document():
            kind, at_ms, subject, state, symbol = record.kind.value, record.at_ms, record.subject, "", ""
    return Event(sequence=sequence, kind=kind, at_ms=at_ms, subject=subject, state=state, symbol=symbol)
