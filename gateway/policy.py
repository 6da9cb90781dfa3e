"""The limits that orders are judged by, from the settings: here alone it stands what an unset one follows from."""

from gateway.core.facts import Policy
from gateway.settings import Settings

LIVE_DUPLICATE_WINDOW_MS = 1_000
"""A caller that sends the same order again within a second, under another key, has most likely lost count."""


def policy_of(settings: Settings) -> Policy:
    """Every limit, those that were left unset filled in."""
    is_live = settings.live is not None
    symbol_cap_usd = settings.per_symbol_usd_cap
    gross_cap_usd = settings.gross_usd_cap
    if gross_cap_usd is None:
        gross_cap_usd = symbol_cap_usd * len(settings.symbols)
    return Policy(
        symbols=frozenset(settings.symbols),
        confidence_threshold=settings.confidence_threshold,
        order_usd_max=symbol_cap_usd if settings.order_usd_max is None else settings.order_usd_max,
        symbol_cap_usd=symbol_cap_usd,
        gross_cap_usd=gross_cap_usd,
        net_cap_usd=gross_cap_usd if settings.net_usd_cap is None else settings.net_usd_cap,
        leverage_max=settings.leverage_max,
        open_orders_max=settings.open_orders_max,
        order_rate_max=settings.order_rate_max,
        duplicate_window_ms=_unless(settings.duplicate_window_ms, LIVE_DUPLICATE_WINDOW_MS if is_live else 0),
        price_collar_bps=settings.price_collar_bps,
        spread_bps_max=settings.spread_bps_max,
        depth_usd_min=settings.depth_usd_min,
        depth_within_bps=settings.depth_within_bps,
        trading_hours=settings.trading_hours,
        maintenance=settings.maintenance,
        daily_loss_usd_max=settings.daily_loss_usd_max,
        daily_loss_max=settings.daily_loss_pct_max,
        losing_trades_max=settings.losing_trades_max,
        cool_down_ms=settings.cool_down_seconds * 1000,
        require_decision=is_live if settings.require_decision is None else settings.require_decision,
        kelly_fraction=settings.kelly_fraction,
        target_ann_vol=settings.target_ann_vol,
        drawdown_max=settings.max_drawdown_pct,
        price_age_ms_max=settings.price_age_ms_max,
        decision_age_ms_max=settings.decision_age_seconds_max * 1000,
        dissimilarity_max=float(settings.dissimilarity_max),
        real_market=settings.market_data == "bybit",
    )


def _unless(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given
