"""The card of a model: what it is, where it came from, and what it may be trusted with.

A card is `card.json` beside `model.onnx`. The service starts only when the card is whole and
tells the truth about the graph beside it; every fault is named at once. The keys of the file are
the fields of `Card`; inference/train/demo.py writes it through `card_text`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

from inference.core.features import KNOWN

FIGURES_REQUIRED = (
    "n",
    "auc",
    "brier",
    "log_loss",
    "ece",
    "calibration_slope",
    "hit_rate_at_0.6",
    "coverage_at_0.6",
    "base_rate",
)
"""Calibration figures, on later unseen data, that every card must give."""


class CardFaultError(Exception):
    """A card that cannot be trusted; says every fault that was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFeature:
    """A feature that the model takes, and its unit."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a model is. Times are UTC, ISO 8601."""

    name: str
    version: str
    description: str
    features: tuple[CardFeature, ...]
    label: str
    horizon_seconds: int
    training_start: str
    training_end: str
    calibration_start: str
    calibration_end: str
    test_start: str
    test_end: str
    data_source: str
    sha256: str
    members: tuple[str, ...]
    export_method: str
    calibration_method: str
    confidence_slope: float
    calibration: Mapping[str, float]
    libraries: Mapping[str, str]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features' names in the order in which the graph takes them."""
        return tuple(feature.name for feature in self.features)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphFacts:
    """What the graph beside the card says of itself."""

    feature_names: tuple[str, ...]
    members_count: int


def card_text(card: Card) -> str:
    """The card as the text of its file."""
    return json.dumps(asdict(card), indent=2, ensure_ascii=False) + "\n"


def read_card(text: str) -> Card:
    """The card of the text. Raises CardFaultError naming every missing, unknown or mistyped key."""
    try:
        raw = json.loads(text)
    except ValueError as fault:
        raise CardFaultError(f"card.json is not JSON: {fault}") from fault
    if not isinstance(raw, dict):
        raise CardFaultError("card.json is not an object")
    faults = _key_faults(raw)
    if faults:
        raise CardFaultError("; ".join(faults))
    return Card(
        **{
            **raw,
            "features": tuple(CardFeature(**feature) for feature in raw["features"]),
            "members": tuple(raw["members"]),
            "confidence_slope": float(raw["confidence_slope"]),
        }
    )


def _key_faults(raw: Mapping[str, Any]) -> list[str]:
    kinds = get_type_hints(Card)
    names = [part.name for part in fields(Card)]
    faults = [f"key {name!r} is missing" for name in names if name not in raw]
    faults += [f"key {name!r} is not known" for name in raw if name not in names]
    for name in names:
        if name in raw and not _is_of_kind(name, raw[name], kinds[name]):
            faults.append(f"key {name!r} has a value of the wrong kind")
    return faults


def _is_of_kind(name: str, value: object, kind: object) -> bool:
    match name:
        case "features":
            return isinstance(value, list) and all(_is_feature(item) for item in value)
        case "members":
            return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
        case "calibration":
            return isinstance(value, dict) and all(_is_number(item) for item in value.values())
        case "libraries":
            return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
        case "confidence_slope":
            return _is_number(value)
        case _:
            return type(value) is kind


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type] # the first half says so


def _is_feature(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"name", "unit"}
        and all(isinstance(part, str) for part in value.values())
    )


def check_digest(card: Card, sha256: str) -> None:
    """Raises CardFaultError when the bytes beside the card are not the graph that it describes."""
    if card.sha256 != sha256:
        raise CardFaultError(f"sha256 of model.onnx is {sha256} but the card says {card.sha256}")


def check_card(card: Card, graph: GraphFacts, *, name: str, version: str) -> None:
    """Raises CardFaultError naming every mismatch of the card with its folder, its graph and the features here."""
    expected = (
        ("name", card.name, name),
        ("version", card.version, version),
        ("features", card.feature_names, graph.feature_names),
        ("number of members", len(card.members), graph.members_count),
    )
    faults = [f"{what} is {says!r} on the card but {is_!r} in truth" for what, says, is_ in expected if says != is_]
    faults += _feature_faults(card)
    faults += [
        f"calibration figure {figure!r} is missing" for figure in FIGURES_REQUIRED if figure not in card.calibration
    ]
    if not 0.0 < card.confidence_slope <= 1.0:
        faults.append(f"confidence_slope is {card.confidence_slope}, not in (0, 1]: it would sharpen")
    if card.horizon_seconds <= 0:
        faults.append(f"horizon_seconds is {card.horizon_seconds}, not positive")
    if faults:
        raise CardFaultError("; ".join(faults))


def _feature_faults(card: Card) -> list[str]:
    faults = [] if card.features else ["the card names no features"]
    for feature in card.features:
        known = KNOWN.get(feature.name)
        if known is None:
            faults.append(f"feature {feature.name!r} is not known; known are {', '.join(KNOWN)}")
        elif known.unit != feature.unit:
            faults.append(f"feature {feature.name!r} is in {feature.unit!r} on the card but in {known.unit!r} here")
    return faults
