"""What may be sent, and when nothing may."""

from typing import Any

import pytest
from fakes import FakeClock

from gateway.adapters.ban import AddressBan
from gateway.adapters.venue_bybit.alarms import Alarm, AlarmKind
from gateway.adapters.venue_bybit.breaker import PAUSE_MS, REFUSALS_MAX, WINDOW_MS
from gateway.adapters.venue_bybit.budget import (
    ADDRESS_CALLS_MAX,
    ADDRESS_HEADROOM,
    ADDRESS_SPAN_MS,
    BUSY_MS,
    CREATE,
    HEADROOM,
    LIMITS,
    RESET_MS_MAX,
    STOPPED_RETRY_SECONDS,
    Budget,
    Heard,
)
from gateway.adapters.venue_bybit.codes import CodeKind

READ = "get_open_orders"


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.alarms: list[Alarm] = []
        self.ban = AddressBan(clock=self.clock, seconds=600)
        self.budget = Budget(clock=self.clock, alarm=self.alarms.append, ban=self.ban)

    def heard(self, method: str = CREATE, **changes: Any) -> None:
        values: dict[str, Any] = {"headers": {}, "answered": True, "kind": None, "text": "told"}
        self.budget.heard(method, Heard(**values | changes))

    def sendable(self, *, reducing: bool = False, method: str = CREATE) -> int:
        """How many more go out at this moment."""
        sent = 0
        while self.budget.take(method, reducing=reducing) is None:
            sent += 1
            assert sent < 10_000
        return sent

    def later(self, ms: int) -> None:
        self.clock.at_ms += ms

    def blocked(self, *, reduce_only: bool = False) -> bool:
        return self.budget.block(reduce_only=reduce_only) is not None


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_before_the_first_header_the_documented_limits_hold_and_closings_have_headroom(bench: Bench) -> None:
    assert bench.sendable() == LIMITS[CREATE] - HEADROOM
    assert bench.blocked()
    assert not bench.blocked(reduce_only=True)
    assert bench.sendable(reducing=True) == HEADROOM
    assert bench.blocked(reduce_only=True)


def test_the_second_rolls(bench: Bench) -> None:
    bench.sendable(reducing=True)
    bench.later(999)
    assert bench.blocked(reduce_only=True)
    bench.later(1)
    assert bench.sendable(reducing=True) == LIMITS[CREATE]


def test_asking_whether_it_may_be_sent_uses_nothing_up(bench: Bench) -> None:
    for _ in range(100):
        assert not bench.blocked()
    assert bench.sendable(reducing=True) == LIMITS[CREATE]


def test_what_the_headers_say_is_left_counts_for_their_second(bench: Bench) -> None:
    """Somebody else uses the account's limit as well."""
    bench.heard(headers={"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "4"})
    assert bench.sendable() == 4 - HEADROOM
    assert bench.sendable(reducing=True) == HEADROOM
    bench.later(1000)
    assert bench.sendable(reducing=True) == 10


def test_a_larger_limit_is_learnt_from_the_header(bench: Bench) -> None:
    bench.heard(headers={"X-Bapi-Limit": "50", "X-Bapi-Limit-Status": "49"})
    bench.later(1000)
    assert bench.sendable(reducing=True) == 50


def test_the_headroom_is_never_the_whole_of_a_small_limit(bench: Bench) -> None:
    bench.heard(headers={"X-Bapi-Limit": "2"})
    assert bench.sendable() == 2


@pytest.mark.parametrize("text", ["", "-1", "1e3", "99999999999999999", "ten", "\u0662"])
def test_headers_that_make_no_sense_change_nothing(bench: Bench, text: str) -> None:
    names = ("X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp")
    bench.heard(headers=dict.fromkeys(names, text))
    assert bench.sendable(reducing=True) == LIMITS[CREATE]


@pytest.mark.parametrize(
    ("reset_in_ms", "pause_ms"), [(400, 400), (-50, 1000), (0, 1000), (None, 1000), (3_600_000, RESET_MS_MAX)]
)
def test_after_10006_none_goes_out_until_its_reset(bench: Bench, reset_in_ms: int | None, pause_ms: int) -> None:
    stamp = {} if reset_in_ms is None else {"X-Bapi-Limit-Reset-Timestamp": str(bench.clock.at_ms + reset_in_ms)}
    bench.heard(headers=stamp, kind=CodeKind.RATE)
    bench.later(pause_ms - 1)
    assert bench.blocked(reduce_only=True)
    bench.later(1)
    assert not bench.blocked()


def test_10006_of_one_call_leaves_the_others_alone(bench: Bench) -> None:
    bench.heard(READ, kind=CodeKind.RATE)
    assert bench.budget.take(READ) is not None
    assert bench.budget.take(CREATE) is None


def test_a_ban_stops_every_call_for_ten_minutes_reductions_and_questions_included(bench: Bench) -> None:
    bench.heard(READ, answered=False, kind=CodeKind.BANNED)
    bench.later(599_999)
    assert [bench.sendable(reducing=True, method=method) for method in LIMITS] == [0] * len(LIMITS)
    block = bench.budget.block(reduce_only=True)
    assert block is not None
    assert block.retry_after_seconds == 1
    bench.later(1)
    assert not bench.blocked()
    assert [alarm.kind for alarm in bench.alarms] == [AlarmKind.BANNED]


def test_a_clock_that_is_set_back_makes_no_pause_longer_than_itself(bench: Bench) -> None:
    bench.heard(answered=False, kind=CodeKind.BANNED)
    bench.later(-86_400_000)
    assert bench.blocked()
    bench.later(600_000)
    assert not bench.blocked()


def test_a_clock_that_is_set_back_does_not_keep_the_second_full(bench: Bench) -> None:
    bench.sendable(reducing=True)
    bench.later(-86_400_000)
    assert bench.sendable(reducing=True) == LIMITS[CREATE]


def test_a_key_that_is_not_accepted_stops_orders_for_good_and_questions_not_at_all(bench: Bench) -> None:
    bench.heard(READ, kind=CodeKind.AUTH)
    bench.heard(READ, kind=CodeKind.AUTH)
    bench.later(86_400_000)
    block = bench.budget.block(reduce_only=True)
    assert block is not None
    assert block.retry_after_seconds == STOPPED_RETRY_SECONDS
    assert bench.budget.take(CREATE, reducing=True) is not None
    assert bench.budget.take(READ) is None
    assert [alarm.kind for alarm in bench.alarms] == [AlarmKind.AUTH]


def test_a_refused_time_stamp_is_an_alarm_and_no_stop(bench: Bench) -> None:
    bench.heard(kind=CodeKind.CLOCK)
    assert [alarm.kind for alarm in bench.alarms] == [AlarmKind.CLOCK]
    assert not bench.blocked()


def test_429_holds_back_all_but_reductions_and_twice_as_long_each_time(bench: Bench) -> None:
    for pause_ms in (1000, 2000, 4000):
        bench.heard(answered=False, kind=CodeKind.RATE)
        bench.later(pause_ms - 1)
        assert bench.blocked()
        assert bench.budget.take(READ) is not None
        assert not bench.blocked(reduce_only=True)
        bench.later(1)
        assert not bench.blocked()
    bench.heard()
    bench.heard(answered=False, kind=CodeKind.RATE)
    bench.later(BUSY_MS[0])
    assert not bench.blocked()


def test_an_answer_to_another_question_does_not_shorten_the_pause_after_429(bench: Bench) -> None:
    bench.heard(answered=False, kind=CodeKind.RATE)
    bench.later(BUSY_MS[0])
    bench.heard(READ)
    bench.heard(answered=False, kind=CodeKind.RATE)
    bench.later(2 * BUSY_MS[0] - 1)
    assert bench.blocked()


def test_a_ban_that_market_data_has_met_holds_for_orders(bench: Bench) -> None:
    bench.ban.begin()
    assert bench.blocked(reduce_only=True)
    bench.later(600_000)
    assert not bench.blocked()


def test_the_pause_after_429_is_bounded(bench: Bench) -> None:
    for _ in range(20):
        bench.heard(answered=False, kind=CodeKind.RATE)
    bench.later(BUSY_MS[1])
    assert not bench.blocked()


def test_the_address_keeps_to_its_own_limit_with_room_for_reductions(bench: Bench) -> None:
    sent = 0
    for _ in range(ADDRESS_SPAN_MS // 1000 - 1):
        sent += sum(bench.sendable(method=method) for method in ("get_executions", READ, "get_order_history"))
        bench.later(1000)
    assert sent == ADDRESS_CALLS_MAX - ADDRESS_HEADROOM
    assert bench.blocked()
    assert not bench.blocked(reduce_only=True)
    bench.later(ADDRESS_SPAN_MS)
    assert not bench.blocked()


def test_a_call_that_nobody_planned_is_a_fault_of_ours(bench: Bench) -> None:
    with pytest.raises(KeyError):
        bench.budget.take("withdraw")


def refuse(bench: Bench, count: int, code: int = 110007, *, reduce_only: bool = False) -> None:
    for _ in range(count):
        bench.budget.refused(code, reduce_only=reduce_only)


def test_the_same_refusal_in_a_row_holds_back_openings_and_no_reduction(bench: Bench) -> None:
    refuse(bench, REFUSALS_MAX - 1)
    assert not bench.blocked()
    refuse(bench, 1)
    assert bench.blocked()
    assert not bench.blocked(reduce_only=True)
    assert [alarm.kind for alarm in bench.alarms] == [AlarmKind.BREAKER]


def test_other_codes_successes_reductions_and_old_refusals_do_not_add_up(bench: Bench) -> None:
    refuse(bench, REFUSALS_MAX - 1)
    refuse(bench, 1, code=110094)
    refuse(bench, REFUSALS_MAX - 1)
    bench.budget.passed(reduce_only=False)
    refuse(bench, REFUSALS_MAX - 1)
    refuse(bench, REFUSALS_MAX, reduce_only=True)
    bench.later(WINDOW_MS)
    refuse(bench, REFUSALS_MAX - 1)
    assert not bench.blocked()


def test_a_reduction_that_passes_proves_nothing_for_openings(bench: Bench) -> None:
    refuse(bench, REFUSALS_MAX - 1)
    bench.budget.passed(reduce_only=True)
    refuse(bench, 1)
    assert bench.blocked()


def test_after_the_pause_one_trial_goes_out_and_decides(bench: Bench) -> None:
    refuse(bench, REFUSALS_MAX)
    bench.later(PAUSE_MS - 1)
    assert bench.blocked()
    bench.later(1)
    assert bench.sendable() == 1
    refuse(bench, 1)
    bench.later(PAUSE_MS - 1)
    assert bench.blocked()
    bench.later(1)
    assert bench.sendable() == 1
    bench.budget.passed(reduce_only=False)
    assert not bench.blocked()


def test_a_trial_whose_answer_is_lost_is_tried_again_after_the_pause(bench: Bench) -> None:
    refuse(bench, REFUSALS_MAX)
    bench.later(PAUSE_MS)
    assert bench.sendable() == 1
    bench.later(PAUSE_MS)
    assert bench.sendable() == 1


def test_while_trading_is_halted_no_order_goes_out_and_questions_do(bench: Bench) -> None:
    halted = [True]
    budget = Budget(clock=bench.clock, alarm=bench.alarms.append, ban=bench.ban, halted=lambda _: halted[0])
    assert [budget.take(CREATE, reducing=reducing) is None for reducing in (False, True)] == [False, False]
    assert budget.take(READ) is None
    halted[0] = False
    assert budget.take(CREATE) is None


def test_while_a_flatten_runs_a_halt_lets_reductions_through_and_no_opening(bench: Bench) -> None:
    budget = Budget(
        clock=bench.clock, alarm=bench.alarms.append, ban=bench.ban, halted=lambda reduce_only: not reduce_only
    )
    assert budget.take(CREATE, reducing=True) is None
    block = budget.take(CREATE)
    assert block is not None
    assert block.what == "trading is halted"
    assert budget.take("cancel_all_orders") is None
