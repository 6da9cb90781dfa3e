"""Every verdict follows from what was recorded with it, or the replay says where it does not."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import NOW_MS, a_decision, a_policy, an_instrument, an_order, the_facts
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import a_record, second_order_text

from gateway.core.audit import StoredRecord
from gateway.core.documents import Document
from gateway.core.fact_records import policy_document
from gateway.core.model import DecisionId, Failure, OrderKey, RiskState, Side
from gateway.core.plan import intent_record, plan_order, refusal_record
from gateway.core.records import order_text
from gateway.core.replay import DIFFERENCES_MAX, Replay

POLICY = policy_document(a_policy(), "paper", NOW_MS)
NAMED = an_order(key=OrderKey("named"), decision_id=DecisionId("d1"), confidence=None)


def a_first_record(order=None, facts=None, *, policy=POLICY):
    """What the journal keeps of an order that is judged now."""
    order, facts = order or an_order(), facts or the_facts()
    verdict = plan_order(order, "paper", facts, a_policy())
    if isinstance(verdict, Failure):
        return refusal_record(order, "paper", verdict, facts, policy.subject)
    return intent_record(verdict, facts, policy.subject)


def stored(text, seq=7, key="key-1"):
    return StoredRecord(seq=seq, kind="order", subject=key, at_ms=NOW_MS, body=text, prev_digest=b"", digest=b"")


DECISION = a_decision()


def replayed(*texts, policies=(POLICY,), decisions=(DECISION,)):
    replay = Replay(
        policy_of={policy.subject: policy for policy in policies}.get,
        decision_of={decision.decision_id: decision for decision in decisions}.get,
    )
    for seq, text in enumerate(texts, 7):
        replay.take(stored(text, seq))
    return replay.report()


@pytest.mark.parametrize(
    ("order", "facts"),
    [
        (an_order(), the_facts()),
        (an_order(side=Side.SELL), the_facts(position_qty=Decimal("0.01"))),
        (an_order(), the_facts(risk_state=RiskState.HALTED)),
        (an_order(confidence=Decimal("0.1")), the_facts()),
        (an_order(reduce_only=True, side=Side.SELL), the_facts(position_qty=Decimal("0.02"), drawdown=None)),
        (an_order(), the_facts(instrument=None)),
        (an_order(), the_facts(risk_state=RiskState.HALTED, position_qty=Decimal("NaN"), drawdown=Decimal("Infinity"))),
        (NAMED, the_facts(decision=a_decision())),
        (NAMED, the_facts(decision=a_decision(at_ms=0))),
    ],
)
def test_a_verdict_comes_out_as_it_was_recorded(order, facts):
    found = replayed(order_text(a_first_record(order, facts)), decisions=[facts.decision or DECISION])
    assert (found.ok, found.orders, found.identical, found.differences) == (True, 1, 1, ())
    assert found.last_seq == 7


MONEY = st.decimals(min_value=0, max_value=6000, places=2)


@given(
    st.builds(
        an_order,
        side=st.sampled_from(Side),
        requested_usd=st.decimals(min_value=1, max_value=9000, places=2),
        confidence=st.decimals(min_value=0, max_value=1, places=4),
        reduce_only=st.booleans(),
    ),
    st.builds(
        the_facts,
        at_ms=st.integers(NOW_MS, NOW_MS + 7000),
        risk_state=st.sampled_from(RiskState),
        drawdown=st.none() | st.decimals(min_value=0, max_value="0.3", places=4),
        position_qty=st.decimals(min_value="-0.1", max_value="0.1", places=3),
        pending_buy_usd=MONEY,
        pending_sell_usd=MONEY,
        reconciled=st.booleans(),
        unknown_orders=st.booleans(),
    ),
)
def test_whatever_was_known_the_verdict_comes_out_the_same(order, facts):
    found = replayed(order_text(a_first_record(order, facts)))
    assert (found.identical, found.differences) == (1, ())


def test_an_approval_that_was_raised_afterwards_is_found():
    record = a_first_record()
    found = replayed(order_text(replace(record, approved_usd=record.approved_usd + 1)))
    assert not found.ok
    (difference,) = found.differences
    assert (difference.seq, difference.key, difference.field) == (7, "key-1", "approved_usd")
    assert (difference.recorded, difference.derived) == (str(record.approved_usd + 1), str(record.approved_usd))


def test_a_refusal_that_became_an_approval_is_found():
    refused = a_first_record(facts=the_facts(risk_state=RiskState.HALTED))
    approved = a_first_record()
    found = replayed(order_text(replace(approved, facts=refused.facts)))
    assert [difference.field for difference in found.differences] == ["state"]


@pytest.mark.parametrize(
    "changed",
    [
        {"position_qty": Decimal("0.08")},
        {"risk_state": RiskState.HALTED},
        {"drawdown": Decimal("0.2")},
        {"at_ms": NOW_MS + 6000},
        {"reconciled": False},
        {"instrument": an_instrument(min_notional_usd=Decimal(2000))},
    ],
)
def test_a_changed_fact_is_found(changed):
    record = a_first_record()
    assert not replayed(order_text(replace(record, facts=replace(record.facts, **changed)))).ok


def test_a_verdict_under_other_limits_is_found():
    other = policy_document(a_policy(symbol_cap_usd=Decimal(1000)), "paper", NOW_MS)
    record = replace(a_first_record(), policy_id=other.subject)
    assert replayed(order_text(record), policies=[other]).differences[0].field == "approved_usd"


def test_limits_or_a_decision_that_the_journal_lacks_are_told():
    text = order_text(a_first_record(NAMED, the_facts(decision=a_decision())))
    (missing,) = replayed(text, policies=[]).differences
    assert f"the limits {POLICY.subject} that it names are not in the journal" in missing.derived
    (missing,) = replayed(text, decisions=[]).differences
    assert "the decision d1 that its facts name is not in the journal" in missing.derived


def test_a_changed_decision_is_found():
    text = order_text(a_first_record(NAMED, the_facts(decision=a_decision())))
    assert not replayed(text, decisions=[a_decision(confidence=0.7)]).ok


def test_what_an_earlier_version_recorded_is_counted_and_not_judged():
    record = a_first_record()
    other_form = order_text(record).replace('"form":"', '"form":"x')
    other_limits = Document(
        kind=POLICY.kind, subject=POLICY.subject, text=POLICY.text.replace('"form":"', '"form":"x'), at_ms=NOW_MS
    )
    found = replayed(second_order_text(record), order_text(a_record()), other_form)
    assert (found.ok, found.orders, found.identical, found.not_recorded, found.other_form) == (True, 3, 0, 2, 1)
    assert not replayed(order_text(record), policies=[other_limits]).ok  # its id is not the digest of its text


def test_the_first_differences_are_told_and_all_are_counted():
    record = a_first_record()
    text = order_text(replace(record, confidence=Decimal("0.8")))
    found = replayed(*[text] * (DIFFERENCES_MAX + 5))
    assert (found.different, len(found.differences)) == (DIFFERENCES_MAX + 5, DIFFERENCES_MAX)
