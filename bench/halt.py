"""How soon a halt stops orders, under load, while a part of the stack is down.

python -m bench.halt [--seconds 12] [--rate 200]   prints a table

Real processes. Orders go out at a steady rate, whatever becomes of them; a part is taken away, and then the halt is
called. On paper the calls pass through Envoy; the venue that is down is the live gateway's, called directly.

taken      the last order that the journal has as approved and not held back, counted from the call; negative: before it
after      orders that were taken after the halt was answered, which must be none
answered   the halt's own answer
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2, status_pb2
from trading.v1 import risk_pb2, risk_pb2_grpc, trade_pb2, trade_pb2_grpc

from bench.live_latency import exchange, gateway, reconciled
from bench.processes import free_port
from tools.stack import Ports, Stack

WARM_SHARE, DOWN_SHARE = 0.3, 0.5
"""Of the time, how long all is well, and when the halt is called."""
AFTER_SECONDS = 2.0
"""How long the load goes on after the halt's answer."""
PAGE = 200
CALL_SECONDS = 10.0
HELD_BACK = ("refused", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A running gateway, and how to take a part away from it."""

    channel: grpc.aio.Channel
    break_part: Callable[[], None]


@dataclass(slots=True, kw_only=True)
class Load:
    """What was answered."""

    answers: Counter[str] = field(default_factory=Counter)
    sent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One case; times in milliseconds from the call of the halt."""

    case: str
    sent: int
    answers: Counter[str]
    answered_ms: float
    taken_ms: float | None
    """None when no order was taken at all."""
    taken_after: int


def main() -> int:
    """Measure and print; 1 when an order was taken after a halt's answer, or a second after its call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=12, help="of load before the halt's end, each case, 4 to 60")
    parser.add_argument("--rate", type=int, default=200, help="orders a second, 1 to 1000")
    options = parser.parse_args()
    if not (4 <= options.seconds <= 60 and 1 <= options.rate <= 1000):
        parser.error("--seconds must be 4 to 60, --rate 1 to 1000")
    figures = asyncio.run(measure(options.seconds, options.rate))
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {options.rate} orders/s")
    print(table(figures))
    return 1 if any(one.taken_after or (one.taken_ms or 0) >= 1000 for one in figures) else 0


def table(figures: list[Figures]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| down | orders | answers | halt answered | last order taken | taken after |",
        "|---|---|---|---|---|---|",
    ]
    for one in figures:
        answers = ", ".join(f"{count} {name}" for name, count in one.answers.most_common(4))
        taken = "none" if one.taken_ms is None else f"{one.taken_ms:+.0f} ms"
        lines.append(
            f"| {one.case} | {one.sent} | {answers} | {one.answered_ms:.1f} ms | {taken} | {one.taken_after} |"
        )
    return "\n".join(lines)


async def measure(seconds: int, rate: int) -> list[Figures]:
    """Every case on processes of its own."""
    figures = []
    for part in ("nothing", "model", "simulator"):
        async with paper(part) as place:
            name = {"simulator": "market"}.get(part, part)
            figures.append(await one_case(name, place, seconds, rate))
    async with live() as place:
        figures.append(await one_case("venue", place, seconds, rate))
    return figures


async def one_case(case: str, place: Place, seconds: int, rate: int) -> Figures:
    """Load, a part taken away, a halt in the midst of it."""
    load, stop = Load(), asyncio.Event()
    loading = asyncio.create_task(orders(place.channel, load, rate, stop))
    await asyncio.sleep(seconds * WARM_SHARE)
    await asyncio.to_thread(place.break_part)
    await asyncio.sleep(min(seconds * (DOWN_SHARE - WARM_SHARE), 2.0))  # a price is fresh for five seconds
    called_ms, begin = time.time() * 1000, time.perf_counter()
    await risk_pb2_grpc.RiskServiceStub(place.channel).Halt(
        risk_pb2.HaltRequest(actor="bench", reason=f"{case} down"), timeout=CALL_SECONDS
    )
    answered_ms = (time.perf_counter() - begin) * 1000
    await asyncio.sleep(AFTER_SECONDS)
    stop.set()
    await loading
    taken = await taken_at_ms(place.channel, called_ms)
    return Figures(
        case=case,
        sent=load.sent,
        answers=load.answers,
        answered_ms=answered_ms,
        taken_ms=max(taken) - called_ms if taken else None,
        taken_after=sum(at_ms > called_ms + answered_ms for at_ms in taken),
    )


async def orders(channel: grpc.aio.Channel, load: Load, rate: int, stop: asyncio.Event) -> None:
    """Small buys and sells at a steady rate, none waiting for another."""
    trade = trade_pb2_grpc.TradeServiceStub(channel)
    begin, under_way = time.perf_counter(), set()
    while not stop.is_set():
        side = ("buy", "sell")[load.sent % 2]
        task = asyncio.create_task(one_order(trade, load, side))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        load.sent += 1
        await asyncio.sleep(max(0.0, begin + load.sent / rate - time.perf_counter()))
    if under_way:
        await asyncio.wait(under_way)


async def one_order(trade: trade_pb2_grpc.TradeServiceStub, load: Load, side: str) -> None:
    """One order, and the word for what became of it."""
    request = trade_pb2.ExecuteRequest(symbol="BTCUSDT", side=side, qty_usd=200.0, confidence=1.0)
    try:
        answer = await trade.Execute(request, timeout=CALL_SECONDS)
        load.answers[answer.order.state] += 1
    except grpc.aio.AioRpcError as error:
        load.answers[reason_of(error)] += 1


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The reason of a refusal, or the status of a call that was not answered."""
    details, info = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin"), error_details_pb2.ErrorInfo()
    if isinstance(details, bytes) and status_pb2.Status.FromString(details).details[0].Unpack(info):
        return info.reason
    return error.code().name


async def taken_at_ms(channel: grpc.aio.Channel, since_ms: float) -> list[float]:
    """When the newest orders were approved that were not held back, as the journal has them; from a second before."""
    trade, token, found = trade_pb2_grpc.TradeServiceStub(channel), "", []
    while True:
        request = trade_pb2.ListOrdersRequest(page_size=PAGE, page_token=token)
        page = await trade.ListOrders(request, timeout=CALL_SECONDS)
        for order in page.orders:
            at_ms = order.create_time.ToNanoseconds() / 1e6
            if order.state not in HELD_BACK or order.evidence not in {"", "unsent"}:
                found.append(at_ms)
        token = page.next_page_token
        if not token or (found and found[-1] < since_ms - 1000):
            return found


UNHINDERED = {"RATE_LIMIT_MAX": "1000000", "ORDER_RATE_MAX": "0", "OPEN_ORDERS_MAX": "100000"}
"""So that nothing but the halt stops the orders."""


@contextlib.asynccontextmanager
async def paper(part: str) -> AsyncIterator[Place]:
    """The whole stack on paper, called through Envoy; `part` is what breaks."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(ports=Ports.free(), env=UNHINDERED, state_dir=pathlib.Path(folder))
        await asyncio.to_thread(stack.start)
        try:
            address = urllib.parse.urlsplit(stack.gateway_url).netloc
            async with grpc.aio.insecure_channel(address) as channel:
                yield Place(channel=channel, break_part=lambda: None if part == "nothing" else stack.kill(part))
        finally:
            await asyncio.to_thread(stack.stop)


@contextlib.asynccontextmanager
async def live() -> AsyncIterator[Place]:
    """A live gateway on the simulated exchange, whose REST interface breaks."""
    port, gateway_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, exchange(port), gateway(port, gateway_port, pathlib.Path(folder)):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway_port}") as channel:
            await reconciled(channel)
            yield Place(channel=channel, break_part=lambda: shut(port))


def shut(port: int) -> None:
    """Let the exchange answer no REST call for a minute."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", "/_control/down", json.dumps({"seconds": 60, "what": "rest"}))
        connection.getresponse().read()


if __name__ == "__main__":
    sys.exit(main())
