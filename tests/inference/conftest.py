"""A served model on a free port, with a fake ensemble where the model does not matter."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2

from inference.adapters.model_onnx import load_ensemble
from inference.core.card import FIGURES_REQUIRED, Card, CardFeature
from inference.core.consensus import Ensemble, Rows, Scores
from inference.rpc.errors import Boundary
from inference.rpc.server import Limits, ModelServer, build_server

PACKAGED_MODELS = Path(__file__).parents[2] / "inference" / "models"


@dataclass(kw_only=True)
class FakeLog:
    """Keeps what was logged."""

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, **keys: object) -> None:
        self.lines.append(("debug", event, keys))

    def info(self, event: str, **keys: object) -> None:
        self.lines.append(("info", event, keys))

    def exception(self, event: str, **keys: object) -> None:
        self.lines.append(("exception", event, keys))


@dataclass(kw_only=True)
class FakeEnsemble:
    """Says 0.75 of every row; can be told to fail, or to wait until it is let go."""

    card: Card
    fails_with: Exception | None = None
    released: threading.Event | None = None
    started: threading.Event = field(default_factory=threading.Event)

    def score(self, rows: Rows) -> Scores:
        self.started.set()
        if self.fails_with is not None:
            raise self.fails_with
        if self.released is not None:
            assert self.released.wait(timeout=10)
        count = rows.shape[0]
        return Scores(
            prob_long=np.full((count, 1), 0.75, np.float32),
            confidence=np.full((count, 1), 0.625, np.float32),
            members=np.full((count, 2), 0.75, np.float32),
        )


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running server, a channel to it, and its log."""

    channel: grpc.aio.Channel
    server: ModelServer
    log: FakeLog


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a client sees of an error."""

    code: str
    reason: str
    http: str | None
    fields: tuple[str, ...]
    metadata: dict[str, str]
    message: str


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
def card() -> Card:
    return Card(
        name="consensus",
        version="20260102_030405",
        description="A test.",
        features=(CardFeature(name="mom_20", unit="percent"), CardFeature(name="rsi_14", unit="points")),
        label="up",
        horizon_seconds=3600,
        training_start="2020-01-01T00:00:00Z",
        training_end="2020-06-01T00:00:00Z",
        calibration_start="2020-06-02T00:00:00Z",
        calibration_end="2020-07-01T00:00:00Z",
        test_start="2020-07-02T00:00:00Z",
        test_end="2020-08-01T00:00:00Z",
        data_source="nowhere",
        sha256="0" * 64,
        members=("one", "two"),
        export_method="none",
        calibration_method="temperature",
        confidence_slope=0.8,
        calibration=dict.fromkeys(FIGURES_REQUIRED, 0.5),
        libraries={"numpy": "2"},
    )


@pytest.fixture
def fake(card: Card) -> FakeEnsemble:
    return FakeEnsemble(card=card)


@pytest.fixture(scope="session")
def shipped() -> Ensemble:
    return load_ensemble(PACKAGED_MODELS, "consensus", None)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    running: list[Served] = []

    async def start(ensemble: Ensemble, **limits: int) -> Served:
        log = FakeLog()
        server = build_server(
            ensemble=ensemble,
            boundary=Boundary(log),
            limits=replace(Limits(rows_max=4096, message_bytes_max=2**20, calls_max=64), **limits),
            version="9.9.9",
            listen_addr="127.0.0.1:0",
        )
        await server.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        running.append(Served(channel=channel, server=server, log=log))
        return running[-1]

    yield start
    for served in running:
        await served.channel.close()
        await served.server.stop(0.0)


@pytest.fixture
def refusal() -> Callable[[Awaitable[Any]], Awaitable[Refusal]]:
    """Awaits a call that must fail and gives what the client sees."""

    async def awaited(call: Awaitable[Any]) -> Refusal:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        trailing = dict(caught.value.trailing_metadata() or ())
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])  # type: ignore[arg-type]
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        status.details[0].Unpack(info)
        for detail in status.details:
            detail.Unpack(request)
        assert status.code == caught.value.code().value[0]
        assert status.message == caught.value.details()
        assert info.domain == "tollgate"
        assert trailing["x-request-id"]
        return Refusal(
            code=caught.value.code().name,
            reason=info.reason,
            http=trailing.get("x-http-status"),  # type: ignore[arg-type]
            fields=tuple(violation.field for violation in request.field_violations),
            metadata=dict(info.metadata),
            message=status.message,
        )

    return awaited
