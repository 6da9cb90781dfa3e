"""The journal when things break: crashes, torn copies, full and read-only disks, locks, and intruders."""

import asyncio
import contextlib
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import NOW_MS, a_decision, a_watch_move, an_outcome
from journal_kit import (
    a_change,
    a_filled,
    a_record,
    a_refusal,
    first_order_text,
    first_risk_text,
    keep,
    opened,
    problems,
    running,
)

from gateway.adapters.journal_sqlite import JournalUnusableError, SqliteJournal
from gateway.adapters.journal_sqlite.schema import APPLICATION_ID, MIGRATIONS
from gateway.adapters.journal_sqlite.writer import Group, Writer
from gateway.core.audit import AuditReport
from gateway.core.chain import GENESIS_DIGEST, record_digest
from gateway.core.model import DecisionId, OrderKey, OrderLinkId, OrderState, WatchState
from gateway.doctor import copy, diagnose
from gateway.ports import JournalUnavailableError

CHILD = pathlib.Path(__file__).resolve().parents[1] / "journal_child.py"
CRASHES = 5


@contextlib.contextmanager
def child(mode, path):
    process = subprocess.Popen(
        [sys.executable, CHILD, mode, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def recorded_keys(path):
    with opened(path) as connection:
        return {row[0] for row in connection.execute("SELECT subject FROM records WHERE kind = 'order'")}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def make_read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


# Crashes


def test_kill_9_at_any_instant_loses_nothing_that_was_acknowledged(path):
    instants = random.Random(20261123)  # noqa: S311 - instants of death, not secrets
    for crash in range(CRASHES):
        with child("write", path) as writer:
            told = [writer.stdout.readline().strip() for _ in range(instants.randint(1, 150))]
            time.sleep(instants.random() * 0.02)
            writer.kill()
            told += writer.stdout.read().split("\n")[:-1]
        assert set(told) <= recorded_keys(path), f"crash {crash}"
        assert problems(path) == [], f"crash {crash}"
        path.rename(path.with_name(f"{crash}"))
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)


async def test_a_gateway_goes_on_where_a_killed_one_stopped(path):
    with child("write", path) as writer:
        for _ in range(100):
            writer.stdout.readline()
    before = diagnose(path).found
    assert isinstance(before, AuditReport)
    async with running(path) as journal:
        assert journal.health() == (True, before.records)
        await keep(journal, a_record("after the crash"))
    after = diagnose(path).found
    assert isinstance(after, AuditReport)
    assert (after.ok, after.records) == (True, before.records + 1)


def test_a_copy_torn_out_of_a_journal_under_write_is_whole_or_told_to_be_broken(path, tmp_path):
    copies = []
    with child("write", path) as writer:
        writer.stdout.readline()
        for number in range(8):
            torn = tmp_path / str(number) / path.name
            torn.parent.mkdir()
            shutil.copy(path, torn)
            time.sleep(number % 5 * 0.01)
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{path}-wal", f"{torn}-wal")
            copies.append(torn)
            time.sleep(0.02)
    with opened(path) as connection:
        digests = [row[0] for row in connection.execute("SELECT digest FROM records ORDER BY seq")]
    whole = 0
    for torn in copies:
        found = diagnose(torn).found
        if isinstance(found, AuditReport) and found.ok:
            whole += 1
            assert found.records == 0 or digests[found.records - 1] == found.head_digest, "not a part of the history"
    assert whole >= 1


# The disk


def test_files_that_may_not_grow_refuse_records_until_they_may(path):
    with child("starve", path) as starved:
        assert starved.stdout.readline() == "unavailable False True\n"
        assert starved.stdout.readline() == "recovered True True\n"
    assert problems(path) == []


async def test_a_full_disk_refuses_records_and_keeps_none_of_them(small_disk):
    path = small_disk / "journal.sqlite3"
    async with running(path) as journal:
        await keep(journal, a_record("before"))
        journal.note_peak(Decimal(5))
        with contextlib.suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"x" * 4096):
                pass
        refused = [journal.stage(a_record(f"refused-{number}")) for number in range(20)]
        for ticket in refused:
            with pytest.raises(JournalUnavailableError):
                await ticket.durable()
        with pytest.raises(JournalUnavailableError):
            await journal.append_decisions([a_decision()])
        with pytest.raises(JournalUnavailableError):
            await journal.append_risk(a_change())
        assert journal.health() == (False, 1)
        assert journal.find_order(OrderKey("before")) == a_record("before")
        (small_disk / "ballast").unlink()
        await keep(journal, a_record("after"))
        assert journal.health() == (True, 2)
        assert journal.risk_status().peak_equity_usd == Decimal(5)
    assert recorded_keys(path) == {"before", "after"}
    assert problems(path) == []


async def test_a_read_only_disk_refuses_the_start_and_lets_the_doctor_read(small_disk):
    path = small_disk / "journal.sqlite3"
    async with running(path) as journal:
        await keep(journal, a_record())
    make_read_only(small_disk)
    with pytest.raises(JournalUnusableError, match="cannot be written"):
        await SqliteJournal(path).start()
    assert problems(path) == []


async def test_a_folder_that_cannot_be_made_refuses_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnusableError, match="cannot be written"):
        await SqliteJournal(tmp_path / "file" / "journal.sqlite3").start()


async def test_a_missing_folder_is_made(tmp_path):
    async with running(tmp_path / "var" / "new" / "journal.sqlite3") as journal:
        await keep(journal, a_record())


# Ourselves


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_of_ours_in_the_writer_leaves_nobody_waiting(path):
    writer = Writer(path, asyncio.get_running_loop())
    assert await writer.start() == 0
    told = []
    impossible = Group(rows=[None], peak_usd=None, settle=lambda *fate: told.append(fate))
    writer.put(impossible)
    writer.put(impossible)
    await asyncio.wait_for(writer.stop(), 5)
    writer.put(impossible)
    assert told == [(0, "the journal's writer has ended")] * 3


# Locks


async def test_a_journal_locked_by_another_process_refuses_within_a_second_and_recovers(path):
    async with running(path) as journal:
        await keep(journal, a_record("before"))
        with child("lock", path) as locker:
            assert locker.stdout.readline() == "locked\n"
            first = journal.stage(a_record("first"))
            await asyncio.sleep(0.05)  # the writer has taken the first by now
            second = journal.stage(a_record("second"))
            began = time.monotonic()
            for ticket in (first, second):
                with pytest.raises(JournalUnavailableError, match="locked"):
                    await ticket.durable()
            assert time.monotonic() - began < 1
            assert journal.health() == (False, 1)
            assert journal.find_order(OrderKey("before")) == a_record("before")
        await keep(journal, a_record("after"))
        assert journal.health() == (True, 2)
    assert recorded_keys(path) == {"before", "after"}
    assert problems(path) == []


async def test_a_short_lock_is_waited_for(path):
    async with running(path) as journal:
        with child("lock", path) as locker:
            locker.stdout.readline()
            ticket = journal.stage(a_record())
            locker.stdin.close()
            await ticket.durable()


async def test_a_second_gateway_is_refused_and_told_who_owns_the_journal(path):
    async with running(path) as journal:
        with child("start", path) as second:
            assert f"belongs to a running gateway (process {os.getpid()})" in second.stdout.readline()
        with pytest.raises(JournalUnusableError, match="belongs to a running gateway"):
            await SqliteJournal(path).start()
        await keep(journal, a_record())
    with child("start", path) as third:
        assert third.stdout.readline() == "started\n"


async def test_a_refused_start_leaves_the_journal_free(path):
    path.write_bytes(b"this is no database, whatever its name may say" * 100)
    with pytest.raises(JournalUnusableError, match="file is not a database"):
        await SqliteJournal(path).start()
    path.unlink()
    async with running(path):
        pass


# The schema


async def test_an_empty_file_becomes_a_journal(path):
    path.touch()
    async with running(path) as journal:
        await keep(journal, a_record())
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert problems(path) == []


async def test_a_newer_schema_is_refused_untouched(path):
    async with running(path):
        pass
    with opened(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalUnusableError, match="written by a newer Tollgate"):
        await SqliteJournal(path).start()
    with pytest.raises(JournalUnusableError, match="written by a newer Tollgate"):
        diagnose(path)
    assert path.read_bytes() == before


async def test_a_database_of_another_program_is_refused_untouched(path):
    with opened(path) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalUnusableError, match="no Tollgate journal"):
        await SqliteJournal(path).start()
    assert path.read_bytes() == before


DECISIONS_1 = 3000


@pytest.fixture
def first(path):
    """A journal as the first version wrote it, with every kind of record that it knew; its path and head digest."""
    decision = (
        '{"allow":true,"at_ms":1700000000000,"confidence":0.65,"decision_id":"%s","features":{"mom_20":1.2},'
        '"horizon_seconds":3600,"members":[0.7],"model_version":"20261123_000000","prob_long":0.75,"prob_short":0.25,'
        '"reasons":[],"signal":"long","symbol":"BTCUSDT","threshold":0.6,"v":1}'
    )
    kept = [("decision", f"d{number}", NOW_MS, decision % f"d{number}") for number in range(DECISIONS_1)]
    orders = (a_record("one"), a_filled("one"), a_refusal("two"), a_record("three"))
    kept.extend(("order", record.order.key, record.updated_ms, first_order_text(record)) for record in orders)
    kept.append(("risk", "risk", NOW_MS, first_risk_text(a_change())))
    digest = GENESIS_DIGEST
    with opened(path) as connection:
        connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1; {MIGRATIONS[0]}")
        connection.execute("BEGIN")
        for seq, (kind, subject, at_ms, body) in enumerate(kept, 1):
            previous = digest
            digest = record_digest(previous, seq=seq, kind=kind, subject=subject, at_ms=at_ms, body=body)
            row = (seq, kind, subject, at_ms, body, previous, digest)
            connection.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("COMMIT")
    return path, digest


async def test_a_journal_of_the_first_version_is_taken_up_whole(first):
    path, digest = first
    with pytest.raises(JournalUnusableError, match="Start the gateway on it once"):
        diagnose(path)
    async with running(path) as journal:
        assert journal.health() == (True, DECISIONS_1 + 5)
        assert diagnose(path).found.head_digest == digest
        old = journal.find_decision(DecisionId("d7"))
        assert (old.model_confidence, old.bar_open_ms, old.scored) == (0.65, None, False)
        assert [record.order.key for record in journal.open_orders()] == ["three"]
        assert journal.find_order(OrderKey("one")) == replace(a_filled("one"), evidence=None)
        assert journal.find_link(OrderLinkId("tg-one")) == replace(a_filled("one"), evidence=None)
        assert diagnose(path).found.account == "paper"
        await journal.append_decisions([a_decision(decision_id=DecisionId("new"), scored=True)])
        await journal.append_matured([an_outcome(decision_id=DecisionId("new"))])
        await journal.append_watch(a_watch_move())
    assert problems(path) == []
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK constraint failed"):
            connection.execute(
                f"INSERT INTO records VALUES ({DECISIONS_1 + 9}, 'gift', 'x', 1, '{{}}', x'', x'')"  # noqa: S608
            )


async def test_a_kill_in_the_middle_of_a_migration_leaves_the_journal_as_it_was(first):
    path, digest = first
    with child("migrate", path) as migrating:
        assert migrating.stdout.readline() == "migrated\n"
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT name FROM sqlite_schema WHERE name = 'unmatured'").fetchone() is None
        kinds = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'records'").fetchone()[0]
        assert "'watch'" not in kinds
    async with running(path) as journal:
        await journal.append_watch(a_watch_move())
    assert problems(path) == []
    with opened(path) as connection:
        head = connection.execute("SELECT digest FROM records WHERE seq = ?", (DECISIONS_1 + 5,)).fetchone()
        assert head == (digest,)


# Intruders


@pytest.fixture
async def history(path):
    """A journal with every kind of record: 1 decision, 2-3 an order, 4 risk, 5 a refusal, 6 an open order."""
    async with running(path) as journal:
        await journal.append_decisions([a_decision()])
        await keep(journal, a_record("one"), a_filled("one"))
        await journal.append_risk(a_change())
        await keep(journal, a_refusal("two"), a_record("three"))
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = '{}' WHERE seq = 2",
        "UPDATE records SET at_ms = at_ms + 1",
        "DELETE FROM records WHERE seq = 6",
        "DELETE FROM records",
        "INSERT OR REPLACE INTO records VALUES (2, 'order', 'one', 1, '{}', x'', x'')",
        "REPLACE INTO records VALUES (6, 'risk', 'risk', 1, '{}', x'', x'')",
        "INSERT INTO records VALUES (9, 'risk', 'risk', 1, '{}', x'', x'')",
        "INSERT INTO records VALUES (NULL, 'risk', 'risk', 1, '{}', x'', x'')",
    ],
)
def test_records_are_append_only(history, statement):
    with opened(history) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    assert problems(history) == []


def tamper(path, *statements):
    with opened(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(*statement)


@pytest.mark.parametrize(
    ("statement", "seq", "problem"),
    [
        ("UPDATE records SET seq = 60 WHERE seq = 6", 60, "does not follow 5"),
        ("UPDATE records SET kind = 'risk' WHERE seq = 2", 2, "one of them was changed"),
        ("UPDATE records SET kind = 'gift' WHERE seq = 2", 2, "kind 'gift' is not known"),
        ("UPDATE records SET subject = 'two' WHERE seq = 2", 2, "key or time is not that of its body"),
        ("UPDATE records SET at_ms = at_ms + 1 WHERE seq = 4", 4, "time is not that of its body"),
        (
            "UPDATE records SET body = replace(body, '0.029', '0.028') WHERE seq = 3",
            3,
            "digest is not that of its columns",
        ),
        ("UPDATE records SET body = body || ' ' WHERE seq = 1", 1, "digest is not that of its columns"),
        ("UPDATE records SET prev_digest = zeroblob(32) WHERE seq = 5", 5, "does not link to the record before it"),
        ("UPDATE records SET digest = zeroblob(32) WHERE seq = 5", 5, "digest is not that of its columns"),
        ("DELETE FROM records WHERE seq = 3", 4, "does not follow 2"),
        ("DELETE FROM records WHERE seq = 1", 2, "does not follow 0"),
        ("DELETE FROM records WHERE seq = 6", None, "ends with record 5, but has given out number 6"),
        ("DELETE FROM records", None, "ends with record 0, but has given out number 6"),
        ("UPDATE orders SET state = 'filled' WHERE key = 'three'", 6, "'three' is not what its records make it"),
        ("UPDATE orders SET filled = 0 WHERE key = 'one'", 2, "'one' is not what its records make it"),
        ("UPDATE orders SET last_seq = 2 WHERE key = 'one'", 2, "'one' is not what its records make it"),
        ("UPDATE orders SET symbol = 'ETHUSDT' WHERE key = 'two'", 5, "'two' is not what its records make it"),
        ("UPDATE orders SET number = 9 WHERE key = 'two'", 9, "'two' is not what its records make it"),
        ("UPDATE orders SET key = 'four' WHERE key = 'three'", 6, "'four' is not what its records make it"),
        ("DELETE FROM orders WHERE key = 'three'", 6, "'three' is missing from the projection"),
    ],
)
def test_what_an_intruder_changes_is_found(history, statement, seq, problem):
    tamper(history, (statement,))
    found_seq, found = problems(history)[0]
    assert found_seq == seq
    assert problem in found


def test_a_record_changed_with_its_digest_breaks_the_next(history):
    with opened(history) as connection:
        row = connection.execute("SELECT seq, kind, subject, at_ms, body, prev_digest FROM records WHERE seq = 3")
        seq, kind, subject, at_ms, body, prev_digest = row.fetchone()
    body = body.replace("0.029", "0.028")
    digest = record_digest(prev_digest, seq=seq, kind=kind, subject=subject, at_ms=at_ms, body=body)
    tamper(history, ("UPDATE records SET body = ?, digest = ? WHERE seq = 3", (body, digest)))
    assert problems(history) == [(4, "it does not link to the record before it")]


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
async def test_damage_to_the_file_itself_is_told_without_a_traceback(path, place):
    async with running(path) as journal:
        await journal.append_decisions([a_decision(decision_id=DecisionId(f"d{number}")) for number in range(300)])
    damaged = bytearray(path.read_bytes())
    at = int(len(damaged) * place)
    damaged[at : at + 6000] = b"\xa5" * 6000
    path.write_bytes(damaged)
    assert problems(path) != []


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        ([a_filled()], (1, "an order cannot begin as filled")),
        ([a_record(), a_filled(), a_record()], (3, "an order cannot move from filled to pending")),
        ([a_refusal(), a_filled()], (2, "an order cannot move from refused to filled")),
        ([a_record(), a_filled(order_link_id="tg-other")], (2, "it changes what was ordered")),
        ([a_record(), a_record(state=OrderState.UNKNOWN), a_record(state=OrderState.UNKNOWN), a_filled()], None),
        (
            [a_record(), a_filled(evidence=None)],
            (2, "nothing is told of how it is known that the order ended as filled"),
        ),
        (
            [a_record(), a_record(state=OrderState.EXPIRED)],
            (2, "nothing is told of how it is known that the order ended as expired"),
        ),
        ([a_refusal()], None),
    ],
)
async def test_a_move_that_the_lifecycle_does_not_know_is_found(path, records, fault):
    async with running(path) as journal:
        await keep(journal, *records)
    assert problems(path) == ([fault] if fault else [])


@pytest.fixture
async def matured(path):
    """A journal in which decisions mature: 1-3 decisions, 4 the outcome of the first, 5-6 moves of the watch."""
    async with running(path) as journal:
        names = [DecisionId(f"d{number}") for number in (1, 2, 3)]
        await journal.append_decisions([a_decision(decision_id=name, scored=name != "d3") for name in names])
        await journal.append_matured([an_outcome()])
        await journal.append_watch(a_watch_move())
        await journal.append_watch(a_watch_move(from_state=WatchState.WARNED, to_state=WatchState.RAISED))
    return path


def test_the_doctor_tells_where_the_watch_stands_and_what_waits(matured):
    told = diagnose(matured)
    assert told.ok
    assert "watch    20261123_000000 raised, 1 decisions wait for their outcome" in told.text()
    assert (told.found.unmatured, told.found.watch_states) == (1, {"20261123_000000": "raised"})


@pytest.mark.parametrize(
    ("statement", "seq", "problem"),
    [
        ("DELETE FROM unmatured", 2, "'d2' waits for its outcome is not what its records make it"),
        ("INSERT INTO unmatured VALUES ('d3', 3)", 3, "'d3' waits for its outcome is not what its records make it"),
        ("INSERT INTO unmatured VALUES ('d1', 1)", 1, "'d1' waits for its outcome is not what its records make it"),
        ("UPDATE records SET body = replace(body, 'right', 'wrong') WHERE seq = 4", 4, "one of them was changed"),
        ("UPDATE records SET subject = 'd3' WHERE seq = 4", 4, "of no scored decision that waits for its outcome"),
        ("UPDATE records SET body = replace(body, '0.65', '0.55') WHERE seq = 4", 4, "not of what its decision said"),
        ("UPDATE records SET body = replace(body, 'warned', 'ok') WHERE seq = 6", 6, "stood at warned, not at ok"),
        ("UPDATE records SET subject = 'other' WHERE seq = 5", 5, "version or time is not that of its body"),
    ],
)
def test_what_an_intruder_changes_of_outcomes_and_moves_is_found(matured, statement, seq, problem):
    tamper(matured, (statement,))
    found_seq, found = problems(matured)[0]
    assert found_seq == seq
    assert problem in found


async def test_an_outcome_that_is_recorded_twice_is_found(matured):
    async with running(matured) as journal:
        await journal.append_matured([an_outcome()])
    assert problems(matured) == [(7, "it is of no scored decision that waits for its outcome")]


# Copies


async def test_a_backup_under_write_is_one_sound_file(path, tmp_path):
    target = tmp_path / "backup.sqlite3"
    with child("write", path) as writer:
        for _ in range(50):
            writer.stdout.readline()
        made = copy(path, target)
    assert made.ok
    assert diagnose(target).found == made.found
    assert [file.name for file in tmp_path.glob("backup*")] == ["backup.sqlite3"]
    shutil.copy(target, tmp_path / "restored.sqlite3")
    async with running(tmp_path / "restored.sqlite3") as journal:
        assert journal.health() == (True, made.found.records)
        await keep(journal, a_record("restored"))
    assert problems(tmp_path / "restored.sqlite3") == []


async def test_a_backup_overwrites_nothing_and_leaves_nothing_half_made(history, tmp_path):
    target = tmp_path / "backup.sqlite3"
    target.write_text("mine")
    with pytest.raises(JournalUnusableError, match="is there already"):
        copy(history, target)
    assert target.read_text() == "mine"
    with pytest.raises(JournalUnusableError, match="No backup was made"):
        copy(history, tmp_path / "missing" / "backup.sqlite3")
    tamper(history, ("UPDATE records SET at_ms = 1 WHERE seq = 2",))
    with pytest.raises(JournalUnusableError, match="not sound"):
        copy(history, tmp_path / "other.sqlite3")
    assert not list(tmp_path.glob("other*"))
