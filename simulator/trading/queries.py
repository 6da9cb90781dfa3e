"""The private GET endpoints: what an account may see of itself by now, after the lags, newest first.

Rules of time: without times the last seven days are told of; with one time, seven days from or until it; a longer span
is refused. Naming one order by id needs no time. Orders that were cancelled or rejected without a fill leave
order/history after a day, other unfilled ends after a week, filled ones after two years.
"""

from collections.abc import Iterable, Iterator

from simulator.shapes import Json
from simulator.trading import params as read
from simulator.trading.account import Account, Holdings
from simulator.trading.contract import Params, TradeError
from simulator.trading.core import Core
from simulator.trading.decimals import plain
from simulator.trading.instruments import CATEGORIES, LINEAR, QUOTE_COIN, SPOT, UNTRADED_CATEGORIES
from simulator.trading.orders import FILLED, Execution, Order, OrderState, seen
from simulator.trading.params import PARAMETER_ERROR
from simulator.trading.position import Position
from simulator.trading.rows import execution_row, order_row, position_row, wallet_row

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
UNFILLED_KEPT_MS, PARTLY_FILLED_KEPT_MS, FILLED_KEPT_MS = DAY_MS, WEEK_MS, 730 * DAY_MS


class Queries:
    """Answers for one account at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def realtime(self, account: Account, params: Params) -> list[Json]:
        """Open orders; or with openOnly 1 the ended ones still kept; or the one that an id names, in either state."""
        category = read.category(params)
        order_id, link_id = _ids(params)
        open_only = read.one_of(params, "openOnly", ("0", "1"), "0") == "0"
        if category in UNTRADED_CATEGORIES:
            return []
        if order_id or link_id:
            return [order_row(order, state) for order, state in self._kept(account, category, params)]
        if category == LINEAR and not any(params.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
            raise TradeError(PARAMETER_ERROR, "Missing some parameters that must be filled in, symbol or settleCoin")
        kept = [*account.closed_shown[category].values(), *account.live_of(category)]
        rows = (
            (order.created_ms, order_row(order, state))
            for order, state in self._seen(kept)
            if state.closed is not open_only and _is_asked_for(order, params)
        )
        oldest_first = sorted(rows, key=lambda pair: pair[0])
        # Turned round, so that of one millisecond's orders the newest comes first as well.
        return [row for _, row in reversed(oldest_first)]

    def history(self, account: Account, params: Params) -> list[Json]:
        """Ended orders."""
        category = read.category(params)
        wanted_status = read.text(params, "orderStatus", "")
        now_ms = self._core.now_ms()
        start_ms, end_ms = self._span(params)
        order_id, link_id = _ids(params)
        if order_id or link_id:
            found = account.find(order_id, link_id)
            orders: Iterable[Order] = () if found is None else (found,)
        else:
            orders = account.orders_between(start_ms, end_ms)
        return [
            order_row(order, order.state)
            for order in orders
            if order.history_ms is not None
            and order.history_ms <= now_ms
            and now_ms - order.state.updated_ms <= _kept_ms(order.state)
            and wanted_status in {"", order.state.status}
            and order.intent.listing.category == category
            and _is_asked_for(order, params)
        ]

    def executions(self, account: Account, params: Params) -> list[Json]:
        """Executions and funding; an orderId narrows more than an orderLinkId, and that more than a symbol."""
        category = read.category(params)
        exec_type = read.text(params, "execType", "")
        now_ms = self._core.now_ms()
        return [
            execution_row(execution)
            for execution in self._executions(account, params)
            if execution.visible_ms <= now_ms
            and execution.listing.category == category
            and exec_type in {"", execution.exec_type}
        ]

    def positions(self, account: Account, params: Params) -> list[Json]:
        """The position of a symbol, flat or not; or with settleCoin all that are not flat."""
        category = read.category(params)
        if category == SPOT:
            raise TradeError(PARAMETER_ERROR, "Illegal category")
        symbol, coin = read.text(params, "symbol", ""), read.text(params, "settleCoin", "")
        if category in UNTRADED_CATEGORIES:
            return []
        if not symbol and not coin:
            raise TradeError(PARAMETER_ERROR, "Missing some parameters that must be filled in, symbol or settleCoin")
        held = self._holdings(account).positions
        if symbol:
            if self._core.markets.listing(LINEAR, symbol) is None:
                raise TradeError(PARAMETER_ERROR, "Not supported symbols")
            indexes = (1, 2) if account.hedge else (0,)
            return [self._position(account, symbol, held.get(symbol, Position()), index) for index in indexes]
        open_ones = [name for name, position in held.items() if position.qty and coin == QUOTE_COIN]
        return [self._position(account, name, held[name], 0) for name in open_ones]

    def wallet(self, account: Account, params: Params) -> Json:
        """The result of account/wallet-balance."""
        read.one_of(params, "accountType", ("UNIFIED",))
        coins = frozenset(read.text(params, "coin", "").split(",")) - {""}
        return {"list": [wallet_row(self._core, account, self._holdings(account), coins)]}

    def account_info(self, account: Account) -> Json:
        """The result of account/info."""
        return {
            "unifiedMarginStatus": 5,
            "marginMode": account.config.margin_mode,
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
            "dcpStatus": "OFF",
            "timeWindow": 10,
            "smpGroup": 0,
            "updatedTime": str(account.created_ms),
        }

    def fee_rates(self, account: Account, params: Params) -> list[Json]:
        """The rates of one symbol or of all."""
        category, symbol = read.category(params), read.text(params, "symbol", "")
        config = account.config
        maker, taker = (
            (config.maker_rate, config.taker_rate) if category == LINEAR else (config.spot_rate, config.spot_rate)
        )
        names = self._core.markets.symbols(category)
        if symbol and symbol not in names and category in CATEGORIES:
            raise TradeError(PARAMETER_ERROR, "Not supported symbols")
        return [
            {"symbol": name, "baseCoin": "", "takerFeeRate": plain(taker), "makerFeeRate": plain(maker)}
            for name in names
            if symbol in {"", name}
        ]

    def _kept(self, account: Account, category: str, params: Params) -> Iterator[tuple[Order, OrderState]]:
        """The order of an id, while order/realtime has it."""
        order = account.find(*_ids(params))
        if order is not None and _is_asked_for(order, params):
            kept = order.open or order.order_id in account.closed_shown[category]
            if kept and order.intent.listing.category == category:
                yield from self._seen([order])

    def _seen(self, orders: Iterable[Order]) -> Iterator[tuple[Order, OrderState]]:
        now_ms = self._core.now_ms()
        for order in orders:
            state = seen(order.versions, now_ms)
            if state is not None:
                yield order, state

    def _executions(self, account: Account, params: Params) -> Iterable[Execution]:
        start_ms, end_ms = self._span(params)
        order_id, link_id = _ids(params)
        if order_id or link_id:
            order = account.find(order_id, link_id)
            return [] if order is None else reversed(order.executions)
        symbol, base = read.text(params, "symbol", ""), read.text(params, "baseCoin", "")
        return (
            execution
            for execution in account.executions_between(start_ms, end_ms)
            if symbol in {"", execution.listing.symbol} and (symbol or base in {"", execution.listing.base_coin})
        )

    def _span(self, params: Params) -> tuple[int, int]:
        start_ms, end_ms = read.time_ms(params, "startTime"), read.time_ms(params, "endTime")
        now_ms = self._core.now_ms()
        if start_ms is None and end_ms is None:
            return now_ms - WEEK_MS, now_ms
        if start_ms is None:
            return (end_ms or 0) - WEEK_MS, end_ms or 0
        if end_ms is None:
            return start_ms, start_ms + WEEK_MS
        if end_ms < start_ms:
            raise read.wrong("endTime")
        if end_ms - start_ms > WEEK_MS:
            raise TradeError(PARAMETER_ERROR, "The time range between startTime and endTime cannot exceed 7 days")
        return start_ms, end_ms

    def _holdings(self, account: Account) -> Holdings:
        """What the account held, as it may be seen by now: the first holdings are seen from the start."""
        return seen(account.holdings, self._core.now_ms()) or account.holdings[0][1]

    def _position(self, account: Account, symbol: str, position: Position, index: int) -> Json:
        return position_row(account, symbol, position, self._core.mark(symbol), index)


def _ids(params: Params) -> tuple[str, str]:
    return read.text(params, "orderId", ""), read.text(params, "orderLinkId", "")


def _is_asked_for(order: Order, params: Params) -> bool:
    listing = order.intent.listing
    wanted = (
        (params.get("symbol"), listing.symbol),
        (params.get("baseCoin"), listing.base_coin),
        (params.get("settleCoin"), listing.quote_coin),
    )
    return all(not asked or asked == value for asked, value in wanted)


def _kept_ms(state: OrderState) -> int:
    """How long order/history tells of an ended order."""
    if state.status == FILLED:
        return FILLED_KEPT_MS
    return PARTLY_FILLED_KEPT_MS if state.filled_qty else UNFILLED_KEPT_MS
