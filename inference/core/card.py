"""The card of a model: what it is, where it came from, what was measured of it, and so what it may be trusted with.

A card is `card.json` beside `model.onnx`. inference/train writes it; the service reads it strictly: every missing,
unknown or mistyped key is named at once. docs/card.schema.json is generated from `Card`. Whether a card is good
enough to be served is for inference/core/gates.py to say.
"""

from datetime import datetime
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from inference.core.features import KNOWN
from inference.core.labels import LabelSpec


def _of_the_calendar(moment: str) -> str:
    datetime.fromisoformat(moment)  # raises ValueError for a 31st of February, which the pattern lets pass
    return moment


Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Ge(0), Le(1)]
Moment = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_of_the_calendar),
]
"""UTC, ISO 8601, whole seconds."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[0-9]{8}_[0-9]{6}$")]

_FAULTS_MAX = 20
_DAY_MS = 86_400_000
_TIME_MS_MAX = 253_402_300_799_000  # the last second of the year 9999: what a date can say


class CardFaultError(Exception):
    """A card that cannot be trusted; says every fault that was found."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class CardFeature(_Part):
    """A feature that the model takes, and how it was distributed in training."""

    name: str
    unit: str
    deciles: Annotated[tuple[Finite, ...], Len(9, 9)]
    """The nine inner deciles of the training rows, rising."""
    autocorrelation_bars: Annotated[Finite, Ge(1)]
    """The integrated autocorrelation time: so many bars lie between two rows that say something new."""


class CardLabel(_Part):
    """What is predicted; inference/core/labels.py has the formulas."""

    kind: Literal["direction", "triple_barrier"]
    horizon_bars: Annotated[int, Gt(0)]
    barrier_sigmas: Annotated[Finite, Gt(0)] | None
    """Of triple_barrier alone; else null."""
    meaning: str
    """In one sentence."""

    @property
    def spec(self) -> LabelSpec:
        """As the definition takes it."""
        return LabelSpec(
            kind=self.kind,
            horizon_bars=self.horizon_bars,
            barrier_sigmas=1.0 if self.barrier_sigmas is None else self.barrier_sigmas,
        )


class Span(_Part):
    """A stretch of time: when the first and the last bar of it closed, and the labelled rows in it."""

    start: Moment
    end: Moment
    rows: Annotated[int, Ge(0)]


class CardData(_Part):
    """What it was trained on."""

    source: str
    symbols: Annotated[tuple[str, ...], Len(1)]
    bars: Annotated[int, Gt(0)]
    sha256: Sha256
    """Of the bars' canonical text, inference/train/bars.py."""


class CardCalibration(_Part):
    """How the log odds of the consensus become the confidence."""

    method: Literal["temperature", "sigmoid"]
    slope: Annotated[Finite, Gt(0), Le(1)]
    """What serves: the fitted slope, never above 1, times `shrink`. A slope above 1 would sharpen."""
    bias: Finite
    """Added to the log odds of a rise; 0 with temperature."""
    fitted_slope: Annotated[Finite, Gt(0)]
    shrink: Annotated[Finite, Gt(0), Le(1)]


class Interval(_Part):
    """A figure and its interval of 95 % by block bootstrap."""

    value: Finite
    low: Finite
    high: Finite


class Bucket(_Part):
    """One bucket of a reliability table."""

    low: Share
    high: Share
    count: Annotated[int, Gt(0)]
    mean_confidence: Share
    hit_rate: Interval
    """With Wilson's interval."""


class Fold(_Part):
    """One fold of the walk-forward: fitted on what came before, measured on this stretch."""

    start: Moment
    end: Moment
    rows: Annotated[int, Gt(0)]
    auc: Share
    log_loss: Annotated[Finite, Ge(0)]
    ece: Share
    slope: Annotated[Finite, Gt(0)]
    """The calibration slope that this fold served with."""


class Figures(_Part):
    """Measured on all folds of the walk-forward together: rows that came later than all that was fitted."""

    rows: Annotated[int, Gt(0)]
    base_rate: Share
    """The share of rises."""
    auc: Interval
    brier: Annotated[Finite, Ge(0)]
    brier_reliability: Finite
    brier_resolution: Finite
    brier_uncertainty: Finite
    """Murphy's three parts: brier = reliability - resolution + uncertainty."""
    log_loss: Annotated[Finite, Ge(0)]
    log_loss_base: Annotated[Finite, Ge(0)]
    """Of the constant that says the base rate of each fold's training rows."""
    ece: Interval
    """Of the confidence, in 15 buckets of equal mass."""
    calibration_slope: Interval
    """Of a logistic regression of the label on the calibrated log odds; 1 is perfect, below 1 promises too much."""
    hit_rate: Share
    threshold: Share
    coverage: Share
    """The share of rows with a confidence at or above the threshold."""
    hit_rate_at_threshold: Share | None
    mean_confidence_at_threshold: Share | None
    gross_edge_bps: Interval | None
    """The mean return of a trade at or above the threshold in the signal's direction, basis points."""
    net_edge_bps: Interval | None
    """The same after two taker fees; null without such trades."""
    fee_bps: Annotated[Finite, Ge(0)]
    """The taker fee of one side."""
    error_by_disagreement: Annotated[tuple[Share, ...], Len(0, 10)]
    """The share of wrong signals in ten parts of rising disagreement."""
    error_by_dissimilarity: Annotated[tuple[Share, ...], Len(0, 10)]
    """The same for the dissimilarity."""


class Canary(_Part):
    """A check that fires when the pipeline leaks."""

    name: str
    value: Finite
    limit: Finite
    passed: bool
    meaning: str


class Override(_Part):
    """A gate that was let pass by a person."""

    gate: str
    reason: Annotated[str, Len(10, 500)]


class Validation(_Part):
    """How it was measured, and what came out."""

    train_bars: Annotated[int, Gt(0)]
    calibrate_share: Annotated[Finite, Gt(0), Lt(1)]
    test_bars: Annotated[int, Gt(0)]
    purge_bars: Annotated[int, Gt(0)]
    embargo_bars: Annotated[int, Ge(0)]
    folds: Annotated[tuple[Fold, ...], Len(1)]
    figures: Figures
    reliability: Annotated[tuple[Bucket, ...], Len(1)]
    canaries: tuple[Canary, ...]
    trials: Annotated[int, Gt(0)]
    """How many settings were tried before this one was chosen; 1 when it was fixed beforehand."""


class Export(_Part):
    """How the graph was made, and how far it is from the fitted members."""

    method: str
    nodes: Annotated[int, Gt(0)]
    rows: Annotated[int, Gt(0)]
    """Rows that were compared."""
    market_rows: Annotated[int, Ge(0)]
    """How many of them are rows of the market; the others were drawn around them."""
    difference_max: Annotated[Finite, Ge(0)]
    """The largest difference of a probability."""
    flips: Annotated[int, Ge(0)]
    """Rows whose favoured side differs."""


class Card(_Part):
    """What a model is."""

    schema_version: Literal[2]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    version: Version
    description: str
    market: Literal["simulated", "real"]
    """The market that it speaks for. A model of the simulated one never speaks for a real one."""
    bar_seconds: Annotated[int, Gt(0)]
    features: Annotated[tuple[CardFeature, ...], Len(1, 64)]
    """In the order in which the graph takes them."""
    label: CardLabel
    members: Annotated[tuple[str, ...], Len(1)]
    calibration: CardCalibration
    dissimilarity_quantile: Annotated[Finite, Gt(0), Lt(1)]
    """The share of training rows whose dissimilarity is at most 1."""
    max_age_days: Annotated[Finite, Gt(0)] | None
    """How long after the end of its data it may be served; null: it does not age."""
    data: CardData
    training: Span
    calibrating: Span
    validation: Validation
    overrides: tuple[Override, ...]
    export: Export
    seed: int
    libraries: dict[str, str]
    git_commit: str
    """The commit of the code that trained it; "unknown" outside a checkout, "-dirty" behind it with changes."""
    created: Moment
    sha256: Sha256
    """Of model.onnx."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features' names in the order in which the graph takes them."""
        return tuple(feature.name for feature in self.features)

    @property
    def horizon_seconds(self) -> int:
        """How far ahead it predicts."""
        return self.label.horizon_bars * self.bar_seconds

    @property
    def expire_ms(self) -> int | None:
        """From when it is too old to be served, milliseconds since 1970 UTC; None when it does not age.

        It ages from the end of its data: the last row that its calibration was fitted to.
        """
        if self.max_age_days is None:
            return None
        end_ms = datetime.fromisoformat(self.calibrating.end).timestamp() * 1000
        return int(min(end_ms + self.max_age_days * _DAY_MS, _TIME_MS_MAX))


class GraphFacts(_Part):
    """What the graph beside the card says of itself."""

    feature_names: tuple[str, ...]
    members_count: int


def card_text(card: Card) -> str:
    """The card as the text of its file."""
    return card.model_dump_json(indent=2) + "\n"


def read_card(text: str) -> Card:
    """The card of the text. Raises CardFaultError naming every missing, unknown or mistyped key."""
    try:
        return Card.model_validate_json(text)
    except ValidationError as fault:
        found = [f"{'.'.join(map(str, one['loc'])) or 'card.json'}: {one['msg']}" for one in fault.errors()]
        raise CardFaultError("; ".join(found[:_FAULTS_MAX])) from fault


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
    if faults:
        raise CardFaultError("; ".join(faults))


def _feature_faults(card: Card) -> list[str]:
    faults = []
    for feature in card.features:
        known = KNOWN.get(feature.name)
        if known is None:
            faults.append(f"feature {feature.name!r} is not known; known are {', '.join(KNOWN)}")
        elif known.unit != feature.unit:
            faults.append(f"feature {feature.name!r} is in {feature.unit!r} on the card but in {known.unit!r} here")
        if list(feature.deciles) != sorted(feature.deciles):
            faults.append(f"the deciles of {feature.name!r} do not rise")
    return faults
