"""The trading engine: one method for each private endpoint, what the exchange does by itself, and the truth for tests.

A request is checked at once, against the account as it is at that moment, and then acknowledged; what it asks for is
done after a lag, and seen after further lags (contract.Lags). Signature, permission and rate limits were judged before.

Lists come as rows, newest first and whole: the REST side cuts pages out of them.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from simulator.shapes import Json
from simulator.trading.account import Account
from simulator.trading.contract import (
    AccountConfig,
    AccountView,
    ExecutionView,
    Lags,
    Listing,
    Markets,
    OrderView,
    Params,
    PositionView,
    Push,
    Scheduler,
)
from simulator.trading.core import Core
from simulator.trading.fills import Fills
from simulator.trading.instruments import LINEAR, QUOTE_COIN
from simulator.trading.matching import Matcher
from simulator.trading.order_desk import OrderDesk
from simulator.trading.orders import BUY, FILLED, SELL, Intent
from simulator.trading.position_desk import set_leverage, switch_mode
from simulator.trading.queries import Queries
from simulator.trading.reporter import Reporter


class Engine:
    """Accounts that trade on the markets. Everything drawn comes from the seed: the same calls give the same run.

    `uid` must be that of an account (KeyError).
    """

    def __init__(
        self,
        *,
        markets: Markets,
        scheduler: Scheduler,
        accounts: Sequence[AccountConfig],
        publish: Callable[[Push], None],
        seed: int = 7,
        lags: Lags | None = None,
    ) -> None:
        self._core = Core(markets=markets, scheduler=scheduler, publish=publish, seed=seed, lags=lags or Lags())
        self._reporter = Reporter(self._core)
        self._fills = Fills(self._core)
        self._matcher = Matcher(self._core, self._reporter, self._fills)
        self._orders = OrderDesk(self._core, self._matcher)
        self._queries = Queries(self._core)
        self._accounts: dict[int, Account] = {}
        for config in accounts:
            self.add_account(config)

    @property
    def lags(self) -> Lags:
        """The lags of what happens from now on."""
        return self._core.lags

    @lags.setter
    def lags(self, lags: Lags) -> None:
        self._core.lags = lags

    def add_account(self, config: AccountConfig) -> None:
        """Open an account; ValueError when its uid is taken."""
        if config.uid in self._accounts:
            raise ValueError(f"account {config.uid} is there already")
        account = self._accounts[config.uid] = Account(config, self._core.now_ms())
        self._reporter.held(account, self._core.now_ms())

    def create_order(self, uid: int, params: Params) -> Json:
        """POST /v5/order/create."""
        return self._orders.create(self._accounts[uid], params)

    def amend_order(self, uid: int, params: Params) -> Json:
        """POST /v5/order/amend."""
        return self._orders.amend(self._accounts[uid], params)

    def cancel_order(self, uid: int, params: Params) -> Json:
        """POST /v5/order/cancel."""
        return self._orders.cancel(self._accounts[uid], params)

    def cancel_all(self, uid: int, params: Params) -> Json:
        """POST /v5/order/cancel-all."""
        return self._orders.cancel_all(self._accounts[uid], params)

    def pre_check(self, uid: int, params: Params) -> Json:
        """POST /v5/order/pre-check."""
        return self._orders.pre_check(self._accounts[uid], params)

    def set_leverage(self, uid: int, params: Params) -> Json:
        """POST /v5/position/set-leverage."""
        set_leverage(self._core, self._accounts[uid], params)
        return {}

    def switch_mode(self, uid: int, params: Params) -> Json:
        """POST /v5/position/switch-mode."""
        switch_mode(self._accounts[uid], params)
        return {}

    def realtime_orders(self, uid: int, params: Params) -> list[Json]:
        """GET /v5/order/realtime: the rows."""
        return self._queries.realtime(self._accounts[uid], params)

    def order_history(self, uid: int, params: Params) -> list[Json]:
        """GET /v5/order/history: the rows."""
        return self._queries.history(self._accounts[uid], params)

    def executions(self, uid: int, params: Params) -> list[Json]:
        """GET /v5/execution/list: the rows."""
        return self._queries.executions(self._accounts[uid], params)

    def positions(self, uid: int, params: Params) -> list[Json]:
        """GET /v5/position/list: the rows."""
        return self._queries.positions(self._accounts[uid], params)

    def wallet_balance(self, uid: int, params: Params) -> Json:
        """GET /v5/account/wallet-balance: the whole result, which has no pages."""
        return self._queries.wallet(self._accounts[uid], params)

    def account_info(self, uid: int, params: Params) -> Json:
        """GET /v5/account/info: the whole result."""
        del params
        return self._queries.account_info(self._accounts[uid])

    def fee_rates(self, uid: int, params: Params) -> list[Json]:
        """GET /v5/account/fee-rate: the rows."""
        return self._queries.fee_rates(self._accounts[uid], params)

    def restart(self) -> None:
        """What a restart of the exchange does: order/realtime forgets ended orders. All else stays."""
        for account in self._accounts.values():
            account.closed_shown.clear()

    def fund(self, symbol: str, rate: Decimal) -> None:
        """Exchange funding on a linear symbol: longs pay `rate` (a fraction) of their value, shorts receive it."""
        listing = self._linear(symbol)
        for account in self._accounts.values():
            execution = self._fills.fund(account, listing, rate)
            if execution is not None:
                self._reporter.changed(account, executions=(execution,), symbol=symbol, wallet=True)

    def liquidate(self, uid: int, symbol: str) -> None:
        """Close a position at the mark price by the exchange's own order, which has no orderLinkId.

        ValueError when there is none.
        """
        account, listing = self._accounts[uid], self._linear(symbol)
        held, mark = account.position(symbol).qty, self._core.mark(symbol)
        if not held:
            raise ValueError(f"account {uid} has no position in {symbol}")
        intent = Intent(
            listing=listing,
            side=SELL if held > 0 else BUY,
            market=True,
            time_in_force="IOC",
            qty=abs(held),
            quote_qty=False,
            price=mark,
            link_id="",
            reduce_only=True,
        )
        order = self._orders.new_order(account, intent, "CreateByLiq")
        executions = self._fills.trade(account, order, [(mark, abs(held))], maker=False, exec_type="BustTrade")
        self._matcher.end(account, order, FILLED, executions=executions)

    def all_orders(self, uid: int) -> list[OrderView]:
        """Every order ever accepted, oldest first: never lagged, never emptied."""
        return [order.view for order in self._accounts[uid].orders]

    def all_executions(self, uid: int, *, after: int = 0) -> list[ExecutionView]:
        """Every execution and funding but the first `after`, oldest first: never lagged, never emptied."""
        return [execution.view for execution in self._accounts[uid].executions[after:]]

    def find_order(self, uid: int, link_id: str) -> OrderView | None:
        """The order of an orderLinkId, never lagged; None when none was ever accepted."""
        order = self._accounts[uid].find("", link_id)
        return None if order is None else order.view

    def account_view(self, uid: int) -> AccountView:
        """What the account holds at this moment, exactly."""
        account = self._accounts[uid]
        self._core.now_ms()
        open_ones = {symbol: position for symbol, position in account.positions.items() if position.qty}
        unrealised = sum(
            (position.unrealised(self._core.mark(symbol)) for symbol, position in open_ones.items()), Decimal(0)
        )
        return AccountView(
            uid=uid,
            balances={coin: amount for coin, amount in account.balances.items() if amount},
            realised=account.realised,
            fees=account.fees,
            funding=account.funding,
            equity=account.balances[QUOTE_COIN] + unrealised,
            positions={
                symbol: PositionView(
                    symbol=symbol, qty=position.qty, cost=position.cost, entry_price=position.entry_price
                )
                for symbol, position in open_ones.items()
            },
        )

    def _linear(self, symbol: str) -> Listing:
        listing = self._core.markets.listing(LINEAR, symbol)
        if listing is None:
            raise ValueError(f"{symbol} is not listed")
        return listing
