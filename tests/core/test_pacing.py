"""When a batch is due."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.pacing import Pace


def test_a_lone_caller_is_always_due():
    pace = Pace(batches_max=2)
    for _ in range(20):
        assert pace.is_due(1)
        pace.sent(1)
        pace.ended(1)


def test_nothing_is_due_while_as_many_batches_as_may_be_are_under_way():
    pace = Pace(batches_max=1)
    pace.sent(5)
    assert not pace.is_due(1000)
    pace.ended(5)
    assert pace.is_due(1000)


def test_under_load_most_of_what_is_expected_is_waited_for():
    pace = Pace(batches_max=2)
    for _ in range(30):
        pace.sent(32)
        pace.sent(32)
        pace.ended(32)
        pace.ended(32)
    assert not pace.is_due(8)
    assert pace.is_due(64)


@given(burst=st.integers(2, 5000))
def test_a_burst_is_soon_forgotten(burst):
    pace = Pace(batches_max=1)
    for _ in range(20):
        pace.sent(burst)
        pace.ended(burst)
    for _ in range(15):
        pace.sent(1)
        pace.ended(1)
    assert pace.is_due(1)
