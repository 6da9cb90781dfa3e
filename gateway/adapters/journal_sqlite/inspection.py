"""Reads a whole journal for `tollgate doctor`, and copies it for `tollgate backup`, beside a running gateway."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gateway.adapters.journal_sqlite.reading import stored_records
from gateway.adapters.journal_sqlite.schema import JournalUnusableError, open_for_inspection, owner_of
from gateway.core.audit import AuditReport, Fault, ProjectedOrder, StoredRecord, audit

PROGRESS_EVERY: Final = 10_000
"""Records between two words of progress: about a second."""


def inspect(path: Path, progress: Callable[[int, int], None] | None = None) -> AuditReport | Fault:
    """Audit the journal as it stands at one moment; a Fault when its file is too damaged to be read through.

    `progress` is told now and then how many of how many records are read. Raises JournalUnusableError when there is no
    such journal.
    """
    if not path.is_file():
        raise JournalUnusableError(f"There is no journal at {path}. Name it with --journal.")
    try:
        connection = open_for_inspection(path)
    except sqlite3.DatabaseError as fault:
        return _unreadable(fault)
    try:
        connection.execute("BEGIN")  # one snapshot for all that follows
        highest_seq = _highest_seq(connection)
        records = stored_records(connection, "records ORDER BY seq")
        return _file_fault(connection) or audit(
            _counted(records, highest_seq, progress) if progress else records,
            _orders(connection),
            _unmatured(connection),
            highest_seq,
            owner_of(connection),
        )
    except sqlite3.DatabaseError as fault:
        return _unreadable(fault)
    finally:
        connection.close()


def back_up(path: Path, target: Path) -> AuditReport:
    """Copy the journal, as it stands at one moment, into a new file and audit the copy.

    Raises JournalUnusableError: there is no file under the target's name then.
    """
    if target.exists():
        raise JournalUnusableError(f"{target} is there already. Name a new file.")
    partial = target.with_name(f"{target.name}.partial")
    try:
        _copy(path, partial)
        report = inspect(partial)
        if isinstance(report, Fault) or not report.ok:
            first = report if isinstance(report, Fault) else report.faults[0]
            raise JournalUnusableError(f"The copy is not sound: {first.problem}. Run tollgate doctor on the journal.")
        partial.rename(target)
    except (sqlite3.Error, OSError) as fault:
        raise JournalUnusableError(f"No backup was made: {fault}.") from fault
    finally:
        for leftover in (partial, *(partial.with_name(partial.name + end) for end in ("-wal", "-shm", "-journal"))):
            leftover.unlink(missing_ok=True)
    _sync_folder(target.absolute().parent)
    return report


def _copy(path: Path, partial: Path) -> None:
    if not path.is_file():
        raise JournalUnusableError(f"There is no journal at {path}. Name it with --journal.")
    source = open_for_inspection(path)
    try:
        copy = sqlite3.connect(partial, isolation_level=None)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file that needs no log beside it
        finally:
            copy.close()
    finally:
        source.close()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _file_fault(connection: sqlite3.Connection) -> Fault | None:
    """The first damage that SQLite itself finds in the file."""
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    return None if found == "ok" else Fault(seq=None, problem=f"the file is damaged: {found}")


def _unreadable(fault: sqlite3.DatabaseError) -> Fault:
    return Fault(seq=None, problem=f"the file cannot be read: {fault}")


def _counted(
    records: Iterator[StoredRecord], total: int, progress: Callable[[int, int], None]
) -> Iterator[StoredRecord]:
    for done, record in enumerate(records, 1):
        yield record
        if done % PROGRESS_EVERY == 0 or done == total > PROGRESS_EVERY:
            progress(done, total)


def _orders(connection: sqlite3.Connection) -> Iterator[ProjectedOrder]:
    for key, number, last_seq, symbol, state, filled in connection.execute(
        "SELECT key, number, last_seq, symbol, state, filled FROM orders ORDER BY number"
    ):
        yield ProjectedOrder(key=key, number=number, last_seq=last_seq, symbol=symbol, state=state, filled=bool(filled))


def _unmatured(connection: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    yield from connection.execute("SELECT decision_id, seq FROM unmatured")


def _highest_seq(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'records'").fetchone()
    return int(row[0]) if row else 0
