"""Who is measured, by which calls, and how each is started and stopped.

Tollgate runs as `tools/stack.py` runs it. Its only settings that differ from the
defaults are in TOLLGATE_ENV. The peers do two hops, the model and the threshold,
and nothing else: no journal, no rate limit, no allow-list, no ids.
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trading.v1 import consensus_pb2, trade_pb2

from bench.processes import ROOT, Server, http_call, uvicorn
from tools.stack import Ports, Stack

TOLLGATE_ENV: Mapping[str, str] = {
    "RATE_LIMIT_MAX": "100000000",  # the load is one client
    "ORDER_RATE_MAX": "0",  # and one symbol
    "OPEN_ORDERS_MAX": "100000",  # with as many orders at once as there are connections
    "PER_SYMBOL_USD_CAP": "1000000000",  # so that no order is clipped or refused
    "PAPER_EQUITY_USD": "1000000000",  # so that fees never reach the drawdown lock
    "LOG_LEVEL": "warning",  # no line for each request, as with the peers
}
SYMBOL = "BTCUSDT"
FEATURES: Mapping[str, float] = {"mom_20": 1.2, "rv_5": 0.8, "rsi_14": 62.0}
ORDER_USD = 200.0  # some steps of the instrument's quantity, and far less than its book holds
BATCH_ROWS = (256, 1024)
CONNECTIONS = (1, 16, 64)
BATCH_CONNECTIONS = (1, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One call of one contender."""

    name: str
    url: str
    bodies: tuple[pathlib.Path, ...]
    """Used in turn, one for each repeat: buy, then sell, so that positions stay small."""
    grpc: bool
    processes: Mapping[str, int]
    """The ids of the processes that serve it, by name."""
    connections: tuple[int, ...] = CONNECTIONS
    decisions: int = 1
    """Rows of one request."""
    recorded: bool = False
    """True when every request must leave records in the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contenders:
    """Everything that runs, and what is asked of it."""

    stack: Stack
    targets: tuple[Target, ...]
    start_seconds: float

    def records(self) -> int:
        """How many records Tollgate's journal holds."""
        status, body = http_call(f"{self.stack.gateway_url}/health")
        if status != 200:
            raise RuntimeError(f"/health answers {status}")
        return int(json.loads(body)["journal"]["records"])


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Contenders]:
    """Start all contenders, with bodies and journal in the folder; stop them at the end."""
    with contextlib.ExitStack() as ends:
        stack = Stack(ports=Ports.free(), env=TOLLGATE_ENV, state_dir=folder)
        start_seconds = stack.start()
        ends.callback(stack.stop)
        peers = _peers(ends)
        echo = Server(["-m", "bench.peers.echo"])
        ends.callback(echo.stop)
        echo.wait()
        targets = (*_tollgate(stack, folder), *_peer_targets(peers, folder), _echo_target(echo, folder))
        yield Contenders(stack=stack, targets=targets, start_seconds=start_seconds)


def model_path() -> pathlib.Path:
    """The graph of the newest model, which all contenders run."""
    return max((ROOT / "inference" / "models" / "consensus").glob("*/model.onnx"))


def _peers(ends: contextlib.ExitStack) -> dict[str, dict[str, Server]]:
    """Each peer pair: its gateway and its model service, one process each."""
    pairs: dict[str, dict[str, Server]] = {}
    for client in ("httpx", "aiohttp"):
        service = uvicorn("bench.peers.model_service:app", {"MODEL_PATH": str(model_path())})
        ends.callback(service.stop)
        gateway = uvicorn(f"bench.peers.gateway_{client}:app", {"MODEL_URL": service.url})
        ends.callback(gateway.stop)
        pairs[client] = {"gateway": gateway, "model": service}
    for pair in pairs.values():
        for server in pair.values():
            server.wait()
    return pairs


def _peer_targets(pairs: dict[str, dict[str, Server]], folder: pathlib.Path) -> list[Target]:
    body = _write(folder / "consensus.json", json.dumps({"symbol": SYMBOL, "features": FEATURES}).encode())
    return [
        Target(
            name=f"peer-{client}",
            url=f"{pair['gateway'].url}/api/ai/consensus",
            bodies=(body,),
            grpc=False,
            processes={name: server.process.pid for name, server in pair.items()},
        )
        for client, pair in pairs.items()
    ]


def _echo_target(echo: Server, folder: pathlib.Path) -> Target:
    body = _write(folder / "echo.grpc", _framed(_question().SerializeToString()))
    processes = {"echo": echo.process.pid}
    return Target(name="echo-grpc", url=f"{echo.url}/bench.Echo/Echo", bodies=(body,), grpc=True, processes=processes)


def _tollgate(stack: Stack, folder: pathlib.Path) -> list[Target]:
    direct = f"http://127.0.0.1:{stack.ports.gateway_grpc}/trading.v1"
    edge = f"{stack.gateway_url}/api"
    processes = {name: part.process.pid for name, part in stack.parts.items() if part.process}
    sides = ("buy", "sell")
    consensus_grpc = _write(folder / "consensus.grpc", _framed(_question().SerializeToString()))
    consensus_json = _write(folder / "consensus.json", json.dumps({"symbol": SYMBOL, "features": FEATURES}).encode())
    orders_grpc = tuple(_write(folder / f"{side}.grpc", _framed(_order(side).SerializeToString())) for side in sides)
    orders_json = tuple(_write(folder / f"{side}.json", json.dumps(_order_json(side)).encode()) for side in sides)
    calls = (
        ("consensus-grpc", f"{direct}.ConsensusService/GetConsensus", (consensus_grpc,), True),
        ("consensus-json", f"{edge}/ai/consensus", (consensus_json,), False),
        ("execute-grpc", f"{direct}.TradeService/Execute", orders_grpc, True),
        ("execute-json", f"{edge}/trade/execute", orders_json, False),
    )
    singles = [
        Target(name=name, url=url, bodies=bodies, grpc=grpc, processes=processes, recorded=True)
        for name, url, bodies, grpc in calls
    ]
    batches = [
        Target(
            name=f"batch-{rows}-grpc",
            url=f"{direct}.ConsensusService/BatchGetConsensus",
            bodies=(_write(folder / f"batch-{rows}.grpc", _framed(_batch(rows).SerializeToString())),),
            grpc=True,
            processes=processes,
            connections=BATCH_CONNECTIONS,
            decisions=rows,
            recorded=True,
        )
        for rows in BATCH_ROWS
    ]
    return singles + batches


def _question() -> consensus_pb2.GetConsensusRequest:
    return consensus_pb2.GetConsensusRequest(symbol=SYMBOL, features=FEATURES)


def _batch(rows: int) -> consensus_pb2.BatchGetConsensusRequest:
    return consensus_pb2.BatchGetConsensusRequest(requests=[_question()] * rows)


def _order(side: str) -> trade_pb2.ExecuteRequest:
    return trade_pb2.ExecuteRequest(symbol=SYMBOL, side=side, qty_usd=ORDER_USD, confidence=0.9)


def _order_json(side: str) -> dict[str, object]:
    return {"symbol": SYMBOL, "side": side, "qtyUsd": ORDER_USD, "confidence": 0.9}


def _framed(message: bytes) -> bytes:
    """A gRPC message as it stands on the wire: not compressed, its length in four bytes."""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def _write(path: pathlib.Path, body: bytes) -> pathlib.Path:
    path.write_bytes(body)
    return path
