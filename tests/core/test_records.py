"""What the journal keeps comes back as it was, and nothing else is taken for it."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import a_decision, a_watch_move, an_outcome
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import a_change, a_filled, a_record, a_refusal, first_order_text, first_risk_text, second_order_text

from gateway.core.chain import GENESIS_DIGEST, record_digest
from gateway.core.json_fields import RecordFormatError
from gateway.core.model import (
    Adjustment,
    BarLabel,
    Decision,
    Evidence,
    Failure,
    Fill,
    Matured,
    Order,
    OrderRecord,
    OrderState,
    RiskChange,
    RiskState,
    Shadow,
    Side,
    Signal,
    Verdict,
    WatchMove,
    WatchState,
)
from gateway.core.outcome_records import outcome_from, outcome_text, watch_from, watch_text
from gateway.core.reasons import Reason
from gateway.core.records import (
    decision_from,
    decision_text,
    order_from,
    order_text,
    order_version,
    risk_from,
    risk_text,
)

TEXT = st.text(max_size=20)
MONEY = st.decimals(allow_nan=False, allow_infinity=False)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TIME = st.integers(min_value=0, max_value=2**63 - 1)

ORDERS = st.builds(
    Order,
    key=TEXT,
    symbol=TEXT,
    side=st.sampled_from(Side),
    requested_usd=MONEY,
    confidence=st.none() | MONEY,
    decision_id=st.none() | TEXT,
    reduce_only=st.booleans(),
)
FAILURES = st.builds(
    Failure,
    reason=st.sampled_from(Reason),
    message=TEXT,
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
    field_name=st.none() | TEXT,
    retry_after_seconds=st.none() | st.integers(),
)
ADJUSTMENTS = st.builds(Adjustment, step=TEXT, from_usd=MONEY, to_usd=MONEY, limit=MONEY)
FILLS = st.builds(Fill, price=MONEY, qty=MONEY, fee_usd=MONEY, exec_id=TEXT)
RECORDS = st.builds(
    OrderRecord,
    order=ORDERS,
    order_link_id=TEXT,
    state=st.sampled_from(OrderState),
    approved_usd=MONEY,
    confidence=MONEY,
    adjustments=st.lists(ADJUSTMENTS, max_size=2).map(tuple),
    fills=st.lists(FILLS, max_size=3).map(tuple),
    failure=st.none() | FAILURES,
    mid_price=st.none() | MONEY,
    created_ms=TIME,
    updated_ms=TIME,
    evidence=st.none() | st.sampled_from(Evidence),
    venue_order_id=TEXT,
)
SHADOWS = st.builds(Shadow, model_version=TEXT, prob_long=NUMBER, confidence=NUMBER)
DECISIONS = st.builds(
    Decision,
    decision_id=TEXT,
    symbol=TEXT,
    signal=st.sampled_from(Signal),
    prob_long=NUMBER,
    prob_short=NUMBER,
    confidence=NUMBER,
    model_confidence=NUMBER,
    model_version=TEXT,
    horizon_seconds=st.integers(),
    threshold=NUMBER,
    allow=st.booleans(),
    reasons=st.lists(st.sampled_from(Reason), max_size=3).map(tuple),
    features=st.dictionaries(TEXT, NUMBER, max_size=4),
    members=st.lists(NUMBER, max_size=3).map(tuple),
    disagreement=st.none() | NUMBER,
    dissimilarity=st.none() | NUMBER,
    bar_open_ms=st.none() | TIME,
    scored=st.booleans(),
    shadow=st.none() | SHADOWS,
    at_ms=TIME,
)
OUTCOMES = st.builds(
    Matured,
    decision_id=TEXT,
    symbol=TEXT,
    model_version=TEXT,
    bar_open_ms=TIME,
    horizon_seconds=st.integers(),
    signal=st.sampled_from(Signal),
    confidence=NUMBER,
    model_confidence=NUMBER,
    label=st.sampled_from(BarLabel),
    verdict=st.sampled_from(Verdict),
    shadow=st.none() | SHADOWS,
    at_ms=TIME,
)
MOVES = st.builds(
    WatchMove,
    from_state=st.sampled_from(WatchState),
    to_state=st.sampled_from(WatchState),
    model_version=TEXT,
    reason=TEXT,
    evidence=NUMBER,
    at_ms=TIME,
)
CHANGES = st.builds(
    RiskChange,
    from_state=st.sampled_from(RiskState),
    to_state=st.sampled_from(RiskState),
    halted=st.booleans(),
    locked=st.booleans(),
    reducing=st.booleans(),
    actor=TEXT,
    reason=TEXT,
    equity_usd=MONEY,
    peak_equity_usd=MONEY,
    at_ms=TIME,
)


@given(RECORDS)
def test_an_order_comes_back_exactly(record):
    back = order_from(order_text(record))
    assert back == record
    assert str(back.approved_usd) == str(record.approved_usd)  # 1800 and 1800.0 are equal, and not the same text


@given(DECISIONS)
def test_a_decision_comes_back_exactly(decision):
    assert decision_from(decision_text(decision)) == decision


@given(CHANGES)
def test_a_risk_change_comes_back_exactly(change):
    assert risk_from(risk_text(change)) == change


@given(OUTCOMES)
def test_an_outcome_comes_back_exactly(outcome):
    assert outcome_from(outcome_text(outcome)) == outcome


@given(MOVES)
def test_a_move_of_the_watch_comes_back_exactly(move):
    assert watch_from(watch_text(move)) == move


DECISION_1 = (
    '{"allow":true,"at_ms":1700000000000,"confidence":0.65,"decision_id":"d1","features":{"mom_20":1.2,"rsi_14":62.0,'
    '"rv_5":0.8},"horizon_seconds":3600,"members":[0.7,0.8,0.75],"model_version":"20261123_000000","prob_long":0.75,'
    '"prob_short":0.25,"reasons":[],"signal":"long","symbol":"BTCUSDT","threshold":0.6,"v":1}'
)


def test_a_decision_of_the_first_version_is_read_as_one_that_nobody_scores():
    assert decision_from(DECISION_1) == a_decision(
        disagreement=None, dissimilarity=None, bar_open_ms=None, scored=False
    )


def test_a_decision_of_one_version_with_the_keys_of_the_other_is_refused():
    with pytest.raises(RecordFormatError, match="unknown keys"):
        decision_from(json.dumps(json.loads(decision_text(a_decision())) | {"v": 1}))
    with pytest.raises(RecordFormatError, match="missing keys"):
        decision_from(json.dumps(json.loads(DECISION_1) | {"v": 2}))


def test_an_order_of_the_first_version_is_read_as_one_of_which_nobody_told_the_evidence():
    filled = a_filled()
    assert order_from(first_order_text(filled)) == replace(filled, evidence=None)
    assert order_version(first_order_text(filled)) == 1


def test_an_order_of_the_second_version_is_read_as_one_of_which_nobody_told_the_facts():
    filled = a_filled()
    assert order_from(second_order_text(filled), decision_of=lambda _: None) == filled
    assert (order_version(second_order_text(filled)), order_version(order_text(filled))) == (2, 3)


def test_a_risk_change_of_the_first_version_is_read_as_one_that_reduces_nothing():
    assert risk_from(first_risk_text(a_change())) == a_change(reducing=False)


@pytest.mark.parametrize(
    ("new", "old", "read"),
    [
        (second_order_text(a_filled()), first_order_text(a_filled()), order_from),
        (risk_text(a_change()), first_risk_text(a_change()), risk_from),
    ],
)
def test_a_record_of_one_version_with_the_keys_of_the_other_is_refused(new, old, read):
    with pytest.raises(RecordFormatError, match="unknown keys"):
        read(json.dumps(json.loads(new) | {"v": 1}))
    with pytest.raises(RecordFormatError, match="missing keys"):
        read(json.dumps(json.loads(old) | {"v": 2}))


@given(RECORDS)
def test_the_text_is_canonical(record):
    text = order_text(record)
    assert text.isascii()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


SHADOW = Shadow(model_version="20261124_000000", prob_long=0.4, confidence=0.55)
CODECS = [
    (order_text(a_filled()), order_from),
    (order_text(a_refusal()), order_from),
    (first_order_text(a_filled()), order_from),
    (second_order_text(a_filled()), order_from),
    (first_risk_text(a_change()), risk_from),
    (decision_text(a_decision()), decision_from),
    (decision_text(a_decision(shadow=SHADOW)), decision_from),
    (DECISION_1, decision_from),
    (risk_text(a_change()), risk_from),
    (outcome_text(an_outcome()), outcome_from),
    (outcome_text(an_outcome(shadow=SHADOW)), outcome_from),
    (watch_text(a_watch_move()), watch_from),
]


def objects_in(value):
    """Every object of fixed keys within a JSON value."""
    if isinstance(value, dict):
        yield value
        for key, item in value.items():
            if key not in {"metadata", "features"}:
                yield from objects_in(item)
    if isinstance(value, list):
        for item in value:
            yield from objects_in(item)


@pytest.mark.parametrize(("text", "read"), CODECS)
def test_a_missing_or_unknown_key_is_refused_wherever_it_is(text, read):
    objects = len(list(objects_in(json.loads(text))))
    for number in range(objects):
        shape = json.loads(text)
        list(objects_in(shape))[number]["surprise"] = 1
        with pytest.raises(RecordFormatError, match="surprise"):
            read(json.dumps(shape))
        for key in list(objects_in(json.loads(text)))[number]:
            shape = json.loads(text)
            del list(objects_in(shape))[number][key]
            with pytest.raises(RecordFormatError, match=key):
                read(json.dumps(shape))


@pytest.mark.parametrize(("text", "read"), CODECS)
def test_a_value_of_another_type_is_refused_wherever_it_is(text, read):
    shape = json.loads(text)
    for key in shape:
        for wrong in ({"x": []}, [[]], True, 1.5, -1, "NaN"):
            if type(shape[key]) is type(wrong) or (isinstance(shape[key], float) and wrong == -1):
                continue
            with pytest.raises(RecordFormatError):
                read(json.dumps(shape | {key: wrong}))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "nonsense", '{"v":2}', "[" * 100_000, "1" * 5000])
@pytest.mark.parametrize("read", [order_from, decision_from, risk_from, outcome_from, watch_from])
def test_what_is_no_record_is_refused(text, read):
    with pytest.raises(RecordFormatError):
        read(text)


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "1e999", "1" + "0" * 400])
def test_a_number_that_is_not_finite_is_not_read(wrong):
    text = decision_text(a_decision(confidence=0.65)).replace("0.65", wrong, 1)
    with pytest.raises(RecordFormatError):
        decision_from(text)


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_a_number_that_is_not_finite_is_not_written(wrong):
    with pytest.raises(RecordFormatError):
        order_text(a_record(approved_usd=Decimal(wrong)))
    if wrong != "sNaN":
        with pytest.raises(RecordFormatError):
            decision_text(a_decision(confidence=float(wrong)))


def test_a_version_from_the_future_is_refused_by_name():
    shape = json.loads(order_text(a_record())) | {"v": 4}
    with pytest.raises(RecordFormatError, match="version 4 is not known"):
        order_from(json.dumps(shape))


COLUMNS = {"seq": 7, "kind": "order", "subject": "k", "at_ms": 5, "body": "{}"}


def test_the_digest_covers_every_column_and_the_digest_before():
    digest = record_digest(GENESIS_DIGEST, **COLUMNS)
    assert digest.hex() == "a8be3c801b48839f34da17c28eab0c429a9565f2c30a47915ca50cbf10f018de"
    for column, other in {"seq": 8, "kind": "risk", "subject": "l", "at_ms": 6, "body": "[]"}.items():
        assert record_digest(GENESIS_DIGEST, **COLUMNS | {column: other}) != digest
    assert record_digest(digest, **COLUMNS) != digest


@given(TEXT, TEXT, TEXT, TEXT)
def test_no_subject_and_body_can_pass_for_others(subject, body, other_subject, other_body):
    digest = record_digest(GENESIS_DIGEST, **COLUMNS | {"subject": subject, "body": body})
    other = record_digest(GENESIS_DIGEST, **COLUMNS | {"subject": other_subject, "body": other_body})
    assert (digest == other) == ((subject, body) == (other_subject, other_body))
