"""A served model on a free port."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from kit import a_card
from serving_fakes import PACKAGED_MODELS, FakeEnsemble, FakeLog, opened, registry_of

from inference.adapters.model_folder import ModelFolder
from inference.adapters.model_onnx import load_ensemble
from inference.adapters.model_state import StateFiles
from inference.core.card import Card
from inference.core.consensus import Ensemble
from inference.registry import Registry
from inference.rpc.errors import Boundary
from inference.rpc.server import Limits, ModelServer, build_server


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running server, a channel to it, its registry and its log."""

    channel: grpc.aio.Channel
    server: ModelServer
    registry: Registry
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
    return a_card(features=("mom_20", "rsi_14"), version="20260102_030405")


@pytest.fixture
def fake(card: Card) -> FakeEnsemble:
    return FakeEnsemble(card=card)


@pytest.fixture(scope="session")
def shipped() -> Ensemble:
    return load_ensemble(PACKAGED_MODELS, "consensus", None)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server of an ensemble, of a registry, or of a folder of models with its state file beside it."""
    running: list[Served] = []

    async def start(served: Ensemble | Registry | Path, *, chosen: str | None = None, **limits: int) -> Served:
        log = FakeLog()
        if isinstance(served, Path):
            store = ModelFolder(served, "consensus")
            registry = opened(store, StateFiles(served / "models.json", "consensus"), log, chosen)
        else:
            registry = served if isinstance(served, Registry) else registry_of(served, log)
        server = build_server(
            registry=registry,
            boundary=Boundary(log),
            limits=replace(Limits(rows_max=4096, message_bytes_max=2**20, calls_max=64), **limits),
            version="9.9.9",
            listen_addr="127.0.0.1:0",
        )
        await server.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        running.append(Served(channel=channel, server=server, registry=registry, log=log))
        return running[-1]

    yield start
    for one in running:
        await one.channel.close()
        await one.server.stop(0.0)


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
