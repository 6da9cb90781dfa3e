"""Reads of the journal on the event loop: a connection of its own, microseconds each, only what is durable."""

import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.adapters.journal_sqlite.schema import JournalUnusableError, open_reader
from gateway.core.documents import Document, DocumentKind
from gateway.core.json_fields import RecordFormatError
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
from gateway.core.outcome_records import outcome_from, watch_from
from gateway.core.records import decision_from, order_from, risk_from
from gateway.ports import JournalUnavailableError

_NUMBER_MAX: Final = 2**63 - 1
_T = TypeVar("_T")

_ORDERS = "SELECT orders.number, records.body FROM orders JOIN records ON records.seq = orders.last_seq "


class JournalReader:
    """Answers questions from the file; every method raises JournalUnavailableError when it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._is_open = False

    def open(self) -> None:
        """Connect. Raises sqlite3.Error, JournalUnusableError."""
        self._connect()
        self._is_open = True

    def close(self) -> None:
        """Disconnect, and read no more."""
        self._is_open = False
        self._disconnect()

    def decision(self, decision_id: DecisionId) -> Decision | None:
        """A recorded decision."""
        sql = "SELECT body FROM records WHERE kind = 'decision' AND subject = ? ORDER BY seq DESC LIMIT 1"
        return next(iter(self._read(sql, (decision_id,), lambda row: decision_from(row[0]))), None)

    def decisions(self, *, limit: int, before: int | None) -> Sequence[tuple[int, Decision]]:
        """Decisions with their numbers, newest first, older than number `before`."""
        sql = "SELECT seq, body FROM records WHERE kind = 'decision' AND seq < ? ORDER BY seq DESC LIMIT ?"
        below = _NUMBER_MAX if before is None else before
        return self._read(sql, (below, max(limit, 0)), lambda row: (int(row[0]), decision_from(row[1])))

    def order(self, key: OrderKey) -> OrderRecord | None:
        """The newest record of an order."""
        return next(iter(self._read(_ORDERS + "WHERE orders.key = ?", (key,), _order)), None)

    def link(self, order_link_id: OrderLinkId) -> OrderRecord | None:
        """The newest record of the order that a venue knows by this id."""
        sql = (
            "SELECT orders.number, newest.body FROM records JOIN orders ON orders.key = records.subject"
            " JOIN records AS newest ON newest.seq = orders.last_seq"
            " WHERE records.kind = 'order' AND records.body ->> '$.order_link_id' = ? LIMIT 1"
        )
        return next(iter(self._read(sql, (order_link_id,), _order)), None)

    def orders(self, *, limit: int, before: int | None, symbol: Symbol | None) -> Sequence[tuple[int, OrderRecord]]:
        """Orders with their numbers, newest first, older than number `before`."""
        newest_first = "AND orders.number < ? ORDER BY orders.number DESC LIMIT ?"
        below = _NUMBER_MAX if before is None else before
        if symbol is None:
            return self._read(_ORDERS + "WHERE TRUE " + newest_first, (below, max(limit, 0)), _numbered_order)
        return self._read(
            _ORDERS + "WHERE orders.symbol = ? " + newest_first, (symbol, below, max(limit, 0)), _numbered_order
        )

    def open_orders(self) -> Sequence[OrderRecord]:
        """Orders that are pending or unknown, oldest first."""
        return self._read(_ORDERS + "WHERE orders.state IN ('pending', 'unknown') ORDER BY orders.number", (), _order)

    def filled_orders(self) -> Sequence[OrderRecord]:
        """Orders with fills, in the order in which they were filled."""
        return self._read(_ORDERS + "WHERE orders.filled = 1 ORDER BY orders.last_seq", (), _order)

    def risk_status(self) -> RiskStatus | None:
        """The latches of the newest risk record and the noted peak; None in a new journal."""
        sql = (
            "SELECT peak_equity_usd, (SELECT body FROM records WHERE kind = 'risk' ORDER BY seq DESC LIMIT 1)"
            " FROM notes WHERE id = 1"
        )
        return next(iter(self._read(sql, (), _risk_status)), None)

    def risk_changes(self, limit: int) -> Sequence[RiskChange]:
        """The newest moves of the risk state, newest first."""
        sql = "SELECT body FROM records WHERE kind = 'risk' ORDER BY seq DESC LIMIT ?"
        return self._read(sql, (max(limit, 0),), lambda row: risk_from(row[0]))

    def unmatured_decisions(self) -> Sequence[Decision]:
        """Scored decisions without an outcome, oldest first."""
        sql = "SELECT body FROM unmatured JOIN records USING (seq) ORDER BY seq"
        return self._read(sql, (), lambda row: decision_from(row[0]))

    def matured_decisions(self, model_version: str, limit: int) -> Sequence[Matured]:
        """The newest outcomes of a version's decisions, oldest first."""
        sql = (
            "SELECT body FROM records WHERE kind = 'outcome' AND body ->> '$.model_version' = ?"
            " ORDER BY seq DESC LIMIT ?"
        )
        return self._read(sql, (model_version, max(limit, 0)), lambda row: outcome_from(row[0]))[::-1]

    def watch_moves(self, limit: int) -> Sequence[WatchMove]:
        """The newest moves of the calibration watch, newest first."""
        sql = "SELECT body FROM records WHERE kind = 'watch' ORDER BY seq DESC LIMIT ?"
        return self._read(sql, (max(limit, 0),), lambda row: watch_from(row[0]))

    def documents(self, kind: DocumentKind, limit: int) -> Sequence[Document]:
        """The newest documents of a kind, newest first."""
        # SQLite takes the partial index only where its own condition is seen.
        sql = (
            "SELECT kind, subject, body, at_ms FROM records WHERE kind IN ('policy', 'promotion', 'twin')"
            " AND kind = ? ORDER BY seq DESC LIMIT ?"
        )
        return self._read(sql, (kind.value, max(limit, 0)), _document)

    def document(self, kind: DocumentKind, subject: str) -> Document | None:
        """The newest document of a kind and subject."""
        sql = (
            "SELECT kind, subject, body, at_ms FROM records WHERE kind IN ('policy', 'promotion', 'twin')"
            " AND kind = ? AND subject = ? ORDER BY seq DESC LIMIT 1"
        )
        return next(iter(self._read(sql, (kind.value, subject), _document)), None)

    def _read(self, sql: str, values: Sequence[object], make: Callable[[Any], _T]) -> Sequence[_T]:
        """All rows of a query, made into what they stand for."""
        if not self._is_open:
            raise JournalUnavailableError("the journal is not open")
        try:
            connection = self._connection or self._connect()
            return [make(row) for row in connection.execute(sql, values)]
        except (sqlite3.Error, OSError, JournalUnusableError) as fault:
            self._disconnect()
            raise JournalUnavailableError(f"the journal cannot be read: {fault}") from fault
        except RecordFormatError as fault:
            raise JournalUnavailableError(f"the journal is damaged: {fault}. Run tollgate doctor.") from fault

    def _connect(self) -> sqlite3.Connection:
        self._connection = open_reader(self._path)
        return self._connection

    def _disconnect(self) -> None:
        """Drop the connection; the next read connects anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _order(row: tuple[int, str]) -> OrderRecord:
    return order_from(row[1])


def _numbered_order(row: tuple[int, str]) -> tuple[int, OrderRecord]:
    return row[0], order_from(row[1])


def _risk_status(row: tuple[str, str | None]) -> RiskStatus:
    peak_usd, body = row
    change = risk_from(body) if body is not None else None
    return RiskStatus(
        halted=change is not None and change.halted,
        locked=change is not None and change.locked,
        reducing=change is not None and change.reducing,
        peak_equity_usd=Decimal(peak_usd),
    )


def _document(row: tuple[str, str, str, int]) -> Document:
    kind, subject, text, at_ms = row
    return Document(kind=DocumentKind(kind), subject=subject, text=text, at_ms=at_ms)
