"""pybit against the exchange in this process, under a clock that is moved by hand: no socket and no waiting."""

import time

import pytest
import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP
from simulated_exchange import KEY, LINEAR, SECRET, order, resting

from simulator.faults import FaultRule, Kind
from simulator.inprocess import ExchangeConfig, HandScheduler, LocalExchange, LocalTransport
from simulator.outages import Part
from simulator.trading.contract import Lags

CREATE = "/v5/order/create"


class Rig:
    """pybit, built as it should be, and the exchange behind it. pybit signs by the wall clock: so time begins there."""

    def __init__(self, **config):
        self.start_ms = time.time_ns() // 1_000_000
        self.scheduler = HandScheduler(self.start_ms)
        self.local = LocalExchange(ExchangeConfig(seed=7, symbols=["BTCUSDT"], **config), self.scheduler)
        self.pybit = HTTP(
            api_key=KEY, api_secret=SECRET, timeout=(3, 8), force_retry=False, max_retries=1, retry_codes={-999},
            recv_window=60_000,
        )  # fmt: skip
        self.pybit.endpoint = "http://exchange.invalid"
        self.pybit.client.trust_env = False
        self.pybit.client.max_redirects = 0
        self.pybit.client.mount("http://", LocalTransport(self.local, self.scheduler.advance))

    def fault(self, kind, **fields):
        self.local.faults.add(FaultRule(kind=kind, path=CREATE, **fields))

    @property
    def passed_ms(self):
        return self.scheduler.now_ms() - self.start_ms

    @property
    def orders(self):
        return [each.order_link_id for each in self.local.engine.all_orders(1)]


@pytest.fixture
def rig():
    made = Rig()
    with made.pybit.client:
        yield made


def test_pybit_trades_and_each_request_takes_its_two_milliseconds(rig):
    ack = rig.pybit.place_order(**order("a"))
    assert (ack["retCode"], ack["result"]["orderLinkId"]) == (0, "a")
    assert rig.passed_ms == 2
    rig.scheduler.advance(300)
    [filled] = rig.pybit.get_order_history(**LINEAR)["result"]["list"]
    assert (filled["orderStatus"], filled["cumExecQty"]) == ("Filled", "0.001")
    [position] = rig.pybit.get_positions(**LINEAR)["result"]["list"]
    assert (position["side"], position["size"]) == ("Buy", "0.001")
    assert len(rig.pybit.get_executions(**LINEAR)["result"]["list"]) == 1
    assert rig.passed_ms == 308


def test_pybit_amends_and_cancels(rig):
    rig.pybit.place_order(**resting("a"))
    rig.scheduler.advance(50)
    rig.pybit.amend_order(**LINEAR, orderLinkId="a", price="11000.0")
    rig.scheduler.advance(50)
    [row] = rig.pybit.get_open_orders(**LINEAR)["result"]["list"]
    assert (row["orderLinkId"], float(row["price"])) == ("a", 11000.0)
    rig.pybit.cancel_order(**LINEAR, orderLinkId="a")
    rig.scheduler.advance(50)
    assert rig.pybit.get_open_orders(**LINEAR)["result"]["list"] == []


def test_what_is_due_happens_at_its_time_while_a_request_waits(rig):
    rig.local.engine.lags = Lags(apply_ms=(5, 5), visible_ms=(0, 0), history_ms=(0, 0), push_ms=(3, 3))
    heard = []
    rig.local.listeners.append(lambda push: heard.append((push.topic, rig.passed_ms)))
    rig.fault(Kind.DELAY_AFTER, ms=1000)
    rig.pybit.place_order(**order("a"))
    # There in one millisecond, matched after five, pushed after three more: before the answer, at 1 002.
    assert {at for topic, at in heard if topic == "execution"} == {9}
    assert rig.passed_ms == 1002


def test_an_answer_later_than_the_read_timeout_is_given_up_at_that_moment(rig):
    rig.fault(Kind.DELAY_AFTER, ms=20_000)
    with pytest.raises(requests.exceptions.ReadTimeout):
        rig.pybit.place_order(**order("a"))
    assert rig.passed_ms == 8000
    assert rig.orders == ["a"]


def test_an_answer_took_what_passed_on_the_exchanges_clock_until_its_head(rig):
    rig.local.faults.add(FaultRule(kind=Kind.DELAY_AFTER, ms=300), FaultRule(kind=Kind.SLOW_BODY, ms=500))
    took = [rig.pybit.client.get("http://exchange.invalid/v5/market/time").elapsed for _ in range(3)]
    assert [span.total_seconds() for span in took] == [0.302, 0.002, 0.002]


def test_a_request_that_was_held_up_arrives_after_the_client_has_given_up(rig):
    rig.fault(Kind.DELAY_BEFORE, ms=10_000)
    with pytest.raises(requests.exceptions.ReadTimeout):
        rig.pybit.place_order(**order("a"))
    assert (rig.passed_ms, rig.orders) == (8000, [])
    rig.scheduler.advance(2001)
    assert rig.orders == ["a"]


@pytest.mark.parametrize(("kind", "made"), [(Kind.DROP_BEFORE_ACCEPT, []), (Kind.ACCEPT_THEN_DROP, ["a"])])
def test_a_dropped_connection_is_a_connection_error(rig, kind, made):
    rig.fault(kind)
    with pytest.raises(requests.exceptions.ConnectionError):
        rig.pybit.place_order(**order("a"))
    assert rig.orders == made


def test_a_truncated_answer_is_a_broken_chunk(rig):
    rig.fault(Kind.TRUNCATED_JSON)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        rig.pybit.place_order(**order("a"))
    assert rig.orders == ["a"]


def test_a_redirect_is_one_too_many(rig):
    rig.fault(Kind.REDIRECT)
    with pytest.raises(requests.exceptions.TooManyRedirects):
        rig.pybit.place_order(**order("a"))
    assert rig.orders == []


@pytest.mark.parametrize(
    ("kind", "fields", "error", "code"),
    [
        (Kind.HTTP_AFTER_ACCEPT, {"status": 502}, FailedRequestError, 502),
        (Kind.HTTP_AFTER_ACCEPT, {"status": 200}, FailedRequestError, 409),
        (Kind.HTTP_BEFORE_ACCEPT, {"status": 403}, FailedRequestError, 403),
        (Kind.HTTP_BEFORE_ACCEPT, {"status": 429}, FailedRequestError, 429),
        (Kind.CODE_AFTER_ACCEPT, {"code": 10016}, InvalidRequestError, 10016),
        (Kind.CODE_BEFORE_ACCEPT, {"code": 10006}, InvalidRequestError, 10006),
    ],
)
def test_pybit_reports_what_the_wire_said(rig, kind, fields, error, code):
    rig.fault(kind, **fields)
    with pytest.raises(error) as raised:
        rig.pybit.place_order(**order("a"))
    assert raised.value.status_code == code


def test_a_slow_body_takes_its_time_and_a_too_slow_one_breaks(rig):
    rig.fault(Kind.SLOW_BODY, ms=5_000)
    assert rig.pybit.place_order(**order("a"))["retCode"] == 0
    assert rig.passed_ms == 35_002
    rig.fault(Kind.SLOW_BODY, ms=9_000)
    with pytest.raises(requests.exceptions.ConnectionError):
        rig.pybit.place_order(**order("b"))


def test_while_rest_is_down_connections_are_refused(rig):
    rig.local.outages.begin(Part.REST, 3.0)
    with pytest.raises(requests.exceptions.ConnectionError):
        rig.pybit.get_server_time()
    rig.scheduler.advance(3_000)
    assert rig.pybit.get_server_time()["retCode"] == 0


def test_a_client_that_sends_again_without_a_name_makes_three_orders(rig):
    naive = HTTP(api_key=KEY, api_secret=SECRET, timeout=(3, 8), force_retry=True, retry_delay=0, recv_window=60_000)
    naive.endpoint = "http://exchange.invalid"
    naive.client.mount("http://", LocalTransport(rig.local, rig.scheduler.advance))
    rig.fault(Kind.DELAY_AFTER, ms=9_000, times=2)
    body = order("unused")
    del body["orderLinkId"]
    with naive.client:
        assert naive.place_order(**body)["retCode"] == 0
    assert len(rig.orders) == 3


def test_a_clock_that_does_not_drive_the_exchange_is_told():
    local = LocalExchange(ExchangeConfig(seed=7, symbols=["BTCUSDT"]), HandScheduler(1_800_000_000_000))
    with requests.Session() as session:
        session.mount("http://", LocalTransport(local, lambda _ms: None))
        with pytest.raises(RuntimeError, match="must drive"):
            session.get("http://exchange.invalid/v5/market/time", timeout=1)


def test_events_of_one_time_keep_their_order_and_time_never_goes_back():
    scheduler, seen = HandScheduler(100), []

    def nested():
        seen.append(("nested", scheduler.now_ms()))
        scheduler.advance(30)

    scheduler.call_at(110, lambda: seen.append(("first", scheduler.now_ms())))
    scheduler.call_at(110, lambda: seen.append(("second", scheduler.now_ms())))
    scheduler.call_at(50, lambda: seen.append(("late", scheduler.now_ms())))
    scheduler.call_at(115, nested)
    scheduler.call_at(120, lambda: seen.append(("inner", scheduler.now_ms())))
    scheduler.advance(20)
    assert seen == [("late", 100), ("first", 110), ("second", 110), ("nested", 115), ("inner", 120)]
    assert scheduler.now_ms() == 145


def test_the_same_seed_and_the_same_requests_give_the_same_trades():
    def run():
        scheduler = HandScheduler(1_800_000_000_000)
        local = LocalExchange(ExchangeConfig(seed=11, symbols=["BTCUSDT"]), scheduler)
        for n in range(5):
            local.engine.create_order(1, order(f"o{n}", side="Sell" if n % 2 else "Buy"))
            scheduler.advance(137)
        return local.engine.all_executions(1), local.engine.account_view(1)

    assert run() == run()
