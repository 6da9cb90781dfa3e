"""The private stream: what it says is heard, and whatever happens to it, it comes back."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from private_venue import KEY, SECRET, START_MS, Listener, PrivateVenue, a_stream, played
from structlog.testing import capture_logs

from gateway.adapters.venue_bybit.alarms import AlarmKind
from gateway.adapters.venue_bybit.socket import FRAME_BYTES_MAX, open_socket
from gateway.adapters.venue_bybit.stream import FRAME_CHARS_MAX, PrivateStream
from gateway.core.credentials import Credentials, Secret
from gateway.core.model import OrderLinkId, Side, Symbol
from gateway.core.venue import Execution, ExecutionKind, VenueOrder, VenuePosition, VenueStatus, Wallet

BTC = Symbol("BTCUSDT")


def order(**changes: Any) -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderId": "o-1",
        "orderLinkId": "link-1",
        "side": "Buy",
        "orderStatus": "Filled",
        "qty": "0.010",
        "cumExecQty": "0.010",
        "reduceOnly": False,
        "rejectReason": "EC_NoError",
        "updatedTime": "1700000000100",
        **changes,
    }


def execution(exec_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    return {
        "category": "linear",
        "symbol": "BTCUSDT",
        "execId": exec_id,
        "orderId": "o-1",
        "orderLinkId": "link-1",
        "side": "Buy",
        "execPrice": "50000.5",
        "execQty": "0.010",
        "execFee": "0.275",
        "execType": "Trade",
        "execTime": "1700000000090",
        **changes,
    }


def position(**changes: Any) -> dict[str, Any]:
    row = {"category": "linear", "symbol": "BTCUSDT", "side": "Sell", "size": "0.5", "entryPrice": "50000"}
    return row | changes


def wallet(**changes: Any) -> dict[str, Any]:
    return {"accountType": "UNIFIED", "totalWalletBalance": "1000.5", "totalEquity": "1010", "coin": []} | changes


def frame(topic: str, *rows: Any) -> dict[str, Any]:
    return {"id": "1", "topic": topic, "creationTime": 1_700_000_000_100, "data": list(rows)}


Play = Callable[[PrivateVenue, Listener, PrivateStream], Coroutine[Any, Any, None]]


def play(scene: Play, venue: PrivateVenue | None = None) -> tuple[PrivateVenue, Listener, PrivateStream]:
    """Play a scene; the stream was started 0.1 s before."""
    venue, listener = venue or PrivateVenue(), Listener()
    stream = a_stream(venue, listener)
    played(venue, stream, scene(venue, listener, stream))
    return venue, listener, stream


def test_it_signs_in_as_bybit_asks_and_subscribes_to_everything_of_the_account() -> None:
    async def scene(_venue: PrivateVenue, _listener: Listener, stream: PrivateStream) -> None:
        assert (stream.connected, stream.age_ms, stream.reconnects) == (True, 100, 0)

    venue, listener, stream = play(scene)
    signature = "df20a5ac96ee0e3f0a135860c59cfdc62df1dfd2c2781cca77ee88dfbb6985cc"
    assert venue.line.sent == [
        {"op": "auth", "args": [KEY, START_MS + 10_000, signature]},
        {"op": "subscribe", "req_id": "private", "args": ["order", "execution", "position", "wallet"]},
    ]
    assert (listener.sweeps, stream.connected) == (1, False)


def test_what_the_topics_say_reaches_those_who_asked() -> None:
    async def scene(venue: PrivateVenue, _listener: Listener, _stream: PrivateStream) -> None:
        venue.line.push(frame("order", order()))
        venue.line.push(frame("execution", execution("e-1"), execution("e-2", side="Sell")))
        venue.line.push(frame("position", position(), position(side="", size="0", entryPrice="0")))
        venue.line.push(frame("wallet", wallet()))
        await asyncio.sleep(0.1)

    _, listener, stream = play(scene)
    assert listener.orders == [
        VenueOrder(
            venue_order_id="o-1",
            order_link_id=OrderLinkId("link-1"),
            symbol=BTC,
            side=Side.BUY,
            qty=Decimal("0.010"),
            filled_qty=Decimal("0.010"),
            status=VenueStatus.FILLED,
            reduce_only=False,
            detail="",
            updated_ms=1_700_000_000_100,
        )
    ]
    first = Execution(
        exec_id="e-1",
        venue_order_id="o-1",
        order_link_id=OrderLinkId("link-1"),
        symbol=BTC,
        side=Side.BUY,
        price=Decimal("50000.5"),
        qty=Decimal("0.010"),
        fee_usd=Decimal("0.275"),
        kind=ExecutionKind.TRADE,
        at_ms=1_700_000_000_090,
    )
    assert listener.executions == [first, dataclasses.replace(first, exec_id="e-2", side=Side.SELL)]
    short = VenuePosition(symbol=BTC, qty=Decimal("-0.5"), entry_price=Decimal(50_000))
    assert listener.positions == [(BTC, short), (BTC, None)]
    assert listener.wallets == [Wallet(balance_usd=Decimal("1000.5"), equity_usd=Decimal(1010), at_ms=START_MS + 100)]
    assert (stream.unreadable, stream.callback_faults, listener.sweeps) == (0, 0, 1)


def test_other_products_and_other_accounts_are_not_heard() -> None:
    async def scene(venue: PrivateVenue, _listener: Listener, _stream: PrivateStream) -> None:
        for topic, row in (("order", order()), ("execution", execution()), ("position", position())):
            venue.line.push(frame(topic, row | {"category": "spot", "side": "odd"}))
        venue.line.push(frame("wallet", wallet(accountType="FUND")))
        venue.line.push(frame("greeks", {"baseCoin": "BTC"}))
        await asyncio.sleep(0.1)

    _, listener, stream = play(scene)
    assert (listener.orders, listener.executions, listener.positions, listener.wallets) == ([], [], [], [])
    assert stream.unreadable == 0


BAD_FRAMES = [
    "{",
    "[]",
    "7",
    "[" * 100_000,
    '{"topic": "order"}',
    json.dumps({"topic": "order", "data": [{}] * 1001}),
    json.dumps(frame("order", 7)),
    json.dumps(frame("order", order(category=None))),
    json.dumps(frame("order", order(category=["linear"]))),
    json.dumps(frame("order", order(orderId=""))),
    json.dumps(frame("order", order(side="Up"))),
    json.dumps(frame("order", order(qty="1e5"))),
    json.dumps(frame("order", order(qty=0.01))),
    json.dumps(frame("order", order(cumExecQty=["1"]))),
    json.dumps(frame("order", order(orderStatus={}))),
    json.dumps(frame("order", order(updatedTime=None))),
    json.dumps(frame("execution", execution(""))),
    json.dumps(frame("execution", execution(execPrice=""))),
    json.dumps(frame("execution", execution(execFee={}))),
    json.dumps(frame("position", position(size=None))),
    json.dumps(frame("position", position(size="-0.5"))),
    json.dumps(frame("position", position(symbol=None))),
    json.dumps(frame("wallet", wallet(totalEquity=""))),
]


@pytest.mark.parametrize("bad", BAD_FRAMES, ids=lambda bad: bad[:90])
def test_a_bad_frame_costs_itself_and_has_the_account_read(bad: str) -> None:
    async def scene(venue: PrivateVenue, listener: Listener, _stream: PrivateStream) -> None:
        venue.line.push(bad)
        venue.line.push(frame("execution", execution("e-9")))
        await asyncio.sleep(0.1)
        assert [known.exec_id for known in listener.executions] == ["e-9"]
        await asyncio.sleep(10)

    venue, listener, stream = play(scene)
    assert (stream.unreadable, listener.sweeps, len(venue.lines)) == (1, 2, 1)


@pytest.mark.parametrize("op", [["pong"], {"a": 1}, 7, None])
def test_an_odd_operation_is_no_end(op: Any) -> None:
    async def scene(venue: PrivateVenue, _listener: Listener, _stream: PrivateStream) -> None:
        venue.line.push({"op": op})
        venue.line.push(frame("wallet", wallet()))
        await asyncio.sleep(0.1)

    venue, listener, _ = play(scene)
    assert (len(listener.wallets), len(venue.lines)) == (1, 1)


def test_a_good_row_beside_a_bad_one_is_used() -> None:
    async def scene(venue: PrivateVenue, _listener: Listener, _stream: PrivateStream) -> None:
        venue.line.push(frame("execution", execution("e-1", side="Up"), execution("e-2")))
        await asyncio.sleep(0.1)

    _, listener, stream = play(scene)
    assert ([known.exec_id for known in listener.executions], stream.unreadable) == (["e-2"], 1)


@pytest.mark.parametrize("name", ["order", "execution", "position", "wallet"])
def test_a_listener_that_fails_is_counted_and_the_next_frame_is_handled(name: str) -> None:
    rows = {"order": order(), "execution": execution(), "position": position(), "wallet": wallet()}

    async def scene(venue: PrivateVenue, listener: Listener, _stream: PrivateStream) -> None:
        listener.fails = {name}
        venue.line.push(frame(name, rows[name], rows[name]))
        await asyncio.sleep(0.1)
        listener.fails = set()
        for topic, row in rows.items():
            venue.line.push(frame(topic, row))
        await asyncio.sleep(10)

    with capture_logs() as logs:
        venue, listener, stream = play(scene)
    heard = (listener.orders, listener.executions, listener.positions, listener.wallets)
    assert [len(what) for what in heard] == [1, 1, 1, 1]
    assert (stream.callback_faults, listener.sweeps, len(venue.lines)) == (2, 2, 1)
    failed = [entry["callback"] for entry in logs if entry["event"] == "private_stream_callback_failed"]
    assert failed == [f"{'took' if name in ('order', 'execution') else 'on'}_{name}"] * 2
    assert SECRET not in str(logs)


def test_a_sweep_that_cannot_be_asked_for_is_asked_for_again() -> None:
    venue, listener = PrivateVenue(), Listener()
    stream = a_stream(venue, listener)
    listener.fails = {"connected"}

    async def scene() -> None:
        await asyncio.sleep(12)
        listener.fails = set()
        await asyncio.sleep(20)

    played(venue, stream, scene())
    assert 3 <= listener.sweeps <= 4
    assert stream.callback_faults == listener.sweeps - 1
    assert len(venue.lines) == 1


def test_a_cut_connection_is_made_again_at_once_and_the_account_is_read() -> None:
    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(10)
        venue.line.cut()
        await asyncio.sleep(0.05)
        assert not stream.connected
        await asyncio.sleep(0.25)
        assert (stream.connected, stream.reconnects, listener.sweeps) == (True, 1, 2)
        venue.line.push(frame("execution", execution()))
        await asyncio.sleep(0.1)
        assert len(listener.executions) == 1

    play(scene)


@pytest.mark.parametrize("down_seconds", [3, 60, 3600])
def test_an_exchange_that_was_down_is_found_within_five_seconds_of_its_return(down_seconds: int) -> None:
    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(5)
        venue.go_down()
        await asyncio.sleep(down_seconds)
        assert (stream.connected, listener.sweeps) == (False, 1)
        tried = len(venue.tried_ms) - 1
        assert tried <= 8 + down_seconds / 2.5
        venue.up = True
        await asyncio.sleep(5)
        assert (stream.connected, stream.reconnects, listener.sweeps) == (True, 1, 2)

    play(scene)


def test_a_stream_that_started_before_the_exchange_connects_when_it_comes() -> None:
    venue = PrivateVenue()
    venue.up = False

    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(30)
        assert (stream.connected, stream.age_ms) == (False, None)
        venue.up = True
        await asyncio.sleep(5)
        assert (stream.connected, stream.reconnects, listener.sweeps) == (True, 0, 1)

    play(scene, venue)


def test_a_line_that_brings_frames_and_answers_no_ping_is_given_up() -> None:
    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(5)
        venue.pongs = False
        for _ in range(11):
            venue.lines[0].push(frame("wallet", wallet()))
            await asyncio.sleep(1)
        assert (len(venue.lines), venue.lines[0].open) == (2, False)
        venue.pongs = True
        await asyncio.sleep(10)
        assert (stream.connected, stream.reconnects, listener.sweeps) == (True, 1, 2)

    play(scene)


def test_a_line_on_which_nothing_comes_is_given_up() -> None:
    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(5)
        venue.dumb = True
        await asyncio.sleep(11)
        assert (stream.connected, len(venue.lines)) == (False, 2)
        assert stream.age_ms is not None
        assert stream.age_ms > 10_000
        venue.dumb = False
        await asyncio.sleep(6)  # the sign-in that was under way had to end first
        assert (stream.connected, stream.reconnects, listener.sweeps) == (True, 1, 2)

    play(scene)


def test_a_quiet_account_is_no_silence() -> None:
    async def scene(_venue: PrivateVenue, _listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(3600)
        assert stream.age_ms is not None
        assert stream.age_ms <= 4_000

    venue, listener, _ = play(scene)
    assert (len(venue.lines), listener.sweeps) == (1, 1)


def test_an_exchange_that_takes_us_and_drops_us_is_not_stormed() -> None:
    venue = PrivateVenue()
    venue.subscribe = "cut"

    async def scene(_venue: PrivateVenue, _listener: Listener, _stream: PrivateStream) -> None:
        await asyncio.sleep(300)

    play(scene, venue)
    assert 60 <= len(venue.tried_ms) <= 130


@pytest.mark.parametrize("answer", ["silent", "refused"])
def test_a_subscription_that_is_not_taken_counts_as_no_connection(answer: Any) -> None:
    venue = PrivateVenue()
    venue.subscribe = answer

    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(30)
        assert (stream.connected, listener.sweeps) == (False, 0)
        venue.subscribe = "taken"
        await asyncio.sleep(10)
        assert (stream.connected, listener.sweeps) == (True, 1)

    play(scene, venue)


def test_a_sign_in_that_is_never_answered_is_tried_again() -> None:
    venue = PrivateVenue()
    venue.auth = "silent"

    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(30)
        assert (stream.connected, listener.alarms) == (False, [])
        assert 3 <= len(venue.lines) <= 6
        venue.auth = "checked"
        await asyncio.sleep(10)
        assert stream.connected

    play(scene, venue)


def test_a_refused_sign_in_is_told_once_and_tried_again_after_long_pauses() -> None:
    venue = PrivateVenue()
    venue.auth = "refused"

    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        await asyncio.sleep(600)
        assert (stream.connected, len(listener.alarms)) == (False, 1)
        assert 6 <= len(venue.lines) <= 14
        assert not any(line.open for line in venue.lines)
        venue.auth = "checked"
        await asyncio.sleep(120)
        assert (stream.connected, listener.sweeps) == (True, 1)
        venue.auth = "refused"
        venue.line.cut()
        await asyncio.sleep(1)
        assert len(listener.alarms) == 2

    with capture_logs() as logs:
        _, listener, _ = play(scene, venue)
    alarm = listener.alarms[0]
    assert (alarm.kind, alarm.text) == (
        AlarmKind.AUTH,
        "Bybit refused the private stream's sign-in (retCode 10003)",
    )
    shown = str(logs) + str(listener.alarms)
    assert "private_stream_refused" in shown
    signatures = [message["args"][2] for line in venue.lines for message in line.sent if message["op"] == "auth"]
    assert not [secret for secret in (KEY, SECRET, *signatures) if secret in shown]


def test_a_wrong_secret_is_refused_and_an_alarm_that_fails_ends_nothing() -> None:
    venue, listener = PrivateVenue(), Listener()
    stream = a_stream(venue, listener, credentials=Credentials(key=KEY, secret=Secret("WRONG")))
    listener.fails = {"alarm"}

    async def scene() -> None:
        await asyncio.sleep(60)

    played(venue, stream, scene())
    assert (len(listener.alarms), stream.callback_faults) == (1, 1)
    assert len(venue.lines) > 1


def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    async def scene(venue: PrivateVenue, listener: Listener, stream: PrivateStream) -> None:
        venue.line.push("x" * (FRAME_CHARS_MAX + 1))
        await asyncio.sleep(1)
        assert (stream.connected, stream.reconnects, listener.sweeps) == (True, 1, 2)

    play(scene)


def test_no_fault_of_a_connection_ends_the_stream() -> None:
    venue, listener = PrivateVenue(), Listener()
    faults: list[Exception] = [KeyError("odd"), RuntimeError("odd"), OSError("odd"), ValueError("odd"), TimeoutError()]

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Any]:
        if faults:
            raise faults.pop()
        async with venue.connect(url) as line:
            yield line

    stream = a_stream(venue, listener, connect=connect)

    async def scene() -> None:
        await asyncio.sleep(30)
        assert stream.connected

    played(venue, stream, scene())
    assert faults == []


def test_no_fill_is_lost_and_none_counts_twice_across_gaps_and_repeats() -> None:
    """What the exchange did while nobody listened is found by the sweep; `exec_id` tells repeats apart."""
    done: list[str] = []
    known: set[str] = set()

    async def scene(venue: PrivateVenue, listener: Listener, _stream: PrivateStream) -> None:
        for number in range(200):
            done.append(f"e-{number}")
            for _ in range(1 + number % 2):
                venue.line.push(frame("execution", execution(done[-1])))
            if number % 20 == 19:
                venue.line.cut()
            await asyncio.sleep(0.25)
        await asyncio.sleep(5)
        known.update(told.exec_id for told in listener.executions)

    venue, listener = PrivateVenue(), Listener()
    stream = a_stream(venue, listener, on_connected=lambda: known.update(done))
    played(venue, stream, scene(venue, listener, stream))
    assert known == set(done)
    assert stream.reconnects == 10
    assert len(listener.executions) > len({told.exec_id for told in listener.executions})


def test_closing_it_twice_or_before_it_started_is_no_fault() -> None:
    venue, listener = PrivateVenue(), Listener()
    stream = a_stream(venue, listener)

    async def scene() -> None:
        await stream.close()
        await stream.close()

    played(venue, stream, scene())
    assert not venue.line.open


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that answers so."""
    application = web.Application()
    application.add_routes([web.get("/v5/private", answer)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/v5/private"
    finally:
        await runner.cleanup()


def sending(*frames: str | bytes, then_close: bool = False) -> Answer:
    """A server that echoes after it has sent some frames, or closes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoclose=True)
        await socket.prepare(request)
        for content in frames:
            await (socket.send_str(content) if isinstance(content, str) else socket.send_bytes(content))
        if then_close:
            await socket.close()
            return socket
        async for got in socket:
            await socket.send_str(f"echo {got.data}")
        return socket

    return answer


async def test_over_the_network_frames_go_both_ways_and_silence_is_told() -> None:
    async with answering(sending("hello")) as url, open_socket(url) as socket:
        assert await socket.receive(2.0) == "hello"
        assert await socket.receive(0.05) is None
        assert await socket.receive(0.0) is None
        await socket.send("there")
        assert await socket.receive(2.0) == "echo there"


@pytest.mark.parametrize("answer", [sending(then_close=True), sending(b"binary"), sending("x" * (FRAME_BYTES_MAX + 1))])
async def test_an_end_binary_and_too_much_over_the_network_end_the_connection(answer: Answer) -> None:
    async with answering(answer) as url, open_socket(url) as socket:
        with pytest.raises(ConnectionError):
            await socket.receive(2.0)


async def test_an_address_that_redirects_is_refused_before_the_next_one_is_asked() -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await sending("hello")(request)

    async with answering(elsewhere) as url:

        async def redirect(_request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(url.replace("ws:", "http:"))

        async with answering(redirect) as first:
            with pytest.raises(ConnectionError):
                async with open_socket(first):
                    pass
    assert asked == []


async def test_an_address_with_nobody_there_or_without_a_stream_is_told_as_such() -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with answering(refuse) as url:
        with pytest.raises(ConnectionError):
            async with open_socket(url):
                pass
    with pytest.raises(ConnectionError):
        async with open_socket(url):
            pass


async def test_the_stream_over_the_network_finds_an_exchange_that_comes_back() -> None:
    venue, listener = PrivateVenue(), Listener()

    async def serve(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for got in socket:
            for answer in venue.answers(json.loads(got.data)):
                await socket.send_str(json.dumps(answer))
            if "subscribe" in got.data and listener.sweeps == 0:
                await socket.close()
        return socket

    async with answering(serve) as url:
        stream = a_stream(venue, listener, url=url, connect=open_socket)
        await stream.start()
        try:
            async with asyncio.timeout(5):
                while not (stream.connected and stream.reconnects):  # noqa: ASYNC110 - the stream has no events
                    await asyncio.sleep(0.02)
        finally:
            await stream.close()
    assert listener.sweeps == 2
