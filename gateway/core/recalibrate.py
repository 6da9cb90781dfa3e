"""Rolling recalibration: by what factor the log odds of the model's own confidence should be made smaller.

The factor is the likeliest one given the newest matured decisions and a prior: normal around 1, what the card's
calibration says, with a standard deviation of PRIOR_SD, for that calibration was fitted on far more rows than a window
holds. It never exceeds 1, so that recalibrating never sharpens, and never goes below 0, where confidence is one half.

Of a model that keeps its promise it takes a little in the mean, as every estimate that is cut off at 1 does.
"""

from collections.abc import Sequence
from typing import Final

from gateway.core.figures import is_right, stated_log_odds
from gateway.core.logistic import scale_of
from gateway.core.model import Matured, Signal

OUTCOMES_MIN: Final = 200
"""With fewer matured decisions the model's own confidence stands as it is."""

PRIOR_SD: Final = 0.25


def recalibration_slope(judged: Sequence[Matured]) -> float:
    """The factor, 0 to 1; 1 for fewer than OUTCOMES_MIN decisions that came out right or wrong."""
    if len(judged) < OUTCOMES_MIN:
        return 1.0
    stated = [stated_log_odds(outcome, outcome.model_confidence) for outcome in judged]
    rose = [is_right(outcome) == (outcome.signal is not Signal.SHORT) for outcome in judged]
    return min(1.0, max(0.0, scale_of(stated, rose, prior_mean=1.0, prior_sd=PRIOR_SD)))
