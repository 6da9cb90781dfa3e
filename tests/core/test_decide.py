"""From a prediction to a decision."""

import pytest
from builders import BTC, FEATURES, NOW_MS, a_prediction

from gateway.core.decide import decide
from gateway.core.model import DecisionId, RiskState, Signal
from gateway.core.reasons import Reason


def decided(risk_state=RiskState.ACTIVE, threshold=0.6, **prediction):
    return decide(
        decision_id=DecisionId("d1"),
        symbol=BTC,
        features=FEATURES,
        prediction=a_prediction(**prediction),
        threshold=threshold,
        risk_state=risk_state,
        at_ms=NOW_MS,
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


def test_every_reason_is_named():
    decision = decided(confidence=0.51, risk_state=RiskState.HALTED)
    assert decision.reasons == (Reason.LOW_CONFIDENCE, Reason.HALTED)
    assert decided(risk_state=RiskState.LOCKED).reasons == (Reason.RISK_LOCKED,)
