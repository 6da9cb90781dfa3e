"""What a model makes of the bars that a caller sends: the features of the last one, and what became of an older one.

Both are computed by the definitions that the model was trained on. Refused, naming the limit and the value: bars of
another length than the model's, too few of them, a bar that is not among them, a feature that is no number.
"""

from collections.abc import Mapping

import numpy as np

from inference.core.bars import Bars
from inference.core.card import Card
from inference.core.features import HISTORY_BARS_MIN, KNOWN, last_row
from inference.core.labels import DOWN, NONE, OPEN, SIGMA_RETURNS, UP, label_bars
from inference.core.refusal import Reason, Refused, invalid_field

LABELS: Mapping[int, str] = {UP: "up", DOWN: "down", NONE: "none", OPEN: "open"}
"""The contract's words for the values of inference/core/labels.py."""

_UNDONE = "computed"


def features_of_last(card: Card, bars: Bars) -> Mapping[str, float] | Refused:
    """The model's features of the last bar, by name, each finite."""
    if refused := _other_length(card, bars) or _unknown_features(card):
        return refused
    if len(bars) < HISTORY_BARS_MIN:
        fault = f"has {len(bars)} bars; features need at least {HISTORY_BARS_MIN}"
        limit, value = str(HISTORY_BARS_MIN), str(len(bars))
        return invalid_field("bars.open_time_ms", fault, undone=_UNDONE, limit=limit, value=value)
    with np.errstate(all="ignore"):  # a price beyond reason overflows; what comes of it is refused below
        features = last_row(bars, card.feature_names)
        as_scored = np.array(list(features.values()), np.float32)  # the graph computes in float32
    for name, number in zip(features, as_scored, strict=True):
        if not np.isfinite(number):
            return Refused(
                reason=Reason.NON_FINITE,
                message=f"Nothing was computed: {name} of these bars is no finite number. Look at the bars.",
                fields=(("bars", f"give no finite {name}"),),
                metadata={"feature": name},
            )
    return features


def label_of(card: Card, bars: Bars, open_time_ms: int) -> str | Refused:
    """What became of the label of the bar that opened at that moment: a word of `LABELS`."""
    if refused := _other_length(card, bars):
        return refused
    row = int(np.searchsorted(bars.open_time_ms, open_time_ms))
    if row == len(bars) or bars.open_time_ms[row] != open_time_ms:
        return invalid_field("open_time_ms", "is not the opening of one of the bars", undone=_UNDONE)
    if card.label.kind == "triple_barrier" and row < SIGMA_RETURNS:
        fault = f"has {row} bars before the labelled one; its barriers need {SIGMA_RETURNS}"
        limit, value = str(SIGMA_RETURNS), str(row)
        return invalid_field("bars.open_time_ms", fault, undone=_UNDONE, limit=limit, value=value)
    # Nothing outside this stretch bears on the label, and 5,000 bars take longer than 30.
    start = max(0, row - SIGMA_RETURNS)
    near = bars.slice(start, row + card.label.horizon_bars + 1)
    return LABELS[int(label_bars(near, card.label.spec).values[row - start])]


def _other_length(card: Card, bars: Bars) -> Refused | None:
    if bars.bar_seconds == card.bar_seconds:
        return None
    fault = f"is {bars.bar_seconds} where the model's bars have {card.bar_seconds}"
    expected, value = str(card.bar_seconds), str(bars.bar_seconds)
    return invalid_field("bars.bar_seconds", fault, undone=_UNDONE, expected=expected, value=value)


def _unknown_features(card: Card) -> Refused | None:
    unknown = [name for name in card.feature_names if name not in KNOWN]
    if not unknown:
        return None
    return Refused(
        reason=Reason.MODEL_UNFIT,
        message=f"Nothing was computed: {card.version} takes {', '.join(unknown)}, which is not known here.",
        metadata={"version": card.version},
    )
