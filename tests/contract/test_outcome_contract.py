"""What every Journal promises of outcomes and of the calibration watch, the fake that other tests use included."""

from builders import BAR_MS, NOW_MS, a_decision, a_watch_move, an_outcome

from gateway.core.model import DecisionId, Signal, Verdict, WatchState

OTHER = "20261124_000000"


def scored(name, **changes):
    return a_decision(decision_id=DecisionId(name), scored=True, **changes)


def of(decision, **changes):
    return an_outcome(decision_id=decision.decision_id, model_version=decision.model_version, **changes)


async def test_a_new_journal_knows_of_no_outcome_and_no_move(journal):
    assert list(journal.unmatured_decisions()) == []
    assert list(journal.matured_decisions("20261123_000000", 10)) == []
    assert list(journal.watch_moves(10)) == []


async def test_scored_decisions_wait_for_their_outcome_oldest_first(journal):
    first, second = scored("d1"), scored("d3", signal=Signal.SHORT, bar_open_ms=BAR_MS + 3_600_000)
    await journal.append_decisions([first, a_decision(decision_id=DecisionId("d2")), second])
    assert list(journal.unmatured_decisions()) == [first, second]
    await journal.append_matured([of(first)])
    assert list(journal.unmatured_decisions()) == [second]


async def test_a_text_that_looks_like_the_mark_is_not_taken_for_it(journal):
    await journal.append_decisions([a_decision(model_version='x","scored":true,"y":"', features={"scored": 1.0})])
    assert list(journal.unmatured_decisions()) == []


async def test_no_outcomes_are_no_record(journal):
    await journal.append_matured([])
    assert journal.health() == (True, 0)


async def test_the_newest_outcomes_of_a_version_come_oldest_first(journal):
    decisions = [scored(f"d{number}") for number in range(5)]
    stranger = scored("other", model_version=OTHER)
    await journal.append_decisions([*decisions, stranger])
    outcomes = [of(decision, at_ms=NOW_MS + number) for number, decision in enumerate(decisions)]
    await journal.append_matured(outcomes[:2])
    await journal.append_matured([of(stranger, verdict=Verdict.NONE), *outcomes[2:]])
    assert list(journal.matured_decisions("20261123_000000", 10)) == outcomes
    assert list(journal.matured_decisions("20261123_000000", 3)) == outcomes[2:]
    assert list(journal.matured_decisions("20261123_000000", 0)) == []
    assert [outcome.decision_id for outcome in journal.matured_decisions(OTHER, 10)] == ["other"]


async def test_moves_of_the_watch_come_newest_first_each_version_on_its_own_way(journal):
    moves = [
        a_watch_move(),
        a_watch_move(model_version=OTHER),
        a_watch_move(from_state=WatchState.WARNED, to_state=WatchState.RAISED),
    ]
    for move in moves:
        await journal.append_watch(move)
    assert list(journal.watch_moves(10)) == moves[::-1]
    assert list(journal.watch_moves(1)) == moves[-1:]
