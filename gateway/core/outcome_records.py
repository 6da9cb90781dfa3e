"""What the journal keeps of what became of decisions: outcomes, and moves of the calibration watch.

The text is as canonical as that of records.py, and read as strictly.
"""

from gateway.core.json_fields import canonical, keys_of, parsed, record_fields
from gateway.core.model import BarLabel, DecisionId, Matured, Signal, Symbol, Verdict, WatchMove, WatchState
from gateway.core.records import shadow_from, shadow_object

OUTCOME_VERSION = 1
WATCH_VERSION = 1

_OUTCOME_KEYS = keys_of(Matured) | {"v"}
_WATCH_KEYS = keys_of(WatchMove) | {"v"}


def outcome_text(matured: Matured) -> str:
    """A matured decision as canonical JSON. Raises RecordFormatError when a number is not finite."""
    return canonical(
        {
            "v": OUTCOME_VERSION,
            "decision_id": matured.decision_id,
            "symbol": matured.symbol,
            "model_version": matured.model_version,
            "bar_open_ms": matured.bar_open_ms,
            "horizon_seconds": matured.horizon_seconds,
            "signal": matured.signal.value,
            "confidence": matured.confidence,
            "model_confidence": matured.model_confidence,
            "label": matured.label.value,
            "verdict": matured.verdict.value,
            "shadow": shadow_object(matured.shadow),
            "at_ms": matured.at_ms,
        }
    )


def watch_text(move: WatchMove) -> str:
    """A move of the calibration watch as canonical JSON. Raises RecordFormatError when a number is not finite."""
    return canonical(
        {
            "v": WATCH_VERSION,
            "from_state": move.from_state.value,
            "to_state": move.to_state.value,
            "model_version": move.model_version,
            "reason": move.reason,
            "evidence": move.evidence,
            "at_ms": move.at_ms,
        }
    )


def outcome_from(text: str) -> Matured:
    """The matured decision that `outcome_text` wrote. Raises RecordFormatError."""
    fields = record_fields(parsed(text, "outcome"), "outcome", _OUTCOME_KEYS, OUTCOME_VERSION)
    return Matured(
        decision_id=DecisionId(fields.text("decision_id")),
        symbol=Symbol(fields.text("symbol")),
        model_version=fields.text("model_version"),
        bar_open_ms=fields.integer("bar_open_ms"),
        horizon_seconds=fields.integer("horizon_seconds"),
        signal=fields.member("signal", Signal),
        confidence=fields.number("confidence"),
        model_confidence=fields.number("model_confidence"),
        label=fields.member("label", BarLabel),
        verdict=fields.member("verdict", Verdict),
        shadow=shadow_from(fields),
        at_ms=fields.integer("at_ms"),
    )


def watch_from(text: str) -> WatchMove:
    """The move that `watch_text` wrote. Raises RecordFormatError."""
    fields = record_fields(parsed(text, "watch move"), "watch move", _WATCH_KEYS, WATCH_VERSION)
    return WatchMove(
        from_state=fields.member("from_state", WatchState),
        to_state=fields.member("to_state", WatchState),
        model_version=fields.text("model_version"),
        reason=fields.text("reason"),
        evidence=fields.number("evidence"),
        at_ms=fields.integer("at_ms"),
    )
