"""What every adapter of the Journal port promises. A new adapter joins by a line in ADAPTERS."""

import asyncio
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from builders import BTC, NOW_MS, a_decision, a_watch_move, an_outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_kit import a_change, a_filled, a_record, a_refusal, keep, running

from gateway.core.json_fields import RecordFormatError
from gateway.core.lifecycle import OPEN_STATES, ORDER_MOVES, RiskStatus
from gateway.core.model import DecisionId, Evidence, OrderKey, OrderLinkId, OrderState, RiskState, Symbol
from gateway.ports import Event, JournalUnavailableError, StartError

ETH = Symbol("ETHUSDT")

ADAPTERS = {"sqlite": lambda folder: running(folder / "journal.sqlite3")}
"""How to open the one journal of a folder, again and again, as an async context."""


@pytest.fixture(params=sorted(ADAPTERS))
def reopen(request, tmp_path):
    return lambda: ADAPTERS[request.param](tmp_path)


@pytest.fixture
async def journal(reopen):
    async with reopen() as opened:
        yield opened


def a_status(**changes):
    values = {"halted": False, "locked": False, "reducing": False, "peak_equity_usd": Decimal(7)}
    return RiskStatus(**values | changes)


def keys(records):
    return [record.order.key for record in records]


async def test_a_new_journal_is_empty_and_well(journal):
    assert journal.find_order(OrderKey("key-1")) is None
    assert journal.find_decision(DecisionId("d1")) is None
    assert list(journal.list_orders(limit=10, before=None, symbol=None)) == []
    assert list(journal.open_orders()) == []
    assert list(journal.filled_orders()) == []
    assert journal.risk_status() is None
    assert list(journal.risk_changes(10)) == []
    assert journal.health() == (True, 0)


async def test_a_durable_order_is_found_as_it_was(journal):
    await keep(journal, a_record())
    assert journal.find_order(OrderKey("key-1")) == a_record()


async def test_the_newest_record_of_a_key_is_the_order(journal):
    await keep(journal, a_record(), a_filled())
    assert journal.find_order(OrderKey("key-1")) == a_filled()
    assert journal.health() == (True, 2)


async def test_an_order_is_found_by_the_id_that_the_venue_knows_it_by(journal):
    await keep(journal, a_record("one"), a_record("two"), a_filled("one"))
    assert journal.find_link(OrderLinkId("tg-one")) == a_filled("one")
    assert journal.find_link(OrderLinkId("tg-two")) == a_record("two")
    assert journal.find_link(OrderLinkId("tg-three")) is None


async def test_a_journal_belongs_to_the_account_that_claimed_it_first(reopen):
    async with reopen() as journal:
        await journal.claim("live-testnet-7")
        await journal.claim("live-testnet-7")
    async with reopen() as journal:
        await journal.claim("live-testnet-7")
        for other in ("paper", "live-testnet-8", "live-mainnet-7"):
            with pytest.raises(StartError, match="is the journal of account live-testnet-7"):
                await journal.claim(other)


async def test_a_journal_with_records_and_no_owner_is_papers(reopen):
    async with reopen() as journal:
        await keep(journal, a_record())
    async with reopen() as journal:
        with pytest.raises(StartError, match="is the journal of account paper"):
            await journal.claim("live-testnet-7")
        await journal.claim("paper")


async def test_whether_only_reductions_pass_survives_a_restart(reopen):
    async with reopen() as journal:
        await journal.append_risk(a_change(to_state=RiskState.REDUCING, halted=False, reducing=True))
    async with reopen() as journal:
        assert journal.risk_status().state is RiskState.REDUCING


async def test_inside_exclusive_an_order_on_its_way_is_found(journal):
    async with journal.exclusive("paper") as entry:
        assert entry.find(OrderKey("key-1")) is None
        ticket = entry.stage(a_record())
    async with journal.exclusive("paper") as entry:
        assert entry.find(OrderKey("key-1")) == a_record()
    await ticket.durable()
    async with journal.exclusive("paper") as entry:
        assert entry.find(OrderKey("key-1")) == a_record()


async def test_an_account_has_one_writer_at_a_time_and_others_do_not_wait(journal):
    entered = []

    async def enter(account):
        async with journal.exclusive(account):
            entered.append(account)

    async with journal.exclusive("paper"):
        waiting = asyncio.create_task(enter("paper"))
        await asyncio.wait_for(enter("other"), 1)
        assert entered == ["other"]
    await waiting
    assert entered == ["other", "paper"]


async def test_records_become_durable_in_the_order_in_which_they_were_staged(journal):
    async with journal.watch() as events:
        await keep(journal, *(a_record(f"key-{number}") for number in range(300)))
        seen = [await anext(events) for _ in range(300)]
    assert [event.subject for event in seen] == [f"key-{number}" for number in range(300)]
    assert [event.sequence for event in seen] == list(range(1, 301))


async def test_a_caller_who_gives_up_takes_the_answer_from_nobody(journal):
    ticket = journal.stage(a_record())
    impatient, patient = asyncio.create_task(ticket.durable()), asyncio.create_task(ticket.durable())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    await ticket.durable()
    assert journal.find_order(OrderKey("key-1")) == a_record()


@pytest.mark.parametrize("count", [1, 2, 5, 17, 100, 1500, 4096])
async def test_all_decisions_of_a_call_are_kept(journal, count):
    decisions = [a_decision(decision_id=DecisionId(f"d{number}")) for number in range(count)]
    await journal.append_decisions(decisions)
    assert journal.health() == (True, count)
    for decision in (decisions[0], decisions[count // 2], decisions[-1]):
        assert journal.find_decision(decision.decision_id) == decision


async def test_no_decisions_are_no_record(journal):
    await journal.append_decisions([])
    assert journal.health() == (True, 0)


async def test_orders_are_listed_newest_first_page_by_page(journal):
    await keep(journal, *(a_record(f"key-{number}") for number in range(5)))
    await keep(journal, a_filled("key-0"))
    first = journal.list_orders(limit=3, before=None, symbol=None)
    assert keys(record for _, record in first) == ["key-4", "key-3", "key-2"]
    rest = journal.list_orders(limit=3, before=first[-1][0], symbol=None)
    assert [record for _, record in rest] == [a_record("key-1"), a_filled("key-0")]
    assert list(journal.list_orders(limit=3, before=rest[-1][0], symbol=None)) == []
    assert list(journal.list_orders(limit=0, before=None, symbol=None)) == []


async def test_orders_are_listed_for_one_symbol(journal):
    await keep(journal, a_record("b1"), a_record("e1", ETH), a_record("b2"), a_record("e2", ETH))
    found = journal.list_orders(limit=10, before=None, symbol=ETH)
    assert keys(record for _, record in found) == ["e2", "e1"]
    assert keys(record for _, record in journal.list_orders(limit=10, before=found[0][0], symbol=ETH)) == ["e1"]
    assert list(journal.list_orders(limit=10, before=None, symbol=Symbol("XRPUSDT"))) == []


async def test_open_orders_are_the_pending_and_the_unknown_oldest_first(journal):
    await keep(journal, *(a_record(key) for key in ("a", "b", "c", "d")), a_refusal("r"))
    await keep(journal, a_record("b", state=OrderState.UNKNOWN), a_filled("c"))
    assert list(journal.open_orders()) == [a_record("a"), a_record("b", state=OrderState.UNKNOWN), a_record("d")]


async def test_filled_orders_come_in_the_order_of_their_fills(journal):
    await keep(journal, *(a_record(key) for key in ("a", "b", "c", "d")))
    await keep(journal, a_filled("c"), a_filled("a", state=OrderState.PARTIALLY_FILLED))
    await keep(journal, a_record("d", state=OrderState.CANCELLED))
    assert keys(journal.filled_orders()) == ["c", "a"]


async def test_the_risk_state_is_that_of_the_newest_change(journal):
    await journal.append_risk(a_change())
    lifted = a_change(
        from_state=RiskState.HALTED, to_state=RiskState.LOCKED, halted=False, locked=True, peak_equity_usd=Decimal(7)
    )
    await journal.append_risk(lifted)
    assert journal.risk_status() == a_status(halted=False, locked=True, peak_equity_usd=Decimal(7))
    assert list(journal.risk_changes(10)) == [lifted, a_change()]
    assert list(journal.risk_changes(1)) == [lifted]


async def test_a_noted_peak_goes_with_the_next_commit(journal):
    journal.note_peak(Decimal("100001.5"))
    await keep(journal, a_record())
    assert journal.risk_status() == a_status(halted=False, locked=False, peak_equity_usd=Decimal("100001.5"))
    assert journal.health() == (True, 1)


async def test_a_noted_peak_is_kept_within_a_second_when_nothing_else_is(journal):
    for peak in (1, 2, 3):
        journal.note_peak(Decimal(peak))
    await asyncio.sleep(1)
    status = journal.risk_status()
    assert status is not None
    assert status.peak_equity_usd == Decimal(3)
    assert journal.health() == (True, 0)


async def test_a_risk_change_brings_its_own_peak_and_a_later_note_raises_it(journal):
    journal.note_peak(Decimal(120_000))
    await journal.append_risk(a_change(halted=False, peak_equity_usd=Decimal(90_000)))
    assert journal.risk_status().peak_equity_usd == Decimal(90_000)
    journal.note_peak(Decimal(95_000))
    await keep(journal, a_record())
    assert journal.risk_status().peak_equity_usd == Decimal(95_000)


async def test_a_peak_noted_before_a_change_of_the_same_commit_does_not_outlive_it(journal):
    journal.note_peak(Decimal(120_000))
    staged = journal.stage(a_record())
    await journal.append_risk(a_change(peak_equity_usd=Decimal(90_000)))
    await staged.durable()
    await asyncio.sleep(0.7)
    assert journal.risk_status().peak_equity_usd == Decimal(90_000)


async def test_all_of_it_survives_a_restart(reopen):
    async with reopen() as journal:
        await keep(journal, a_record("open"), a_record("done"), a_filled("done"))
        await journal.append_decisions([a_decision()])
        await journal.append_risk(a_change())
        journal.note_peak(Decimal(100_002))
    async with reopen() as journal:
        assert journal.health() == (True, 5)
        assert list(journal.open_orders()) == [a_record("open")]
        assert list(journal.filled_orders()) == [a_filled("done")]
        assert journal.find_decision(DecisionId("d1")) == a_decision()
        assert journal.risk_status() == a_status(halted=True, locked=False, peak_equity_usd=Decimal(100_002))
        await keep(journal, a_filled("open"))
        assert journal.health() == (True, 6)


async def test_closing_keeps_what_was_staged(reopen):
    async with reopen() as journal:
        tickets = [journal.stage(a_record(f"key-{number}")) for number in range(50)]
    for ticket in tickets:
        await ticket.durable()
    async with reopen() as journal:
        assert journal.health() == (True, 50)


async def test_a_closed_journal_takes_nothing(reopen):
    async with reopen() as journal:
        pass
    with pytest.raises(JournalUnavailableError):
        journal.stage(a_record())
    with pytest.raises(JournalUnavailableError):
        await journal.append_decisions([a_decision()])
    with pytest.raises(JournalUnavailableError):
        await journal.append_risk(a_change())
    journal.note_peak(Decimal(1))


async def test_what_cannot_be_written_is_refused_before_it_can_harm_others(journal):
    good = journal.stage(a_record("good"))
    with pytest.raises(RecordFormatError):
        journal.stage(a_record("bad", approved_usd=Decimal("NaN")))
    with pytest.raises(RecordFormatError):
        await journal.append_decisions([a_decision(), a_decision(confidence=float("inf"))])
    await good.durable()
    assert journal.health() == (True, 1)


async def test_a_full_queue_refuses_at_once_and_serves_again(journal):
    tickets = []
    with pytest.raises(JournalUnavailableError, match="full"):
        tickets.extend(journal.stage(a_record(f"key-{number}")) for number in range(20_000))
    assert 1000 < len(tickets) < 20_000
    for ticket in tickets:
        await ticket.durable()
    await keep(journal, a_record("after"))
    assert journal.health() == (True, len(tickets) + 1)


async def test_watchers_are_told_what_becomes_durable_from_now_on(journal):
    await keep(journal, a_record("before"))
    async with journal.watch() as one, journal.watch() as two:
        await keep(journal, a_filled("before"))
        await journal.append_decisions([a_decision()])
        await journal.append_risk(a_change())
        await journal.append_decisions([a_decision(decision_id=DecisionId("d2"), scored=True)])
        await journal.append_matured([an_outcome(decision_id=DecisionId("d2"))])
        await journal.append_watch(a_watch_move())
        later_ms, version = NOW_MS + 3_600_000, "20261123_000000"
        expected = [
            Event(sequence=2, kind="order", at_ms=NOW_MS + 5, subject="before", state="filled", symbol=BTC),
            Event(sequence=3, kind="decision", at_ms=NOW_MS, subject="d1", state="long", symbol=BTC),
            Event(sequence=4, kind="risk", at_ms=NOW_MS, subject="halted", state="ada", symbol=""),
            Event(sequence=5, kind="decision", at_ms=NOW_MS, subject="d2", state="long", symbol=BTC),
            Event(sequence=6, kind="outcome", at_ms=later_ms, subject="d2", state="right", symbol=BTC),
            Event(sequence=7, kind="watch", at_ms=later_ms, subject=version, state="warned", symbol=""),
        ]
        for events in (one, two):
            assert [await anext(events) for _ in expected] == expected


async def test_a_watcher_waits_for_what_is_still_to_come(journal):
    async with journal.watch() as events:
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await keep(journal, a_record())
        assert (await waiting).subject == "key-1"


async def test_a_watcher_that_falls_1000_behind_is_cut_off_and_others_go_on(journal):
    async with journal.watch() as slow, journal.watch() as quick:
        for first in range(0, 1200, 300):
            await keep(journal, *(a_record(f"key-{first + number}") for number in range(300)))
            assert len([await anext(quick) for _ in range(300)]) == 300
        assert len([event async for event in slow]) == 1000


async def test_watchers_end_when_the_journal_closes(reopen):
    async with reopen() as journal:
        watch = journal.watch()
        events = await watch.__aenter__()
        await keep(journal, a_record())
    assert [event.subject async for event in events] == ["key-1"]
    await watch.__aexit__(None, None, None)


@st.composite
def histories(draw):
    """Orders on their lawful ways, interleaved."""
    newest, records = {}, []
    for _ in range(draw(st.integers(0, 15))):
        key = draw(st.sampled_from(["a", "b", "c", "d"]))
        symbol = draw(st.sampled_from([BTC, ETH])) if key not in newest else newest[key].order.symbol
        if key not in newest:
            record = draw(st.sampled_from([a_record(key, symbol), a_refusal(key, order=a_record(key, symbol).order)]))
        elif ORDER_MOVES[newest[key].state]:
            state = draw(st.sampled_from(sorted(ORDER_MOVES[newest[key].state])))
            filled = state in {OrderState.FILLED, OrderState.PARTIALLY_FILLED}
            evidence = None if state in OPEN_STATES else Evidence.HISTORY
            record = (a_filled if filled else a_record)(key, symbol, state=state, evidence=evidence)
        else:
            continue
        newest[key] = record
        records.append(record)
    return records


@pytest.mark.parametrize("adapter", sorted(ADAPTERS))
@settings(max_examples=25, deadline=None)
@given(history=histories())
def test_a_journal_is_the_fold_of_its_records(adapter, history):
    async def check():
        with TemporaryDirectory() as folder:
            async with ADAPTERS[adapter](Path(folder)) as journal:
                await keep(journal, *history)
                newest = {record.order.key: record for record in history}
                listed = journal.list_orders(limit=100, before=None, symbol=None)
                assert [record for _, record in reversed(listed)] == list(newest.values())
                for symbol in (BTC, ETH):
                    of_symbol = [record for record in newest.values() if record.order.symbol == symbol]
                    found = journal.list_orders(limit=100, before=None, symbol=symbol)
                    assert [record for _, record in reversed(found)] == of_symbol
                open_now = [record for record in newest.values() if record.state in OPEN_STATES]
                assert list(journal.open_orders()) == open_now
                assert list(journal.filled_orders()) == [record for record in history if record.fills]

    asyncio.run(check())


async def test_decisions_are_listed_newest_first_page_by_page(journal):
    made = [a_decision(decision_id=DecisionId(f"d{number}")) for number in range(5)]
    assert list(journal.list_decisions(limit=10, before=None)) == []
    await journal.append_decisions(made)
    first = journal.list_decisions(limit=2, before=None)
    second = journal.list_decisions(limit=10, before=first[-1][0])
    assert [decision for _, decision in [*first, *second]] == made[::-1]
    assert list(journal.list_decisions(limit=10, before=second[-1][0])) == []
