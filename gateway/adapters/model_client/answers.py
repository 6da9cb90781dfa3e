"""What a model's server answers, checked: a wrong size, a number that is none, or a text out of its set is unusable.

Outputs and parameters that a server of the Open Inference Protocol need not know are optional: absent is None, or what
the settings say instead. Present and wrong is another thing, and costs the answer; only a shadow costs itself alone.
"""

import itertools
import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from open_inference import grpc_predict_v2_pb2 as oip
from trading.v1 import model_pb2

from gateway.core.drift import FeatureReference
from gateway.core.model import BarLabel, Prediction, Shadow

FLOAT_BYTES = 4
VERSION_LENGTH_MAX = 100
FEATURES_MAX = 64
"""As many as the contract takes in a question."""
SECONDS_MAX = 2**31 - 1
TIME_MS_MAX = 2**53
MARKETS = frozenset({"simulated", "real"})
DECILES = 9

log = structlog.get_logger()


class UnusableAnswerError(Exception):
    """The server answered what cannot be used; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """What stands in for what a server does not say of its model."""

    horizon_seconds: int
    bar_seconds: int
    market: str
    """Empty: nobody says."""


def predictions(answer: oip.ModelInferResponse, count: int, untold: Untold) -> list[Prediction]:
    """The answers to `count` rows, in order. Raises UnusableAnswerError."""
    outputs = _outputs(answer)
    probs = _probabilities(outputs, "prob_long", count)
    confidences = _probabilities(outputs, "confidence", count)
    members = _members(outputs, count)
    disagreements = _optional(outputs, "disagreement", count)
    dissimilarities = _optional(outputs, "dissimilarity", count)
    shadows = _shadows(answer, outputs, count)
    horizon_seconds = _integer(answer, "horizon_seconds", SECONDS_MAX) or untold.horizon_seconds
    bar_seconds = _integer(answer, "bar_seconds", SECONDS_MAX) or untold.bar_seconds
    market = _market(answer) or untold.market
    expire_ms = _integer(answer, "expire_ms", TIME_MS_MAX)
    version = _version(answer.model_version)
    return [
        Prediction(
            prob_long=probs[row],
            confidence=confidences[row],
            members=members[row],
            disagreement=disagreements[row],
            dissimilarity=dissimilarities[row],
            model_version=version,
            horizon_seconds=horizon_seconds,
            bar_seconds=bar_seconds,
            market=market,
            expire_ms=expire_ms,
            shadow=shadows[row],
        )
        for row in range(count)
    ]


def features(answer: model_pb2.ComputeFeaturesResponse) -> dict[str, float]:
    """Computed features by name. Raises UnusableAnswerError."""
    found = dict(answer.features)
    if not 1 <= len(found) <= FEATURES_MAX:
        raise UnusableAnswerError(f"{len(found)} features")
    if not all(map(math.isfinite, found.values())):
        raise UnusableAnswerError("a feature is not finite")
    return found


def label(answer: model_pb2.LabelBarResponse) -> BarLabel:
    """A bar's label. Raises UnusableAnswerError."""
    try:
        return BarLabel(answer.label)
    except ValueError as fault:
        raise UnusableAnswerError("a label that is none") from fault


def reference(answer: model_pb2.GetModelResponse) -> list[FeatureReference]:
    """How the features were distributed in training; a feature that this is not told of, or wrongly, is left out."""
    return [
        FeatureReference(
            name=feature.name,
            deciles=tuple(feature.deciles),
            autocorrelation_bars=feature.autocorrelation_bars,
        )
        for feature in answer.model.features[:FEATURES_MAX]
        if _is_reference(feature)
    ]


def _is_reference(feature: model_pb2.FeatureInfo) -> bool:
    deciles, bars = feature.deciles, feature.autocorrelation_bars
    rising = all(low <= high for low, high in itertools.pairwise(deciles))
    return len(deciles) == DECILES and all(map(math.isfinite, deciles)) and rising and math.isfinite(bars) and bars > 0


def _outputs(answer: oip.ModelInferResponse) -> dict[str, Sequence[float]]:
    """Each output's elements by its name, from its raw bytes or, where a server sends none, from its contents."""
    raw = answer.raw_output_contents
    if not raw:
        return {tensor.name: tensor.contents.fp32_contents for tensor in answer.outputs}
    if len(raw) != len(answer.outputs):
        raise UnusableAnswerError(f"{len(raw)} raw outputs for {len(answer.outputs)} named ones")
    return {
        tensor.name: array("f", content) if len(content) % FLOAT_BYTES == 0 else ()
        for tensor, content in zip(answer.outputs, raw, strict=True)
    }


def _probabilities(outputs: Mapping[str, Sequence[float]], name: str, count: int) -> Sequence[float]:
    values = outputs.get(name, ())
    if len(values) != count or not _are_probabilities(values):
        raise UnusableAnswerError(f"{name} is no probability for each row")
    return values


def _are_probabilities(values: Sequence[float]) -> bool:
    # A sum is finite only without NaN, which min and max would pass over; all three run in C.
    return math.isfinite(sum(values)) and min(values) >= 0.0 and max(values) <= 1.0


def _members(outputs: Mapping[str, Sequence[float]], count: int) -> Sequence[tuple[float, ...]]:
    values = outputs.get("members", ())
    if not values:
        return [()] * count
    if len(values) % count or not _are_probabilities(values):
        raise UnusableAnswerError("members are no probabilities for each row")
    return list(zip(*[iter(values)] * (len(values) // count), strict=True))


def _optional(outputs: Mapping[str, Sequence[float]], name: str, count: int) -> Sequence[float | None]:
    """An output of finite numbers that are not negative; None for each row when the server does not have it."""
    if name not in outputs:
        return [None] * count
    values = outputs[name]
    if len(values) != count or not math.isfinite(sum(values)) or min(values) < 0.0:
        raise UnusableAnswerError(f"{name} is no finite number for each row")
    return values


def _shadows(
    answer: oip.ModelInferResponse, outputs: Mapping[str, Sequence[float]], count: int
) -> Sequence[Shadow | None]:
    """What the shadow says of each row; a bad shadow is as good as none."""
    if "shadow_version" not in answer.parameters:
        return [None] * count
    try:
        version = _version(answer.parameters["shadow_version"].string_param)
        probs = _probabilities(outputs, "shadow_prob_long", count)
        confidences = _probabilities(outputs, "shadow_confidence", count)
    except UnusableAnswerError as fault:
        log.warning("shadow_answer_unusable", detail=str(fault))
        return [None] * count
    if not version:
        return [None] * count
    return [
        Shadow(model_version=version, prob_long=prob, confidence=confidence)
        for prob, confidence in zip(probs, confidences, strict=True)
    ]


def _integer(answer: oip.ModelInferResponse, name: str, most: int) -> int | None:
    """A parameter from 1 to `most`; None when it is absent."""
    if name not in answer.parameters:
        return None
    parameter = answer.parameters[name]
    if parameter.WhichOneof("parameter_choice") != "int64_param" or not 1 <= parameter.int64_param <= most:
        raise UnusableAnswerError(f"the parameter {name} is no whole number from 1 to {most}")
    return parameter.int64_param


def _market(answer: oip.ModelInferResponse) -> str | None:
    if "market" not in answer.parameters:
        return None
    market = answer.parameters["market"].string_param
    if market not in MARKETS:
        raise UnusableAnswerError("the parameter market is neither simulated nor real")
    return market


def _version(text: str) -> str:
    if len(text) > VERSION_LENGTH_MAX or not (text.isprintable() and text.isascii()):
        raise UnusableAnswerError("a version that is no short text")
    return text
