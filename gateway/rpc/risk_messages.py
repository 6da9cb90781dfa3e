"""What a resume or a reset will do, and what a flatten came to, as messages."""

from trading.v1 import risk_pb2 as pb

from gateway.account import Account
from gateway.confirmations import Confirmation
from gateway.core.lifecycle import RiskEvent, drawdown
from gateway.core.model import ZERO
from gateway.guard import RiskGuard
from gateway.kill_switch import Flattened
from gateway.rpc.convert import timestamp


def preview_message(guard: RiskGuard, account: Account, confirmation: Confirmation) -> pb.RiskPreview:
    """What the confirmed event will do to the state as it stands."""
    standing = guard.standing()
    equity, peak = standing.last_equity_usd, standing.peak_equity_usd
    peak_after = standing.equity_usd if confirmation.event is RiskEvent.RESET else peak
    return pb.RiskPreview(
        from_state=standing.state.value,
        to_state=guard.after(confirmation.event).value,
        equity_usd=float(equity),
        peak_equity_usd=float(peak),
        peak_after_usd=float(peak if peak_after is None else peak_after),
        drawdown=round(float(drawdown(equity, peak) if peak else ZERO), 8),
        drawdown_after=round(float(drawdown(equity, peak_after or peak) if peak else ZERO), 8),
        open_orders=len(account.open_orders()),
        positions=[
            pb.HeldPosition(symbol=symbol, qty=float(held.qty))
            for symbol, held in sorted(account.ledger.positions.items())
        ],
        expire_time=timestamp(confirmation.expires_ms),
    )


def flatten_message(result: Flattened, risk: pb.RiskSummary) -> pb.FlattenResponse:
    """What a flatten came to."""
    closed = sum(not one.left for one in result.positions)
    trouble = f" {result.detail[:1].upper()}{result.detail[1:]}." if result.detail else ""
    message = (
        f"Trading is halted and the account is flat: {closed} positions closed."
        if result.flat
        else f"Trading is halted, but the account is not known to be flat: {closed} positions closed,"
        f" {len(result.positions) - closed} left, {result.open_orders} orders not ended.{trouble} Ask again."
    )
    return pb.FlattenResponse(
        ok=result.flat,
        risk=risk,
        message=message,
        positions=[
            pb.FlattenedPosition(symbol=one.symbol, qty_before=float(one.before), qty_left=float(one.left), why=one.why)
            for one in result.positions
        ],
        open_orders=result.open_orders,
    )
