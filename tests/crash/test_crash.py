"""kill -9 at every labelled step of the order path: exactly one order, equal answers, an unbroken chain."""

import asyncio
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from trading.v1 import system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from gateway.ports import Step

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORDER = trade_pb2.ExecuteRequest(
    symbol="BTCUSDT", side="buy", qty_usd=2000.0, confidence=0.9, idempotency_key="crash-1"
)
SECONDS_MAX = 10


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(*arguments, **environment):
    child = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def market_port():
    port = free_port()
    with process("simulator", "serve", "--port", str(port), "--seed", "7"):
        yield port


class Gateways:
    """Gateway processes, one after the other, over one journal."""

    def __init__(self, market_port, folder):
        self.port = free_port()
        self.journal = folder / "journal.sqlite3"
        self.environment = {
            "GATEWAY_LISTEN_ADDR": f"127.0.0.1:{self.port}",
            "MARKET_REST_URL": f"http://127.0.0.1:{market_port}",
            "MARKET_WS_URL": f"ws://127.0.0.1:{market_port}/v5/public/linear",
            "MODEL_SERVICE_ADDR": "127.0.0.1:1",
            "JOURNAL_PATH": str(self.journal),
            "SYMBOLS": "BTCUSDT",
        }

    @contextlib.asynccontextmanager
    async def running(self, **environment):
        with process("gateway", **self.environment | environment) as child:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
                await self._prices(channel)
                yield child, trade_pb2_grpc.TradeServiceStub(channel)

    async def _prices(self, channel):
        stub = system_pb2_grpc.SystemServiceStub(channel)
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    health = await stub.GetHealth(system_pb2.GetHealthRequest(), wait_for_ready=True, timeout=5)
                    if health.market_data.ok:
                        return
                await asyncio.sleep(0.05)

    def doctor(self):
        return subprocess.run(
            [sys.executable, "-m", "gateway.cli", "doctor", "--journal", str(self.journal)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )


def told(answer):
    """An answer without the mark of a replay."""
    return {key: value for key, value in MessageToDict(answer).items() if key != "replayed"}


@pytest.mark.parametrize("step", list(Step))
async def test_a_kill_at_every_step_leaves_exactly_one_order(step, market_port, tmp_path):
    gateways = Gateways(market_port, tmp_path)
    async with gateways.running(CRASH_AT=step.value) as (child, trade):
        with pytest.raises(grpc.aio.AioRpcError):
            await trade.Execute(ORDER, timeout=SECONDS_MAX)
        assert child.wait(SECONDS_MAX) == -signal.SIGKILL
    async with gateways.running() as (_, trade):
        first = await trade.Execute(ORDER, timeout=SECONDS_MAX)
        second = await trade.Execute(ORDER, timeout=SECONDS_MAX)
        orders = (await trade.ListOrders(trade_pb2.ListOrdersRequest())).orders
        positions = (await trade.ListPositions(trade_pb2.ListPositionsRequest())).positions
    assert told(first) == told(second)
    assert first.ok
    assert first.order.qty_usd == 1800.0
    assert len(orders) == 1
    assert [held.qty for held in positions] == [sum(fill.qty for fill in first.order.fills)]
    examined = gateways.doctor()
    assert examined.returncode == 0, examined.stdout + examined.stderr


async def test_a_caller_with_a_50_ms_deadline_or_one_who_hangs_up_leaves_no_half_recorded_order(market_port, tmp_path):
    gateways = Gateways(market_port, tmp_path)
    async with gateways.running() as (_, trade):
        hung_up = 0
        for number in range(40):
            call = trade.Execute(numbered_order(number), timeout=0.05)
            if number % 4:
                await asyncio.sleep(0.0004 * (number % 4 - 1))
                call.cancel()
            try:
                await call
            except (grpc.aio.AioRpcError, asyncio.CancelledError):
                hung_up += 1
        await asyncio.sleep(0.5)
        states = {order.state for order in (await trade.ListOrders(trade_pb2.ListOrdersRequest())).orders}
    assert hung_up >= 10, "those who hang up at once"
    assert states <= {"filled", "partially_filled"}
    assert gateways.doctor().returncode == 0


def numbered_order(number):
    return trade_pb2.ExecuteRequest(
        symbol="BTCUSDT",
        side=("buy", "sell")[number % 2],
        qty_usd=100.0 + number,
        confidence=0.9,
        idempotency_key=f"deadline-{number}",
    )
