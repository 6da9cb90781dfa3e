"""Every HTTP fault over a real socket, as a plain client meets it, with the exchange's own view beside it."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import requests
from simulated_exchange import KEY, Bench, order, sign, told

from simulator.faults import FaultRule, Faults, Kind, RuleError, rule_from, rules_from
from simulator.server import ServerConfig, Serving, serving
from simulator.trading.contract import Lags

CREATE = "/v5/order/create"
AT_ONCE = Lags(apply_ms=(0, 0), visible_ms=(0, 0), history_ms=(0, 0), push_ms=(0, 0))


@dataclass
class Socket:
    """A client with real sockets, and the exchange at its other end."""

    server: Serving
    session: requests.Session

    def arm(self, kind: str, **fields: Any) -> None:
        self.server.local.faults.add(rule_from({"kind": kind, "path": CREATE, **fields}))

    async def create(self, link_id: str, **options: Any) -> requests.Response:
        body = json.dumps(order(link_id)).encode()
        return await self.send("POST", CREATE, body, **options)

    async def send(self, method: str, path: str, payload: bytes, **options: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        query = f"?{payload.decode()}" if method == "GET" else ""
        options = {"timeout": 5, "allow_redirects": False, "headers": sign(payload, _wall_ms()), **options}
        data = payload if method == "POST" else None
        return await asyncio.to_thread(self.session.request, method, url + query, data=data, **options)

    @property
    def orders(self) -> list[str]:
        return [each.order_link_id for each in self.server.local.engine.all_orders(1)]

    @property
    def last(self) -> Any:
        return self.server.local.log.after(self.server.local.log.total - 1)[0]


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest_asyncio.fixture
async def socket():
    async with serving(ServerConfig(seed=7, symbols=["BTCUSDT"], lags=AT_ONCE)) as server:
        with requests.Session() as session:
            session.trust_env = False
            yield Socket(server, session)


async def test_without_a_fault_an_order_is_acknowledged(socket):
    answer = (await socket.create("a")).json()
    assert (answer["retCode"], answer["result"]["orderLinkId"]) == (0, "a")
    assert socket.orders == ["a"]
    assert (socket.last.accepted, socket.last.fault, socket.last.link_id) == (True, None, "a")


async def test_a_delay_before_lets_the_order_arrive_later(socket):
    socket.arm("delay_before", ms=300)
    sent = asyncio.create_task(socket.create("a"))
    await asyncio.sleep(0.15)
    assert socket.orders == []
    assert (await sent).json()["retCode"] == 0
    assert socket.orders == ["a"]


async def test_a_delay_before_outlives_the_client_and_the_order_is_made_all_the_same(socket):
    socket.arm("delay_before", ms=300)
    with pytest.raises(requests.exceptions.ReadTimeout):
        await socket.create("a", timeout=0.1)
    assert socket.orders == []
    await asyncio.sleep(0.4)
    assert socket.orders == ["a"]


async def test_an_order_held_up_longer_than_its_window_is_refused(socket):
    socket.arm("delay_before", ms=400)
    body = json.dumps(order("a")).encode()
    answer = await socket.send("POST", CREATE, body, headers=sign(body, _wall_ms(), window="200"))
    assert answer.json()["retCode"] == 10002
    assert socket.orders == []


async def test_a_delay_after_makes_the_order_at_once_and_answers_late(socket):
    socket.arm("delay_after", ms=300)
    with pytest.raises(requests.exceptions.ReadTimeout):
        await socket.create("a", timeout=0.1)
    assert socket.orders == ["a"]
    assert (socket.last.accepted, socket.last.fault) == (True, "delay_after")


@pytest.mark.parametrize(("kind", "made"), [("drop_before_accept", []), ("accept_then_drop", ["a"])])
async def test_a_dropped_connection_tells_nothing_of_the_order(socket, kind, made):
    socket.arm(kind)
    with pytest.raises(requests.exceptions.ConnectionError):
        await socket.create("a")
    assert socket.orders == made
    assert (socket.last.accepted, socket.last.status) == (bool(made), None)


@pytest.mark.parametrize("code", [10000, 10016, 170007])
@pytest.mark.parametrize(("kind", "made"), [("code_before_accept", []), ("code_after_accept", ["a"])])
async def test_a_code_of_a_timeout_comes_with_and_without_an_order(socket, kind, made, code):
    socket.arm(kind, code=code)
    answer = (await socket.create("a")).json()
    assert (answer["retCode"], answer["result"]) == (code, {})
    assert socket.orders == made


async def test_an_injected_10006_has_no_limit_headers(socket):
    socket.arm("code_before_accept", code=10006)
    answer = await socket.create("a")
    assert answer.json()["retCode"] == 10006
    assert "X-Bapi-Limit-Reset-Timestamp" not in answer.headers


@pytest.mark.parametrize("status", [502, 504])
@pytest.mark.parametrize(("kind", "made"), [("http_before_accept", []), ("http_after_accept", ["a"])])
async def test_a_broken_gateway_answers_html(socket, kind, made, status):
    socket.arm(kind, status=status)
    answer = await socket.create("a")
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html")
    assert answer.text.startswith("<html>")
    assert socket.orders == made


@pytest.mark.parametrize(("status", "text"), [(403, "access too frequent"), (429, "Too many requests")])
async def test_the_front_refuses_with_words(socket, status, text):
    socket.arm("http_before_accept", status=status)
    answer = await socket.create("a")
    assert (answer.status_code, text in answer.text) == (status, True)
    assert socket.orders == []


async def test_a_403_can_say_something_else(socket):
    socket.arm("http_before_accept", status=403, text="<html>blocked in your country</html>")
    answer = await socket.create("a")
    assert (answer.status_code, answer.text) == (403, "<html>blocked in your country</html>")


async def test_html_can_come_with_status_200(socket):
    socket.arm("http_after_accept", status=200)
    answer = await socket.create("a")
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    assert socket.orders == ["a"]


async def test_a_redirect_leads_a_careless_client_to_an_answer_that_looks_like_success(socket):
    socket.arm("redirect", times=2)
    answer = await socket.create("a")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/v5/market/time")
    followed = await socket.create("b", allow_redirects=True)
    assert followed.json()["retCode"] == 0
    assert socket.orders == []


async def test_a_truncated_answer_ends_before_its_declared_length(socket):
    socket.arm("truncated_json")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        await socket.create("a")
    assert socket.orders == ["a"]


async def test_a_slow_body_comes_whole_though_later_than_the_read_timeout(socket):
    socket.arm("slow_body", ms=40)
    started = time.monotonic()
    answer = await socket.create("a", timeout=0.25)
    assert time.monotonic() - started > 0.25
    assert answer.json()["result"]["orderLinkId"] == "a"


async def test_a_restart_takes_the_answer_and_the_ended_orders(socket):
    socket.arm("restart_after_accept", ms=50)
    with pytest.raises(requests.exceptions.ConnectionError):
        await socket.create("a")
    query = b"category=linear&orderLinkId=a"
    before = (await socket.send("GET", "/v5/order/realtime", query)).json()["result"]["list"]
    assert [row["orderStatus"] for row in before] == ["Filled"]
    await asyncio.sleep(0.1)
    assert (await socket.send("GET", "/v5/order/realtime", query)).json()["result"]["list"] == []
    assert len((await socket.send("GET", "/v5/order/history", query)).json()["result"]["list"]) == 1


async def test_forgotten_orders_are_missing_only_where_and_as_often_as_it_was_said(socket):
    await socket.create("a")
    query = b"category=linear&orderLinkId=a"
    socket.server.local.faults.add(FaultRule(kind=Kind.FORGET_ORDERS, path="/v5/order/*", times=2))
    lists = [
        (await socket.send("GET", path, query)).json()["result"]["list"]
        for path in ("/v5/order/realtime", "/v5/execution/list", "/v5/order/history", "/v5/order/realtime")
    ]
    assert [len(rows) for rows in lists] == [0, 1, 0, 1]


async def test_a_fault_that_follows_a_refusal_hides_the_refusal(socket):
    await socket.create("a")
    socket.arm("accept_then_drop")
    with pytest.raises(requests.exceptions.ConnectionError):
        await socket.create("a")
    assert socket.last.accepted is False
    assert socket.orders == ["a"]


def kinds(faults, count, path=CREATE, link_id=None):
    taken = [faults.take(path, link_id) for _ in range(count)]
    return [rule.kind.value if rule else None for rule in taken]


def test_a_rule_waits_for_its_path_its_order_and_its_turn():
    faults = Faults()
    faults.add(FaultRule(kind=Kind.REDIRECT, path="/v5/order/*", link_id="x", after=1, times=2))
    assert kinds(faults, 2) == [None, None]
    assert kinds(faults, 2, path="/v5/position/list", link_id="x") == [None, None]
    assert kinds(faults, 5, link_id="x") == [None, "redirect", "redirect", None, None]
    assert faults.waiting == ()
    assert faults.injected == {"redirect": 2}


def test_rules_are_taken_in_their_order_one_a_request():
    faults = Faults()
    faults.add(FaultRule(kind=Kind.REDIRECT), FaultRule(kind=Kind.TRUNCATED_JSON, times=None))
    assert kinds(faults, 4) == ["redirect", "truncated_json", "truncated_json", "truncated_json"]
    faults.clear()
    assert kinds(faults, 1) == [None]


def test_a_delay_before_goes_with_another_fault():
    faults = Faults()
    faults.add(FaultRule(kind=Kind.DELAY_BEFORE, ms=70), FaultRule(kind=Kind.REDIRECT))
    assert faults.arrival_delay_ms(CREATE, None) == 70
    assert kinds(faults, 1) == ["redirect"]
    assert faults.arrival_delay_ms(CREATE, None) == 0


def test_chances_come_from_the_seed():
    def draws(seed):
        faults = Faults(seed)
        faults.add(FaultRule(kind=Kind.REDIRECT, times=None, probability=0.3))
        return kinds(faults, 300)

    assert draws(1) == draws(1) != draws(2)
    assert 50 < sum(kind is not None for kind in draws(1)) < 130


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ([], "object"),
        ({}, "kind must be one of delay_before"),
        ({"kind": ["x"]}, "kind must be one of"),
        ({"kind": "explode"}, "kind must be one of"),
        ({"kind": "delay_after"}, "delay_after needs ms"),
        ({"kind": "code_after_accept"}, "needs code"),
        ({"kind": "http_before_accept"}, "needs status"),
        ({"kind": "redirect", "colour": 1}, "no field 'colour'"),
        ({"kind": "redirect", "times": "2"}, "times must be an integer"),
        ({"kind": "redirect", "times": -1}, "times must be 1"),
        ({"kind": "redirect", "probability": 1.5}, "probability must be 0 to 1"),
        ({"kind": "redirect", "probability": True}, "probability must be a number"),
        ({"kind": "redirect", "path": 5}, "path must be a text"),
        ({"kind": "delay_after", "ms": 10**9}, "ms must be 0"),
        ({"kind": "http_after_accept", "status": 99}, "status must be 200"),
    ],
)
def test_a_rule_that_says_nothing_is_refused_by_name(row, error):
    with pytest.raises(RuleError, match=error):
        rule_from(row)
    with pytest.raises(RuleError, match=r"rules\[1\]"):
        rules_from([{"kind": "redirect"}, row])


def test_every_rule_of_the_wire_is_read():
    row = {
        "kind": "code_after_accept", "path": "/v5/*", "linkId": "a", "key": "k", "topic": "order", "times": 0,
        "after": 2, "probability": 0.5, "ms": 3, "code": 10016, "status": 502, "text": "x",
    }  # fmt: skip
    assert rule_from(row) == FaultRule(
        kind=Kind.CODE_AFTER_ACCEPT, path="/v5/*", link_id="a", key="k", topic="order", times=None, after=2,
        probability=0.5, ms=3, code=10016, status=502, text="x",
    )  # fmt: skip


def test_a_fault_by_order_meets_queries_about_it_too():
    bench = Bench()
    bench.local.faults.add(FaultRule(kind=Kind.CODE_BEFORE_ACCEPT, code=10016, link_id="a", times=None))
    path = "/v5/order/realtime"
    codes = [told(bench.get(path, f"category=linear&orderLinkId={name}"))["retCode"] for name in ("a", "b")]
    assert codes == [10016, 0]


def test_a_fault_by_key_meets_the_requests_of_that_key_alone():
    bench = Bench()
    bench.local.faults.add(
        FaultRule(kind=Kind.CODE_BEFORE_ACCEPT, code=10016, key="SIMKEY0002"),
        FaultRule(kind=Kind.CODE_BEFORE_ACCEPT, code=10000, key=KEY, times=None),
        FaultRule(kind=Kind.DELAY_BEFORE, ms=40, key="SIMKEY0002"),
    )
    assert told(bench.post(CREATE, order("a")))["retCode"] == 10000
    assert told(bench.get("/v5/order/realtime", "category=linear"))["retCode"] == 10000
    assert bench.local.faults.arrival_delay_ms(CREATE, "a", KEY) == 0
    assert bench.local.faults.arrival_delay_ms(CREATE, "a", "SIMKEY0002") == 40


def test_the_log_tells_what_was_asked_done_and_answered():
    bench = Bench()
    bench.local.faults.add(FaultRule(kind=Kind.DELAY_AFTER, ms=40))
    bench.post(CREATE, order("a"))
    bench.get("/v5/nothing")
    first, second = (entry.as_json() for entry in bench.local.log.after(0))
    now = bench.scheduler.now_ms()
    assert first == {
        "number": 1, "time": now, "method": "POST", "path": CREATE, "orderLinkId": "a", "apiKey": KEY, "status": 200,
        "retCode": 0, "fault": "delay_after", "accepted": True, "answered_ms": now + 40,
    }  # fmt: skip
    assert (second["number"], second["status"], second["retCode"], second["accepted"]) == (2, 404, 10017, False)
    assert [entry.number for entry in bench.local.log.after(1)] == [2]
