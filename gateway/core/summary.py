"""All that is dear to compute of one model version's live calibration, in one value."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.drift import FeatureDrift, FeatureReference, Row, feature_drift
from gateway.core.figures import (
    Bin,
    Bucket,
    Figures,
    ShadowFigures,
    figures,
    histogram,
    reliability,
    shadow_figures,
)
from gateway.core.model import Matured
from gateway.core.recalibrate import recalibration_slope


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One version at one moment."""

    figures: Figures | None = None
    reliability: tuple[Bucket, ...] = ()
    confidences: tuple[Bin, ...] = ()
    features: tuple[FeatureDrift, ...] = ()
    shadow: ShadowFigures | None = None
    slope: float = 1.0
    """What rolling recalibration would multiply log odds by."""

    @property
    def drifted(self) -> tuple[str, ...]:
        """The names of the features that have left the training set."""
        return tuple(feature.name for feature in self.features if feature.drifted)


def summarised(
    judged: Sequence[Matured], rows: Sequence[Row], references: Sequence[FeatureReference], threshold: float
) -> Summary:
    """The summary of decisions that came out right or wrong, oldest first, and of the features of scored ones."""
    return Summary(
        figures=figures(judged, threshold),
        reliability=reliability(judged),
        confidences=histogram(judged),
        features=feature_drift(references, rows),
        shadow=shadow_figures(judged),
        slope=recalibration_slope(judged),
    )
