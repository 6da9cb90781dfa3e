"""The journal's file: its tables, how they came to be, and how it is opened.

`records` is append-only and chained: triggers refuse any change, and any record
that does not follow the newest. `orders` and `unmatured` are projections that triggers keep
in the same transaction, and `notes` holds what may change; all can be rebuilt from the
records, the noted peak excepted. `owner` names the one account whose journal it is.

A migration, once released, is never changed: add another at the end.
"""

import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from gateway.ports import StartError

APPLICATION_ID: Final = 0x544F4C47
"""Marks the file as Tollgate's: "TOLG"."""

SQLITE_VERSION_MIN: Final = (3, 38, 0)
"""The first version with STRICT tables and JSON functions always built in."""

BUSY_TIMEOUT_MS: Final = 400
"""How long a write waits for another process's lock; a record that queues behind one such wait fails within 1 s."""

READ_TIMEOUT_MS: Final = 100
"""How long a read waits; reads run on the event loop, and in WAL mode hardly ever wait."""

WAL_BYTES_KEPT: Final = 64 * 1024 * 1024
"""The write-ahead log is cut back to this after a checkpoint that a long reader delayed."""

PAPER_ACCOUNT: Final = "paper"
"""Whose a journal is that was begun before journals were marked: there was no other account then."""

MIGRATIONS: Final = (
    """
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, -- from 1, without gaps; sqlite_sequence remembers the highest
        kind TEXT NOT NULL CHECK (kind IN ('decision', 'order', 'risk')),
        subject TEXT NOT NULL,                 -- the decision's id, the order's key, or 'risk'
        at_ms INTEGER NOT NULL,                -- since 1970 UTC
        body TEXT NOT NULL,                    -- canonical JSON, see gateway/core/records.py
        prev_digest BLOB NOT NULL,             -- see gateway/core/chain.py
        digest BLOB NOT NULL
    ) STRICT;
    CREATE INDEX decision_records ON records (subject) WHERE kind = 'decision';
    CREATE INDEX risk_records ON records (seq) WHERE kind = 'risk';

    CREATE TABLE orders (
        number INTEGER PRIMARY KEY,            -- seq of the order's first record
        key TEXT NOT NULL UNIQUE,
        last_seq INTEGER NOT NULL,             -- seq of its newest record, which is the order
        symbol TEXT NOT NULL,
        state TEXT NOT NULL,
        filled INTEGER NOT NULL                -- 1 when it has fills
    ) STRICT;
    CREATE INDEX orders_by_symbol ON orders (symbol);
    CREATE INDEX open_orders ON orders (number) WHERE state IN ('pending', 'unknown');
    CREATE INDEX filled_orders ON orders (last_seq) WHERE filled = 1;

    CREATE TABLE notes (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        peak_equity_usd TEXT NOT NULL          -- decimal; the highest since the newest risk record
    ) STRICT;

    CREATE TRIGGER records_are_not_changed BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;

    CREATE TRIGGER records_are_not_deleted BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;

    CREATE TRIGGER records_follow_the_newest BEFORE INSERT ON records
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM records)
    BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;

    CREATE TRIGGER orders_follow_records AFTER INSERT ON records WHEN NEW.kind = 'order'
    BEGIN
        INSERT INTO orders (number, key, last_seq, symbol, state, filled)
        VALUES (
            NEW.seq, NEW.subject, NEW.seq, NEW.body ->> '$.order.symbol', NEW.body ->> '$.state',
            json_array_length(NEW.body, '$.fills') > 0
        )
        ON CONFLICT (key) DO UPDATE SET
            last_seq = excluded.last_seq, state = excluded.state, filled = excluded.filled;
    END;

    CREATE TRIGGER peak_follows_risk_records AFTER INSERT ON records WHEN NEW.kind = 'risk'
    BEGIN
        INSERT INTO notes (id, peak_equity_usd) VALUES (1, NEW.body ->> '$.peak_equity_usd')
        ON CONFLICT (id) DO UPDATE SET peak_equity_usd = excluded.peak_equity_usd;
    END;
    """,
    # The CHECK is loosened in the schema's own text: no row is touched, so that a journal of any size is migrated at
    # once, and a kill before COMMIT leaves it as it was. SQLite documents this way for constraints
    # (https://www.sqlite.org/lang_altertable.html, section 7); RESET reads the schema anew.
    """
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema
    SET sql = replace(
        sql, '(''decision'', ''order'', ''risk'')', '(''decision'', ''order'', ''risk'', ''outcome'', ''watch'')'
    )
    WHERE type = 'table' AND name = 'records';
    PRAGMA writable_schema = RESET;

    CREATE INDEX outcome_records ON records (body ->> '$.model_version', seq) WHERE kind = 'outcome';
    CREATE INDEX watch_records ON records (seq) WHERE kind = 'watch';

    CREATE TABLE unmatured (
        decision_id TEXT PRIMARY KEY,
        seq INTEGER NOT NULL                   -- of the decision's record
    ) STRICT, WITHOUT ROWID;

    -- The text of a record is canonical: only the key itself can look like this, since quotes within texts are escaped.
    -- Measured, it adds an eighth to the work of an insert, and parsing the JSON would add a fourth.
    CREATE TRIGGER unmatured_follows_decisions AFTER INSERT ON records
    WHEN NEW.kind = 'decision' AND instr(NEW.body, '"scored":true')
    BEGIN
        INSERT INTO unmatured (decision_id, seq) VALUES (NEW.subject, NEW.seq) ON CONFLICT DO NOTHING;
    END;

    CREATE TRIGGER unmatured_follows_outcomes AFTER INSERT ON records WHEN NEW.kind = 'outcome'
    BEGIN DELETE FROM unmatured WHERE decision_id = NEW.subject; END;
    """,
    """
    CREATE INDEX order_links ON records (body ->> '$.order_link_id') WHERE kind = 'order';

    CREATE TABLE owner (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        account TEXT NOT NULL                  -- whose orders these are; a file without it that has records is paper's
    ) STRICT;

    CREATE TRIGGER owner_is_not_changed BEFORE UPDATE ON owner
    BEGIN SELECT RAISE(ABORT, 'a journal belongs to one account'); END;
    """,
    """
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema
    SET sql = replace(
        sql,
        '(''decision'', ''order'', ''risk'', ''outcome'', ''watch'')',
        '(''decision'', ''order'', ''risk'', ''outcome'', ''watch'', ''policy'', ''promotion'', ''twin'')'
    )
    WHERE type = 'table' AND name = 'records';
    PRAGMA writable_schema = RESET;

    CREATE INDEX decisions_by_age ON records (seq) WHERE kind = 'decision';
    CREATE INDEX document_records ON records (kind, subject, seq) WHERE kind IN ('policy', 'promotion', 'twin');
    """,
)
"""How the schema grows; `PRAGMA user_version` counts those that a file has."""


class JournalUnusableError(StartError):
    """The journal cannot be opened as it is; the message says what to do."""


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes durably, the schema brought up to date. Raises sqlite3.Error, JournalUnusableError."""
    _check_library()
    with ExitStack() as on_fault:
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
        on_fault.callback(connection.close)
        schema_version(connection, path)  # before anything is changed: the file may be another program's
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        _migrate(connection, path)
        on_fault.pop_all()
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads, the schema being current. Raises sqlite3.Error, JournalUnusableError."""
    return _checked_reader(path, "mode=ro")


def open_for_inspection(path: Path) -> sqlite3.Connection:
    """As `open_reader`, also where SQLite cannot make the files of its write-ahead log: a read-only copy.

    Such a copy is read as immutable, which is right only as long as no process
    writes it: a journal that is written always has its log beside it.
    """
    try:
        return open_reader(path)
    except sqlite3.OperationalError:
        if not path.is_file() or path.with_name(f"{path.name}-wal").exists():
            raise
        return _checked_reader(path, "mode=ro&immutable=1")


def claim(path: Path, account: str) -> None:
    """Mark a new journal as that account's. Raises sqlite3.Error; JournalUnusableError when it is another's."""
    connection = open_writer(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        owner = owner_of(connection)
        if not owner:
            connection.execute("INSERT INTO owner (id, account) VALUES (1, ?)", (account,))
        connection.execute("COMMIT")
    finally:
        connection.close()
    if owner not in {"", account}:
        raise JournalUnusableError(
            f"{path} is the journal of account {owner}, and this gateway trades for {account}. Set another"
            " JOURNAL_PATH: paper and live, and every account, keep their own."
        )


def owner_of(connection: sqlite3.Connection) -> str:
    """The account whose journal it is; empty for a new one."""
    named = connection.execute("SELECT account FROM owner").fetchone()
    if named:
        return str(named[0])
    return PAPER_ACCOUNT if connection.execute("SELECT 1 FROM records LIMIT 1").fetchone() else ""


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations the file has; 0 for an empty one. Raises JournalUnusableError for what is no such journal."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if (version or tables) and application != APPLICATION_ID:
        raise JournalUnusableError(f"{path} is a database, but no Tollgate journal. Name another JOURNAL_PATH.")
    if version > len(MIGRATIONS):
        raise JournalUnusableError(
            f"{path} has schema version {version}, written by a newer Tollgate; this one knows {len(MIGRATIONS)}."
            " Run the newer version."
        )
    return version


def _check_library() -> None:
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        needed = ".".join(map(str, SQLITE_VERSION_MIN))
        raise JournalUnusableError(f"SQLite {sqlite3.sqlite_version} is too old. Use Python with {needed} or newer.")


def _checked_reader(path: Path, query: str) -> sqlite3.Connection:
    _check_library()
    uri = f"{path.absolute().as_uri()}?{query}"
    with ExitStack() as on_fault:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=READ_TIMEOUT_MS / 1000)
        on_fault.callback(connection.close)
        _require_current(schema_version(connection, path), path)
        on_fault.pop_all()
    return connection


def _require_current(version: int, path: Path) -> None:
    if version != len(MIGRATIONS):
        raise JournalUnusableError(
            f"{path} has schema version {version}; {len(MIGRATIONS)} is needed. Start the gateway on it once."
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that the file lacks, each in a transaction of its own."""
    version = schema_version(connection, path)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number};"
        connection.executescript(f"BEGIN IMMEDIATE; {script} {marks} COMMIT;")
