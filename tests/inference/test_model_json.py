"""JSON bodies are read strictly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading.v1 import model_pb2

from inference.core.refusal import Reason, Refused
from inference.rpc.strict_json import BODY_BYTES_MAX, parse_strictly


def parse(body: bytes) -> model_pb2.PredictRequest | Refused:
    return parse_strictly(body, model_pb2.PredictRequest())


def test_a_sound_body_becomes_the_request() -> None:
    expected = model_pb2.PredictRequest(features={"mom_20": 1.2, "rsi_14": 62.0}, model_name="consensus")
    assert parse(b'{"features":{"mom_20":1.2,"rsi_14":62},"model_name":"consensus"}') == expected


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"3", ""),
        (b"null", ""),
        (b"\xff", ""),
        (b"[" * 50_000, ""),
        (b'{"featurs":{}}', "featurs"),
        (b'{"\\ud800":1}', "\\ud800"),
        (b'{"features":{"a":1},"features":{"a":2}}', "features"),
        (b'{"features":{"a":1,"a":2}}', "a"),
        (b'{"features":[]}', "features"),
        (b'{"features":3}', "features"),
        (b'{"features":{"a":true}}', "features.a"),
        (b'{"features":{"a":null}}', "features.a"),
        (b'{"features":{"a":"x"}}', "features.a"),
        (b'{"features":{"a":{}}}', "features.a"),
        (b'{"features":{"\\ud800":1}}', "features"),
        (b'{"model_name":3}', "model_name"),
    ],
)
def test_a_faulty_body_is_refused_naming_the_field(body: bytes, field: str) -> None:
    refused = parse(body)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.fields[0][0]) == (Reason.INVALID_FIELD, field)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b"1e999", b"-1e999", b"9" * 5000])
def test_a_number_that_is_not_finite_is_passed_on_to_the_rule_that_refuses_it(number: bytes) -> None:
    parsed = parse(b'{"features":{"a":' + number + b"}}")
    assert not isinstance(parsed, Refused)
    assert parsed.features["a"] * 0 != 0


def test_a_body_beyond_the_limit_is_not_read() -> None:
    refused = parse(b" " * (BODY_BYTES_MAX + 1))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.BODY_TOO_LARGE
    assert refused.metadata == {"limit": "65536", "value": "65537"}


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_body_raises(body: bytes) -> None:
    assert isinstance(parse(body), model_pb2.PredictRequest | Refused)
