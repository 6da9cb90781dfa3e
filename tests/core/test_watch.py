"""The calibration watch: what moves it up, what moves it back, and what must not."""

import math
import random
from dataclasses import replace

import pytest
from builders import BAR_MS, an_outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.model import Verdict, WatchState
from gateway.core.watch import (
    ALTERNATIVES,
    CONFIDENCE_MAX,
    LANES_MAX,
    RECOVERY_AT,
    Watch,
    after_all,
    after_bar,
    bars_of,
)

HOUR_MS = 3_600_000
OK, WARNED, RAISED, ABSTAINING = WatchState


def outcome(number, *, right, confidence=0.65, **changes):
    """What became of the decision of one hour."""
    verdict = Verdict.RIGHT if right else Verdict.WRONG
    values = {"bar_open_ms": BAR_MS + number * HOUR_MS, "at_ms": BAR_MS + (number + 2) * HOUR_MS, "verdict": verdict}
    return an_outcome(confidence=confidence, **values | changes)


def run(chance, count, *, confidence=0.65, seed=1, first=0):
    """Outcomes that are right by `chance`."""
    draws = random.Random(seed)  # noqa: S311 - outcomes, not secrets
    return [outcome(first + n, right=draws.random() < chance, confidence=confidence) for n in range(count)]


def fresh(alarm_at=20_000.0):
    return Watch(alarm_at=alarm_at)


def ways(moves):
    return [(move.from_state, move.to_state) for move in moves]


def test_a_new_watch_knows_of_nothing():
    assert (fresh().state, fresh().evidence) == (OK, 1.0)


def test_one_outcome_is_weighed_by_the_formula():
    watch, moves = after_bar(fresh(), [outcome(0, right=False, confidence=0.8)])
    stated = math.log(0.8 / 0.2)
    holds = [1 / (1 + math.exp(-share * stated)) for share in ALTERNATIVES]
    assert watch.lanes[0].against == pytest.approx([(1 - hold) / 0.2 for hold in holds])
    assert watch.lanes[0].against[-1] == pytest.approx(4.0)  # the reversed one said 0.8 where 0.2 was said
    assert moves == ()


def test_evidence_never_counts_what_was_good_before_against_what_is_bad_now():
    good, _ = after_all(fresh(), [outcome(n, right=True) for n in range(500)])
    turned, _ = after_bar(good, [outcome(500, right=False)])
    assert turned.lanes[0].against == after_bar(fresh(), [outcome(500, right=False)])[0].lanes[0].against


def test_a_reversed_signal_leads_through_every_state_with_a_move_for_each():
    watch, moves = after_all(fresh(), run(0.35, 300))
    assert watch.state is ABSTAINING
    assert ways(moves) == [(OK, WARNED), (WARNED, RAISED), (RAISED, ABSTAINING)]
    assert [move.evidence >= limit for move, limit in zip(moves, (2e4, 2e5, 2e6), strict=True)] == [True] * 3
    assert all(move.model_version == "20261123_000000" for move in moves)
    assert "0.650 was promised" in moves[0].reason
    assert moves[0].at_ms < moves[-1].at_ms <= BAR_MS + 302 * HOUR_MS


def test_a_leap_of_the_evidence_is_told_step_by_step():
    watch, moves = after_bar(fresh(alarm_at=2.0), [outcome(0, right=False, confidence=0.999)])
    assert watch.state is ABSTAINING
    assert ways(moves) == [(OK, WARNED), (WARNED, RAISED), (RAISED, ABSTAINING)]


def test_a_kept_promise_leads_back_step_by_step_and_evidence_begins_anew():
    broken, _ = after_all(fresh(), run(0.35, 300))
    watch, moves = after_all(broken, run(0.65, 4000, first=300, seed=2))
    assert watch.state is OK
    assert ways(moves) == [(ABSTAINING, RAISED), (RAISED, WARNED), (WARNED, OK)]
    first, _ = after_all(broken, [one for one in run(0.65, 4000, first=300, seed=2) if one.at_ms <= moves[0].at_ms])
    assert (first.state, first.evidence, first.kept) == (RAISED, 1.0, 1.0)


@pytest.mark.parametrize("chance", [0.35, 0.5])
def test_nothing_but_a_kept_promise_leads_back(chance):
    broken, _ = after_all(fresh(), run(0.35, 300))
    watch, moves = after_all(broken, run(chance, 3000, first=300, seed=3))
    assert (watch.state, moves) == (ABSTAINING, ())


def test_half_a_promise_does_not_stay_allowed():
    watch, _ = after_all(fresh(), run(0.577, 6000))
    assert watch.state is not OK


def test_while_all_is_well_no_credit_for_the_way_back_is_collected():
    watch, _ = after_all(fresh(), [outcome(n, right=True) for n in range(200)])
    assert watch.kept == 1.0
    assert RECOVERY_AT > 1.0


def test_a_confidence_of_a_half_or_less_promises_nothing():
    watch, _ = after_all(fresh(), [outcome(n, right=False, confidence=c) for n, c in enumerate((0.5, 0.4, 0.0))])
    assert watch.evidence == 1.0


@pytest.mark.parametrize("confidence", [0.999, 0.9999, 1.0])
def test_no_confidence_counts_for_more_than_the_highest(confidence):
    watch, _ = after_bar(fresh(), [outcome(0, right=False, confidence=confidence)])
    assert watch.evidence == after_bar(fresh(), [outcome(0, right=False, confidence=CONFIDENCE_MAX)])[0].evidence
    assert watch.evidence < 1000


def test_evidence_is_finite_after_any_number_of_wrong_signals():
    watch, _ = after_all(fresh(), [outcome(n, right=False, confidence=1.0) for n in range(2000)])
    assert watch.evidence <= 4 * 100 * 20_000


def test_symbols_of_one_bar_count_once_with_their_mean():
    pair = [outcome(0, right=False, symbol="BTCUSDT"), outcome(0, right=True, symbol="ETHUSDT")]
    watch, _ = after_bar(fresh(), pair)
    wrong, _ = after_bar(fresh(), pair[:1])
    right, _ = after_bar(fresh(), pair[1:])
    expected = [(a + b) / 2 for a, b in zip(wrong.lanes[0].against, right.lanes[0].against, strict=True)]
    assert watch.lanes[0].against == pytest.approx(expected)
    assert watch.doubts.outcomes == 2


def test_what_can_never_be_known_adds_nothing():
    assert after_bar(fresh(), [replace(outcome(0, right=True), verdict=Verdict.NONE)]) == (fresh(), ())


def test_an_outcome_that_comes_after_those_of_a_later_bar_is_left_out():
    watch, _ = after_bar(fresh(), [outcome(5, right=False)])
    assert after_bar(watch, [outcome(5, right=False, symbol="ETHUSDT")]) == (watch, ())
    assert after_bar(watch, [outcome(4, right=False)]) == (watch, ())


def test_horizons_that_overlap_go_into_lanes_of_their_own():
    four_hours = [outcome(n, right=False, horizon_seconds=4 * 3600) for n in range(12)]
    watch, _ = after_all(fresh(), four_hours)
    assert len(watch.lanes) == 4
    alone, _ = after_all(fresh(), four_hours[::4])
    assert watch.lanes[0] == alone.lanes[0]
    assert watch.evidence == alone.evidence


def test_sparse_decisions_with_a_long_horizon_share_one_lane():
    watch, _ = after_all(fresh(), [outcome(n * 24, right=True, horizon_seconds=24 * 3600) for n in range(9)])
    assert len(watch.lanes) == 1


def test_there_are_never_more_lanes_than_may_be():
    many = [outcome(n, right=False, horizon_seconds=3600 * 1000) for n in range(LANES_MAX + 20)]
    watch, _ = after_all(fresh(), many)
    assert len(watch.lanes) == LANES_MAX


def test_outcomes_are_gathered_by_bar_and_by_the_moment_they_were_judged():
    late = outcome(0, right=True, at_ms=BAR_MS + 90 * HOUR_MS)
    outcomes = [outcome(0, right=True), outcome(0, right=False), outcome(1, right=True), late]
    assert [len(bar) for bar in bars_of(outcomes)] == [2, 1, 1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.5, 1.0), st.booleans(), st.booleans()), max_size=120),
    st.integers(0, 120),
)
def test_a_watch_that_is_rebuilt_stands_where_the_one_that_went_along_does(rows, cut):
    outcomes, bar = [], 0
    for confidence, right, same in rows:
        bar += not same
        outcomes.append(outcome(bar, right=right, confidence=confidence))
    groups = list(bars_of(outcomes))
    along, made = fresh(alarm_at=50.0), []
    for group in groups[:cut], groups[cut:]:
        along, moves = after_all(along, [one for bar_ in group for one in bar_])
        made.extend(moves)
    assert (along, tuple(made)) == after_all(fresh(alarm_at=50.0), outcomes)


@pytest.mark.parametrize("confidence", [0.55, 0.65, 0.8])
def test_false_alarms_are_rarer_than_the_stated_bound(confidence):
    """Bound: the chance of an alarm within n bars is at most n / A; here 300 / 1000, over 300 runs."""
    alarms = sum(bool(after_all(fresh(alarm_at=1000.0), run(confidence, 300, confidence=confidence, seed=seed))[1])
                 for seed in range(300))  # fmt: skip
    assert alarms / 300 <= 0.3
    assert alarms / 300 < 0.12, "far below the bound, which holds for every dependence"
