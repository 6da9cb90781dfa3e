"""What an order was judged by comes back as it was, and nothing else is taken for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

import pytest
from builders import NOW_MS, a_decision, a_policy, a_standing, an_instrument, the_facts
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.documents import DocumentKind
from gateway.core.fact_records import (
    codec_of,
    facts_from,
    facts_object,
    policy_document,
    policy_from,
    policy_id,
)
from gateway.core.json_fields import RecordFormatError, canonical
from gateway.core.model import RiskState, WatchState
from gateway.core.venue import VenueBlock

MONEY = st.decimals(allow_nan=False, allow_infinity=False)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    price: Decimal
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A value of every type that facts may hold."""

    names: frozenset[str]
    spans: tuple[tuple[int, int], ...]
    parts: Sequence[Part]
    by_name: Mapping[str, Decimal]
    maybe: Part | None
    colour: Colour
    sure: bool


WHOLES = st.builds(
    Whole,
    names=st.frozensets(st.text(max_size=5), max_size=3),
    spans=st.lists(st.tuples(st.integers(), st.integers()), max_size=2).map(tuple),
    parts=st.lists(st.builds(Part, price=MONEY, share=NUMBER), max_size=2).map(tuple),
    by_name=st.dictionaries(st.text(max_size=5), MONEY, max_size=2),
    maybe=st.none() | st.builds(Part, price=MONEY, share=NUMBER),
    colour=st.sampled_from(Colour),
    sure=st.booleans(),
)


def nobody(_):
    return None


def a_full_set(**changes):
    """Facts with nothing left out."""
    return the_facts(
        risk_state=RiskState.REDUCING,
        drawdown=Decimal("0.0310"),
        instrument=an_instrument(),
        calibration=a_standing(state=WatchState.RAISED, threshold=0.65),
        decision=a_decision(),
        venue_block=VenueBlock(what="it is full", retry_after_seconds=3),
        **changes,
    )


@given(WHOLES)
def test_every_type_comes_back_exactly(whole):
    codec = codec_of(Whole)
    text = canonical({"it": codec.encode(whole)})
    back = codec.decode(json.loads(text)["it"], "it", nobody)
    assert back == whole
    assert sorted(map(str, back.by_name.values())) == sorted(
        map(str, whole.by_name.values())
    )  # 1800 and 1800.0 are equal, and not the same text


@pytest.mark.parametrize("facts", [the_facts(), a_full_set(), the_facts(instrument=None, drawdown=None)])
def test_facts_come_back_exactly_with_their_decision_found_by_its_id(facts):
    kept = json.loads(canonical(facts_object(facts)))
    found = {"d1": a_decision()}
    back = facts_from(kept, found.get)
    assert facts_object(back) == facts_object(facts)
    assert back.decision == facts.decision
    assert back.at_ms == NOW_MS


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_not_finite_is_kept_by_its_name(wrong):
    facts = the_facts(position_qty=Decimal(wrong), calibration=a_standing(threshold=float(wrong)))
    back = facts_from(json.loads(canonical(facts_object(facts))), nobody)
    assert (str(back.position_qty), str(back.calibration.threshold)) == (wrong, str(float(wrong)))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("at_ms", 1.5, "at_ms must be of type int"),
        ("at_ms", True, "at_ms must be of type int"),
        ("position_qty", 1, "position_qty must be a decimal"),
        ("position_qty", "much", "position_qty must be a decimal"),
        ("risk_state", "fine", "risk_state must be one of"),
        ("reconciled", "yes", "reconciled must be of type bool"),
        ("calibration", {"state": "ok"}, "calibration must be an object of"),
        ("calibration", {"state": "ok", "slope": 1, "threshold": "0.6"}, "threshold must be a number"),
        ("instrument", {}, "instrument must be an object of"),
        ("decision", 7, "decision must be a decision's id"),
    ],
)
def test_facts_of_another_type_are_refused(name, value, told):
    kept = json.loads(canonical(facts_object(a_full_set())))
    kept["values"][name] = value
    with pytest.raises(RecordFormatError, match=told):
        facts_from(kept, nobody)


@pytest.mark.parametrize("spoil", [lambda kept: kept.pop("at_ms"), lambda kept: kept.update(more=1)])
def test_a_missing_or_unknown_fact_is_refused(spoil):
    kept = json.loads(canonical(facts_object(the_facts())))
    spoil(kept["values"])
    with pytest.raises(RecordFormatError, match="facts must be an object of"):
        facts_from(kept, nobody)


def test_facts_of_another_form_are_not_read():
    assert facts_from({"form": "00000000", "values": {"whatever": 1}}, nobody) is None
    with pytest.raises(RecordFormatError, match="form and values"):
        facts_from({"form": "00000000"}, nobody)


def test_the_form_follows_every_field_and_its_type():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Longer:
        price: Decimal
        share: float
        more: int

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Other:
        price: Decimal
        share: int

    assert len({codec_of(shape).form for shape in (Part, Longer, Other)}) == 3


def test_a_type_that_cannot_be_kept_is_told_when_the_program_starts():
    with pytest.raises(TypeError, match="facts cannot hold"):
        codec_of(set[complex])


def test_a_policy_comes_back_exactly_under_the_digest_of_its_text():
    document = policy_document(a_policy(), "paper", NOW_MS)
    assert (document.kind, document.at_ms) == (DocumentKind.POLICY, NOW_MS)
    assert document.subject == policy_id(a_policy(), "paper")
    assert len(document.subject) == 16
    assert policy_from(document) == (a_policy(), "paper")


@pytest.mark.parametrize(
    ("other", "account"), [(a_policy(symbol_cap_usd=Decimal(5001)), "paper"), (a_policy(), "live-demo")]
)
def test_other_limits_or_another_account_have_another_id(other, account):
    assert policy_id(other, account) != policy_id(a_policy(), "paper")


def test_a_policy_that_is_not_its_id_is_refused():
    document = policy_document(a_policy(), "paper", NOW_MS)
    with pytest.raises(RecordFormatError, match="not the digest"):
        policy_from(replace(document, text=document.text.replace("5000", "9000")))
