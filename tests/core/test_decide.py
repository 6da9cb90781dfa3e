"""From a prediction to a decision."""

import math

import pytest
from builders import BAR_MS, BTC, FEATURES, NOW_MS, a_policy, a_prediction, a_shadow, a_standing, decision_facts
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decide import decide, recalibrated
from gateway.core.model import DecisionId, RiskState, Shadow, Signal, WatchState
from gateway.core.reasons import Reason


def decided(risk_state=RiskState.ACTIVE, standing=None, policy=None, scored=True, **prediction):
    return decide(
        decision_id=DecisionId("d1"),
        symbol=BTC,
        features=FEATURES,
        bar_open_ms=BAR_MS,
        scored=scored,
        prediction=a_prediction(**prediction),
        facts=decision_facts(risk_state=risk_state, calibration=standing or a_standing()),
        policy=policy or a_policy(),
    )


def test_the_favoured_side_is_the_signal():
    assert decided(prob_long=0.75).signal is Signal.LONG
    assert decided(prob_long=0.25).signal is Signal.SHORT


def test_the_two_probabilities_add_up_to_one():
    decision = decided(prob_long=0.7512345678)
    assert (decision.prob_long, decision.prob_short) == (0.751235, 0.248765)


def test_an_undecided_ensemble_is_flat_and_forbids():
    decision = decided(prob_long=0.5, confidence=0.99)
    assert (decision.signal, decision.allow, decision.reasons) == (Signal.FLAT, False, (Reason.LOW_CONFIDENCE,))


@pytest.mark.parametrize(("confidence", "allow"), [(0.6, True), (0.599999, False)])
def test_confidence_allows_from_the_threshold_on(confidence, allow):
    assert decided(confidence=confidence).allow is allow


@pytest.mark.parametrize(("confidence", "allow"), [(0.65, True), (0.649999, False)])
def test_a_raised_threshold_is_the_one_that_counts_and_is_recorded(confidence, allow):
    decision = decided(confidence=confidence, standing=a_standing(threshold=0.65, state=WatchState.RAISED))
    assert (decision.allow, decision.threshold) == (allow, 0.65)


@pytest.mark.parametrize(("dissimilarity", "reasons"), [(1.0, ()), (1.000001, (Reason.OUT_OF_DISTRIBUTION,))])
def test_features_beyond_the_limit_forbid(dissimilarity, reasons):
    assert decided(dissimilarity=dissimilarity).reasons == reasons


def test_the_operator_may_move_the_limit_of_dissimilarity():
    assert decided(dissimilarity=1.5, policy=a_policy(dissimilarity_max=2.0)).allow


@pytest.mark.parametrize("state", [WatchState.OK, WatchState.WARNED, WatchState.RAISED])
def test_the_watch_forbids_nothing_before_it_abstains(state):
    assert decided(standing=a_standing(state=state)).allow


def test_an_abstaining_watch_forbids():
    assert decided(standing=a_standing(state=WatchState.ABSTAINING)).reasons == (Reason.CALIBRATION_DRIFT,)


@pytest.mark.parametrize(("expire_ms", "reasons"), [(NOW_MS + 1, ()), (NOW_MS, (Reason.MODEL_EXPIRED,))])
def test_a_model_expires_at_its_limit(expire_ms, reasons):
    assert decided(expire_ms=expire_ms).reasons == reasons


@pytest.mark.parametrize(
    ("market", "real_market", "allow"),
    [
        ("simulated", False, True),
        ("real", False, True),
        ("", False, True),
        ("real", True, True),
        ("simulated", True, False),
        ("", True, False),
    ],
)
def test_only_a_model_of_a_real_market_speaks_for_one(market, real_market, allow):
    decision = decided(market=market, policy=a_policy(real_market=real_market))
    assert (decision.allow, decision.reasons) == (allow, () if allow else (Reason.MODEL_MARKET_MISMATCH,))


def test_what_a_server_does_not_tell_forbids_nothing():
    decision = decided(disagreement=None, dissimilarity=None, expire_ms=None, shadow=None)
    assert (decision.allow, decision.disagreement, decision.dissimilarity) == (True, None, None)


def test_every_reason_is_named_in_the_documented_order():
    decision = decided(
        risk_state=RiskState.HALTED,
        standing=a_standing(state=WatchState.ABSTAINING),
        policy=a_policy(real_market=True),
        confidence=0.51,
        dissimilarity=3.0,
        expire_ms=NOW_MS - 1,
    )
    assert decision.reasons == (
        Reason.LOW_CONFIDENCE,
        Reason.OUT_OF_DISTRIBUTION,
        Reason.CALIBRATION_DRIFT,
        Reason.MODEL_EXPIRED,
        Reason.MODEL_MARKET_MISMATCH,
        Reason.HALTED,
    )
    assert decided(risk_state=RiskState.LOCKED).reasons == (Reason.RISK_LOCKED,)
    assert decided(risk_state=RiskState.REDUCING).reasons == (Reason.REDUCE_ONLY,)


def test_a_decision_keeps_all_that_it_was_made_of():
    decision = decided(
        shadow=a_shadow(prob_long=0.41234567), disagreement=0.0412345678, dissimilarity=0.50000012, scored=False
    )
    assert decision.shadow == Shadow(model_version="20261201_000000", prob_long=0.412346, confidence=0.62)
    assert (decision.disagreement, decision.dissimilarity) == (0.041235, 0.5)
    assert (decision.bar_open_ms, decision.scored, decision.features) == (BAR_MS, False, FEATURES)


def test_recalibration_shrinks_the_stated_confidence_and_keeps_the_models_own():
    decision = decided(confidence=0.65, standing=a_standing(slope=0.5))
    assert (decision.model_confidence, decision.confidence) == (0.65, round(recalibrated(0.65, 0.5), 6))
    assert (decision.allow, decision.reasons) == (False, (Reason.LOW_CONFIDENCE,))


def test_a_slope_of_one_leaves_the_confidence_as_it_is():
    assert recalibrated(0.123456789, 1.0) == 0.123456789
    assert decided(confidence=0.65).confidence == 0.65


def test_a_slope_multiplies_the_log_odds():
    odds = math.log(0.8 / 0.2)
    assert recalibrated(0.8, 0.5) == pytest.approx(1 / (1 + math.exp(-0.5 * odds)))


@given(confidence=st.floats(0, 1), slope=st.floats(0, 1))
def test_recalibration_never_sharpens(confidence, slope):
    shrunk = recalibrated(confidence, slope)
    assert abs(shrunk - 0.5) <= abs(confidence - 0.5) + 1e-12
    assert (shrunk - 0.5) * (confidence - 0.5) >= -1e-12
