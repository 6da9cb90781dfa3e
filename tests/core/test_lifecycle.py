"""Which risk state is told when several latches stand."""

from decimal import Decimal
from itertools import product

import pytest

from gateway.core.lifecycle import RiskStatus
from gateway.core.model import RiskState


@pytest.mark.parametrize(("halted", "locked", "reducing"), list(product([True, False], repeat=3)))
def test_halted_is_told_before_locked_before_reducing_before_active(halted, locked, reducing):
    status = RiskStatus(halted=halted, locked=locked, reducing=reducing, peak_equity_usd=Decimal(1))
    stands = [(halted, RiskState.HALTED), (locked, RiskState.LOCKED), (reducing, RiskState.REDUCING)]
    assert status.state is next((state for latch, state in stands if latch), RiskState.ACTIVE)
