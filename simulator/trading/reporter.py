"""Telling of changes: what order/realtime, position/list and wallet-balance show after a while, and the pushes."""

from collections.abc import Sequence
from functools import partial

from simulator.shapes import Json
from simulator.trading.account import Account
from simulator.trading.contract import Push
from simulator.trading.core import Core
from simulator.trading.instruments import LINEAR
from simulator.trading.margin import claims_of, holdings_of
from simulator.trading.orders import Execution, Order, add_version
from simulator.trading.rows import execution_push, order_push, position_push, wallet_row


class Reporter:
    """Gives every change the lags after which it is seen, and pushes it; the pushes of an account keep their order."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def changed(
        self,
        account: Account,
        *,
        order: Order | None = None,
        executions: Sequence[Execution] = (),
        symbol: str = "",
        wallet: bool = False,
    ) -> None:
        """One change: of an order, with its executions; of the position of a linear symbol; of the wallet."""
        core = self._core
        now_ms = core.now_ms()
        visible_ms = now_ms + core.drawn(core.lags.visible_ms)
        if order is not None:
            add_version(order.versions, visible_ms, order.state, now_ms)
            if order.state.closed:
                order.history_ms = now_ms + core.drawn(core.lags.history_ms)
        self.held(account, visible_ms)
        pushes = self._pushes(account, order, executions, symbol)
        if wallet:
            pushes.append(self._push(account, "wallet", "", [wallet_row(core, account, account.holdings[-1][1])]))
        account.push_ms = max(account.push_ms, now_ms + core.drawn(core.lags.push_ms))
        core.scheduler.call_at(account.push_ms, partial(self._publish, pushes))

    def held(self, account: Account, visible_ms: int) -> None:
        """Show what the account holds now from a moment on."""
        holdings = holdings_of(account, claims_of(account), self._core.mark)
        add_version(account.holdings, visible_ms, holdings, self._core.now_ms())

    def _pushes(
        self, account: Account, order: Order | None, executions: Sequence[Execution], symbol: str
    ) -> list[Push]:
        pushes = []
        if order is not None:
            category = order.intent.listing.category
            pushes.append(self._push(account, "order", category, [order_push(order, order.state)]))
        if executions:
            category = executions[0].listing.category
            pushes.append(self._push(account, "execution", category, [execution_push(each) for each in executions]))
        if symbol:
            row = position_push(account, symbol, account.position(symbol), self._core.mark(symbol))
            pushes.append(self._push(account, "position", LINEAR, [row]))
        return pushes

    def _push(self, account: Account, topic: str, category: str, rows: Sequence[Json]) -> Push:
        return Push(uid=account.config.uid, topic=topic, category=category, rows=rows, at_ms=self._core.now_ms())

    def _publish(self, pushes: Sequence[Push]) -> None:
        for push in pushes:
            self._core.publish(push)
