"""The match: what an accepted order does once its time has come, and what rests until the market reaches it.

A market order is an immediate limit order with a cap. Orders of accounts never meet each other: they meet the market's
book, and share what it holds in a slot. A resting order fills at its own price, as maker, when the other side of the
book reaches it.
"""

from dataclasses import replace
from decimal import Decimal

from simulator.process import SLOT_MS
from simulator.trading.account import Account
from simulator.trading.checks import IMMEDIATE, POST_ONLY
from simulator.trading.contract import Level
from simulator.trading.core import Core
from simulator.trading.decimals import ZERO
from simulator.trading.depth import Depth, plan_base, plan_quote
from simulator.trading.fills import Fills
from simulator.trading.orders import (
    CANCELLED,
    FILLED,
    NEW,
    NO_CANCEL,
    NO_ERROR,
    PARTIALLY_FILLED,
    PARTIALLY_FILLED_CANCELED,
    REJECTED,
    Execution,
    Order,
)
from simulator.trading.position import reducible
from simulator.trading.reporter import Reporter

FILL_OR_KILL = "FOK"
BY_USER, BY_REDUCE_ONLY = "CancelByUser", "CancelByReduceOnly"


class Matcher:
    """Applies orders to the books and keeps those that rest."""

    def __init__(self, core: Core, reporter: Reporter, fills: Fills) -> None:
        self._core = core
        self._reporter = reporter
        self._fills = fills
        self._depth = Depth(core.markets)
        self._resting: dict[str, tuple[Account, Order]] = {}
        self._looking = False

    def arrive(self, account: Account, order: Order) -> None:
        """Match an order that has just come or was just amended; what is left rests or is cancelled."""
        if not order.open:
            return
        intent = order.intent
        offers = self._offers(order)
        if intent.time_in_force == POST_ONLY and offers:
            status = REJECTED if intent.spot else CANCELLED
            self.end(account, order, status, reject_reason="EC_PostOnlyWillTakeLiquidity")
            return
        plan = self._plan(account, order, offers)
        if intent.time_in_force == FILL_OR_KILL and sum((qty for _, qty in plan), ZERO) < order.left:
            self.end(account, order, CANCELLED, reject_reason="EC_CancelForNoFullFill")
            return
        self._depth.take(intent.listing, intent.side, plan, self._core.now_ms())
        self._settle(account, order, self._fills.trade(account, order, plan, maker=False))

    def cancel(self, account: Account, order: Order) -> None:
        """Cancel what is left, unless nothing is."""
        if order.open:
            self.end(account, order, CANCELLED, cancel_type=BY_USER)

    def amend(self, account: Account, order: Order, qty: Decimal, price: Decimal) -> None:
        """Change an order that is still open; one that has already filled as much as its new quantity is cancelled."""
        if not order.open:
            return
        if qty <= order.state.filled_qty:
            self.cancel(account, order)
            return
        order.state = replace(order.state, qty=qty, price=price)
        self.arrive(account, order)

    def end(
        self,
        account: Account,
        order: Order,
        status: str,
        *,
        reject_reason: str = NO_ERROR,
        cancel_type: str = NO_CANCEL,
        executions: tuple[Execution, ...] = (),
    ) -> None:
        """End an order and tell of it."""
        if status == CANCELLED and order.intent.spot and order.state.filled_qty:
            status = PARTIALLY_FILLED_CANCELED
        held_back = self._resting.pop(order.order_id, None) is not None
        order.state = replace(
            order.state,
            status=status,
            reject_reason=reject_reason,
            cancel_type=cancel_type,
            updated_ms=self._core.now_ms(),
        )
        account.end(order)
        self._report(account, order, executions, wallet=held_back or bool(executions))

    def _settle(self, account: Account, order: Order, executions: tuple[Execution, ...]) -> None:
        """What becomes of an order after its fills."""
        intent = order.intent
        if self._is_filled(order, executions):
            self.end(account, order, FILLED, executions=executions)
        elif intent.reduce_only and not self._reducible(account, order):
            self.end(account, order, CANCELLED, cancel_type=BY_REDUCE_ONLY, executions=executions)
        elif intent.time_in_force in {IMMEDIATE, FILL_OR_KILL}:
            self.end(account, order, CANCELLED, reject_reason="EC_NoImmediateQtyToFill", executions=executions)
        else:
            status = PARTIALLY_FILLED if order.state.filled_qty else NEW
            order.state = replace(order.state, status=status, updated_ms=self._core.now_ms())
            self._resting[order.order_id] = (account, order)
            self._report(account, order, executions, wallet=True)
            self._keep_looking()

    def _report(self, account: Account, order: Order, executions: tuple[Execution, ...], *, wallet: bool) -> None:
        symbol = "" if order.intent.spot else order.intent.listing.symbol
        self._reporter.changed(account, order=order, executions=executions, symbol=symbol, wallet=wallet)

    def _is_filled(self, order: Order, executions: tuple[Execution, ...]) -> bool:
        """An amount of the quote coin is filled when what is left of it buys no further step."""
        if order.intent.quote_qty:
            return bool(executions) and order.left < executions[-1].price * order.intent.listing.qty_step
        return order.left <= 0

    def _keep_looking(self) -> None:
        """Look at the resting orders in the next slot, while there are any."""
        if self._resting and not self._looking:
            self._looking = True
            next_slot_ms = (self._core.now_ms() // SLOT_MS + 1) * SLOT_MS
            self._core.scheduler.call_at(next_slot_ms, self._look)

    def _look(self) -> None:
        self._looking = False
        self._core.now_ms()
        for account, order in list(self._resting.values()):
            if order.open:
                self._meet(account, order)
        self._keep_looking()

    def _meet(self, account: Account, order: Order) -> None:
        """Fill a resting order as far as the market has come to it."""
        intent, now_ms = order.intent, self._core.now_ms()
        if intent.reduce_only and not self._reducible(account, order):
            self.end(account, order, CANCELLED, cancel_type=BY_REDUCE_ONLY)
        elif self._depth.touches(intent.listing, intent.side, order.state.price, now_ms):
            plan = self._plan(account, order, self._offers(order))
            if plan:
                self._depth.take(intent.listing, intent.side, plan, now_ms)
                own = [(order.state.price, sum((qty for _, qty in plan), ZERO))]
                self._settle(account, order, self._fills.trade(account, order, own, maker=True))

    def _offers(self, order: Order) -> list[Level]:
        intent, price = order.intent, order.state.price
        # An amount buys more at better prices than the limit, yet never twice as much: slippage ends at 10 %.
        wanted = 2 * order.left / price if intent.quote_qty else order.left
        return self._depth.offers(intent.listing, intent.side, price, wanted, self._core.now_ms())

    def _plan(self, account: Account, order: Order, offers: list[Level]) -> list[Level]:
        intent = order.intent
        if intent.quote_qty:
            return plan_quote(offers, order.left, intent.listing.qty_step)
        left = min(order.left, self._reducible(account, order)) if intent.reduce_only else order.left
        return plan_base(offers, left)

    def _reducible(self, account: Account, order: Order) -> Decimal:
        return reducible(account.position(order.intent.listing.symbol), order.intent.sign)
