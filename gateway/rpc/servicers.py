"""All services of the gateway, over the parts that they speak for."""

from dataclasses import dataclass

from gateway.account import Account
from gateway.calibration import Calibration
from gateway.confirmations import Confirmations
from gateway.decision_path import DecisionPath
from gateway.guard import RiskGuard
from gateway.health import Health
from gateway.kill_switch import KillSwitch
from gateway.order_path import OrderPath
from gateway.ports import Journal, MarketData
from gateway.promotion import Promotion
from gateway.rpc.calls import Callers, RateLimit
from gateway.rpc.consensus import ConsensusServicer
from gateway.rpc.errors import Boundary
from gateway.rpc.json_edge import JsonEdgeServicer
from gateway.rpc.promotion import PromotionServicer
from gateway.rpc.risk import RiskServicer
from gateway.rpc.system import SystemServicer
from gateway.rpc.trade import TradeServicer
from gateway.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Servicers:
    """What is served."""

    consensus: ConsensusServicer
    trade: TradeServicer
    risk: RiskServicer
    promotion: PromotionServicer
    system: SystemServicer
    json_edge: JsonEdgeServicer


def servicers(
    *,
    settings: Settings,
    path: OrderPath,
    decisions: DecisionPath,
    guard: RiskGuard,
    kill_switch: KillSwitch,
    confirmations: Confirmations,
    health: Health,
    calibration: Calibration,
    journal: Journal,
    account: Account,
    market: MarketData,
    promotion: Promotion,
    dry_run: bool,
) -> Servicers:
    """Build them with one boundary and one rate limit for all."""
    boundary = Boundary(Callers(settings.trusted_proxies))
    rate_limit = RateLimit(settings.rate_limit_max)
    consensus = ConsensusServicer(boundary=boundary, path=decisions, journal=journal, rate_limit=rate_limit)
    trade = TradeServicer(
        boundary=boundary,
        path=path,
        journal=journal,
        account=account,
        guard=guard,
        market=market,
        rate_limit=rate_limit,
        dry_run=dry_run,
    )
    risk = RiskServicer(
        boundary=boundary,
        guard=guard,
        kill_switch=kill_switch,
        confirmations=confirmations,
        journal=journal,
        account=account,
        market=market,
        symbols=settings.symbols,
        symbol_cap_usd=settings.per_symbol_usd_cap,
        drawdown_max=settings.max_drawdown_pct,
    )
    promoting = PromotionServicer(boundary=boundary, promotion=promotion)
    system = SystemServicer(
        boundary=boundary,
        settings=settings,
        health=health,
        calibration=calibration,
        journal=journal,
        risk=risk,
        promotion=promoting,
        rate_limit=rate_limit,
    )
    edge = JsonEdgeServicer(boundary=boundary, consensus=consensus, trade=trade, risk=risk, promotion=promoting)
    return Servicers(consensus=consensus, trade=trade, risk=risk, promotion=promoting, system=system, json_edge=edge)
