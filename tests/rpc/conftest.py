"""The gateway's gRPC server on a free port, over fakes."""

from dataclasses import dataclass

import grpc
import pytest
from builders import BTC, a_prediction
from fakes import FakeModel
from world import World

from gateway.calibration import Calibration
from gateway.confirmations import Confirmations
from gateway.core.promotion_records import limits_of
from gateway.health import Health
from gateway.historian import Historian
from gateway.promotion import Promotion
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
    promotion: Promotion
    channel: grpc.aio.Channel


def a_promotion(world: World, model: FakeModel) -> Promotion:
    historian = Historian(
        journal=world.journal,
        account=world.account,
        guard=world.guard,
        clock=world.clock,
        drawdown_max=world.policy.drawdown_max,
        real_market=False,
    )
    return Promotion(
        journal=world.journal,
        historian=historian,
        model=model,
        served=lambda: model.prediction.model_version,
        clock=world.clock,
        limits=limits_of(world.policy),
        real_market=False,
        key=b"k" * 32,
        gate=None,
    )


def build(world: World, model: FakeModel, promotion: Promotion, rate_limit_max: int) -> Servicers:
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
        promotion=promotion,
        dry_run=True,
    )


@pytest.fixture
def rate_limit_max():
    return 1000


@pytest.fixture
async def running(rate_limit_max):
    world, model = World(), FakeModel(a_prediction())
    promotion = a_promotion(world, model)
    served = build(world, model, promotion, rate_limit_max)
    server = Server(served, address="127.0.0.1:0", max_message_bytes=65_536, max_concurrent_calls=100)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Running(world=world, model=model, server=server, servicers=served, promotion=promotion, channel=channel)
    await server.drain(0)
