"""What fills do to an account: coins, positions, fees; and what the exchange does by itself: funding, liquidation."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from simulator.trading.account import Account
from simulator.trading.contract import Level, Listing
from simulator.trading.core import Core
from simulator.trading.decimals import CENT_MILLIONTH, ZERO, fee_of
from simulator.trading.instruments import QUOTE_COIN
from simulator.trading.orders import Execution, Order
from simulator.trading.position import filled
from simulator.trading.rows import fee_coin, side_of


class Fills:
    """Books executions on accounts."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def trade(
        self, account: Account, order: Order, levels: Sequence[Level], *, maker: bool, exec_type: str = "Trade"
    ) -> tuple[Execution, ...]:
        """Fill an order at these prices and quantities, one execution each."""
        visible_ms = self._seen_ms()
        return tuple(
            self._fill(account, order, level, maker=maker, exec_type=exec_type, visible_ms=visible_ms)
            for level in levels
        )

    def fund(self, account: Account, listing: Listing, rate: Decimal) -> Execution | None:
        """Charge (or pay) funding on a position at the mark price; None when it is flat."""
        position, now_ms = account.position(listing.symbol), self._core.now_ms()
        if not position.qty:
            return None
        mark = self._core.mark(listing.symbol)
        amount = (position.qty * mark * rate).quantize(CENT_MILLIONTH, ROUND_HALF_UP)
        account.funding += amount
        account.add(QUOTE_COIN, -amount)
        account.positions[listing.symbol] = position.charged(amount, now_ms)
        execution = Execution(
            exec_id=self._core.new_id(listing.category),
            order_id=self._core.new_id(listing.category),
            link_id="",
            listing=listing,
            side=side_of(position.qty),
            order_type="UNKNOWN",
            exec_type="Funding",
            order_price=ZERO,
            order_qty=ZERO,
            left_qty=ZERO,
            price=mark,
            qty=abs(position.qty),
            fee=amount,
            fee_rate=rate,
            fee_coin=QUOTE_COIN,
            maker=False,
            closed_qty=ZERO,
            realised=ZERO,
            mark_price=mark,
            create_type="",
            sequence=self._core.next_sequence(),
            at_ms=now_ms,
            visible_ms=self._seen_ms(),
        )
        account.executions.append(execution)
        return execution

    def _fill(
        self, account: Account, order: Order, level: Level, *, maker: bool, exec_type: str, visible_ms: int
    ) -> Execution:
        price, qty = level
        intent, sequence = order.intent, self._core.next_sequence()
        listing = intent.listing
        if intent.spot:
            closed_qty, realised, rate = ZERO, ZERO, account.config.spot_rate
            fee = _exchange_coins(account, order, price, qty)
        else:
            rate = account.config.maker_rate if maker else account.config.taker_rate
            fee = fee_of(price * qty, rate)
            closed_qty, realised = self._move(account, order, level, fee=fee, sequence=sequence)
        state = order.state = replace(
            order.state,
            filled_qty=order.state.filled_qty + qty,
            filled_value=order.state.filled_value + price * qty,
            fee=order.state.fee + fee,
            closed_pnl=order.state.closed_pnl + realised,
        )
        execution = Execution(
            exec_id=self._core.new_id(listing.category),
            order_id=order.order_id,
            link_id=intent.link_id,
            listing=listing,
            side=intent.side,
            order_type="Market" if intent.market else "Limit",
            exec_type=exec_type,
            order_price=state.price,
            order_qty=state.qty,
            left_qty=ZERO if intent.quote_qty else order.left,
            price=price,
            qty=qty,
            fee=fee,
            fee_rate=rate,
            fee_coin=fee_coin(order),
            maker=maker,
            closed_qty=closed_qty,
            realised=realised,
            mark_price=self._core.last(listing),
            create_type=order.create_type,
            sequence=sequence,
            at_ms=self._core.now_ms(),
            visible_ms=visible_ms,
        )
        account.executions.append(execution)
        order.executions.append(execution)
        return execution

    def _move(
        self, account: Account, order: Order, level: Level, *, fee: Decimal, sequence: int
    ) -> tuple[Decimal, Decimal]:
        """Move the position and pay; the quantity that was closed and what that realised."""
        price, qty = level
        symbol, now_ms = order.intent.listing.symbol, self._core.now_ms()
        moved = filled(account.position(symbol), qty * order.intent.sign, price, at_ms=now_ms, sequence=sequence)
        account.positions[symbol] = moved.position
        account.realised += moved.realised
        account.add(QUOTE_COIN, moved.realised)
        account.charge(symbol, fee, now_ms)
        return moved.closed_qty, moved.realised

    def _seen_ms(self) -> int:
        return self._core.now_ms() + self._core.drawn(self._core.lags.history_ms)


def _exchange_coins(account: Account, order: Order, price: Decimal, qty: Decimal) -> Decimal:
    """Swap base and quote coin; the fee, which is taken from the coin that is received."""
    listing, value, rate = order.intent.listing, price * qty, account.config.spot_rate
    if order.intent.sign > 0:
        fee = fee_of(qty, rate)
        account.add(listing.quote_coin, -value)
        account.add(listing.base_coin, qty - fee)
    else:
        fee = fee_of(value, rate)
        account.add(listing.base_coin, -qty)
        account.add(listing.quote_coin, value - fee)
    return fee
