"""Live trading as a whole, in virtual time: single stories, a short soak, and gateways that are broken on purpose."""

from decimal import Decimal

import pytest
from builders import BTC, an_order

from bench.live.audit import Audit
from bench.live.life import UID
from bench.live.operator import Operator
from bench.live.world import World
from bench.soak import Soak
from gateway.core.documents import DocumentKind
from gateway.core.model import Evidence, OrderKey, OrderState, RiskState, Side
from gateway.core.twin_records import twin_from
from simulator.faults import FaultRule, Kind
from simulator.outages import Part
from simulator.trading.contract import Lags

CREATE = "/v5/order/create"


class Story:
    """A gateway that serves, and its audit."""

    def __init__(self, **world):
        self.audit = Audit()
        self.world = World(seed=7, watcher=self.audit, **world)
        self.audit.watch(self.world)
        self.operator = Operator(self.world)
        assert self.world.until(lambda: self.world.gateway, within_ms=5_000)

    def submit(self, key="key-1", wait_ms=100, **changes):
        task = self.world.begin(an_order(key=OrderKey(key), **changes))
        self.world.pass_ms(wait_ms)
        return task

    def fault(self, kind, **fields):
        self.world.local.faults.add(FaultRule(kind=kind, **{"path": CREATE, **fields}))

    def end(self):
        """Everything is known, and every promise was kept."""
        self.operator.end_faults()
        assert self.operator.settle()
        self.audit.close()
        assert self.audit.broken == []

    def states(self, key="key-1"):
        return [record.state for record in self.world.disk.records if record.order.key == key]

    def record(self, key="key-1"):
        return self.world.disk.newest[OrderKey(key)]


@pytest.fixture
def story():
    made = Story()
    yield made
    made.world.close()


@pytest.fixture
def poor_story():
    made = Story(start_usd=Decimal(3_000))
    yield made
    made.world.close()


def test_an_order_is_filled_on_the_word_of_the_stream(story):
    story.submit()
    assert story.states() == [OrderState.PENDING, OrderState.FILLED]
    assert story.record().evidence is Evidence.STREAM
    story.end()


def test_a_filled_order_has_a_paper_twin_of_the_moment_at_which_it_was_sent(story):
    story.submit()
    story.world.pass_ms(1_500)
    (document,) = story.world.disk.documents
    assert (document.kind, document.subject) == (DocumentKind.TWIN, "key-1")
    twin = twin_from(document)
    assert twin.live.qty == twin.paper.qty == sum(fill.qty for fill in story.record().fills)
    assert abs(twin.price_worse_bps) < 5
    story.end()


def test_an_order_that_is_not_filled_has_no_twin(story):
    story.fault(Kind.DROP_BEFORE_ACCEPT)
    story.submit(wait_ms=20_000)
    assert story.record().state is OrderState.EXPIRED
    assert story.world.disk.documents == []
    story.end()


def test_an_order_whose_answer_was_lost_is_found(story):
    story.world.local.engine.lags = Lags(push_ms=(20_000, 20_000))
    story.fault(Kind.ACCEPT_THEN_DROP)
    story.submit(wait_ms=1_000)
    assert story.record().evidence is Evidence.REALTIME
    story.end()


def test_an_order_that_never_arrived_expires_once_it_cannot_arrive_any_more(story):
    story.fault(Kind.DROP_BEFORE_ACCEPT)
    story.submit(wait_ms=15_000)
    assert story.states() == [OrderState.PENDING, OrderState.UNKNOWN]
    story.world.pass_ms(3_000)
    assert story.states() == [OrderState.PENDING, OrderState.UNKNOWN, OrderState.EXPIRED]
    assert story.record().evidence is Evidence.ABSENCE
    story.end()


def test_an_order_that_waits_for_its_turn_is_not_sent_after_a_halt(story):
    story.fault(Kind.DELAY_AFTER, ms=2_000)
    story.submit("first", wait_ms=10)
    story.submit("second", wait_ms=10)
    story.world.call(story.world.gateway.guard.halt("ada", "a halt"))
    story.world.pass_ms(4_000)
    assert story.record("first").state is OrderState.FILLED
    assert (story.record("second").state, story.record("second").evidence) == (OrderState.EXPIRED, Evidence.UNSENT)
    story.end()


def test_nothing_of_a_killed_gateway_acts_any_more(story):
    story.submit("in flight", wait_ms=2)
    story.world.kill()
    asked, records = story.world.local.log.total, len(story.world.disk.records)
    story.world.pass_ms(400)
    assert story.world.gateway is None
    assert (story.world.local.log.total, len(story.world.disk.records)) == (asked, records)
    assert len(list(story.world.hub)) == 0
    story.end()
    assert story.world.lives == 2


def test_a_foreign_hand_puts_the_gateway_into_reducing_within_seconds(story):
    fields = {"category": "linear", "symbol": BTC, "side": "Buy", "orderType": "Market", "qty": "0.001"}
    story.world.local.engine.create_order(UID, fields)
    story.world.pass_ms(3_000)
    assert story.world.gateway.guard.standing().state is RiskState.REDUCING
    assert "a foreign hand uses this account" in story.world.disk.risk[-1].reason


def test_the_same_seed_gives_the_same_half_minute():
    first, second = (Soak(minutes=0.5, rate=20, seed=3).run() for _ in range(2))
    assert first | {"seconds": 0} == second | {"seconds": 0}


def test_a_minute_of_orders_and_faults_leaves_nothing_unknown_and_the_ledger_is_the_venues():
    told = Soak(minutes=1, rate=20, seed=2).run()
    assert told["broken"] == []
    assert (told["settled"], told["flat"], told["unknown_left"]) == (True, True, 0)
    assert told["orders_sent"] >= 20 * 60
    assert told["faults"] >= 10
    assert told["unknown_raised"] == told["unknown_resolved"] > 0


class Broken:
    """A venue that does one thing wrong."""

    dry_run = False

    def __init__(self, venue):
        self._venue = venue

    def block(self, *, reduce_only):
        return self._venue.block(reduce_only=reduce_only)

    async def submit(self, approved):
        return await self._venue.submit(approved)

    async def find(self, record):
        return await self._venue.find(record)


def losing_a_fill(outcome):
    if outcome is None or len(outcome.fills) < 2:
        return outcome
    return type(outcome)(
        state=outcome.state,
        fills=outcome.fills[:-1],
        detail=outcome.detail,
        evidence=outcome.evidence,
        venue_order_id=outcome.venue_order_id,
    )


class LosesFills(Broken):
    """Takes an order for complete before all of its executions are known."""

    async def submit(self, approved):
        return losing_a_fill(await super().submit(approved))

    async def find(self, record):
        return losing_a_fill(await super().find(record))


class GivesUpEarly(Broken):
    """Takes an order that leaves no trace for one that never arrived, at once."""

    async def find(self, record):
        outcome = await super().find(record)
        return None if outcome is not None and outcome.state is OrderState.UNKNOWN else outcome


class CallsItRejected(Broken):
    """Takes a lost answer for a refusal."""

    async def submit(self, approved):
        outcome = await super().submit(approved)
        if outcome.state is not OrderState.UNKNOWN:
            return outcome
        return type(outcome)(state=OrderState.REJECTED, evidence=Evidence.REPLY)


def test_a_soak_finds_a_gateway_that_loses_fills():
    told = Soak(minutes=0.25, rate=20, seed=1, venue_of=LosesFills).run()
    assert any("has other fills" in what for what in told["broken"]), told["broken"]


def test_a_gateway_that_gives_orders_up_early_is_found_out():
    story = Story(venue_of=GivesUpEarly)
    story.fault(Kind.DELAY_BEFORE, ms=4_000)
    story.submit(wait_ms=10)
    story.world.kill()
    story.world.pass_ms(5_000)
    story.audit.look()
    story.world.close()
    assert any("was sent again while the first could still be taken" in what for what in story.audit.broken)


def test_a_gateway_that_takes_silence_for_a_refusal_is_found_out():
    story = Story(venue_of=CallsItRejected)
    story.fault(Kind.ACCEPT_THEN_DROP)
    story.submit(wait_ms=1)
    story.world.local.outages.begin(Part.ALL, 8)
    story.world.pass_ms(6_000)
    story.audit.look()
    story.world.close()
    assert any("key-1 has other fills" in what for what in story.audit.broken)


def test_reductions_close_a_position_to_the_last_step(story):
    story.submit("open", requested_usd=Decimal(4_000))
    story.submit("close", side=Side.SELL, requested_usd=Decimal(100_000), reduce_only=True, confidence=None)
    assert story.world.local.engine.account_view(UID).positions == {}
    story.end()


def test_fills_that_are_booked_in_another_order_than_they_were_made_move_neither_equity_nor_wallet(poor_story):
    """A buy whose end is not known and a sell that reduces: the profit is split otherwise, and is the same."""
    story = poor_story
    story.submit("held", requested_usd=Decimal(2_000), wait_ms=10_000)
    story.world.local.exchange.markets[BTC].jump(1.2, story.world.time.now_ms())
    story.fault(Kind.ACCEPT_THEN_DROP)
    story.fault(Kind.FORGET_ORDERS, path="/v5/order/realtime", times=50)
    story.world.local.engine.lags = Lags(history_ms=(9_000, 9_000), push_ms=(60_000, 60_000))
    story.submit("buy", requested_usd=Decimal(2_000), wait_ms=6_000)
    assert story.record("buy").state is OrderState.UNKNOWN
    story.world.local.engine.lags = Lags()
    story.submit("sell", side=Side.SELL, requested_usd=Decimal(1_000), reduce_only=True, confidence=None, wait_ms=6_000)
    assert [record.order.key for record in story.world.disk.filled()] == ["held", "sell", "buy"]
    story.world.pass_ms(120_000)
    equity = story.world.gateway.side.equity.usd()
    assert abs(equity - story.world.local.engine.account_view(UID).equity) < Decimal("0.0001")
    story.end()
