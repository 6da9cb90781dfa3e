"""Which rows may be scored, and the maths of the consensus."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading.v1 import errors_pb2

from inference.core.consensus import Column, assemble_rows, calibrated, confidence, disagreement, mean_consensus
from inference.core.refusal import Reason, Refused, invalid_field

NAMES = ("a", "b")
probabilities = st.floats(min_value=0.0, max_value=1.0)
slopes = st.floats(min_value=0.01, max_value=1.0)


def column(*values: float) -> Column:
    return np.array(values)


def test_columns_are_put_in_the_models_order_whatever_order_they_came_in() -> None:
    rows = assemble_rows({"b": column(3, 4), "a": column(1, 2)}, NAMES, rows_max=2)
    assert not isinstance(rows, Refused)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    ("columns", "reason", "field"),
    [
        ({"a": column(1), "b": column(1), "c": column(1)}, Reason.UNKNOWN_FEATURE, "features.c"),
        ({"a": column(1), "x": column(1)}, Reason.UNKNOWN_FEATURE, "features.x"),
        ({"a": column(1)}, Reason.MISSING_FEATURE, "features.b"),
        ({}, Reason.MISSING_FEATURE, "features.a"),
        ({"a": column(1), "b": column(1, 2)}, Reason.INVALID_FIELD, "features.b"),
        ({"a": column(), "b": column()}, Reason.INVALID_FIELD, "inputs"),
        ({"a": column(1, 2, 3), "b": column(1, 2, 3)}, Reason.INVALID_FIELD, "inputs"),
        ({"a": column(1, 2), "b": column(1, math.nan)}, Reason.NON_FINITE, "features.b"),
        ({"a": column(-math.inf), "b": column(1)}, Reason.NON_FINITE, "features.a"),
        ({"a": column(1e39), "b": column(1)}, Reason.NON_FINITE, "features.a"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused_naming_the_field(
    columns: dict[str, Column], reason: Reason, field: str
) -> None:
    refused = assemble_rows(columns, NAMES, rows_max=2)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.fields[0][0]) == (reason, field)
    assert refused.message.startswith("Nothing was predicted")


def test_a_refusal_repeats_a_callers_text_only_in_part_and_in_valid_utf8() -> None:
    assert invalid_field("\ud800" + "x" * 500, "is bad").fields == (("\\ud800" + "x" * 63, "is bad"),)


def test_every_reason_is_one_of_the_contract() -> None:
    assert {reason.value for reason in Reason} <= set(errors_pb2.ErrorReason.keys())


@given(probabilities, slopes)
def test_confidence_never_sharpens_and_stays_between_one_half_and_one(prob_long: float, slope: float) -> None:
    stated = float(confidence(np.array([prob_long]), slope)[0])
    assert 0.5 <= stated <= 1.0
    assert stated <= max(prob_long, 1.0 - prob_long) + 1e-6


@given(probabilities, slopes)
def test_confidence_is_the_same_for_either_side(prob_long: float, slope: float) -> None:
    both = confidence(np.array([prob_long, 1.0 - prob_long]), slope)
    assert both[0] == pytest.approx(both[1], abs=1e-9)


@given(probabilities, probabilities, slopes)
def test_calibration_keeps_the_order_of_probabilities(one: float, other: float, slope: float) -> None:
    low, high = calibrated(np.array(sorted((one, other))), slope, 0.1)
    assert low <= high


@given(probabilities, slopes, st.floats(min_value=-1.0, max_value=1.0))
def test_a_bias_lends_to_one_side_what_it_takes_from_the_other(prob_long: float, slope: float, bias: float) -> None:
    rise = float(calibrated(np.array([prob_long]), slope, bias)[0])
    stated = float(confidence(np.array([prob_long]), slope, bias)[0])
    assert stated == pytest.approx(rise if prob_long >= 0.5 else 1.0 - rise)


def test_the_consensus_is_the_plain_mean() -> None:
    assert mean_consensus(np.array([[0.2, 0.4, 0.9]])).tolist() == [[0.5]]


def test_disagreement_is_the_spread_of_the_members_around_their_mean() -> None:
    assert disagreement(np.array([[0.2, 0.4], [0.5, 0.5]])).tolist() == [[pytest.approx(0.1)], [0.0]]
