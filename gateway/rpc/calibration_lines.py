"""Live calibration as lines for a person: `tollgate calibration`."""

from collections.abc import Iterator

from trading.v1 import system_pb2 as pb

BAR_WIDTH = 40
"""Characters of the longest bar of the histogram."""


def calibration_lines(found: pb.GetCalibrationResponse) -> list[str]:
    """All that is known, one fact a line, tables with a head."""
    warns = found.alarm_at
    return [
        f"model     {found.model_version or 'not known'}",
        f"watch     {found.state}, asks for {found.effective_threshold:g}",
        f"evidence  {found.evidence:.4g} to 1 against the promise",
        f"levels    warns at {warns:.0f}, raises at {10 * warns:.0f}, abstains at {100 * warns:.0f}",
        f"matured   {found.matured} decisions, figures of the newest {found.window}",
        *(_figures(found) if found.HasField("figures") else ["figures   too few decisions have matured"]),
        *_reliability(found),
        *_histogram(found),
        *_features(found),
        *(_shadow(found.shadow) if found.HasField("shadow") else []),
        *_moves(found),
    ]


def _figures(found: pb.GetCalibrationResponse) -> Iterator[str]:
    figures = found.figures
    yield f"promised  {figures.mean_confidence:.3f}, came true {figures.hit_rate:.3f}"
    yield f"ece       {_interval(figures.ece)}"
    yield f"slope     {_interval(figures.slope)}; 1 is perfect, below 1 promises too much"
    yield f"losses    Brier {figures.brier:.4f} (a coin 0.25), log {figures.log_loss:.4f} (a coin 0.6931)"
    if figures.HasField("hit_rate_at_threshold"):
        yield (
            f"traded    {figures.coverage:.1%} at or above the threshold: promised"
            f" {figures.mean_confidence_at_threshold:.3f}, came true {figures.hit_rate_at_threshold:.3f}"
        )
    else:
        yield "traded    none at or above the threshold"
    yield f"rescaled  {found.recalibration_slope:.3f} times the model's log odds"


def _reliability(found: pb.GetCalibrationResponse) -> Iterator[str]:
    if found.reliability:
        yield "promised       mean    came true (95 %)         count"
    for bucket in found.reliability:
        span = f"{bucket.low:.3f}-{bucket.high:.3f}"
        yield f"{span:<14} {bucket.mean_confidence:.3f}   {_interval(bucket.hit_rate):<24} {bucket.count}"


def _histogram(found: pb.GetCalibrationResponse) -> Iterator[str]:
    most = max((one.count for one in found.confidences), default=0)
    for one in found.confidences if most else ():
        bar = "#" * -(-one.count * BAR_WIDTH // most)
        yield f"{one.low:.2f}-{one.high:.2f}      {one.count:>6}  {bar}".rstrip()


def _features(found: pb.GetCalibrationResponse) -> Iterator[str]:
    if found.features:
        yield "feature                   psi (limit)      ks (limit)     rows"
    for feature in found.features:
        moved = f"{feature.psi:.3f} ({feature.psi_limit:.3f})  {feature.ks:.3f} ({feature.ks_limit:.3f})"
        yield f"{feature.name:<24}  {moved}  {feature.effective_rows:.0f}{'  DRIFTED' if feature.drifted else ''}"


def _shadow(shadow: pb.ShadowCalibration) -> Iterator[str]:
    yield f"shadow    {shadow.version}, {shadow.matured} decisions of both"
    yield f"          right {shadow.hit_rate:.3f}, the active one {shadow.active_hit_rate:.3f}"
    yield f"          log loss {shadow.log_loss:.4f}, the active one {shadow.active_log_loss:.4f}"
    yield f"          advantage {_interval(shadow.advantage, places=4)}; above 0 the shadow is better"


def _moves(found: pb.GetCalibrationResponse) -> Iterator[str]:
    for move in found.moves:
        yield f"moved     {move.time.ToJsonString()} {move.model_version} {move.from_state} to {move.to_state}"
        yield f"          {move.reason}"


def _interval(interval: pb.Interval, places: int = 3) -> str:
    return f"{interval.value:.{places}f} ({interval.low:.{places}f} to {interval.high:.{places}f})"
