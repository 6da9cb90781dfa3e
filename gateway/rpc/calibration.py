"""Live calibration as the wire tells it."""

from collections.abc import Sequence

from trading.v1 import system_pb2 as pb

from gateway.calibration import CalibrationReport
from gateway.core import figures as core
from gateway.core.drift import FeatureDrift
from gateway.core.model import WatchMove
from gateway.rpc.convert import timestamp

PLACES = 6
"""Figures are told to this many places: no window can tell more apart."""


def calibration_health(report: CalibrationReport) -> pb.CalibrationHealth:
    """The watch in short."""
    figures = report.summary.figures
    return pb.CalibrationHealth(
        state=report.standing.state.value,
        effective_threshold=report.standing.threshold,
        matured=report.matured,
        ece=None if figures is None else round(figures.ece.value, PLACES),
        drifted_features=report.summary.drifted,
    )


def calibration_message(report: CalibrationReport) -> pb.GetCalibrationResponse:
    """The whole."""
    summary = report.summary
    return pb.GetCalibrationResponse(
        model_version=report.model_version,
        state=report.standing.state.value,
        effective_threshold=report.standing.threshold,
        matured=report.matured,
        window=report.window,
        figures=None if summary.figures is None else _figures(summary.figures),
        reliability=[_bucket(bucket) for bucket in summary.reliability],
        confidences=[pb.HistogramBin(low=one.low, high=one.high, count=one.count) for one in summary.confidences],
        features=[_drift(feature) for feature in summary.features],
        evidence=round(report.evidence, PLACES),
        alarm_at=report.alarm_at,
        recalibration_slope=round(report.standing.slope, PLACES),
        moves=_moves(report.moves),
        shadow=None if summary.shadow is None else _shadow(summary.shadow),
    )


def _figures(figures: core.Figures) -> pb.CalibrationFigures:
    return pb.CalibrationFigures(
        mean_confidence=round(figures.mean_confidence, PLACES),
        hit_rate=round(figures.hit_rate, PLACES),
        coverage=round(figures.coverage, PLACES),
        hit_rate_at_threshold=_optional(figures.hit_rate_at_threshold),
        mean_confidence_at_threshold=_optional(figures.mean_confidence_at_threshold),
        ece=_interval(figures.ece),
        slope=_interval(figures.slope),
        brier=round(figures.brier, PLACES),
        log_loss=round(figures.log_loss, PLACES),
    )


def _bucket(bucket: core.Bucket) -> pb.ReliabilityBucket:
    return pb.ReliabilityBucket(
        low=bucket.low,
        high=bucket.high,
        mean_confidence=round(bucket.mean_confidence, PLACES),
        hit_rate=_interval(bucket.hit_rate),
        count=bucket.count,
    )


def _drift(feature: FeatureDrift) -> pb.FeatureDrift:
    return pb.FeatureDrift(
        name=feature.name,
        psi=round(feature.psi, PLACES),
        psi_limit=round(feature.psi_limit, PLACES),
        ks=round(feature.ks, PLACES),
        ks_limit=round(feature.ks_limit, PLACES),
        effective_rows=round(feature.effective_rows, PLACES),
        drifted=feature.drifted,
    )


def _moves(moves: Sequence[WatchMove]) -> list[pb.CalibrationMove]:
    return [
        pb.CalibrationMove(
            from_state=move.from_state.value,
            to_state=move.to_state.value,
            model_version=move.model_version,
            reason=move.reason,
            time=timestamp(move.at_ms),
        )
        for move in moves
    ]


def _shadow(shadow: core.ShadowFigures) -> pb.ShadowCalibration:
    return pb.ShadowCalibration(
        version=shadow.version,
        matured=shadow.matured,
        hit_rate=round(shadow.hit_rate, PLACES),
        active_hit_rate=round(shadow.active_hit_rate, PLACES),
        log_loss=round(shadow.log_loss, PLACES),
        active_log_loss=round(shadow.active_log_loss, PLACES),
        advantage=_interval(shadow.advantage),
    )


def _interval(interval: core.Interval) -> pb.Interval:
    return pb.Interval(
        value=round(interval.value, PLACES), low=round(interval.low, PLACES), high=round(interval.high, PLACES)
    )


def _optional(value: float | None) -> float | None:
    return None if value is None else round(value, PLACES)
