"""Measuring: cells, repeats, medians, and the proof that nothing quick was a refusal."""

import json
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import grpc
from trading.v1 import consensus_pb2, consensus_pb2_grpc, trade_pb2, trade_pb2_grpc

from bench.contenders import FEATURES, ORDER_USD, SYMBOL, Contenders, Target
from bench.load import Latencies, load
from bench.processes import cpu_seconds, http_call, machine_cpu_seconds, rss_mb

REPEATS = 3
CELL_SECONDS = 2.3  # long enough for 2 to 3 % of noise of its own; the whole run stays under six minutes
WARM_UP_REQUESTS_PER_CONNECTION = 10
WARM_UP_REQUESTS_MIN = 100
CELL_REQUESTS_MAX = 60_000
RECORDS_PER_ORDER = 2  # the intent before the venue, the outcome after it
SETTLE_SECONDS_MAX = 5.0
FSYNCS = 200
PAGE_SIZE = 200  # orders that are looked at after a cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of the load on one target."""

    latencies: Latencies
    cpu_us: Mapping[str, float]
    """CPU microseconds a request, by process."""
    foreign: float
    """The share of the machine's CPU that neither the contender nor the load generator used, but others did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The medians of a target's samples at one number of connections."""

    target: str
    connections: int
    requests_per_second: float
    decisions_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    cpu_us_by_process: Mapping[str, float]
    rates: tuple[float, ...]
    """Requests per second of each repeat; repeats of the same number belong together."""
    foreign: float
    """The median share of the machine's CPU that other programs used."""

    @property
    def spread(self) -> float:
        """(highest - lowest) / median of the repeats' rates."""
        return (max(self.rates) - min(self.rates)) / self.requests_per_second


Say = Callable[[str], None]


def measure_all(contenders: Contenders, say: Say) -> list[Cell]:
    """Warm all up, then repeat all cells in turn, so that a slow moment of the machine falls on everyone."""
    check_answers(contenders)
    pairs = [(target, connections) for target in contenders.targets for connections in target.connections]
    rates = {_key(pair): _warm_up(contenders, *pair) for pair in pairs}
    samples: dict[tuple[str, int], list[Sample]] = {_key(pair): [] for pair in pairs}
    for repeat in range(REPEATS):
        say(f"repeat {repeat + 1} of {REPEATS}")
        for connections in sorted({connections for _, connections in pairs}):
            for target in (target for target, count in pairs if count == connections):
                requests = _whole(rates[target.name, connections] * CELL_SECONDS, connections)
                sample = _run(contenders, target, connections, requests, repeat)
                samples[target.name, connections].append(sample)
    return [_cell(target, connections, samples[target.name, connections]) for target, connections in pairs]


def memory_mb(contenders: Contenders) -> dict[str, dict[str, float]]:
    """Resident memory by contender and process."""
    shown = {"tollgate": "consensus-grpc", "peer-httpx": "peer-httpx", "peer-aiohttp": "peer-aiohttp"}
    shown |= {"echo": "echo-grpc"}
    targets = {target.name: target for target in contenders.targets}
    return {
        name: {part: rss_mb([pid]) for part, pid in targets[target].processes.items()} for name, target in shown.items()
    }


def check_answers(contenders: Contenders) -> None:
    """One real call of every kind answers as it should; raises RuntimeError otherwise."""
    with grpc.insecure_channel(f"127.0.0.1:{contenders.stack.ports.gateway_grpc}") as channel:
        question = consensus_pb2.GetConsensusRequest(symbol=SYMBOL, features=FEATURES)
        decision = consensus_pb2_grpc.ConsensusServiceStub(channel).GetConsensus(question, timeout=5)
        order = trade_pb2.ExecuteRequest(symbol=SYMBOL, side="buy", qty_usd=ORDER_USD, confidence=0.9)
        outcome = trade_pb2_grpc.TradeServiceStub(channel).Execute(order, timeout=5)
    if decision.signal != "long" or not decision.allow or outcome.order.state != "filled":
        raise RuntimeError(f"the stack answers {decision} and {outcome}")
    for target in contenders.targets:
        if not target.grpc:
            status, body = http_call(target.url, target.bodies[0].read_bytes())
            if status != 200:
                raise RuntimeError(f"{target.name} answers {status}: {body!r}")


def fsync_us(folder: pathlib.Path) -> float:
    """The median time of a durable write of 4 KiB on the journal's disk, microseconds."""
    path, times = folder / "fsync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    path.unlink()
    return statistics.median(times) * 1e6


def _key(pair: tuple[Target, int]) -> tuple[str, int]:
    return pair[0].name, pair[1]


def _warm_up(contenders: Contenders, target: Target, connections: int) -> float:
    """Requests a second of a short run, whose figures are not kept."""
    requests = max(WARM_UP_REQUESTS_MIN // target.decisions, connections * WARM_UP_REQUESTS_PER_CONNECTION)
    sample = _run(contenders, target, connections, requests, 0)
    return requests / sample.latencies.seconds


def _whole(requests: float, connections: int) -> int:
    """A multiple of the connections, so that all have the same work."""
    return max(5, min(int(requests), CELL_REQUESTS_MAX) // connections) * connections


def _run(contenders: Contenders, target: Target, connections: int, requests: int, repeat: int) -> Sample:
    body = target.bodies[repeat % len(target.bodies)]
    records = contenders.records()
    before, machine_before = _cpu_by_process(target), machine_cpu_seconds()
    latencies = load(url=target.url, body=body, grpc=target.grpc, connections=connections, requests=requests)
    after, machine_after = _cpu_by_process(target), machine_cpu_seconds()
    used = {name: after[name] - before[name] for name in target.processes}
    if target.recorded:
        _check_records(contenders, target, records, requests)
    busy, whole = (late - early for early, late in zip(machine_before, machine_after, strict=True))
    return Sample(
        latencies=latencies,
        cpu_us={name: seconds / requests * 1e6 for name, seconds in used.items()},
        foreign=max(0.0, busy - sum(used.values()) - latencies.load_cpu_seconds) / whole,
    )


def _cpu_by_process(target: Target) -> dict[str, float]:
    return {name: cpu_seconds([pid]) for name, pid in target.processes.items()}


def _check_records(contenders: Contenders, target: Target, before: int, requests: int) -> None:
    """Every request has left its records: h2load does not read grpc-status, and a refusal would be quick."""
    of_each = RECORDS_PER_ORDER if target.name.startswith("execute") else target.decisions
    expected, end = requests * of_each, time.monotonic() + SETTLE_SECONDS_MAX
    while (made := contenders.records() - before) < expected and time.monotonic() < end:
        time.sleep(0.05)
    if made != expected:
        raise RuntimeError(f"{target.name}: {requests} requests left {made} records in place of {expected}")
    if target.name.startswith("execute"):
        _, body = http_call(f"{contenders.stack.gateway_url}/api/trade/orders?page_size={min(requests, PAGE_SIZE)}")
        states = {order["state"] for order in json.loads(body)["orders"]}
        if states != {"filled"}:
            raise RuntimeError(f"{target.name}: the newest orders are {states}")


def _cell(target: Target, connections: int, samples: list[Sample]) -> Cell:
    rates = [sample.latencies.requests / sample.latencies.seconds for sample in samples]
    rate = statistics.median(rates)
    parts = {name: statistics.median(sample.cpu_us[name] for sample in samples) for name in target.processes}
    return Cell(
        target=target.name,
        connections=connections,
        requests_per_second=rate,
        decisions_per_second=rate * target.decisions,
        p50_ms=statistics.median(sample.latencies.p50_ms for sample in samples),
        p99_ms=statistics.median(sample.latencies.p99_ms for sample in samples),
        cpu_us=statistics.median(sum(sample.cpu_us.values()) for sample in samples),
        cpu_us_by_process=parts,
        rates=tuple(rates),
        foreign=statistics.median(sample.foreign for sample in samples),
    )
