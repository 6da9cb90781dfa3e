"""What both peer gateways take and answer: the documented JSON, and the threshold."""

from typing import Annotated

from pydantic import BaseModel, FiniteFloat, StringConstraints

THRESHOLD = 0.6


class ConsensusRequest(BaseModel):
    """The documented request."""

    symbol: Annotated[str, StringConstraints(pattern="^[A-Z0-9]{2,30}$")]
    features: dict[str, FiniteFloat]


class ConsensusResponse(BaseModel):
    """The documented answer, without the record that Tollgate keeps."""

    signal: str
    prob_long: float
    prob_short: float
    confidence: float
    model_version: str
    allow: bool
    threshold: float


class Prediction(BaseModel):
    """What the model service answers."""

    prob_long: float
    confidence: float
    model_version: str


def judge(prediction: Prediction) -> ConsensusResponse:
    """The prediction against the threshold."""
    return ConsensusResponse(
        signal="long" if prediction.prob_long > 0.5 else "short",
        prob_long=prediction.prob_long,
        prob_short=1 - prediction.prob_long,
        confidence=prediction.confidence,
        model_version=prediction.model_version,
        allow=prediction.confidence >= THRESHOLD,
        threshold=THRESHOLD,
    )
