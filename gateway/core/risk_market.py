"""The checks of an order that need prices: fresh market data, the states that losses lead to, spread, collar and depth.

gateway/core/risk.py has their order; each function keeps it within its own reasons.
"""

import math
from collections.abc import Iterator
from decimal import Decimal

from gateway.core.facts import BPS, OrderFacts, Policy, Quote, VolatilityFacts
from gateway.core.model import Failure, Instrument, Order, RiskState
from gateway.core.reasons import Reason


def fresh_market(order: Order, facts: OrderFacts, policy: Policy) -> tuple[Quote, Instrument] | Failure:
    """The quote and the filters, or MARKET_DATA_STALE: why they, or what is reckoned from prices, cannot be trusted."""
    quote, instrument = facts.quote, facts.instrument
    if quote is None or instrument is None:
        return _stale(order, {"symbol": order.symbol}, "there is no price for it yet")
    age_ms = facts.at_ms - quote.received_ms
    if not 0 <= age_ms <= policy.price_age_ms_max:
        limits = {"age_ms": str(age_ms), "age_ms_max": str(policy.price_age_ms_max), "symbol": order.symbol}
        return _stale(order, limits, "its price is too old")
    if not _is_usable(quote, instrument):
        told = {"symbol": order.symbol, "bid": str(quote.bid), "ask": str(quote.ask)}
        return _stale(order, told, "its prices are crossed, or are no prices")
    for name in _unknown(order, facts, policy):
        return _stale(order, {"symbol": order.symbol, "unknown": name}, _WHY_UNKNOWN[name])
    return quote, instrument


def _is_usable(quote: Quote, instrument: Instrument) -> bool:
    """Whether the numbers are numbers, the prices above zero and not crossed; bid and ask may be equal."""
    numbers = (quote.bid, quote.ask, quote.depth_usd, instrument.min_qty, instrument.min_notional_usd)
    return all(number.is_finite() for number in numbers) and 0 < quote.bid <= quote.ask and quote.depth_usd >= 0


_WHY_UNKNOWN = {
    "position": "what is held of it cannot be told",
    "equity": "a held symbol has no fresh price, so the equity is unknown",
    "exposure": "another symbol that is held has no fresh price, so the exposure is unknown",
    "day_pnl": "a held symbol has no fresh price, so the day's result is unknown",
    "reference_price": "there is no mark price to hold its price against",
    "volatility": "its volatility cannot be told from the bars that are known",
}


def _unknown(order: Order, facts: OrderFacts, policy: Policy) -> Iterator[str]:
    """Names of the facts that this order needs and that are missing or not finite."""
    if not _are_finite(facts.position_qty, facts.pending_buy_usd, facts.pending_sell_usd):
        yield "position"
    if order.reduce_only:
        return
    if not _are_finite(facts.drawdown, facts.equity_usd):
        yield "equity"
    others = facts.others
    if others is None or not _are_finite(others.gross_usd, others.long_usd, others.short_usd):
        yield "exposure"
    if _limits_days(policy) and not _are_finite(facts.day_pnl_usd):
        yield "day_pnl"
    if policy.price_collar_bps and not (_are_finite(facts.reference_price) and _above_zero(facts.reference_price)):
        yield "reference_price"
    if policy.target_ann_vol is not None and not _is_known(facts.volatility):
        yield "volatility"


def _are_finite(*values: Decimal | None) -> bool:
    return all(value is not None and value.is_finite() for value in values)


def _above_zero(value: Decimal | None) -> bool:
    return value is not None and value > 0


def _is_known(found: VolatilityFacts | None) -> bool:
    if found is None:
        return False
    numbers = (found.symbol, found.portfolio_usd, found.shared_usd)
    return all(math.isfinite(number) for number in numbers) and found.symbol > 0 and found.portfolio_usd >= 0


def _limits_days(policy: Policy) -> bool:
    return policy.daily_loss_usd_max is not None or policy.daily_loss_max is not None


def _stale(order: Order, metadata: dict[str, str], what: str) -> Failure:
    return Failure(
        reason=Reason.MARKET_DATA_STALE,
        message=f"No order was sent for {order.symbol}: {what}. Retry with the same key.",
        metadata=metadata,
    )


def check_losses(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    """RISK_LOCKED, REDUCE_ONLY, DAILY_LOSS, COOL_DOWN: what lets only reduce-only orders pass."""
    if order.reduce_only:
        return None
    return (
        _check_drawdown(facts, policy)
        or _check_reducing(facts)
        or _check_daily_loss(facts, policy)
        or _check_cool_down(facts, policy)
    )


def _check_drawdown(facts: OrderFacts, policy: Policy) -> Failure | None:
    reached = facts.drawdown is None or facts.drawdown >= policy.drawdown_max
    if not reached and facts.risk_state is not RiskState.LOCKED:
        return None
    drawdown = "unknown" if facts.drawdown is None else f"{facts.drawdown:.6f}"
    return Failure(
        reason=Reason.RISK_LOCKED,
        message="No order was sent: the drawdown lock stands. Only reduce-only orders pass until it is reset.",
        metadata={"drawdown": drawdown, "drawdown_max": format(policy.drawdown_max, "f")},
    )


def _check_reducing(facts: OrderFacts) -> Failure | None:
    if facts.risk_state is not RiskState.REDUCING:
        return None
    return Failure(
        reason=Reason.REDUCE_ONLY,
        message="No order was sent: the account at the venue differs from the journal. Only reduce-only orders pass"
        " until an operator resumes.",
        metadata={"state": facts.risk_state.value},
    )


def _check_daily_loss(facts: OrderFacts, policy: Policy) -> Failure | None:
    pnl, equity = facts.day_pnl_usd, facts.equity_usd
    if not _limits_days(policy) or pnl is None or equity is None or pnl >= 0:
        return None
    limits = []
    if policy.daily_loss_usd_max is not None:
        limits.append(policy.daily_loss_usd_max)
    if policy.daily_loss_max is not None:
        limits.append(policy.daily_loss_max * (equity - pnl))
    limit_usd = min(limits)
    if -pnl < limit_usd:
        return None
    return Failure(
        reason=Reason.DAILY_LOSS,
        message="No order was sent: the day's loss has reached its limit. Only reduce-only orders pass until 00:00"
        " UTC.",
        metadata={"loss_usd": f"{-pnl:.8f}", "loss_usd_max": f"{limit_usd:.8f}"},
    )


def _check_cool_down(facts: OrderFacts, policy: Policy) -> Failure | None:
    if not policy.losing_trades_max or facts.losing_streak < policy.losing_trades_max:
        return None
    left_ms = facts.last_loss_ms + policy.cool_down_ms - facts.at_ms
    if left_ms <= 0:
        return None
    return Failure(
        reason=Reason.COOL_DOWN,
        message="No order was sent: too many trades in a row have lost. Only reduce-only orders pass until the"
        " cool-down is over.",
        metadata={
            "losing_trades": str(facts.losing_streak),
            "losing_trades_max": str(policy.losing_trades_max),
            "left_ms": str(left_ms),
        },
    )


def check_quote(order: Order, quote: Quote, facts: OrderFacts, policy: Policy) -> Failure | None:
    """SPREAD_TOO_WIDE, PRICE_COLLAR: whether the market is one to trade in at all."""
    if order.reduce_only:
        return None
    spread_bps = quote.spread_bps
    if spread_bps > policy.spread_bps_max:
        return Failure(
            reason=Reason.SPREAD_TOO_WIDE,
            message=f"No order was sent: the gap between bid and ask of {order.symbol} is too wide. Retry with the same"
            " key.",
            metadata={"spread_bps": f"{spread_bps:.4f}", "spread_bps_max": format(policy.spread_bps_max, "f")},
        )
    reference = facts.reference_price
    if not policy.price_collar_bps or reference is None:
        return None
    mid = quote.mid
    distance_bps = abs(mid - reference) / reference * BPS
    if distance_bps <= policy.price_collar_bps:
        return None
    return Failure(
        reason=Reason.PRICE_COLLAR,
        message=f"No order was sent: the price of {order.symbol} is too far from its mark price. Retry with the same"
        " key.",
        metadata={
            "distance_bps": f"{distance_bps:.4f}",
            "price_collar_bps": format(policy.price_collar_bps, "f"),
            "mid": format(mid, "f"),
            "reference_price": format(reference, "f"),
        },
    )


def check_depth(order: Order, qty_usd: Decimal, quote: Quote, policy: Policy) -> Failure | None:
    """DEPTH_TOO_THIN: whether the whole sized order, and what must always be there, stands near the mid."""
    needed_usd = max(qty_usd, policy.depth_usd_min)
    if order.reduce_only or quote.depth_usd >= needed_usd:
        return None
    return Failure(
        reason=Reason.DEPTH_TOO_THIN,
        message=f"No order was sent: too little of {order.symbol} stands near its price. Retry with the same key, or"
        " ask for less.",
        metadata={
            "depth_usd": f"{quote.depth_usd:.8f}",
            "depth_usd_min": format(needed_usd, "f"),
            "within_bps": format(policy.depth_within_bps, "f"),
        },
        field_name="qtyUsd",
    )
