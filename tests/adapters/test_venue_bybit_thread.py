"""A session on its own thread, against a server that is slow on real sockets."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from bybit_exchange import KEY, SECRET

from gateway.adapters.ban import AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.venue_bybit.budget import Budget
from gateway.adapters.venue_bybit.session import (
    LATE_SECONDS,
    BybitSession,
    NoAnswerError,
    NotSentError,
    Reply,
    ThreadRunner,
    checked_endpoint,
)
from gateway.adapters.venue_bybit.turns import WAITING_MAX, Turns
from gateway.core.credentials import Credentials, Secret

GOOD = json.dumps({"retCode": 0, "retMsg": "OK", "result": {"list": []}}).encode()
QUERY = {"category": "linear", "orderLinkId": "tg1"}


def head(length: int, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()


@dataclass
class Server:
    """Answers each request by the next of its acts, honestly when there is none left."""

    acts: list[Callable[[asyncio.StreamWriter], Awaitable[None]]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    """The ids of the orders that came."""
    serving: list[asyncio.Task[None]] = field(default_factory=list)
    port: int = 0

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                self.requests.append(lines[0])
                length = sum(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length"))
                body = await reader.readexactly(length)
                if body:
                    self.links.append(json.loads(body)["orderLinkId"])
                if self.acts:
                    await self.acts.pop(0)(writer)
                else:
                    writer.write(head(len(GOOD)) + GOOD)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def a_session(port: int, runner: ThreadRunner) -> BybitSession:
    clock = SystemClock()
    return BybitSession(
        endpoint=checked_endpoint("simulator", f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/v5/private"),
        credentials=Credentials(key=KEY, secret=Secret(SECRET)),
        recv_window_ms=5000,
        clock=clock,
        budget=Budget(clock=clock, alarm=lambda _: None, ban=AddressBan(clock=clock)),
        name="line",
        run=runner,
    )


@asynccontextmanager
async def a_line(server: Server) -> AsyncIterator[BybitSession]:
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        session = a_session(server.port, ThreadRunner("line"))
        try:
            yield session
        finally:
            await session.close()
            await asyncio.gather(*server.serving)


async def until_asked(server: Server) -> None:
    while not server.requests:  # noqa: ASYNC110 - the server has no events
        await asyncio.sleep(0.005)


async def an_order(line: BybitSession, link: str) -> Reply:
    return await line.call("place_order", orderLinkId=link)


async def silent(seconds: float, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(seconds)
    writer.write(head(len(GOOD)) + GOOD)


async def trickle(beginning: bytes, writer: asyncio.StreamWriter) -> None:
    """A byte every 50 ms, for ever: never silent long enough for a read timeout."""
    writer.write(beginning)
    for _ in range(200):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def elapsed(awaitable: Awaitable[object]) -> tuple[type[BaseException] | None, float]:
    begun = time.monotonic()
    try:
        await awaitable
    except (NoAnswerError, NotSentError) as fault:
        return type(fault), time.monotonic() - begun
    return None, time.monotonic() - begun


async def test_calls_share_one_connection_and_one_thread() -> None:
    server = Server()
    async with a_line(server) as line:
        for _ in range(5):
            assert (await line.call("get_open_orders", **QUERY)).result == {"list": []}
    assert len(server.serving) == 1
    assert len(server.requests) == 5


async def test_a_silent_server_costs_the_calls_own_time_and_never_the_loops() -> None:
    server = Server(acts=[lambda writer: silent(1.5, writer)])
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with a_line(server) as line:
        ticking = asyncio.create_task(tick())
        fault, seconds = await elapsed(line.call("get_open_orders", within_ms=300, **QUERY))
        ticking.cancel()
    assert fault is NoAnswerError
    assert 0.25 < seconds < 1
    assert ticks > 10


async def test_a_call_whose_time_ends_while_another_holds_the_thread_is_never_sent() -> None:
    server = Server(acts=[lambda writer: silent(0.6, writer)])
    async with a_line(server) as line:
        first = asyncio.create_task(line.call("get_order_history", within_ms=2000, **QUERY))
        await asyncio.sleep(0.1)
        fault, seconds = await elapsed(line.call("place_order", within_ms=200, orderLinkId="tg9"))
        assert fault is NotSentError
        assert seconds < 0.45
        await first
        await line.call("get_open_orders", **QUERY)
        assert line.signed_ms("tg9") is None
    assert [request.split("?")[0] for request in server.requests] == [
        "GET /v5/order/history",
        "GET /v5/order/realtime",
    ]


@pytest.mark.parametrize("beginning", [head(1_000_000), b"HTTP/1.1 200 OK\r\nX-Endless: "], ids=["body", "head"])
async def test_an_answer_that_trickles_is_cut_off_and_the_thread_is_free_again(beginning: bytes) -> None:
    server = Server(acts=[lambda writer: trickle(beginning, writer)])
    async with a_line(server) as line:
        fault, seconds = await elapsed(line.call("place_order", within_ms=400, orderLinkId="tg1"))
        assert fault is NoAnswerError
        assert seconds < 1
        assert line.signed_ms("tg1") is not None
        ended, seconds = await elapsed(line.call("get_open_orders", within_ms=3000, **QUERY))
        assert ended is None
        assert seconds < LATE_SECONDS + 1


async def test_a_refused_connection_is_no_answer() -> None:
    server = Server()
    async with a_line(server):
        port = server.port
    gone = a_session(port, ThreadRunner("gone"))
    with pytest.raises(NoAnswerError, match="ConnectionError"):
        await gone.call("get_open_orders", **QUERY)
    await gone.close()


async def test_a_caller_that_goes_away_leaves_the_call_to_its_end() -> None:
    """What it comes back with is still learnt from: here, that the limit is used up."""
    spent = GOOD.replace(b'"retCode": 0', b'"retCode": 10006')

    async def answer(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.write(head(len(spent)) + spent)

    async with a_line(Server(acts=[answer])) as line:
        calling = asyncio.create_task(line.call("get_open_orders", **QUERY))
        await asyncio.sleep(0.1)
        calling.cancel()
        await asyncio.sleep(0.4)
        assert line.budget.take("get_open_orders") is not None


async def test_a_caller_that_goes_away_before_its_turn_takes_its_order_along() -> None:
    server = Server(acts=[lambda writer: silent(0.3, writer)])
    async with a_line(server) as line:
        first = asyncio.create_task(line.call("get_open_orders", **QUERY))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(line.call("place_order", orderLinkId="tg1"))
        await asyncio.sleep(0.05)
        second.cancel()
        await first
        await line.call("get_open_orders", **QUERY)
        assert line.signed_ms("tg1") is None
    assert not [request for request in server.requests if request.startswith("POST")]


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with a_line(Server()) as line:
        assert (await line.call("get_open_orders", **QUERY)).result == {"list": []}


async def test_closing_ends_the_thread() -> None:
    async with a_line(Server()) as line:
        await line.call("get_open_orders", **QUERY)
        assert any(thread.name.startswith("line") for thread in threading.enumerate())
    assert not any(thread.name.startswith("line") for thread in threading.enumerate())


async def test_a_closed_session_says_that_nothing_was_sent_whoever_still_waits() -> None:
    server = Server(acts=[lambda writer: silent(0.3, writer)])
    async with a_line(server) as line:
        first = asyncio.ensure_future(line.call("get_open_orders", **QUERY))
        second = asyncio.ensure_future(line.call("get_open_orders", **QUERY))
        await until_asked(server)
        await line.close()
        assert (await first).result == {"list": []}
        for late in (second, line.call("get_open_orders", **QUERY)):
            with pytest.raises(NotSentError, match="closed"):
                await late
    assert len(server.requests) == 1


async def test_more_calls_than_may_wait_are_not_sent() -> None:
    server = Server(acts=[lambda writer: silent(0.2, writer)])
    async with a_line(server) as line:
        held = asyncio.ensure_future(line.call("get_open_orders", **QUERY))
        await until_asked(server)
        openings = [asyncio.ensure_future(an_order(line, f"open{number}")) for number in range(WAITING_MAX + 1)]
        told = await asyncio.gather(held, *openings, return_exceptions=True)
    assert "too many calls" in str(told[-1])
    assert "rate limit" in str(told[-2])


@pytest.mark.parametrize("shut", ["banned", "limited", "busy", "key"])
async def test_calls_that_wait_are_judged_by_what_the_call_before_them_has_learned(shut: str) -> None:
    """A storm of openings that were all allowed when they came: after the first answer none of them goes out."""
    answers = {
        "banned": (403, b"403, access too frequent"),
        "limited": (200, json.dumps({"retCode": 10006, "retMsg": "Too many visits", "result": {}}).encode()),
        "busy": (429, b"Too many requests"),
        "key": (401, b""),
    }

    async def refuse(writer: asyncio.StreamWriter) -> None:
        status, body = answers[shut]
        await asyncio.sleep(0.1)
        writer.write(head(len(body), status) + body)

    server = Server(acts=[refuse])
    async with a_line(server) as line:
        storm = [asyncio.ensure_future(an_order(line, f"open{number}")) for number in range(7)]
        told = await asyncio.gather(*storm, return_exceptions=True)
    assert server.links == ["open0"]
    assert all(type(each) is NotSentError for each in told[1:])


async def test_a_caller_that_goes_away_while_it_waits_costs_nobody_his_turn() -> None:
    server = Server(acts=[lambda writer: silent(0.2, writer)])
    async with a_line(server) as line:
        calls = [asyncio.ensure_future(an_order(line, f"open{number}")) for number in range(4)]
        await until_asked(server)
        calls[1].cancel()
        calls[2].cancel()
        told = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in told] == [Reply, asyncio.CancelledError, asyncio.CancelledError, Reply]
    assert server.links == ["open0", "open3"]


async def test_a_turn_that_comes_as_its_caller_goes_away_is_given_on() -> None:
    turns = Turns()
    await turns.take()
    waiting = [asyncio.ensure_future(turns.take()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    turns.give()
    waiting[1].cancel()
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    async with asyncio.timeout(1):
        await waiting[2]
    turns.give()
    await turns.take()
