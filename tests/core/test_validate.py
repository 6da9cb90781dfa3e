"""Exact money and the model's own features."""

import math
from decimal import Decimal

import pytest
from builders import FEATURES
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import Failure
from gateway.core.reasons import Reason
from gateway.core.validate import check_features, exact

NAMES = ("mom_20", "rv_5", "rsi_14")


@given(cents=st.integers(1, 10**11))
def test_an_amount_is_its_shortest_text(cents):
    assert exact(cents / 100, "qtyUsd", 8) == Decimal(cents) / 100


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_amount_must_be_finite(value):
    failure = exact(value, "qtyUsd", 8)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.field_name) == (Reason.NON_FINITE, "qtyUsd")


def test_an_amount_must_not_be_too_precise():
    assert exact(0.00000001, "qtyUsd", 8) == Decimal("1E-8")
    failure = exact(2000.123456789, "qtyUsd", 8)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.metadata["decimal_places_max"]) == (Reason.INVALID_FIELD, "8")


def test_exactly_the_models_features_pass():
    assert check_features(FEATURES, NAMES) is None


@pytest.mark.parametrize(
    ("features", "reason", "field"),
    [
        ({**FEATURES, "mom_21": 1.0}, Reason.UNKNOWN_FEATURE, "features.mom_21"),
        ({"mom_20": 1.0, "rv_5": 1.0}, Reason.MISSING_FEATURE, "features.rsi_14"),
        ({**FEATURES, "rv_5": math.nan}, Reason.NON_FINITE, "features.rv_5"),
        ({**FEATURES, "rv_5": 1e300}, Reason.NON_FINITE, "features.rv_5"),
    ],
)
def test_other_features_are_refused_by_name(features, reason, field):
    failure = check_features(features, NAMES)
    assert failure is not None
    assert (failure.reason, failure.field_name) == (reason, field)
