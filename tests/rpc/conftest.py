"""The gateway's gRPC server on a free port, over fakes."""

from dataclasses import dataclass

import grpc
import pytest
from builders import BTC, a_prediction
from fakes import FakeModel
from world import World

from gateway.calibration import Calibration
from gateway.confirmations import Confirmations
from gateway.health import Health
from gateway.rpc.server import Server
from gateway.rpc.servicers import Servicers, servicers
from gateway.settings import load


@dataclass
class Running:
    """A served world and a channel to it."""

    world: World
    model: FakeModel
    server: Server
    servicers: Servicers
    channel: grpc.aio.Channel


def build(world: World, model: FakeModel, rate_limit_max: int) -> Servicers:
    settings = load({"SYMBOLS": BTC, "RATE_LIMIT_MAX": str(rate_limit_max)})
    calibration = Calibration(
        journal=world.journal,
        clock=world.clock,
        threshold=0.6,
        alarm_at=20_000.0,
        raise_by=0.05,
        window=500,
        recalibrate=False,
    )
    health = Health(
        model=model,
        calibration=calibration,
        market=world.market,
        journal=world.journal,
        clock=world.clock,
        symbols=settings.symbols,
        price_age_ms_max=5000,
    )
    return servicers(
        settings=settings,
        path=world.path,
        decisions=world.decisions(model),
        guard=world.guard,
        kill_switch=world.kill_switch,
        confirmations=Confirmations(world.clock),
        health=health,
        calibration=calibration,
        journal=world.journal,
        account=world.account,
        market=world.market,
        dry_run=True,
    )


@pytest.fixture
def rate_limit_max():
    return 1000


@pytest.fixture
async def running(rate_limit_max):
    world, model = World(), FakeModel(a_prediction())
    served = build(world, model, rate_limit_max)
    server = Server(served, address="127.0.0.1:0", max_message_bytes=65_536, max_concurrent_calls=100)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Running(world=world, model=model, server=server, servicers=served, channel=channel)
    await server.drain(0)
