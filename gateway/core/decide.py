"""From a prediction to a decision: which side, and whether an order may follow.

Every reason that forbids is named, in this order:

1. LOW_CONFIDENCE         no side is favoured, or the confidence is below the threshold of this moment
2. OUT_OF_DISTRIBUTION    the features lie further from the training set than the operator allows
3. CALIBRATION_DRIFT      the calibration watch abstains
4. MODEL_EXPIRED          the model is older than its card allows
5. MODEL_MARKET_MISMATCH  prices are a real market's, and the model is not known to speak for one
6. RISK_LOCKED            the drawdown lock stands
7. REDUCE_ONLY            the account at the venue differs from the journal
8. HALTED                 an operator's halt stands

A model of a real market may speak for the simulated one, which is where it is tried out. A server that does not tell a
dissimilarity or an age is not held to one; a market that nobody tells forbids where prices are real.
"""

from collections.abc import Mapping

from gateway.core.facts import DecisionFacts, Policy
from gateway.core.logistic import log_odds, sigmoid
from gateway.core.model import Decision, DecisionId, Prediction, RiskState, Shadow, Signal, Symbol, WatchState
from gateway.core.reasons import Reason

FLAT_BAND = 0.0005
"""A consensus nearer to one half than this favours neither side: it is below what the model can tell apart."""

PLACES = 6
"""Probabilities are answered and recorded to this many places: float32 holds no more."""

PROBABILITY_MARGIN = 1e-6
"""A probability is kept this far from 0 and 1 before its log odds are taken: they are infinite there."""

REAL_MARKET = "real"
"""What a model's server says of a model that was trained on a real market."""


def decide(
    *,
    decision_id: DecisionId,
    symbol: Symbol,
    features: Mapping[str, float],
    bar_open_ms: int,
    scored: bool,
    prediction: Prediction,
    facts: DecisionFacts,
    policy: Policy,
) -> Decision:
    """Judge a prediction by what is known at this moment and by the operator's limits."""
    prob_long = round(prediction.prob_long, PLACES)
    standing = facts.calibration
    model_confidence = round(prediction.confidence, PLACES)
    confidence = round(recalibrated(prediction.confidence, standing.slope), PLACES)
    dissimilarity = _rounded(prediction.dissimilarity)
    signal = _signal(prob_long)
    reasons = _reasons(signal, confidence, dissimilarity, prediction=prediction, facts=facts, policy=policy)
    return Decision(
        decision_id=decision_id,
        symbol=symbol,
        signal=signal,
        prob_long=prob_long,
        prob_short=round(1.0 - prob_long, PLACES),
        confidence=confidence,
        model_confidence=model_confidence,
        model_version=prediction.model_version,
        horizon_seconds=prediction.horizon_seconds,
        threshold=standing.threshold,
        allow=not reasons,
        reasons=reasons,
        features=features,
        members=prediction.members,
        disagreement=_rounded(prediction.disagreement),
        dissimilarity=dissimilarity,
        bar_open_ms=bar_open_ms,
        scored=scored,
        shadow=None if prediction.shadow is None else _rounded_shadow(prediction.shadow),
        at_ms=facts.at_ms,
    )


def recalibrated(confidence: float, slope: float) -> float:
    """The confidence with its log odds multiplied by `slope`, 0 to 1: nearer to one half, never further from it."""
    if slope == 1.0:
        return confidence
    kept = min(max(confidence, PROBABILITY_MARGIN), 1.0 - PROBABILITY_MARGIN)
    return sigmoid(slope * log_odds(kept))


def _signal(prob_long: float) -> Signal:
    if abs(prob_long - 0.5) < FLAT_BAND:
        return Signal.FLAT
    return Signal.LONG if prob_long > 0.5 else Signal.SHORT  # noqa: PLR2004 - one half is where the favour turns


def _reasons(
    signal: Signal,
    confidence: float,
    dissimilarity: float | None,
    *,
    prediction: Prediction,
    facts: DecisionFacts,
    policy: Policy,
) -> tuple[Reason, ...]:
    reasons: list[Reason] = []
    if signal is Signal.FLAT or confidence < facts.calibration.threshold:
        reasons.append(Reason.LOW_CONFIDENCE)
    if dissimilarity is not None and dissimilarity > policy.dissimilarity_max:
        reasons.append(Reason.OUT_OF_DISTRIBUTION)
    if facts.calibration.state is WatchState.ABSTAINING:
        reasons.append(Reason.CALIBRATION_DRIFT)
    if prediction.expire_ms is not None and facts.at_ms >= prediction.expire_ms:
        reasons.append(Reason.MODEL_EXPIRED)
    if policy.real_market and prediction.market != REAL_MARKET:
        reasons.append(Reason.MODEL_MARKET_MISMATCH)
    if facts.risk_state is RiskState.LOCKED:
        reasons.append(Reason.RISK_LOCKED)
    if facts.risk_state is RiskState.REDUCING:
        reasons.append(Reason.REDUCE_ONLY)
    if facts.risk_state is RiskState.HALTED:
        reasons.append(Reason.HALTED)
    return tuple(reasons)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, PLACES)


def _rounded_shadow(shadow: Shadow) -> Shadow:
    return Shadow(
        model_version=shadow.model_version,
        prob_long=round(shadow.prob_long, PLACES),
        confidence=round(shadow.confidence, PLACES),
    )
