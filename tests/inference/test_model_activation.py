"""A version is exchanged under load, and no call notices but by the version that answers it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from kit import VERSION_A, VERSION_B, write_version
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc
from trading.v1 import model_pb2, model_pb2_grpc

from inference.core.features import DOCUMENTED

REQUESTS, CLIENTS, CHANNELS = 10_000, 64, 4
RISES = {VERSION_A: 0.7, VERSION_B: 0.8}


@dataclass(kw_only=True)
class Load:
    """Clients that ask one after the other, until so many requests are sent in all."""

    sent: int = 0
    failed: list[grpc.aio.AioRpcError] = field(default_factory=list)
    mixed: int = 0
    """Answers whose numbers are not those of the version that they name."""
    seen: list[list[str]] = field(default_factory=list)
    """The versions that answered each client, in order."""
    marks: dict[int, asyncio.Event] = field(default_factory=dict)
    """Set when so many requests are sent."""

    async def client(self, channel: grpc.aio.Channel) -> None:
        stub, seen = oip_grpc.GRPCInferenceServiceStub(channel), list[str]()
        self.seen.append(seen)
        while self.sent < REQUESTS:
            self.sent += 1
            if self.sent in self.marks:
                self.marks[self.sent].set()
            try:
                answer = await stub.ModelInfer(a_row(), timeout=10)
            except grpc.aio.AioRpcError as failure:
                self.failed.append(failure)
                continue
            rise = float(np.frombuffer(answer.raw_output_contents[0], "<f4")[0])
            self.mixed += abs(rise - RISES[answer.model_version]) > 1e-6
            seen.append(answer.model_version)

    async def at(self, sent: int, change: Callable[[], Awaitable[Any]]) -> None:
        """Makes the change when so many requests are sent."""
        self.marks[sent] = asyncio.Event()
        await self.marks[sent].wait()
        await change()


def a_row() -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="consensus")
    for name in DOCUMENTED:
        request.inputs.add(name=name, datatype="FP32", shape=[1])
        request.raw_input_contents.append(np.zeros(1, "<f4").tobytes())
    return request


async def test_ten_thousand_requests_meet_an_activation_and_a_rollback_and_none_fails(
    serve: Any, tmp_path: Path
) -> None:
    for version, rise in RISES.items():
        write_version(tmp_path, version, rise=rise)
    served = await serve(tmp_path, chosen=VERSION_A, calls_max=256)
    models = model_pb2_grpc.ModelServiceStub(served.channel)
    address = f"127.0.0.1:{served.server.port}"
    # A channel's options make it a connection of its own; equal ones would share one.
    channels = [grpc.aio.insecure_channel(address, options=[("tests.channel", one)]) for one in range(CHANNELS)]
    load = Load()
    await asyncio.gather(
        *(load.client(channels[number % CHANNELS]) for number in range(CLIENTS)),
        load.at(REQUESTS // 3, lambda: models.ActivateModel(model_pb2.ActivateModelRequest(version=VERSION_B))),
        load.at(2 * REQUESTS // 3, lambda: models.RollbackModel(model_pb2.RollbackModelRequest())),
    )
    for channel in channels:
        await channel.close()
    assert (load.failed, load.mixed) == ([], 0)
    assert sum(map(len, load.seen)) == REQUESTS
    in_turn = [[version for version, _ in itertools.groupby(seen)] for seen in load.seen]
    assert in_turn == [[VERSION_A, VERSION_B, VERSION_A]] * CLIENTS
