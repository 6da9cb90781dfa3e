"""The recipe of a model: every choice that is made before a figure is looked at.

The sizes of the members, the walk and the calibration were fixed before the first figure and are not tuned on the
folds; whoever tries another recipe on the same bars counts it in `trials`.
"""

from dataclasses import dataclass, field
from typing import Literal

from inference.core.features import DOCUMENTED, EXTENDED, KNOWN
from inference.core.labels import LabelSpec

Method = Literal["temperature", "sigmoid"]
MarketKind = Literal["real", "simulated"]

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
_YEAR_HOURS = 8766
"""365.25 days: calendar years in bars, leap days spread."""
_LONG_TRAIN_HOURS, _LONG_TEST_HOURS = 2 * _YEAR_HOURS, _YEAR_HOURS // 2
_SHORT_TRAIN_HOURS, _SHORT_TEST_HOURS = _YEAR_HOURS // 3, _YEAR_HOURS // 12

FEATURE_SETS = {"documented": DOCUMENTED, "extended": EXTENDED}


class RecipeFaultError(ValueError):
    """A recipe that cannot be followed; says which choice and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkSpec:
    """How the walk-forward moves over time; inference/train/walk.py."""

    train_bars: int
    """The training window, members and calibrator together."""
    calibrate_share: float = 0.25
    """The newest share of the training window, on which the calibrator is fitted."""
    test_bars: int
    embargo_bars: int = 24
    """Bars that stay unused at both joints after the last bar that a label looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpec:
    """The sizes of the members. Large leaves keep the trees from learning single hours."""

    logistic_penalty: float = 0.1
    """C of scikit-learn: the inverse of the penalty's strength."""
    logistic_clip_sigmas: float | None = None
    """Standardised features are clipped this far from their mean before the logistic regression; None: not at all."""
    boosting_rounds: int = 120
    boosting_leaves: int = 15
    boosting_leaf_rows: int = 200
    forest_trees: int = 150
    forest_depth: int = 7
    forest_leaf_rows: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A model before it is trained."""

    name: str = "consensus"
    description: str = ""
    market: MarketKind = "real"
    feature_names: tuple[str, ...] = EXTENDED
    label: LabelSpec = field(default_factory=lambda: LabelSpec(kind="direction", horizon_bars=1))
    walk: WalkSpec
    members: MemberSpec = field(default_factory=MemberSpec)
    calibration: Method = "temperature"
    shrink: float = 0.8
    threshold: float = 0.6
    """The confidence from which a signal counts as a trade in the figures."""
    fee_bps: float = 5.5
    """The taker fee of one side."""
    max_age_days: float | None = 90.0
    seed: int = 20
    trials: int = 1
    """How many recipes were tried on these bars before this one was chosen, itself included."""

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise RecipeFaultError(fault)


def default_walk(bar_seconds: int) -> WalkSpec:
    """Two years that train and half a year that tests; a third and a twelfth of a year for bars under an hour.

    Short bars are many and their market changes faster: two years of them would only slow the fit.
    """
    hours = (_LONG_TRAIN_HOURS, _LONG_TEST_HOURS)
    if bar_seconds < HOUR_SECONDS:
        hours = (_SHORT_TRAIN_HOURS, _SHORT_TEST_HOURS)
    train, test = (whole * HOUR_SECONDS // bar_seconds for whole in hours)
    return WalkSpec(train_bars=train, test_bars=test)


def feature_set(text: str) -> tuple[str, ...]:
    """The features of a set's name or of names parted by commas. Raises RecipeFaultError for one that is not known."""
    names = FEATURE_SETS.get(text) or tuple(part.strip() for part in text.split(",") if part.strip())
    if unknown := [name for name in names if name not in KNOWN]:
        raise RecipeFaultError(f"feature {unknown[0]!r} is not known; known are {', '.join(KNOWN)}")
    return names


def _fault(recipe: Recipe) -> str:
    """What is wrong with the recipe; empty when nothing is."""
    walk, members = recipe.walk, recipe.members
    rules = (
        (bool(recipe.feature_names), "there are no features"),
        (len(set(recipe.feature_names)) == len(recipe.feature_names), "a feature is named twice"),
        (all(name in KNOWN for name in recipe.feature_names), "a feature is not known"),
        (recipe.label.horizon_bars > 0, "horizon_bars is not positive"),
        (recipe.label.barrier_sigmas > 0.0, "barrier_sigmas is not positive"),
        (walk.train_bars > 0 and walk.test_bars > 0, "a window of the walk is empty"),
        (0.0 < walk.calibrate_share < 1.0, "calibrate_share is not between 0 and 1"),
        (walk.embargo_bars >= 0, "embargo_bars is negative"),
        (members.logistic_penalty > 0.0, "logistic_penalty is not positive"),
        (members.logistic_clip_sigmas is None or members.logistic_clip_sigmas > 0.0, "the clip is not positive"),
        (0.0 < recipe.shrink <= 1.0, "shrink is not in (0, 1]"),
        (0.5 <= recipe.threshold < 1.0, "threshold is not in [0.5, 1)"),  # noqa: PLR2004 # of a probability
        (recipe.fee_bps >= 0.0, "fee_bps is negative"),
        (recipe.max_age_days is None or recipe.max_age_days > 0.0, "max_age_days is not positive"),
        (recipe.trials > 0, "trials is not positive"),
    )
    return next((fault for kept, fault in rules if not kept), "")
