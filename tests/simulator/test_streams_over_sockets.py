"""The streams over real sockets: what a client feels of faults, limits and outages."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from server_kit import Server, ended, log_in, server, until
from stream_kit import FOREIGN, ORDER, auth_args

from simulator.faults import FaultRule, Faults, Kind
from simulator.frame_gate import FrameGate
from simulator.outages import Part
from simulator.outbox import Outbox
from simulator.sockets import OPENS_SECONDS, Sockets

__all__ = ["server"]


async def test_a_client_that_is_gone_before_it_is_let_in_or_has_its_answer_disturbs_nobody(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.fault(Kind.SLOW_BODY, path="/v5/market/time", ms=20)
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    for path, headers in (("/v5/private", upgrade), ("/v5/public/linear", upgrade), ("/v5/market/time", "")):
        _, writer = await asyncio.open_connection("127.0.0.1", server.serving.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.1)
    assert caplog.text == ""
    async with server.connect() as socket:
        await log_in(server, socket, "order")


async def test_an_order_over_rest_and_its_pushes_tell_the_same(server: Server) -> None:
    async with server.connect() as socket:
        await log_in(server, socket, "order", "execution", "position", "wallet")
        order_id = server.order(orderLinkId="s-1")
        frames = [await socket.receive_json(timeout=2) for _ in range(4)]
    assert [frame["topic"] for frame in frames] == ["order", "execution", "position", "wallet"]
    assert {row["orderId"] for frame in frames[:2] for row in frame["data"]} == {order_id}


async def test_pings_of_the_protocol_are_answered_until_the_stream_stalls(server: Server) -> None:
    async with server.connect(autoping=False) as socket:
        await log_in(server, socket, "order")
        await socket.ping()
        assert (await socket.receive(timeout=2)).type is WSMsgType.PONG
        server.fault(Kind.WS_STALL)
        server.order()
        await socket.ping()
        await socket.send_json({"op": "ping"})
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.4)


async def test_a_disconnect_is_felt_at_once_and_the_client_may_come_back(server: Server) -> None:
    async with server.connect() as socket:
        await log_in(server, socket, "order")
        server.fault(Kind.WS_DISCONNECT)
        assert await ended(socket)
    async with server.connect() as socket:
        await log_in(server, socket, "order")
        server.order()
        assert (await socket.receive_json(timeout=2))["topic"] == "order"


async def test_a_restart_of_trading_cuts_private_streams_and_leaves_public_ones(server: Server) -> None:
    async with server.connect() as private, server.connect("/v5/public/linear") as public:
        await log_in(server, private, "order")
        server.serving.local.restart_trading()
        assert await ended(private)
        await public.send_json({"op": "ping"})
        assert (await public.receive_json(timeout=2))["ret_msg"] == "pong"


async def test_an_outage_of_the_streams_cuts_them_and_lets_no_one_in_until_it_ends(server: Server) -> None:
    async with server.connect() as socket, server.connect("/v5/public/linear") as public:
        await log_in(server, socket, "order")
        server.serving.local.outages.begin(Part.STREAMS, 0.5)
        assert await ended(socket)
        assert await ended(public)
    with pytest.raises(aiohttp.ClientError):
        await server.connect()
    await asyncio.sleep(0.5)
    async with server.connect() as socket:
        await log_in(server, socket)


async def test_public_streams_have_faults_of_their_own(server: Server) -> None:
    async with server.connect("/v5/public/linear") as public, server.connect() as private:
        await log_in(server, private)
        server.fault(Kind.WS_STALL, path="/v5/public/*")
        await public.send_json({"op": "ping"})
        with pytest.raises(TimeoutError):
            await public.receive(timeout=0.3)
        await private.send_json({"op": "ping"})
        assert (await private.receive_json(timeout=2))["op"] == "pong"


@pytest.mark.parametrize("query", ["max_active_time=30s", "max_active_time=10m", "max_active_time=600s", "other=1"])
async def test_the_time_of_silence_is_a_number_of_seconds_or_minutes(server: Server, query: str) -> None:
    async with server.connect(f"/v5/private?{query}") as socket:
        await log_in(server, socket)


@pytest.mark.parametrize("text", ["29s", "11m", "601s", "60", "", "s", "-60s", "1h", "\u0663\u0660s", "9" * 400 + "s"])
async def test_a_wrong_time_of_silence_is_refused_at_the_door(server: Server, text: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await server.connect(f"/v5/private?max_active_time={text}")
    assert refusal.value.status == 400


class Echo:
    """A conversation that repeats what it hears."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.faults = Faults()
        self.gate = FrameGate(self.faults, self.outbox, "/v5/private")
        self.faults.watch(self.gate.look)
        self.gone = False

    def receive(self, text: str) -> list[str]:
        return [text] if self.gate.hears() else []


@contextlib.asynccontextmanager
async def echoing(sockets: Sockets, **options: Any) -> AsyncIterator[tuple[str, list[Echo]]]:
    """A server of echoes; yields its address and the conversations it had."""
    echoes: list[Echo] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        echoes.append(echo := Echo())
        try:
            return await sockets.serve(request, echo, **options)
        finally:
            echo.gone = True

    application = web.Application()
    application.add_routes([web.get("/", handle)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/", echoes
    finally:
        await sockets.disconnect_all()
        await runner.cleanup()


async def test_a_silent_client_is_cut_off_and_one_that_speaks_is_not() -> None:
    async with (
        echoing(Sockets(), idle_seconds=0.3) as (url, _),
        aiohttp.ClientSession() as session,
        session.ws_connect(url) as socket,
    ):
        for _ in range(4):
            await asyncio.sleep(0.15)
            await socket.send_str("here")
            assert await socket.receive_str(timeout=1) == "here"
        assert await ended(socket)


async def test_a_half_open_socket_is_silent_both_ways_and_let_go_once_its_client_is() -> None:
    async with (
        echoing(Sockets()) as (url, echoes),
        aiohttp.ClientSession() as session,
        session.ws_connect(url, autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=0.1)) as socket,
    ):
        await until(lambda: len(echoes) == 1)
        echoes[0].faults.add(FaultRule(kind=Kind.WS_HALF_OPEN))
        await socket.send_str("anyone?")
        await socket.ping()
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.4)
        assert not echoes[0].gone
        await socket.close()
        await until(lambda: echoes[0].gone)


async def test_what_is_said_in_one_breath_is_heard_in_its_order_and_only_after_its_way() -> None:
    async with (
        echoing(Sockets(way_seconds=0.1)) as (url, _),
        aiohttp.ClientSession() as session,
        session.ws_connect(url) as socket,
    ):
        for number in range(50):
            await socket.send_str(str(number))
        with pytest.raises(TimeoutError):
            await socket.receive_str(timeout=0.05)
        assert [await socket.receive_str(timeout=1) for _ in range(50)] == [str(number) for number in range(50)]


async def test_a_client_that_does_not_read_is_cut_off_and_holds_no_one_up() -> None:
    async with (
        echoing(Sockets()) as (url, echoes),
        aiohttp.ClientSession() as session,
        session.ws_connect(url, max_msg_size=0) as slow,
        session.ws_connect(url) as other,
    ):
        await until(lambda: len(echoes) == 2)
        slow_echo = echoes[0]
        # Frames of 64 kB: buffers of the kernel and of aiohttp are full long before the outbox is.
        for _ in range(3_000):
            slow_echo.outbox.put("x" * 65_536)
            if slow_echo.outbox.close_code is not None:
                break
            await asyncio.sleep(0)
        assert slow_echo.outbox.close_code is not None
        await other.send_str("still here")
        assert await other.receive_str(timeout=1) == "still here"
        await slow.close()


async def test_an_address_may_open_so_many_connections_in_five_minutes() -> None:
    now = [0.0]
    async with (
        echoing(Sockets(opens_max=2, seconds=lambda: now[0])) as (url, _),
        aiohttp.ClientSession() as session,
    ):
        for _ in range(2):
            async with session.ws_connect(url):
                pass
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await session.ws_connect(url)
        assert refusal.value.status == 403
        now[0] = OPENS_SECONDS
        async with session.ws_connect(url):
            pass


async def test_a_second_hand_on_the_account_is_heard_by_the_first(server: Server) -> None:
    async with server.connect() as first, server.connect("/v5/trade") as second:
        await log_in(server, first, "order")
        now_ms = server.serving.local.clock.server_ms()
        await second.send_json({"op": "auth", "args": auth_args(FOREIGN, now_ms + 5_000)})
        assert (await second.receive_json(timeout=2))["retCode"] == 0
        await second.send_json({"op": "order.create", "header": {"X-BAPI-TIMESTAMP": now_ms}, "args": [ORDER]})
        accepted = (await second.receive_json(timeout=2))["data"]
        told = (await first.receive_json(timeout=2))["data"][0]
    assert told["orderId"] == accepted["orderId"]
