"""Recorded decisions mature, the watch judges them, and a restart changes nothing."""

import contextlib
import random
from dataclasses import replace
from statistics import NormalDist

import pytest
from builders import BTC, a_watch_move, an_outcome
from calibration_kit import ETH, VERSION, Life, hour_ms
from fakes import FakeJournal
from journal_kit import problems, running

from gateway.calibration import FOLD_OUTCOMES_MAX
from gateway.core.drift import FeatureReference
from gateway.core.model import BarLabel, DecisionId, Signal, Verdict, WatchState
from gateway.outcomes import AGE_MS_MAX, HOLD_MS, ROUND_DECISIONS_MAX

OK, WARNED, RAISED, ABSTAINING = WatchState
OTHER = "20261124_000000"


@contextlib.asynccontextmanager
async def fake(_folder):
    yield FakeJournal()


@pytest.fixture(params=["fake", "sqlite"])
async def life(request, tmp_path):
    opened = fake(tmp_path) if request.param == "fake" else running(tmp_path / "journal.sqlite3")
    async with opened as journal:
        yield Life(journal)
    if request.param == "sqlite":
        assert problems(tmp_path / "journal.sqlite3") == []


@pytest.fixture
def quick():
    """Over the journal in memory, for what does not depend on it."""
    return Life(FakeJournal())


def draws(chance, count, seed=1):
    source = random.Random(seed)  # noqa: S311 - outcomes, not secrets
    return [source.random() < chance for _ in range(count)]


def verdicts(life):
    return [outcome.verdict for outcome in life.journal.matured_decisions(VERSION, 1000)]


def state_of(life):
    version = life.calibration._version(VERSION)  # noqa: SLF001 - all of what a restart must rebuild
    return version.watch, tuple(version.judged), version.matured, tuple(version.rows)


# Maturing


async def test_a_decision_matures_when_its_horizon_has_ended_and_not_before(life):
    life.market.put(BTC, 0, 100.0)
    decision = await life.decide(0)
    await life.maturing.run()
    assert verdicts(life) == []
    await life.pass_hour(1, {BTC: 101.0})
    (outcome,) = life.journal.matured_decisions(VERSION, 10)
    assert (outcome.decision_id, outcome.label, outcome.verdict) == (decision.decision_id, BarLabel.UP, Verdict.RIGHT)
    assert outcome.at_ms == life.clock.at_ms
    assert list(life.journal.unmatured_decisions()) == []
    await life.maturing.run()
    assert len(verdicts(life)) == 1


async def test_the_first_decision_of_symbol_bar_and_version_is_scored_and_no_other(life):
    life.market.put(BTC, 0, 100.0)
    first = await life.decide(0)
    again = await life.decide(0, decision_id=DecisionId("again"))
    other_symbol = await life.decide(0, symbol=ETH)
    other_version = await life.decide(0, model_version=OTHER)
    next_bar = await life.decide(1)
    late = await life.decide(0, decision_id=DecisionId("late"))
    scored = [one.scored for one in (first, again, other_symbol, other_version, next_bar, late)]
    assert scored == [True, False, True, True, True, False]


async def test_a_claim_outlives_a_restart(life):
    life.market.put(BTC, 0, 100.0)
    await life.decide(0)
    life.restart()
    assert not life.calibration.claim(BTC, hour_ms(0), VERSION)
    assert life.calibration.claim(BTC, hour_ms(1), VERSION)


async def test_a_claim_that_could_not_be_recorded_is_left_to_the_next(quick):
    assert quick.calibration.claim(BTC, hour_ms(0), VERSION)
    assert not quick.calibration.claim(BTC, hour_ms(0), VERSION)
    quick.calibration.unclaim(BTC, hour_ms(0), VERSION)
    assert quick.calibration.claim(BTC, hour_ms(0), VERSION)


async def test_what_waits_outlives_a_restart(life):
    life.market.put(BTC, 0, 100.0)
    await life.decide(0)
    life.restart()
    await life.pass_hour(1, {BTC: 99.0})
    assert verdicts(life) == [Verdict.WRONG]


async def test_the_model_service_says_what_became_of_a_label(quick):
    quick.model.label_is = BarLabel.DOWN
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0)
    await quick.pass_hour(1, {BTC: 101.0})
    assert quick.model.asked == [hour_ms(0)]
    assert verdicts(quick) == [Verdict.WRONG]


@pytest.mark.parametrize(("label", "signal"), [(BarLabel.NONE, Signal.LONG), (BarLabel.UP, Signal.FLAT)])
async def test_what_can_never_be_known_or_favoured_no_side_is_neither(quick, label, signal):
    quick.model.label_is = label
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0, signal=signal)
    await quick.pass_hour(1, {BTC: 101.0})
    assert verdicts(quick) == [Verdict.NONE]
    assert quick.calibration.report().matured == 0


async def test_a_model_service_that_is_down_is_asked_later(quick):
    quick.model.down = True
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0)
    await quick.pass_hour(1, {BTC: 101.0})
    assert verdicts(quick) == []
    quick.model.down = False
    await quick.maturing.run()
    assert verdicts(quick) == [Verdict.RIGHT]


async def test_what_could_not_be_told_for_a_week_is_given_up(quick):
    quick.model.down = True
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0)
    await quick.decide(0, symbol=ETH)  # a market without bars
    await quick.pass_hour(1, {BTC: 101.0})
    quick.clock.at_ms = hour_ms(1) + AGE_MS_MAX
    await quick.maturing.run()
    assert verdicts(quick) == []
    quick.clock.at_ms += 1
    await quick.maturing.run()
    assert verdicts(quick) == [Verdict.NONE, Verdict.NONE]


async def test_bars_that_no_longer_reach_back_are_waited_for_after_a_start_and_then_given_up(quick):
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0)
    quick.market.known = 5
    for number in range(1, 20):
        quick.market.put(BTC, number, 100.0)
    quick.restart()
    quick.clock.at_ms = hour_ms(20)
    await quick.maturing.run()
    assert verdicts(quick) == []
    quick.clock.at_ms += HOLD_MS
    await quick.maturing.run()
    assert verdicts(quick) == [Verdict.NONE]


async def test_a_symbol_whose_bar_is_late_holds_the_others_of_that_bar_up_for_a_while(quick):
    for symbol in (BTC, ETH):
        quick.market.put(symbol, 0, 100.0)
        await quick.decide(0, symbol=symbol)
    await quick.pass_hour(1, {BTC: 101.0})
    assert verdicts(quick) == []
    await quick.pass_hour(1, {ETH: 99.0})
    assert sorted(verdicts(quick)) == [Verdict.RIGHT, Verdict.WRONG]
    together = quick.journal.matured_decisions(VERSION, 10)
    assert len({outcome.at_ms for outcome in together}) == 1


async def test_a_symbol_that_stays_late_is_left_behind_and_told_when_it_comes(quick):
    quick.calibration.load(VERSION)
    for symbol in (BTC, ETH):
        quick.market.put(symbol, 0, 100.0)
        await quick.decide(0, symbol=symbol)
    await quick.pass_hour(1, {BTC: 99.0})
    quick.clock.at_ms += HOLD_MS
    await quick.maturing.run()
    evidence = quick.calibration.report().evidence
    assert verdicts(quick) == [Verdict.WRONG]
    await quick.pass_hour(1, {ETH: 99.0})
    assert verdicts(quick) == [Verdict.WRONG, Verdict.WRONG]
    assert quick.calibration.report().evidence == evidence, "too late for the watch, in time for the figures"
    assert quick.calibration.report().matured == 2


async def test_a_round_is_bounded_and_what_is_left_comes_with_the_next(quick):
    count = ROUND_DECISIONS_MAX + 50
    for number in range(count):
        quick.market.put(BTC, number, 100.0)
        await quick.decide(number)
    await quick.pass_hour(count, {BTC: 101.0})
    assert len(verdicts(quick)) == ROUND_DECISIONS_MAX
    await quick.maturing.run()
    assert len(verdicts(quick)) == count


async def test_a_journal_that_cannot_be_written_keeps_what_waits(quick):
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0)
    quick.journal.full = True
    await quick.pass_hour(1, {BTC: 101.0})
    assert verdicts(quick) == []
    quick.journal.full = False
    await quick.maturing.run()
    assert verdicts(quick) == [Verdict.RIGHT]


# The watch


async def test_a_broken_promise_raises_the_threshold_then_abstains_and_a_kept_one_leads_back(life):
    assert life.calibration.standing(VERSION).state is OK
    life.calibration.load(VERSION)
    seen = {}
    await life.live(0, [True] * 5)
    for number in range(5, 60):
        await life.live(number, [False])
        standing = life.calibration.standing()
        seen.setdefault(standing.state, standing.threshold)
        if standing.state is ABSTAINING:
            break
    assert seen == {OK: 0.6, WARNED: 0.6, RAISED: 0.65, ABSTAINING: 0.65}
    await life.live(number + 1, draws(0.85, 300, seed=5), confidence=0.8)
    assert life.calibration.standing().state is OK
    assert life.moves() == [
        (OK, WARNED), (WARNED, RAISED), (RAISED, ABSTAINING),
        (ABSTAINING, RAISED), (RAISED, WARNED), (WARNED, OK),
    ]  # fmt: skip


async def test_a_restart_rebuilds_the_same_state_and_records_no_move_twice(life):
    life.calibration.load(VERSION)
    rights = draws(0.35, 90, seed=4)
    for cut in (0, 30, 60):
        await life.live(cut, rights[cut : cut + 30], symbols=(BTC, ETH))
        before, moves = state_of(life), life.moves()
        life.restart()
        life.calibration.load(VERSION)
        await life.maturing.run()
        assert state_of(life) == before
        assert life.moves() == moves
    assert life.moves()[:2] == [(OK, WARNED), (WARNED, RAISED)]


async def test_a_move_that_was_not_recorded_before_a_crash_is_recorded_after_it(quick):
    quick.calibration.load(VERSION)
    await quick.live(0, [False] * 40)
    whole = list(quick.journal.moves)
    assert len(whole) == 3
    for kept in (2, 1, 0):
        quick.journal.moves = whole[:kept]
        quick.restart()
        quick.calibration.load(VERSION)
        assert quick.calibration.standing().state is ABSTAINING
        await quick.maturing.run()
        assert quick.journal.moves == whole


async def test_a_move_stands_while_it_cannot_be_recorded_and_is_recorded_later(quick):
    quick.calibration.load(VERSION)
    await quick.live(0, [False] * 8)
    quick.journal.watch_full = True
    await quick.live(8, [False] * 4)
    assert quick.calibration.standing().state is WARNED
    assert quick.moves() == []
    quick.journal.watch_full = False
    await quick.maturing.run()
    assert quick.moves() == [(OK, WARNED)]


async def test_a_changed_setting_is_taken_up_at_a_restart_and_told(quick):
    quick.calibration.load(VERSION)
    await quick.live(0, [False] * 8)
    assert quick.moves() == []
    quick.settings["alarm_at"] = 2.0
    quick.restart()
    quick.calibration.load(VERSION)
    await quick.maturing.run()
    assert quick.calibration.standing().state is not OK
    quick.settings["alarm_at"] = 1e9
    quick.restart()
    quick.calibration.load(VERSION)
    await quick.maturing.run()
    assert quick.calibration.standing().state is OK
    assert "CALIBRATION_ALARM_AT=1e+09" in quick.journal.moves[-1].reason


async def test_each_version_is_watched_for_itself(quick):
    quick.calibration.load(VERSION)
    await quick.live(0, [False] * 60)
    assert quick.calibration.standing().state is ABSTAINING
    assert quick.calibration.standing(OTHER).state is OK
    quick.calibration.load(OTHER)
    assert quick.calibration.standing().state is OK
    assert quick.calibration.standing(VERSION).state is ABSTAINING


async def test_a_restart_without_a_model_lifts_nothing(quick):
    quick.calibration.load(VERSION)
    await quick.live(0, [False] * 60)
    quick.restart()
    assert quick.calibration.standing().state is ABSTAINING
    await quick.maturing.run()
    report = quick.calibration.report()
    assert (report.model_version, report.standing.state) == (VERSION, ABSTAINING)


async def test_nothing_known_is_no_reason_to_refuse(quick):
    standing = quick.calibration.standing()
    assert (standing.state, standing.threshold, standing.slope) == (OK, 0.6, 1.0)
    assert quick.calibration.report().model_version == ""


@pytest.mark.parametrize(("threshold", "raised"), [(0.6, 0.65), (0.97, 0.99), (0.995, 0.995)])
async def test_a_raised_threshold_stays_reachable_and_never_falls(threshold, raised):
    life = Life(FakeJournal(), threshold=threshold)
    life.calibration.load(VERSION)
    await life.live(0, [False] * 60)
    assert life.calibration.standing().threshold == pytest.approx(raised)


async def test_an_old_version_goes_on_maturing_after_another_is_served(quick):
    quick.market.put(BTC, 0, 100.0)
    await quick.decide(0)
    quick.calibration.load(OTHER)
    await quick.pass_hour(1, {BTC: 99.0})
    assert verdicts(quick) == [Verdict.WRONG]
    assert quick.calibration.standing().state is OK


# What is told


async def test_the_report_has_figures_once_there_are_enough(quick):
    quick.calibration.load(VERSION)
    await quick.live(0, draws(0.65, 99, seed=2))
    report = quick.calibration.report()
    assert (report.matured, report.window, report.summary.figures) == (99, 99, None)
    await quick.live(99, draws(0.65, 61, seed=3))
    report = quick.calibration.report()
    assert report.summary.figures.hit_rate == pytest.approx(0.65, abs=0.15)
    assert sum(bucket.count for bucket in report.summary.reliability) == 160
    assert (report.model_version, report.alarm_at) == (VERSION, 100.0)


async def test_figures_are_of_the_newest_window():
    life = Life(FakeJournal(), window=120, alarm_at=1e12)
    life.calibration.load(VERSION)
    await life.live(0, [False] * 100 + [True] * 120)
    report = life.calibration.report()
    assert (report.matured, report.window, report.summary.figures.hit_rate) == (220, 120, 1.0)


@pytest.mark.parametrize("recalibrate", [True, False])
async def test_recalibration_is_applied_only_when_it_is_on(recalibrate):
    life = Life(FakeJournal(), recalibrate=recalibrate, alarm_at=1e9, window=300)
    life.calibration.load(VERSION)
    await life.live(0, draws(0.5, 300, seed=6))
    assert (life.calibration.standing().slope < 0.7) is recalibrate
    slope = life.calibration.standing().slope
    life.restart()
    life.calibration.load(VERSION)
    assert life.calibration.standing().slope == slope


async def test_features_that_leave_the_training_set_are_named_and_outlive_a_restart(quick):
    deciles = tuple(NormalDist().inv_cdf(place / 10) for place in range(1, 10))
    quick.model.references = (
        FeatureReference(name="mom_20", deciles=deciles, autocorrelation_bars=1.0),
        FeatureReference(name="rsi_14", deciles=tuple(range(55, 73, 2)), autocorrelation_bars=1.0),
    )
    quick.calibration.load(VERSION)
    source = random.Random(3)  # noqa: S311 - features, not secrets
    for number in range(200):
        quick.market.put(BTC, number, 100.0)
        features = {"mom_20": source.gauss(3, 1), "rsi_14": source.uniform(53, 73)}
        await quick.decide(number, features=features)
        await quick.pass_hour(number + 1, {BTC: 101.0})
    assert quick.calibration.report().summary.drifted == ("mom_20",)
    assert quick.calibration.standing().state is OK, "drift alone moves nothing"
    told = quick.calibration.report().summary.features
    quick.restart()
    quick.calibration.load(VERSION)
    await quick.maturing.run()
    assert quick.calibration.report().summary.features == told


async def test_the_newest_moves_are_told_newest_first(quick):
    for _ in range(15):
        quick.journal.moves += [a_watch_move(), replace(a_watch_move(), from_state=WARNED, to_state=OK)]
    quick.calibration.load(VERSION)
    await quick.maturing.run()
    assert len(quick.calibration.report().moves) == 20
    assert quick.calibration.report().moves[0].to_state is OK


def test_a_long_life_is_rebuilt_from_its_newest_outcomes_and_from_where_its_moves_had_left_it():
    life = Life(FakeJournal())
    for number in range(FOLD_OUTCOMES_MAX):
        outcome = an_outcome(
            decision_id=DecisionId(f"d{number}"),
            bar_open_ms=hour_ms(number),
            at_ms=hour_ms(number + 2),
            verdict=Verdict.NONE,
        )
        life.journal.matured[outcome.decision_id] = outcome
    life.journal.moves = [a_watch_move(at_ms=hour_ms(0)), a_watch_move(at_ms=hour_ms(0), to_state=RAISED)]
    life.calibration.load(VERSION)
    assert life.calibration.standing().state is RAISED
    life.restart()
    del life.journal.matured[DecisionId("d7")]
    life.calibration.load(VERSION)
    assert life.calibration.standing().state is OK, "all outcomes are there, and none of them says more"
