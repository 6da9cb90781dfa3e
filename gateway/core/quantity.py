"""How many units of the base asset an approved notional stands for, in whole steps, always rounded down."""

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal

from gateway.core.model import ZERO, Book, Instrument, Level, Side
from gateway.core.risk import Approved
from gateway.core.size import MONEY_STEP


def market_qty(approved: Approved, book: Book, instrument: Instrument, slippage: Decimal) -> Decimal:
    """The quantity of a market order that may fill no further than `slippage`, a fraction, from the best price.

    A buy is priced at the worst price that it may pay, so that no fill exceeds what risk approved; a sell at the mid
    price, which none of its fills should pass.
    """
    if approved.order.reduce_only:
        return reduction_qty(approved, book, instrument)
    price = book.asks[0].price * (1 + slippage) if approved.order.side is Side.BUY else book.mid
    return floored(approved.qty_usd / price, instrument.qty_step)


def paper_qty(approved: Approved, book: Book, levels: Sequence[Level], instrument: Instrument) -> Decimal:
    """The quantity of an order that takes `levels`: a buy is held to what its notional pays for at their prices."""
    step = instrument.qty_step
    if approved.order.reduce_only:
        return reduction_qty(approved, book, instrument)
    qty = floored(approved.qty_usd / book.mid, step)
    return min(qty, affordable_qty(levels, approved.qty_usd, step)) if approved.order.side is Side.BUY else qty


def reduction_qty(approved: Approved, book: Book, instrument: Instrument) -> Decimal:
    """The quantity that a reduce-only order closes, at the mid price that risk judged it at."""
    # The approved notional was itself rounded down from position x mid: one money step gives that back,
    # or the last quantity step of a position could never be closed.
    return floored((approved.qty_usd + MONEY_STEP) / (approved.mid_price or book.mid), instrument.qty_step)


def affordable_qty(levels: Sequence[Level], budget_usd: Decimal, step: Decimal) -> Decimal:
    """The most whole steps that `budget_usd` pays for; what lies beyond the last level is priced like it."""
    qty, left = ZERO, budget_usd
    for level in levels:
        wanted = floored(left / level.price, step)
        taken = min(wanted, floored(level.qty, step))
        qty += taken
        left -= taken * level.price
        if taken == wanted:
            return qty
    return qty + floored(left / levels[-1].price, step) if levels else qty


def refusal_of(qty: Decimal, instrument: Instrument, price: Decimal) -> str:
    """Why the venue's filters refuse a quantity; empty when they do not."""
    if qty < instrument.min_qty:
        return f"quantity {qty:f} is below the minimum {instrument.min_qty:f}"
    if qty * price < instrument.min_notional_usd:
        return f"order value is below the minimum {instrument.min_notional_usd:f} USDT"
    if qty > instrument.max_market_qty:
        return f"quantity {qty:f} is above the maximum {instrument.max_market_qty:f}"
    return ""


def floored(qty: Decimal, step: Decimal) -> Decimal:
    """Whole steps, rounded down: never more than was asked for."""
    return (qty / step).quantize(Decimal(1), rounding=ROUND_DOWN) * step
