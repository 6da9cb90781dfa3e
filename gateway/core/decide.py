"""From a prediction to a decision: which side, and whether an order may follow."""

from collections.abc import Mapping

from gateway.core.model import Decision, DecisionId, Prediction, RiskState, Signal, Symbol
from gateway.core.reasons import Reason

FLAT_BAND = 0.0005
"""A consensus nearer to one half than this favours neither side: it is below what the model can tell apart."""

PLACES = 6
"""Probabilities are answered and recorded to this many places: float32 holds no more."""


def decide(
    *,
    decision_id: DecisionId,
    symbol: Symbol,
    features: Mapping[str, float],
    prediction: Prediction,
    threshold: float,
    risk_state: RiskState,
    at_ms: int,
) -> Decision:
    """Judge a prediction against the threshold and the risk state."""
    prob_long = round(prediction.prob_long, PLACES)
    confidence = round(prediction.confidence, PLACES)
    signal = _signal(prob_long)
    reasons = _reasons(signal, confidence, threshold, risk_state)
    return Decision(
        decision_id=decision_id,
        symbol=symbol,
        signal=signal,
        prob_long=prob_long,
        prob_short=round(1.0 - prob_long, PLACES),
        confidence=confidence,
        model_version=prediction.model_version,
        horizon_seconds=prediction.horizon_seconds,
        threshold=threshold,
        allow=not reasons,
        reasons=reasons,
        features=features,
        members=prediction.members,
        at_ms=at_ms,
    )


def _signal(prob_long: float) -> Signal:
    if abs(prob_long - 0.5) < FLAT_BAND:
        return Signal.FLAT
    return Signal.LONG if prob_long > 0.5 else Signal.SHORT  # noqa: PLR2004 - one half is where the favour turns


def _reasons(signal: Signal, confidence: float, threshold: float, risk_state: RiskState) -> tuple[Reason, ...]:
    reasons: list[Reason] = []
    if signal is Signal.FLAT or confidence < threshold:
        reasons.append(Reason.LOW_CONFIDENCE)
    if risk_state is RiskState.LOCKED:
        reasons.append(Reason.RISK_LOCKED)
    if risk_state is RiskState.HALTED:
        reasons.append(Reason.HALTED)
    return tuple(reasons)
