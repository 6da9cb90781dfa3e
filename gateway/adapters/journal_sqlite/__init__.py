"""The journal in one SQLite file: WAL, synchronous=FULL, append-only, chained by digests.

journal.py fills the port, writer.py commits, schema.py holds the tables, watchers.py
tells readers what became durable, inspection.py reads a journal for `tollgate doctor`.
"""

from gateway.adapters.journal_sqlite.journal import SqliteJournal
from gateway.adapters.journal_sqlite.schema import JournalUnusableError

__all__ = ["JournalUnusableError", "SqliteJournal"]
