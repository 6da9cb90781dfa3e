"""Reads a journal's file at one moment, beside a running gateway or without one: for replay and export.

Every method streams; what it holds at once does not grow with the journal.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.adapters.journal_sqlite.schema import JournalUnusableError, open_for_inspection
from gateway.core.audit import StoredRecord
from gateway.core.documents import Document, DocumentKind
from gateway.core.model import Decision, DecisionId
from gateway.core.records import decision_from

_COLUMNS = ", ".join(f"records.{name}" for name in ("seq", "kind", "subject", "at_ms", "body", "prev_digest", "digest"))


@contextmanager
def snapshot(path: Path) -> Iterator["Snapshot"]:
    """The journal as it stands now. Raises JournalUnusableError, within the block as well: it cannot be read on."""
    if not path.is_file():
        raise JournalUnusableError(f"There is no journal at {path}. Name it with --journal.")
    try:
        connection = open_for_inspection(path)
        try:
            connection.execute("BEGIN")  # one snapshot for all that follows
            yield Snapshot(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as fault:
        raise JournalUnusableError(f"{path} cannot be read: {fault}. Run tollgate doctor.") from fault


class Snapshot:
    """A journal at one moment; every method raises sqlite3.DatabaseError, which `snapshot` turns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def records(self, kind: str) -> Iterator[StoredRecord]:
        """All records of a kind, oldest first."""
        yield from stored_records(self._connection, "records WHERE kind = ? ORDER BY seq", (kind,))

    def newest(self, kind: str, limit: int) -> Iterator[StoredRecord]:
        """The newest records of a kind, newest first."""
        yield from stored_records(self._connection, "records WHERE kind = ? ORDER BY seq DESC LIMIT ?", (kind, limit))

    def first_records(self, from_seq: int, limit: int) -> Iterator[StoredRecord]:
        """The first record of each order, oldest first, from the record of that number on; -1 for no limit."""
        source = (
            "orders JOIN records ON records.seq = orders.number WHERE orders.number >= ? ORDER BY orders.number LIMIT ?"
        )
        yield from stored_records(self._connection, source, (from_seq, limit))

    def count(self) -> int:
        """How many records there are."""
        return int(self._connection.execute("SELECT count(*) FROM records").fetchone()[0])

    def orders(self, from_seq: int) -> int:
        """How many orders began with the record of that number or a later one."""
        return int(self._connection.execute("SELECT count(*) FROM orders WHERE number >= ?", (from_seq,)).fetchone()[0])

    def decision(self, decision_id: DecisionId) -> Decision | None:
        """A recorded decision. Raises RecordFormatError as well."""
        sql = "SELECT body FROM records WHERE kind = 'decision' AND subject = ? ORDER BY seq DESC LIMIT 1"
        row = self._connection.execute(sql, (decision_id,)).fetchone()
        return None if row is None else decision_from(row[0])

    def policy(self, policy_id: str) -> Document | None:
        """Recorded limits."""
        sql = (
            "SELECT body, at_ms FROM records WHERE kind IN ('policy', 'promotion', 'twin') AND kind = 'policy'"
            " AND subject = ? ORDER BY seq DESC LIMIT 1"
        )
        row = self._connection.execute(sql, (policy_id,)).fetchone()
        return None if row is None else Document(kind=DocumentKind.POLICY, subject=policy_id, text=row[0], at_ms=row[1])


def stored_records(
    connection: sqlite3.Connection, source: str, values: Sequence[object] = ()
) -> Iterator[StoredRecord]:
    """The records of a source, which is what follows FROM in a query. Raises sqlite3.DatabaseError."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM {source}", values)  # noqa: S608 - no value is in it
    for seq, kind, subject, at_ms, body, prev_digest, digest in rows:
        yield StoredRecord(
            seq=seq, kind=kind, subject=subject, at_ms=at_ms, body=body, prev_digest=prev_digest, digest=digest
        )
