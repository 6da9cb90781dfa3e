"""The sentence that goes with each state of an order."""

from dataclasses import replace

import pytest
from builders import a_policy, an_order, the_facts
from journal_kit import FILL

from gateway.core.model import Evidence, OrderLinkId, OrderState, Outcome
from gateway.core.plan import intent_record
from gateway.core.report import message_of, with_outcome
from gateway.core.risk import Approved, approve


def a_record(state):
    approved = approve(an_order(), OrderLinkId("tg1"), the_facts(), a_policy())
    assert isinstance(approved, Approved)
    return replace(intent_record(approved, the_facts(), "p1"), state=state)


def test_a_filled_paper_order_says_that_it_was_simulated():
    assert message_of(a_record(OrderState.FILLED), dry_run=True) == "Paper trading mode - order simulated"
    assert message_of(a_record(OrderState.FILLED), dry_run=False) == "Order executed"


@pytest.mark.parametrize("state", sorted(set(OrderState) - {OrderState.FILLED, OrderState.PARTIALLY_FILLED}))
def test_no_other_state_claims_an_execution(state):
    message = message_of(a_record(state), dry_run=True)
    assert "simulated" not in message
    assert "executed" not in message


def test_an_expired_order_tells_that_it_was_never_sent():
    told = "The order was never sent, and will not be. Ask for a new decision."
    assert message_of(a_record(OrderState.EXPIRED), dry_run=False) == told


def test_an_end_keeps_its_evidence_and_the_venues_id():
    outcome = Outcome(state=OrderState.CANCELLED, evidence=Evidence.STREAM, venue_order_id="v1")
    record = with_outcome(a_record(OrderState.PENDING), outcome, 7)
    assert (record.state, record.evidence, record.venue_order_id, record.updated_ms) == (
        OrderState.CANCELLED,
        Evidence.STREAM,
        "v1",
        7,
    )


def test_an_order_that_may_go_on_filling_keeps_its_id_and_counts_no_fill_yet():
    lost = Outcome(state=OrderState.UNKNOWN, fills=(FILL,), evidence=Evidence.REPLY, venue_order_id="v1")
    record = with_outcome(a_record(OrderState.PENDING), lost, 7)
    assert (record.fills, record.evidence, record.venue_order_id) == ((), None, "v1")
    ended = with_outcome(record, Outcome(state=OrderState.FILLED, fills=(FILL,), evidence=Evidence.HISTORY), 8)
    assert (ended.fills, ended.venue_order_id) == ((FILL,), "v1")


@pytest.mark.parametrize("state", [OrderState.PENDING, OrderState.UNKNOWN])
def test_an_order_without_a_known_end_tells_to_keep_the_key(state):
    assert "Keep the key and ask again" in message_of(a_record(state), dry_run=True)
