"""What the live path adds to an order: Tollgate beside a bare client of the same exchange, by turns, in one run.

python -m bench.live_latency [--seconds 60]   prints a table

The exchange is the simulator in a process of its own, with an account for each side. Tollgate is the gateway in live
mode, called over gRPC: facts, risk, a durable intent, pybit, the private stream, a durable outcome. The bare client
sends the same order with pybit and waits for its end on the private stream, and does nothing else: its time is the
venue's answer, client included. Each order of Tollgate is followed by one of the bare client, half an interval later.

total      from the caller's order to its answer with the fills
bare       from the bare client's order to its end on the stream
overhead   the difference of the two medians (and of the two 99th percentiles)
"""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import aiohttp
import grpc
from pybit.unified_trading import HTTP
from trading.v1 import system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from bench.processes import ROOT, free_port
from simulator.api.keys import signature

RATES = (1, 10)
SYMBOL = "BTCUSDT"
USD = 200.0
CONFIDENCE = 1.0
KEY, SECRET = "BARE0001", "BARESECRET0001"
WAIT_SECONDS = 15.0
EXCHANGE = """
import asyncio, sys
from decimal import Decimal
from simulator.api.keys import ApiKey, default_keys
from simulator.api.limits import LimitConfig
from simulator.server import ServerConfig, serve_until_signal
from simulator.trading.contract import AccountConfig
port, key, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3]
accounts = [AccountConfig(uid=uid, balances={"USDT": Decimal(100000)}) for uid in (1, 2)]
keys = [*default_keys(), ApiKey(key=key, secret=secret, uid=2)]
limits = LimitConfig(per_second={"/v5/order/create": 50})
asyncio.run(serve_until_signal(ServerConfig(seed=7, symbols=["BTCUSDT"], port=port, accounts=accounts, keys=keys,
    limits=limits)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Milliseconds of one rate."""

    rate: int
    total: Sequence[float]
    bare: Sequence[float]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each rate, 5 to 600")
    options = parser.parse_args()
    if not 5 <= options.seconds <= 600:
        parser.error("--seconds must be 5 to 600")
    figures = asyncio.run(measure(options.seconds))
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {options.seconds} s for each rate")
    print(table(figures))
    return 0


def table(figures: Sequence[Figures]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| orders/s | orders | total p50 | p99 | bare p50 | p99 | overhead p50 | p99 | ratio p50 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in figures:
        total, bare = ([quantile(times, share) for share in (0.5, 0.99)] for times in (one.total, one.bare))
        cells = [*total, *bare, total[0] - bare[0], total[1] - bare[1]]
        text = " | ".join(f"{cell:.1f} ms" for cell in cells)
        lines.append(f"| {one.rate} | {len(one.total)} | {text} | {total[0] / bare[0]:.2f} |")
    return "\n".join(lines)


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def measure(seconds: int) -> list[Figures]:
    """Both rates on one exchange and one gateway."""
    port, gateway_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder, exchange(port), gateway(port, gateway_port, pathlib.Path(folder)):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway_port}") as channel, bare_client(port) as bare:
            await reconciled(channel)
            trade = trade_pb2_grpc.TradeServiceStub(channel)
            await one_round(trade, bare, 5, 3)  # warm: connections, caches
            return [await one_round(trade, bare, rate, seconds) for rate in RATES]


async def one_round(trade: trade_pb2_grpc.TradeServiceStub, bare: "Bare", rate: int, seconds: int) -> Figures:
    """Orders of both sides by turns, buys and the sells that close them."""
    total: list[float] = []
    bare_ms: list[float] = []
    begin = time.perf_counter()
    for number in range(rate * seconds):
        side = ("buy", "sell")[number % 2]
        await until(begin + number / rate)
        total.append(await executed(trade, side))
        await until(begin + (number + 0.5) / rate)
        bare_ms.append(await bare.order(side))
    return Figures(rate=rate, total=total, bare=bare_ms)


async def until(moment: float) -> None:
    """Wait for a moment of the performance counter."""
    await asyncio.sleep(max(0.0, moment - time.perf_counter()))


async def executed(trade: trade_pb2_grpc.TradeServiceStub, side: str) -> float:
    """One order through Tollgate, milliseconds. Raises RuntimeError when it was not filled."""
    request = trade_pb2.ExecuteRequest(symbol=SYMBOL, side=side, qty_usd=USD, reduce_only=side == "sell")
    if side == "buy":
        request.confidence = CONFIDENCE
    else:
        request.qty_usd = 10 * USD  # all that is open
    begin = time.perf_counter()
    answer = await trade.Execute(request, timeout=WAIT_SECONDS)
    spent = (time.perf_counter() - begin) * 1000
    if answer.order.state != "filled":
        raise RuntimeError(f"an order ended as {answer.order.state}: {answer.message}")
    return spent


class Bare:
    """A client that does what an order needs and nothing more."""

    def __init__(self, port: int, stream: aiohttp.ClientWebSocketResponse) -> None:
        self._http = HTTP(api_key=KEY, api_secret=SECRET)
        self._http.endpoint = f"http://127.0.0.1:{port}"
        self._http.client.trust_env = False
        self._stream = stream
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._number = 0
        self._run = time.time_ns()

    async def order(self, side: str) -> float:
        """One market order until the stream tells its end, milliseconds."""
        self._number += 1
        link = f"bare-{self._run}-{self._number}"
        begin = time.perf_counter()
        sending = asyncio.get_running_loop().run_in_executor(self._thread, self._send, side, link)
        ended = asyncio.create_task(self._ended(link))
        await asyncio.gather(sending, ended)
        return (time.perf_counter() - begin) * 1000

    def _send(self, side: str, link: str) -> None:
        self._http.place_order(
            category="linear",
            symbol=SYMBOL,
            side=side.capitalize(),
            orderType="Market",
            qty="0.003",
            positionIdx=0,
            reduceOnly=side == "sell",
            orderLinkId=link,
        )

    async def _ended(self, link: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                message = json.loads(await self._stream.receive_str())
                rows = message.get("data", []) if message.get("topic") == "order" else []
                if any(row["orderLinkId"] == link and row["orderStatus"] == "Filled" for row in rows):
                    return

    def close(self) -> None:
        """End the thread and the connections."""
        self._thread.shutdown()
        self._http.client.close()


@contextlib.asynccontextmanager
async def bare_client(port: int) -> AsyncIterator[Bare]:
    """A bare client, signed in and subscribed."""
    url = f"ws://127.0.0.1:{port}/v5/private"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as stream:
        expires = int(time.time() * 1000) + 10_000
        signed = signature(SECRET, f"GET/realtime{expires}".encode())
        await stream.send_json({"op": "auth", "args": [KEY, expires, signed]})
        await stream.send_json({"op": "subscribe", "args": ["order"]})
        bare = Bare(port, stream)
        try:
            yield bare
        finally:
            bare.close()


async def reconciled(channel: grpc.aio.Channel) -> None:
    """Wait until the gateway takes orders."""
    stub = system_pb2_grpc.SystemServiceStub(channel)
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                health = await stub.GetHealth(system_pb2.GetHealthRequest(), wait_for_ready=True, timeout=5)
                if health.market_data.ok and health.venue.ok:
                    return
            await asyncio.sleep(0.1)


@contextlib.contextmanager
def exchange(port: int) -> Iterator[None]:
    """The simulator, with a limit that ten orders a second of each side do not reach."""
    with child([sys.executable, "-c", EXCHANGE, str(port), KEY, SECRET], {}):
        wait_for(port)
        yield


def wait_for(port: int) -> None:
    """Wait until somebody listens. Raises TimeoutError."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@contextlib.contextmanager
def gateway(port: int, gateway_port: int, folder: pathlib.Path) -> Iterator[None]:
    """The gateway in live mode."""
    environment = {
        "TRADING_MODE": "live",
        "BYBIT_ENV": "simulator",
        "BYBIT_API_KEY": "SIMKEY0001",
        "BYBIT_API_SECRET": "SIMSECRET0001",
        "BYBIT_REST_URL": f"http://127.0.0.1:{port}",
        "BYBIT_PRIVATE_WS_URL": f"ws://127.0.0.1:{port}/v5/private",
        "MARKET_REST_URL": f"http://127.0.0.1:{port}",
        "MARKET_WS_URL": f"ws://127.0.0.1:{port}/v5/public/linear",
        "GATEWAY_LISTEN_ADDR": f"127.0.0.1:{gateway_port}",
        "MODEL_SERVICE_ADDR": "127.0.0.1:1",
        "JOURNAL_PATH": str(folder / "journal.sqlite3"),
        "SYMBOLS": SYMBOL,
        "RATE_LIMIT_MAX": "100000",
        "ORDER_RATE_MAX": "0",
        "OPEN_ORDERS_MAX": "100000",
        "DUPLICATE_WINDOW_MS": "0",  # its orders are alike on purpose
        "REQUIRE_DECISION": "off",  # there is no model
        "LOG_LEVEL": "warning",
    }
    with child([sys.executable, "-m", "gateway"], environment):
        yield


@contextlib.contextmanager
def child(command: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    """A process of this tree, ended with the context."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BYBIT_")}
    process = subprocess.Popen(command, cwd=ROOT, env=inherited | environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
