"""Builds the promotion: its key, its history, and what a live start is held against."""

from collections.abc import Callable
from pathlib import Path

from gateway.account import Account
from gateway.adapters.promotion_key import promotion_key, promotion_record
from gateway.core.facts import Policy
from gateway.core.promotion_records import limits_of
from gateway.core.promotion_rules import LiveGate
from gateway.guard import RiskGuard
from gateway.historian import Historian
from gateway.ports import Clock, Journal, Model
from gateway.promotion import Promotion
from gateway.settings import Settings


def new_promotion(
    settings: Settings,
    policy: Policy,
    *,
    journal: Journal,
    account: Account,
    guard: RiskGuard,
    model: Model,
    served: Callable[[], str | None],
    clock: Clock,
) -> Promotion:
    """The promotion of this account; makes the key when there is none. Raises StartError."""
    historian = Historian(
        journal=journal,
        account=account,
        guard=guard,
        clock=clock,
        drawdown_max=settings.max_drawdown_pct,
        real_market=policy.real_market,
    )
    key_file = settings.promotion_key_file or settings.journal_path.parent / "promotion.key"
    return Promotion(
        journal=journal,
        historian=historian,
        model=model,
        served=served,
        clock=clock,
        limits=limits_of(policy),
        real_market=policy.real_market,
        key=promotion_key(Path(key_file)),
        gate=_live_gate(settings),
    )


def _live_gate(settings: Settings) -> LiveGate | None:
    """None on paper."""
    live = settings.live
    if live is None:
        return None
    text = promotion_record(live.promotion_record)
    return LiveGate(env=live.env, record_text=text, override=live.without_promotion)
