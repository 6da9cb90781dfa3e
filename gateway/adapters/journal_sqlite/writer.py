"""The one writer of the journal: a thread that commits what is staged, many records to one fsync.

While a commit runs, what arrives waits, and all of it goes into the next one. A
batch is one INSERT statement where it fits: each call into SQLite gives up the
interpreter lock, and beside a busy event loop taking it back costs more than the
row. The loop is told once for a batch.

On any fault the transaction is rolled back, the connection dropped, and the whole
batch fails; the next batch connects anew and reads the chain's head from the file. When
the disk fails in the very fsync of a commit and the process dies before the next
write, SQLite may bring that batch back at the next start: an order so found was
never sent, and reconciliation expires it.
"""

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from gateway.adapters.journal_sqlite.schema import JournalUnusableError, open_writer
from gateway.core.chain import GENESIS_DIGEST, record_digest
from gateway.gathering import Gathering

BATCH_ROWS_MAX: Final = 1024
"""A transaction takes no further group beyond this: about 10 ms of work."""

LINGER_SECONDS: Final = 0.003
"""How long a record waits for others at most; one that comes alone does not wait."""

STATEMENT_ROWS: Final = (1, 4, 16, 64, 256, 1024)
"""The sizes of prepared INSERT statements; a batch is padded to the next size, so that few statements are cached."""

WRITE_FAULTS: Final = (sqlite3.Error, OSError, ValueError, OverflowError, JournalUnusableError)
"""What a write can meet: the disk, a lock, or a value that SQLite cannot hold."""

_COLUMNS = "seq, kind, subject, at_ms, body, prev_digest, digest"


class Row(NamedTuple):
    """A record before it has its number and digest. A tuple, since thousands are made a second."""

    kind: str
    subject: str
    at_ms: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Rows of one kind that are kept together or not at all, and where their fate is told."""

    rows: Sequence[Row]
    peak_usd: Decimal | None
    """A peak equity to note after the rows; None leaves the note as it is."""
    settle: Callable[[int, str | None], None]
    """Called on the loop with the first row's number and None, or with 0 and what went wrong."""


class Writer:
    """Owns the write connection and the head of the chain; its public methods are called on the event loop."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._opened: asyncio.Future[int] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._unsettled: deque[Group] = deque()
        """Groups in the order in which they came; of the event loop alone."""
        self._unsent: Gathering[Group] = Gathering(
            self._hand_over,
            linger_seconds=LINGER_SECONDS,
            rows_max=BATCH_ROWS_MAX,
            rows_of=lambda group: len(group.rows),
        )
        """Groups that wait for company, or for the thread; of the event loop alone."""
        self._queue: queue.SimpleQueue[list[Group] | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._seq = 0
        self._digest = GENESIS_DIGEST
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    async def start(self) -> int:
        """Open the journal; the number of its newest record, 0 for none. Raises what opening raises."""
        self._thread.start()
        return await self._opened

    def put(self, group: Group) -> None:
        """Queue a group; its `settle` is called once, whatever happens to the thread; after `stop` it fails at once."""
        self._unsettled.append(group)
        if self._ended.done():
            self._fail_unsettled()
        else:
            self._unsent.add(group)

    async def stop(self) -> None:
        """Commit what is queued, close the connection and end the thread."""
        self._unsent.flush()
        self._queue.put(None)
        await self._ended
        self._thread.join()

    def _hand_over(self, groups: list[Group]) -> None:
        self._queue.put(groups)

    def _run(self) -> None:
        """The thread. Were it to die of a fault of ours, callers would not wait: the loop is told of its end."""
        try:
            if self._open():
                while groups := self._queue.get():
                    self._loop.call_soon_threadsafe(self._settle, len(groups), *self._write(groups))
        finally:
            self._disconnect()
            self._loop.call_soon_threadsafe(self._end)

    def _open(self) -> bool:
        try:
            self._connect()
        except WRITE_FAULTS as fault:
            self._loop.call_soon_threadsafe(self._opened.set_exception, fault)
            return False
        self._loop.call_soon_threadsafe(self._opened.set_result, self._seq)
        return True

    def _write(self, groups: Sequence[Group]) -> tuple[int, str | None]:
        """Commit a batch: the number of its first row, or 0 and what went wrong."""
        try:
            connection = self._connection or self._connect()
            first_seq = self._seq + 1
            self._commit(connection, groups)
        except WRITE_FAULTS as fault:
            self._disconnect()
            return 0, f"{type(fault).__name__}: {fault}"
        return first_seq, None

    def _commit(self, connection: sqlite3.Connection, groups: Sequence[Group]) -> None:
        rows, digest = self._chained([row for group in groups for row in group.rows])
        peak_usd = _peak_to_note(groups)
        statements = [rows[start : start + STATEMENT_ROWS[-1]] for start in range(0, len(rows), STATEMENT_ROWS[-1])]
        alone = len(statements) == 1 and peak_usd is None
        if not alone:
            connection.execute("BEGIN IMMEDIATE")
        for statement_rows in statements:
            _insert(connection, statement_rows)
        if peak_usd is not None:
            connection.execute(
                "INSERT INTO notes (id, peak_equity_usd) VALUES (1, ?)"
                " ON CONFLICT (id) DO UPDATE SET peak_equity_usd = excluded.peak_equity_usd",
                (str(peak_usd),),
            )
        if not alone:
            connection.execute("COMMIT")
        self._seq += len(rows)
        self._digest = digest

    def _chained(self, rows: Sequence[Row]) -> tuple[list[tuple[object, ...]], bytes]:
        """The rows with number and digests, as the table takes them, and the digest of the last."""
        seq, prev = self._seq, self._digest
        chained: list[tuple[object, ...]] = []
        for kind, subject, at_ms, body in rows:
            seq += 1
            digest = record_digest(prev, seq=seq, kind=kind, subject=subject, at_ms=at_ms, body=body)
            chained.append((seq, kind, subject, at_ms, body, prev, digest))
            prev = digest
        return chained, prev

    def _connect(self) -> sqlite3.Connection:
        connection = open_writer(self._path)
        try:
            head = connection.execute("SELECT seq, digest FROM records ORDER BY seq DESC LIMIT 1").fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        self._seq, self._digest = head or (0, GENESIS_DIGEST)
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        """Drop the connection, and with it any open transaction."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _settle(self, groups: int, first_seq: int, fault: str | None) -> None:
        """Tell the oldest groups their fate; runs on the event loop."""
        for _ in range(groups):
            group = self._unsettled.popleft()
            group.settle(first_seq, fault)
            first_seq += len(group.rows)
        self._unsent.ended(groups)

    def _end(self) -> None:
        if not self._opened.done():
            self._opened.set_exception(JournalUnusableError("The journal's writer ended before it began; see the log."))
        self._ended.set_result(None)
        self._fail_unsettled()

    def _fail_unsettled(self) -> None:
        self._unsent.clear()
        while self._unsettled:
            self._unsettled.popleft().settle(0, "the journal's writer has ended")


def _peak_to_note(groups: Sequence[Group]) -> Decimal | None:
    """The newest noted peak; None when a risk record came after it, since that brings its own."""
    peak_usd = None
    for group in groups:
        if group.rows and group.rows[0].kind == "risk":
            peak_usd = None
        if group.peak_usd is not None:
            peak_usd = group.peak_usd
    return peak_usd


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """All rows by one statement, padded with NULLs to one of a few sizes."""
    size = next(size for size in STATEMENT_ROWS if size >= len(rows))
    values = [value for row in rows for value in row]
    values.extend([None] * (7 * (size - len(rows))))
    connection.execute(_INSERTS[size], values)


def _insert_sql(size: int) -> str:
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * size)
    return f"INSERT INTO records ({_COLUMNS}) SELECT * FROM (VALUES {places}) WHERE column1 IS NOT NULL"  # noqa: S608 - no value is in it


_INSERTS = {size: _insert_sql(size) for size in STATEMENT_ROWS}
