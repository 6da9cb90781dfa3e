"""The gateway's gRPC server on a free port, over fakes."""

from dataclasses import dataclass
from decimal import Decimal

import grpc
import pytest
from builders import BTC, a_prediction
from fakes import FakeModel
from world import World

from gateway.decision_path import DecisionPath
from gateway.health import Health
from gateway.rpc.calls import Callers, RateLimit
from gateway.rpc.consensus import ConsensusServicer
from gateway.rpc.errors import Boundary
from gateway.rpc.json_edge import JsonEdgeServicer
from gateway.rpc.risk import RiskServicer
from gateway.rpc.server import Server, Servicers
from gateway.rpc.system import SystemServicer
from gateway.rpc.trade import TradeServicer
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
    boundary = Boundary(Callers(settings.trusted_proxies))
    rate_limit = RateLimit(rate_limit_max)
    health = Health(
        model=model,
        market=world.market,
        journal=world.journal,
        clock=world.clock,
        symbols=settings.symbols,
        price_age_ms_max=5000,
    )
    decisions = DecisionPath(
        policy=world.policy, model=model, guard=world.guard, journal=world.journal, clock=world.clock
    )
    consensus = ConsensusServicer(boundary=boundary, path=decisions, rate_limit=rate_limit)
    trade = TradeServicer(
        boundary=boundary,
        path=world.path,
        journal=world.journal,
        account=world.account,
        market=world.market,
        rate_limit=rate_limit,
        dry_run=True,
    )
    risk = RiskServicer(
        boundary=boundary,
        guard=world.guard,
        journal=world.journal,
        account=world.account,
        market=world.market,
        symbols=settings.symbols,
        symbol_cap_usd=Decimal(5000),
        drawdown_max=world.policy.drawdown_max,
    )
    system = SystemServicer(
        boundary=boundary, settings=settings, health=health, journal=world.journal, risk=risk, rate_limit=rate_limit
    )
    edge = JsonEdgeServicer(boundary=boundary, consensus=consensus, trade=trade, risk=risk)
    return Servicers(consensus=consensus, trade=trade, risk=risk, system=system, json_edge=edge)


@pytest.fixture
def rate_limit_max():
    return 1000


@pytest.fixture
async def running(rate_limit_max):
    world, model = World(), FakeModel(a_prediction())
    servicers = build(world, model, rate_limit_max)
    server = Server(servicers, address="127.0.0.1:0", max_message_bytes=65_536, max_concurrent_calls=100)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Running(world=world, model=model, server=server, servicers=servicers, channel=channel)
    await server.drain(0)
