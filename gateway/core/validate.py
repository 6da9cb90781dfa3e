"""Checks of form that the contract cannot declare: exact money, and the model's own features.

Every function returns the value or a Failure that names the field; nothing raises.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from gateway.core.model import Failure
from gateway.core.reasons import Reason

MONEY_PLACES_MAX = 8
"""A finer amount than 1e-8 dollars is a slip, not an order."""

CONFIDENCE_PLACES_MAX = 12
"""A calibrated probability is not known to more places than this."""

FEATURE_ABS_MAX = 1e30
"""The model computes in float32, where larger numbers become infinite."""


def exact(value: float, field_name: str, places_max: int) -> Decimal | Failure:
    """The decimal that a wire double stands for: its shortest text, refused when it is not finite or too precise."""
    if not math.isfinite(value):
        return Failure(
            reason=Reason.NON_FINITE,
            message=f"{field_name} is not a finite number. Send a finite number.",
            metadata={"field": field_name},
            field_name=field_name,
        )
    amount = Decimal(repr(value))
    exponent = amount.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > places_max:
        return Failure(
            reason=Reason.INVALID_FIELD,
            message=f"{field_name} has more than {places_max} decimal places. Round it and send it again.",
            metadata={"field": field_name, "decimal_places_max": str(places_max), "value": format(amount, "f")},
            field_name=field_name,
        )
    return amount


def check_features(features: Mapping[str, float], names: Sequence[str]) -> Failure | None:
    """None when `features` are exactly the model's, each finite; else why not, unknown names first."""
    known = len(features) == len(names) and all(map(features.__contains__, names))
    # Every row of every batch comes by here; a sum is this small only when each feature is, and none is NaN.
    if known and sum(map(abs, features.values())) <= FEATURE_ABS_MAX:
        return None
    for name, value in features.items():
        if name not in names:
            return _feature_failure(Reason.UNKNOWN_FEATURE, name, f"the model has no feature {name!r}. Leave it out")
        if not math.isfinite(value) or abs(value) > FEATURE_ABS_MAX:
            return _feature_failure(Reason.NON_FINITE, name, f"feature {name!r} is not a finite number. Mend it")
    for name in names:
        if name not in features:
            return _feature_failure(Reason.MISSING_FEATURE, name, f"the model needs the feature {name!r}. Add it")
    return None


def _feature_failure(reason: Reason, name: str, what: str) -> Failure:
    return Failure(
        reason=reason,
        message=f"No decision was made: {what} and ask again.",
        metadata={"field": f"features.{name}", "feature": name},
        field_name=f"features.{name}",
    )
