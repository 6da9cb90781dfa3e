"""What honest figures look like, and whether an evaluation reaches them.

horizon    AUC                                 log loss  Brier     ECE      buckets kept        hit at the threshold
<= 1 h     0.535 to 0.58; 0.52 for 3 features  < 0.692   < 0.2495  <= 0.02  90 % of n >= 400    >= 0.56, gap <= 0.05
<= 4 h     0.52 to 0.57                        -         -         <= 0.02  (n >= 1,500 shown)  -
longer     -                                   -         -         <= 0.02  (n >= 1,500 shown)  -
simulated  -                                   -         -         <= 0.05  (n >= 400 shown)    gap <= 0.05

They were found on real hourly bars; of the simulated market only the promise of five points is expected. Above the
upper AUC it is a leak until shown otherwise. A bucket of a perfect forecast is within five points 95 times of 100 only
from 385 independent rows on, and rows whose labels overlap are that much less independent. A target that is missed is a
measurement; what may be served is for inference/core/gates.py.
"""

import math
from dataclasses import dataclass

from inference.core.card import Interval
from inference.train.evaluate import Evaluation
from inference.train.metrics import GAP_MAX, fold_buckets
from inference.train.recipe import HOUR_SECONDS

_FEW_FEATURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure beside what is expected of it."""

    name: str
    value: str
    expected: str
    """Empty when nothing is expected."""
    met: bool | None
    """None when nothing is expected, or when there is nothing to judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """What is expected at a horizon; None: nothing."""

    auc_min: float | None = None
    auc_min_of_few: float | None = None
    auc_max: float | None = None
    log_loss_below: float | None = None
    brier_below: float | None = None
    ece_max: float = 0.02
    bucket_rows_min: int = 1500
    buckets_kept_min: float | None = None
    hit_min: float | None = None
    gap_max: float | None = None


_EXPECTED = (
    (
        1.0,
        _Expected(
            auc_min=0.535,
            auc_min_of_few=0.52,
            auc_max=0.58,
            log_loss_below=0.692,
            brier_below=0.2495,
            bucket_rows_min=400,
            buckets_kept_min=0.9,
            hit_min=0.56,
            gap_max=GAP_MAX,
        ),
    ),
    (4.0, _Expected(auc_min=0.52, auc_min_of_few=0.52, auc_max=0.57)),
    (math.inf, _Expected()),
)
_EXPECTED_OF_SIMULATED = _Expected(ece_max=GAP_MAX, bucket_rows_min=400, gap_max=GAP_MAX)


def targets_of(evaluation: Evaluation) -> tuple[Target, ...]:
    """Every figure that has a target, in the order of the table above."""
    figures, expected = evaluation.figures, _expected(evaluation)
    few = len(evaluation.recipe.feature_names) <= _FEW_FEATURES
    auc, loss, brier = figures.auc.value, figures.log_loss, figures.brier
    return (
        _least("AUC", auc, expected.auc_min_of_few if few else expected.auc_min, text=interval_text(figures.auc)),
        _most("AUC is not too good", auc, expected.auc_max),
        _most("log loss", loss, expected.log_loss_below, text=f"{loss:.5f}, base rate {figures.log_loss_base:.5f}"),
        _most("Brier", brier, expected.brier_below, text=f"{brier:.5f}"),
        _most("ECE, 15 buckets", figures.ece.value, expected.ece_max, text=interval_text(figures.ece)),
        *_bucket_targets(evaluation, expected),
        *_confident_targets(evaluation, expected),
    )


def interval_text(interval: Interval, digits: int = 4) -> str:
    """The figure with its interval of 95 %."""
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def _expected(evaluation: Evaluation) -> _Expected:
    if evaluation.recipe.market == "simulated":
        return _EXPECTED_OF_SIMULATED
    hours = evaluation.recipe.label.horizon_bars * evaluation.examples.bar_ms / (1000 * HOUR_SECONDS)
    return next(expected for longest, expected in _EXPECTED if hours <= longest)


def _bucket_targets(evaluation: Evaluation, expected: _Expected) -> tuple[Target, ...]:
    found = fold_buckets(evaluation.predictions, expected.bucket_rows_min)
    name = f"fold-buckets of n >= {found.rows_min} within 5 points"
    text = f"{found.kept} of {found.count}, {found.share:.1%}, worst {100 * found.worst:.1f} points"
    if not found.count:
        return (Target(name=name, value="none is so large", expected="", met=None),)
    return (_least(name, found.share, expected.buckets_kept_min, text=text),)


def _confident_targets(evaluation: Evaluation, expected: _Expected) -> tuple[Target, ...]:
    figures = evaluation.figures
    hit, stated = figures.hit_rate_at_threshold, figures.mean_confidence_at_threshold
    name = f"confidence >= {figures.threshold:g}"
    if hit is None or stated is None:
        return (Target(name=name, value="no row reaches it", expected="", met=None),)
    count = round(figures.coverage * figures.rows)
    text = f"stated {stated:.3f}, hit {hit:.3f}, n = {count}, coverage {figures.coverage:.1%}"
    if count < expected.bucket_rows_min:
        return (Target(name=f"{name}, too few to judge", value=text, expected="", met=None),)
    return (
        _least(f"{name}: hit rate", hit, expected.hit_min, text=text),
        _most(f"{name}: gap", abs(stated - hit), expected.gap_max),
    )


def _least(name: str, value: float, limit: float | None, *, text: str = "") -> Target:
    met = None if limit is None else value >= limit
    return Target(name=name, value=text or f"{value:.4f}", expected="" if limit is None else f">= {limit:g}", met=met)


def _most(name: str, value: float, limit: float | None, *, text: str = "") -> Target:
    met = None if limit is None else value <= limit
    return Target(name=name, value=text or f"{value:.4f}", expected="" if limit is None else f"<= {limit:g}", met=met)
