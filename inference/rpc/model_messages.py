"""What the cards and the registry say, as messages of trading.v1."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from trading.v1 import model_pb2

from inference.core.card import Card, CardFeature, Figures
from inference.core.gates import Gate, gates
from inference.core.registry import Change
from inference.registry import Entry, Listing

_FRAME_BYTES_MAX = 6  # of one message inside another: its tag and its length


def models_response(listing: Listing, name: str, *, bytes_max: int) -> model_pb2.ListModelsResponse:
    """The versions and the newest changes; the oldest versions are left out when a message cannot hold all."""
    response = model_pb2.ListModelsResponse(changes=[_change(change) for change in listing.changes])
    size = response.ByteSize()
    for entry in listing.entries:
        info = model_info(entry, name)
        size += info.ByteSize() + _FRAME_BYTES_MAX
        if size > bytes_max:
            break
        response.models.append(info)
    return response


def model_response(entry: Entry, name: str) -> model_pb2.GetModelResponse:
    """One version with its card and how the card meets the gates."""
    card = entry.facts.card
    return model_pb2.GetModelResponse(
        model=model_info(entry, name),
        card=entry.facts.card_text,
        gates=() if card is None else [_gate(gate) for gate in gates(card)],
    )


def model_info(entry: Entry, name: str) -> model_pb2.ModelInfo:
    """What the card of a version says; its name, version, state and faults alone when it cannot be read."""
    card = entry.facts.card
    info = model_pb2.ModelInfo() if card is None else _card_info(card)
    info.name, info.version, info.state = name, entry.facts.version, entry.standing
    info.faults.extend(entry.facts.faults)
    return info


def _card_info(card: Card) -> model_pb2.ModelInfo:
    return model_pb2.ModelInfo(
        description=card.description,
        features=[_feature(feature) for feature in card.features],
        label=card.label.meaning,
        horizon_seconds=card.horizon_seconds,
        data_source=card.data.source,
        training_start=card.training.start,
        training_end=card.training.end,
        sha256=card.sha256,
        calibration=_figures(card.validation.figures),
        bar_seconds=card.bar_seconds,
        market=card.market,
        expires="" if card.expire_ms is None else _moment(card.expire_ms),
    )


def _feature(feature: CardFeature) -> model_pb2.FeatureInfo:
    return model_pb2.FeatureInfo(
        name=feature.name,
        unit=feature.unit,
        deciles=feature.deciles,
        autocorrelation_bars=feature.autocorrelation_bars,
    )


def _figures(figures: Figures) -> Mapping[str, float]:
    """The card's figures by the names of the contract; those that it does not have are left out."""
    return {name: float(value) for name, value in _named(figures) if value is not None}


def _named(figures: Figures) -> Iterator[tuple[str, float | None]]:
    yield "n", figures.rows
    yield from zip(("auc", "auc_low", "auc_high"), (figures.auc.value, figures.auc.low, figures.auc.high), strict=True)
    yield from zip(("ece", "ece_low", "ece_high"), (figures.ece.value, figures.ece.low, figures.ece.high), strict=True)
    for name in ("base_rate", "brier", "log_loss", "log_loss_base", "hit_rate", "threshold"):
        yield name, getattr(figures, name)
    yield "calibration_slope", figures.calibration_slope.value
    yield "coverage_at_threshold", figures.coverage
    yield "hit_rate_at_threshold", figures.hit_rate_at_threshold
    yield "mean_confidence_at_threshold", figures.mean_confidence_at_threshold
    yield "net_edge_bps", None if figures.net_edge_bps is None else figures.net_edge_bps.value


def _gate(gate: Gate) -> model_pb2.GateInfo:
    return model_pb2.GateInfo(
        name=gate.name, value=gate.value, limit=gate.limit, passed=gate.passed, overridden=gate.overridden
    )


def _change(change: Change) -> model_pb2.ModelChange:
    return model_pb2.ModelChange(**change.model_dump(mode="json"))


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
