"""The sentence that goes with each state of an order."""

from dataclasses import replace

import pytest
from builders import a_policy, an_order, the_facts

from gateway.core.model import OrderLinkId, OrderState
from gateway.core.plan import intent_record
from gateway.core.report import message_of
from gateway.core.risk import Approved, approve


def a_record(state):
    approved = approve(an_order(), OrderLinkId("tg1"), the_facts(), a_policy())
    assert isinstance(approved, Approved)
    return replace(intent_record(approved), state=state)


def test_a_filled_paper_order_says_that_it_was_simulated():
    assert message_of(a_record(OrderState.FILLED), dry_run=True) == "Paper trading mode - order simulated"
    assert message_of(a_record(OrderState.FILLED), dry_run=False) == "Order executed"


@pytest.mark.parametrize("state", sorted(set(OrderState) - {OrderState.FILLED, OrderState.PARTIALLY_FILLED}))
def test_no_other_state_claims_an_execution(state):
    message = message_of(a_record(state), dry_run=True)
    assert "simulated" not in message
    assert "executed" not in message


@pytest.mark.parametrize("state", [OrderState.PENDING, OrderState.UNKNOWN])
def test_an_order_without_a_known_end_tells_to_keep_the_key(state):
    assert "Keep the key and ask again" in message_of(a_record(state), dry_run=True)
