"""A process that writes a journal, for tests that kill it, starve it or compete with it.

python journal_child.py write PATH   stages orders for ever, 16 at a time; prints each key once it is durable
python journal_child.py starve PATH  writes until files may not grow, then with room again; prints what happened
python journal_child.py lock PATH    holds SQLite's write lock until its standard input closes
python journal_child.py migrate PATH runs every migration that is lacking, commits none, and waits to be killed
python journal_child.py start PATH   opens the journal as a gateway does; prints why not
"""

import asyncio
import os
import resource
import sqlite3
import sys
from pathlib import Path

import structlog
from builders import a_decision
from journal_kit import a_filled, a_record, keep, running

from gateway.adapters.journal_sqlite import JournalUnusableError
from gateway.adapters.journal_sqlite.schema import MIGRATIONS
from gateway.core.model import DecisionId
from gateway.ports import JournalUnavailableError


def say(text):
    os.write(1, f"{text}\n".encode())


async def write(path):
    async with running(path) as journal:

        async def work(worker):
            for number in range(1_000_000):
                key = f"{worker}-{number}"
                await keep(journal, a_record(key))
                say(key)
                await journal.append_decisions(
                    [a_decision(decision_id=DecisionId(f"{key}-{row}")) for row in range(number % 20)]
                )
                await keep(journal, a_filled(key))

        await asyncio.gather(*(work(worker) for worker in range(16)))


async def starve(path):
    async with running(path) as journal:
        await keep(journal, a_record("first"))
        limit = path.with_name(f"{path.name}-wal").stat().st_size + 20_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        kept = 1
        try:
            while True:
                await keep(journal, a_record(f"key-{kept}"))
                kept += 1
        except JournalUnavailableError:
            say(f"unavailable {journal.health()[0]} {journal.health()[1] == kept}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await keep(journal, a_record("after"))
        say(f"recovered {journal.health()[0]} {journal.health()[1] == kept + 1}")


def lock(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("locked")
    sys.stdin.read()
    connection.execute("ROLLBACK")


def migrate(path):
    connection = sqlite3.connect(path, isolation_level=None)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.executescript("BEGIN IMMEDIATE;" + "".join(MIGRATIONS[version:]) + "PRAGMA user_version = 99;")
    say("migrated")
    sys.stdin.read()


async def start(path):
    try:
        async with running(path):
            say("started")
    except JournalUnusableError as fault:
        say(fault)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    mode, target = sys.argv[1], Path(sys.argv[2])
    if mode in {"lock", "migrate"}:
        {"lock": lock, "migrate": migrate}[mode](target)
    else:
        asyncio.run({"write": write, "starve": starve, "start": start}[mode](target))
