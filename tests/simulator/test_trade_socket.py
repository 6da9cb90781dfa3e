"""Order entry over the WebSocket as Bybit documents it, in conversations without a socket."""

import json
from dataclasses import replace
from typing import Any

import pytest
from stream_kit import ORDER, OWN, START_MS, Talk, Venue, a_venue, auth_args

from simulator.faults import Kind
from simulator.trade_socket import REQUEST_IDS_MAX


def header(at_ms: int | str = START_MS, **more: Any) -> dict[str, Any]:
    return {"X-BAPI-TIMESTAMP": at_ms, **more}


def create(talk: Talk, **fields: Any) -> dict[str, Any]:
    return talk.ask(op="order.create", header=header(), args=[ORDER | fields])


def orders(venue: Venue) -> list[Any]:
    return venue.local.engine.all_orders(1)


def test_a_log_in_is_answered_in_the_shape_of_the_trade_socket_and_only_once() -> None:
    venue = a_venue()
    talk = Talk(venue.trade.open())
    conn_id = talk.session.conn_id
    assert talk.log_in(OWN, venue.now_ms()) == {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": conn_id}
    again = talk.ask(reqId="a", op="auth", args=auth_args(OWN, START_MS + 1_000))
    assert (again["retCode"], again["reqId"], again["op"]) == (20001, "a", "auth")


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([], 10001),
        (["NOBODY", START_MS + 1_000, "0"], 10003),
        (["SIMKEY0001", START_MS + 1_000, "0"], 10004),
    ],
)
def test_a_refused_log_in_carries_its_code_and_no_order_is_taken(args: list[Any], code: int) -> None:
    venue = a_venue()
    talk = Talk(venue.trade.open())
    assert talk.ask(op="auth", args=args)["retCode"] == code
    refusal = create(talk)
    assert (refusal["retCode"], refusal["data"]) == (10007, {})
    assert orders(venue) == []


def test_a_ping_is_answered_with_the_pong_of_the_trade_socket() -> None:
    venue = a_venue()
    talk = Talk(venue.trade.open())
    conn_id = talk.session.conn_id
    assert talk.ask(op="ping") == {
        "retCode": 0, "retMsg": "OK", "op": "pong", "data": [str(START_MS)], "connId": conn_id,
    }  # fmt: skip
    assert talk.ask(op="ping", reqId="p")["reqId"] == "p"


def test_an_order_is_accepted_and_the_engine_has_it() -> None:
    venue = a_venue()
    talk = venue.trader()
    answer = talk.ask(reqId="r-1", op="order.create", header=header(), args=[ORDER | {"orderLinkId": "w-1"}])
    [order] = orders(venue)
    limits = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "9", "X-Bapi-Limit-Reset-Timestamp": str(START_MS)}
    assert answer == {
        "reqId": "r-1",
        "retCode": 0,
        "retMsg": "OK",
        "op": "order.create",
        "data": {"orderId": order.order_id, "orderLinkId": "w-1"},
        "retExtInfo": {},
        "header": {**limits, "Traceid": answer["header"]["Traceid"], "Timenow": str(START_MS)},
        "connId": talk.session.conn_id,
    }
    venue.scheduler.advance(100)
    [done] = orders(venue)
    assert done.status == "Filled"


def test_what_has_no_request_id_is_answered_without_one() -> None:
    talk = a_venue().trader()
    assert "reqId" not in create(talk)


def test_an_order_is_amended_and_cancelled() -> None:
    venue = a_venue()
    talk = venue.trader()
    low = {"orderType": "Limit", "price": "10000", "orderLinkId": "l-1"}
    create(talk, **low)
    venue.scheduler.advance(100)
    which = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "l-1"}
    assert talk.ask(op="order.amend", header=header(venue.now_ms()), args=[which | {"qty": "0.02"}])["retCode"] == 0
    venue.scheduler.advance(100)
    assert talk.ask(op="order.cancel", header=header(venue.now_ms()), args=[which])["retCode"] == 0
    venue.scheduler.advance(100)
    [order] = orders(venue)
    assert (order.status, str(order.qty)) == ("Cancelled", "0.02")
    late = talk.ask(op="order.cancel", header=header(venue.now_ms()), args=[which])
    assert (late["retCode"], late["data"]) == (110001, {})


@pytest.mark.parametrize("at_ms", [START_MS, str(START_MS), START_MS + 999, START_MS - 5_000])
def test_the_timestamp_may_be_text_or_number_within_the_window(at_ms: int | str) -> None:
    talk = a_venue().trader()
    assert talk.ask(op="order.create", header=header(at_ms), args=[ORDER])["retCode"] == 0


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (None, 10001),
        ({}, 10001),
        ([1], 10001),
        (header(True), 10001),
        (header(1.5), 10001),  # type: ignore[arg-type]
        (header("soon"), 10002),
        (header(-1), 10002),
        (header(START_MS + 1_000), 10002),
        (header(START_MS - 5_001), 10002),
        (header(START_MS - 501, **{"X-BAPI-RECV-WINDOW": "500"}), 10002),
        (header(START_MS - 501, **{"X-BAPI-RECV-WINDOW": 500}), 10002),
        (header(START_MS, **{"X-BAPI-RECV-WINDOW": "wide"}), 10002),
    ],
)
def test_an_order_outside_its_window_is_not_taken(sent: Any, code: int) -> None:
    venue = a_venue()
    talk = venue.trader()
    refusal = talk.ask(op="order.create", header=sent, args=[ORDER])
    assert (refusal["retCode"], refusal["data"]) == (code, {})
    assert orders(venue) == []


def test_a_wider_window_takes_an_older_order() -> None:
    talk = a_venue().trader()
    sent = header(START_MS - 9_000, **{"X-BAPI-RECV-WINDOW": "10000"})
    assert talk.ask(op="order.create", header=sent, args=[ORDER])["retCode"] == 0


@pytest.mark.parametrize("args", [None, [], {}, ORDER, [ORDER, ORDER], ["order"], [None]])
def test_a_request_has_exactly_one_order(args: Any) -> None:
    venue = a_venue()
    refusal = venue.trader().ask(op="order.create", header=header(), args=args)
    assert refusal["retCode"] == 10001
    assert orders(venue) == []


def test_a_request_id_is_good_once() -> None:
    venue = a_venue()
    talk = venue.trader()
    request = {"reqId": "same", "op": "order.create", "header": header(), "args": [ORDER]}
    assert [talk.ask(**request)["retCode"] for _ in range(2)] == [0, 20006]
    assert len(orders(venue)) == 1


@pytest.mark.parametrize("request_id", ["", "x" * 37, 7, ["a"]])
def test_a_request_id_is_a_short_text(request_id: Any) -> None:
    refusal = a_venue().trader().ask(reqId=request_id, op="order.create", header=header(), args=[ORDER])
    assert refusal["retCode"] == 10001


def test_the_memory_of_request_ids_is_bounded() -> None:
    talk = a_venue().trader()
    codes = {
        talk.ask(reqId=str(number), op="order.cancel", header=header(), args=[{}])["retCode"]
        for number in [*range(REQUEST_IDS_MAX + 1), 0]
    }
    assert 20006 not in codes


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "{}", '{"op": 7}', '{"op": "order.replace"}', pytest.param("[" * 60_000, id="nested")]
)
def test_what_is_no_request_is_refused_and_the_session_goes_on(text: str) -> None:
    talk = a_venue().trader()
    [refusal] = talk.say(text)
    assert refusal["retCode"] in (10001, 10404)
    assert create(talk)["retCode"] == 0


def test_a_key_that_may_not_trade_gets_no_order_in() -> None:
    reader = replace(OWN, read_only=True)
    venue = a_venue(keys=[reader])
    assert create(venue.trader(reader))["retCode"] == 10005
    assert orders(venue) == []


def test_the_limit_of_orders_is_the_one_of_rest_and_comes_with_its_headers() -> None:
    venue = a_venue()
    talk = venue.trader()
    answers = [create(talk) for _ in range(11)]
    assert [answer["retCode"] for answer in answers] == [0] * 10 + [10006]
    assert answers[-1]["header"]["X-Bapi-Limit-Status"] == "0"
    assert answers[-1]["header"]["X-Bapi-Limit-Reset-Timestamp"] == str(START_MS + 1_000)
    assert len(orders(venue)) == 10


def test_orders_of_the_stream_are_in_the_log_of_requests() -> None:
    venue = a_venue()
    create(venue.trader(), orderLinkId="w-7")
    [entry] = venue.local.log.after(0)
    assert (entry.method, entry.path, entry.link_id, entry.accepted) == ("WS", "/v5/order/create", "w-7", True)


def test_a_lost_answer_is_of_an_order_that_was_taken() -> None:
    venue = a_venue()
    talk = venue.trader()
    venue.fault(Kind.WS_GAP, topic="order.create", path="/v5/trade")
    assert talk.say(json.dumps({"op": "order.create", "header": header(), "args": [ORDER]})) == []
    assert len(orders(venue)) == 1
    assert create(talk)["retCode"] == 0


def test_a_stalled_session_takes_orders_and_does_not_say_so() -> None:
    venue = a_venue()
    talk = venue.trader()
    venue.fault(Kind.WS_STALL, path="/v5/trade")
    assert talk.say(json.dumps({"op": "order.create", "header": header(), "args": [ORDER]})) == []
    assert len(orders(venue)) == 1


def test_a_half_open_session_takes_none() -> None:
    venue = a_venue()
    talk = venue.trader()
    venue.fault(Kind.WS_HALF_OPEN, path="/v5/trade")
    assert talk.say(json.dumps({"op": "order.create", "header": header(), "args": [ORDER]})) == []
    assert orders(venue) == []
