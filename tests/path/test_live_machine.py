"""Whatever happens, and in whatever order: the promises of live trading hold. The whole gateway on the whole exchange.

`pytest tests/path/test_live_machine.py --hypothesis-profile=long --timeout=0` is the long form.
"""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bench.live.audit import Audit
from bench.live.faults import FAULTS
from bench.live.operator import Operator
from bench.live.world import START_MS, World
from gateway.core.model import Failure, Order, OrderKey, Side, Symbol
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.ports import Step
from simulator.outages import Part
from simulator.trading.contract import Lags

SYMBOLS = ("BTCUSDT", "ETHUSDT")
RULES = [fault for forms in FAULTS.values() for fault in forms]
SYMBOL, SIDE = st.sampled_from(SYMBOLS), st.sampled_from(Side)
USD = st.one_of(st.integers(20, 800), st.integers(20, 800), st.integers(1, 7_000))
"""Mostly so little that several orders have room under the cap."""
WAIT_MS = st.sampled_from([0, 5, 50, 400])
LONG = settings.get_current_profile_name() == "long"
OPERATOR_MS = 1_000
STORIES_TOLD = 100
"""Progress is told each time that so many have ended."""
LAGS = (
    Lags(),
    Lags(apply_ms=(200, 800), visible_ms=(0, 2_000), history_ms=(1_000, 8_000), push_ms=(0, 1_500)),
    Lags(visible_ms=(2_000, 6_000), history_ms=(4_000, 9_000)),
)


@pytest.fixture(scope="module", autouse=True)
def figures(request):
    """The long form tells how far it has come, and what it was made of."""

    def tell(text):
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            request.config.get_terminal_writer().line(text)

    if LONG:
        LiveTrading.tell = staticmethod(tell)
    yield
    if LONG:
        tell(f"\n{dict(LiveTrading.totals)}")


class LiveTrading(RuleBasedStateMachine):
    totals: ClassVar = Counter()
    """Of all stories: what happened in them."""
    tell: ClassVar = None
    """Shows progress; None in the short form."""

    def __init__(self):
        super().__init__()
        self.audit = Audit()
        self.world = World(seed=7, symbols=SYMBOLS, watcher=self.audit, VENUE_BAN_SECONDS="60")
        self.audit.watch(self.world)
        self.operator = Operator(self.world)
        self.orders = []
        self.asked = []
        """What clients asked for, and the tasks that answer them."""

    @initialize(lag=st.sampled_from(LAGS))
    def serve(self, lag):
        assert self.world.until(lambda: self.world.gateway, within_ms=10_000)
        self.world.local.engine.lags = lag

    def ask(self, order):
        """Send a client's order, to the next gateway when one has just ended."""
        self.world.until(lambda: self.world.gateway, within_ms=1_500, look_ms=50)
        task = self.world.begin(order)
        if task is not None:
            self.asked.append((order, task))
        return task

    def submit_new(self, symbol, side, usd, *, reduce_only=False):
        order = Order(
            key=OrderKey(f"key-{len(self.orders)}"),
            symbol=Symbol(symbol),
            side=side,
            requested_usd=Decimal(usd),
            confidence=None if reduce_only else Decimal("0.9"),
            decision_id=None,
            reduce_only=reduce_only,
        )
        self.orders.append(order)
        return self.ask(order)

    @rule(symbol=SYMBOL, side=SIDE, usd=USD, reduce_only=st.booleans(), wait_ms=WAIT_MS)
    def submit(self, symbol, side, usd, reduce_only, wait_ms):
        self.submit_new(symbol, side, usd, reduce_only=reduce_only)
        self.world.pass_ms(wait_ms)

    @rule(count=st.integers(2, 8), usd=USD, side=SIDE, wait_ms=WAIT_MS)
    def submit_at_once(self, count, usd, side, wait_ms):
        for _ in range(count):
            self.submit_new(SYMBOLS[0], side, usd)
        self.world.pass_ms(wait_ms)

    @rule(count=st.integers(2, 5), usd=USD, side=SIDE, wait_ms=WAIT_MS)
    def submit_one_order_several_times_at_once(self, count, usd, side, wait_ms):
        self.submit_new(SYMBOLS[1], side, usd)
        for _ in range(count - 1):
            self.ask(self.orders[-1])
        self.world.pass_ms(wait_ms)

    @rule(
        faults=st.lists(st.sampled_from(RULES), min_size=1, max_size=3),
        symbol=SYMBOL,
        side=SIDE,
        usd=USD,
        wait_ms=WAIT_MS,
    )
    def submit_into_faults(self, faults, symbol, side, usd, wait_ms):
        self.world.local.faults.add(*faults)
        self.submit_new(symbol, side, usd)
        self.world.pass_ms(wait_ms)

    @rule(fault=st.sampled_from(RULES), usd=USD, wait_ms=WAIT_MS)
    def reduce_into_a_fault(self, fault, usd, wait_ms):
        """Close a part of what is held, if anything is."""
        gateway = self.world.gateway
        held = gateway.account.ledger.position_qty(SYMBOLS[0]) if gateway else 0
        self.world.local.faults.add(fault)
        self.submit_new(SYMBOLS[0], Side.SELL if held > 0 else Side.BUY, usd, reduce_only=True)
        self.world.pass_ms(wait_ms)

    @precondition(lambda self: self.orders)
    @rule(back=st.integers(0, 3), wait_ms=st.sampled_from([0, 5]))
    def retry(self, back, wait_ms):
        self.ask(self.orders[max(0, len(self.orders) - 1 - back)])
        self.world.pass_ms(wait_ms)

    @precondition(lambda self: self.orders)
    @rule(back=st.integers(0, 3))
    def same_key_for_another_order(self, back):
        order = self.orders[max(0, len(self.orders) - 1 - back)]
        other = replace(order, requested_usd=order.requested_usd + 1)
        task, gateway = self.ask(other), self.world.gateway
        stored = gateway.journal.find(order.key) if gateway else None
        self.world.pass_ms(5)
        if stored is None:
            self.orders.append(other)
        elif stored.order != other and not gateway.dead:
            assert task.result().reason is Reason.IDEMPOTENCY_KEY_REUSED

    @rule(part=st.sampled_from(Part), seconds=st.sampled_from([1, 8]))
    def outage(self, part, seconds):
        self.world.local.outages.begin(part, seconds)

    @rule(lag=st.sampled_from(LAGS))
    def lags(self, lag):
        self.world.local.engine.lags = lag

    @rule()
    def kill(self):
        self.world.kill()

    @precondition(lambda self: self.world.gateway)
    @rule(step=st.sampled_from(Step), usd=USD, side=SIDE)
    def kill_at_a_step(self, step, usd, side):
        self.world.gateway.dies_at = step
        self.submit_new(SYMBOLS[0], side, usd)
        self.world.pass_ms(50)

    @rule(wait_ms=st.integers(0, 12), faults=st.lists(st.sampled_from(RULES), max_size=1))
    def kill_while_an_order_is_under_way(self, wait_ms, faults):
        self.world.local.faults.add(*faults)
        self.submit_new(SYMBOLS[1], Side.BUY, 500)
        self.world.pass_ms(wait_ms)
        self.world.kill()

    @rule()
    def restart_of_the_exchange(self):
        self.world.local.restart_trading()

    @rule(off_ms=st.sampled_from([400, -400, -3_000, 900, 60_000]), for_ms=st.sampled_from([5, 500, 20_000]))
    def clock_jump(self, off_ms, for_ms):
        """The gateway's clock is wrong for a while."""
        self.world.clock.off_ms = off_ms
        self.world.time.call_at(self.world.time.now_ms() + for_ms, self.mend_clock)

    def mend_clock(self):
        self.world.clock.off_ms = 0

    @rule(skew_ms=st.sampled_from([0, 300, -300]))
    def clock_of_the_exchange(self, skew_ms):
        self.world.local.clock.skew_ms = skew_ms

    @rule(symbol=st.sampled_from(SYMBOLS), factor=st.sampled_from([0.9, 0.99, 1.01, 1.1]))
    def price_jump(self, symbol, factor):
        self.world.local.exchange.markets[symbol].jump(factor, self.world.time.now_ms())

    @rule(depth=st.sampled_from([0.0, 0.01, 1.0]))
    def depth(self, depth):
        for market in self.world.local.exchange.markets.values():
            market.depth_factor = depth

    @precondition(lambda self: self.world.gateway)
    @rule()
    def halt(self):
        self.world.call(self.world.gateway.guard.halt("operator", "a halt"))

    @precondition(lambda self: self.world.gateway)
    @rule()
    def resume(self):
        self.world.call(self.world.gateway.guard.resume("operator", "a resumption"))

    @rule(ms=st.sampled_from([1, 10, 100, 1_000, 4_000, 16_000, 60_000]))
    def time_passes(self, ms):
        """The longer ones have an operator who looks at it."""
        self.world.pass_ms(ms)
        if ms >= OPERATOR_MS:
            self.operator.look()

    @invariant()
    def every_promise_holds(self):
        self.totals["steps"] += 1
        self.audit.look()
        assert not self.audit.broken, self.audit.broken[0]

    def teardown(self):
        try:
            self.operator.end_faults()
            answered = self.world.until(lambda: all(task.done() for _, task in self.asked), within_ms=10_000)
            settled = self.operator.settle()
            self.audit.close()
            assert not self.audit.broken, self.audit.broken[0]
            assert answered
            assert settled
            self.answers_are_what_the_journal_says()
        finally:
            self.count()
            self.world.close()

    def count(self):
        unknown = [*self.audit.resolved_ms, *self.audit.unknown_ms]
        self.totals.update(
            {
                "stories": 1,
                "requests": len(self.asked),
                "orders": self.audit.sent,
                "gateways": self.world.lives,
                "faults": self.world.local.faults.injected.total(),
                "unknown": len(unknown),
                "seconds": (self.world.time.now_ms() - START_MS) // 1000,
            }
        )
        if self.tell and self.totals["stories"] % STORIES_TOLD == 0:
            self.tell(f"{self.totals['stories']} stories")
        self.totals.update(f"fault {kind}" for kind in self.world.local.faults.injected.elements())
        self.totals.update(f"order {record.state.value}" for record in self.world.disk.newest.values())

    def answers_are_what_the_journal_says(self):
        for order, task in self.asked:
            if task.cancelled() or task.exception() is not None:
                continue  # its gateway was killed
            answer, record = task.result(), self.world.disk.newest.get(order.key)
            if isinstance(answer, Failure):
                continue
            assert isinstance(answer, Answer)
            assert record.order == order == answer.record.order
            if answer.record.evidence is not None:
                assert answer.record == record


QUICK = {} if LONG else {"max_examples": 80, "stateful_step_count": 30, "derandomize": True}
TestLiveTrading = LiveTrading.TestCase
TestLiveTrading.settings = settings(**QUICK, deadline=None, suppress_health_check=list(HealthCheck))
