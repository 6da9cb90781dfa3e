"""The private POST endpoints of orders: checked at once, acknowledged, done after a lag.

The checks of a new order go in this order: the request itself (checks.py), the position mode, the orderLinkId, the
number of open orders, what there is to reduce, the funds. Orders that were accepted and not yet applied count as open.
"""

from dataclasses import replace
from functools import partial

from simulator.shapes import Json
from simulator.trading import params as read
from simulator.trading.account import Account
from simulator.trading.checks import Desk, limit_price, link_id, listed, read_intent, sized
from simulator.trading.contract import Listing, Params, TradeError
from simulator.trading.core import Core
from simulator.trading.instruments import LINEAR, SPOT, UNTRADED_CATEGORIES
from simulator.trading.margin import Claim, claim_of, claims_of, holdings_of, margin_of, post_margin, require_funds
from simulator.trading.matching import Matcher
from simulator.trading.orders import Intent, Order, OrderState
from simulator.trading.params import PARAMETER_ERROR
from simulator.trading.position import reducible

OPEN_ORDERS_MAX = 500
"""Open orders of one linear symbol, or of spot as a whole; also how many cancel-all cancels at most."""
BY_USER = "CreateByUser"


class OrderDesk:
    """Takes the orders of accounts in."""

    def __init__(self, core: Core, matcher: Matcher) -> None:
        self._core = core
        self._matcher = matcher

    def create(self, account: Account, params: Params) -> Json:
        """Accept an order; the result names it."""
        intent = self._checked(account, params)
        require_funds(account, _claim(intent), claims_of(account), self._core.mark)
        order = self.new_order(account, intent, BY_USER)
        self._soon(order, partial(self._matcher.arrive, account, order))
        return order.ids

    def pre_check(self, account: Account, params: Params) -> Json:
        """What create would say, and the margin rates before and after; nothing is done."""
        intent = self._checked(account, params)
        if intent.spot:
            raise TradeError(PARAMETER_ERROR, "Illegal category")
        others, claim, mark = claims_of(account), _claim(intent), self._core.mark
        require_funds(account, claim, others, mark)
        before = post_margin(margin_of(account, holdings_of(account, others, mark), mark))
        after = post_margin(margin_of(account, holdings_of(account, [*others, claim], mark), mark))
        return {
            "orderId": "",
            "orderLinkId": intent.link_id,
            "preImrE4": before["postImrE4"],
            "preMmrE4": before["postMmrE4"],
            **after,
        }

    def amend(self, account: Account, params: Params) -> Json:
        """Accept a change of price or quantity of an open limit order."""
        order = self._open_order(account, params, "order not exists or too late to replace")
        intent, state = order.intent, order.state
        price = limit_price(params, intent.listing) if read.text(params, "price", "") else state.price
        asked = read.positive(params, "qty") if read.text(params, "qty", "") else state.qty
        qty = sized(intent, asked, price).qty
        if (qty, price) == (state.qty, state.price):
            text = "The order remains unchanged as the parameters entered match the existing ones."
            raise TradeError(PARAMETER_ERROR, text)
        if qty <= state.filled_qty:
            raise read.wrong("qty")
        claim = claim_of(intent, price, qty - state.filled_qty)
        require_funds(account, claim, claims_of(account, without=order), self._core.mark)
        self._soon(order, partial(self._matcher.amend, account, order, qty, price))
        return order.ids

    def cancel(self, account: Account, params: Params) -> Json:
        """Accept the cancel of an open order."""
        order = self._open_order(account, params, "order not exists or too late to cancel")
        self._cancel_soon(account, order)
        return order.ids

    def cancel_all(self, account: Account, params: Params) -> Json:
        """Accept the cancel of all open orders of a symbol, a base coin or a settle coin; in spot, of all there are."""
        category = read.category(params)
        symbol, base = read.text(params, "symbol", ""), read.text(params, "baseCoin", "")
        settle = read.text(params, "settleCoin", "")
        if category == LINEAR and not (symbol or base or settle):
            text = "Missing some parameters that must be filled in, symbol, baseCoin or settleCoin"
            raise TradeError(PARAMETER_ERROR, text)
        if symbol and category not in UNTRADED_CATEGORIES:
            listed(params, self._core.markets)
        chosen = [order for order in account.live_of(category, symbol) if _settles(order, base, settle)]
        for order in chosen[:OPEN_ORDERS_MAX]:
            self._cancel_soon(account, order)
        return {"list": [order.ids for order in chosen[:OPEN_ORDERS_MAX]], "success": "1"}

    def new_order(self, account: Account, intent: Intent, create_type: str) -> Order:
        """Take an order in, not applied yet; a spot order without an orderLinkId gets one that the exchange invents."""
        now_ms, listing = self._core.now_ms(), intent.listing
        order_id = self._core.new_id(listing.category)
        if intent.spot and not intent.link_id:
            intent = replace(intent, link_id=str(int(order_id) + 1))
        order = Order(
            intent=intent,
            order_id=order_id,
            created_ms=now_ms,
            state=OrderState(status="", qty=intent.qty, price=intent.price, updated_ms=now_ms),
            create_type=create_type,
            last_price=self._core.last(listing),
            busy_until_ms=now_ms,
        )
        account.accept(order)
        return order

    def _checked(self, account: Account, params: Params) -> Intent:
        """A request that the account may make, funds not looked at yet."""
        intent = read_intent(params, Desk(markets=self._core.markets, now_ms=self._core.now_ms()))
        if not intent.spot:
            _require_position_mode(account, params)
        if intent.link_id and account.knows_link(intent.link_id):
            code, text = (170141, "Duplicate clientOrderId") if intent.spot else (110072, "OrderLinkedID is duplicate")
            raise TradeError(code, text)
        _require_room(account, intent.listing)
        return _reducing(account, intent) if intent.reduce_only else intent

    def _open_order(self, account: Account, params: Params, too_late: str) -> Order:
        """The open order that amend or cancel is about: by orderId, else by orderLinkId."""
        listing = listed(params, self._core.markets)
        order_id, link = read.text(params, "orderId", ""), link_id(params)
        if not order_id and not link:
            raise TradeError(PARAMETER_ERROR, "Missing some parameters that must be filled in, orderId or orderLinkId")
        order = account.find(order_id, link)
        if order is None or not order.open or order.intent.listing is not listing:
            spot = listing.category == SPOT
            raise TradeError(170213, "Order does not exist.") if spot else TradeError(110001, too_late)
        return order

    def _cancel_soon(self, account: Account, order: Order) -> None:
        self._soon(order, partial(self._matcher.cancel, account, order))

    def _soon(self, order: Order, act: partial[None]) -> None:
        """Do something to an order after the lag, and after what was asked of it before."""
        at_ms = self._core.now_ms() + self._core.drawn(self._core.lags.apply_ms)
        order.busy_until_ms = max(order.busy_until_ms, at_ms)
        self._core.scheduler.call_at(order.busy_until_ms, act)


def _claim(intent: Intent) -> Claim:
    return claim_of(intent, intent.price, intent.qty)


def _require_position_mode(account: Account, params: Params) -> None:
    index = read.whole(params, "positionIdx", 0)
    if index not in ((1, 2) if account.hedge else (0,)):
        raise TradeError(PARAMETER_ERROR, "position idx not match position mode")
    if account.hedge:
        raise TradeError(PARAMETER_ERROR, "params error: positionIdx: hedged positions are not simulated")


def _require_room(account: Account, listing: Listing) -> None:
    spot = listing.category == SPOT
    if len(account.live_of(listing.category, "" if spot else listing.symbol)) >= OPEN_ORDERS_MAX:
        raise TradeError(170810 if spot else 110020, f"You can't have more than {OPEN_ORDERS_MAX} active orders.")


def _reducing(account: Account, intent: Intent) -> Intent:
    """A reduce-only order cut down to the position; closing an unsaid quantity takes all that one order may."""
    position = account.position(intent.listing.symbol)
    most = reducible(position, intent.sign)
    if not position.qty:
        raise TradeError(110017, "current position is zero, cannot fix reduce-only order qty")
    if not most:
        raise TradeError(110017, "Reduce-only rule not satisfied")
    listing = intent.listing
    limit = listing.market_qty_max if intent.market else listing.limit_qty_max
    return replace(intent, qty=min(intent.qty or limit, most))


def _settles(order: Order, base: str, settle: str) -> bool:
    listing = order.intent.listing
    return base in {"", listing.base_coin} and settle in {"", listing.quote_coin}
