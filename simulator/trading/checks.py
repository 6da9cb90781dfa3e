"""What order/create says about an order before any account is looked at: fields, symbols, prices, sizes.

The checks run in this order; the first that fails answers: category, symbol, words, types, what does not fit together,
price, size, value. Codes are Bybit's; texts are Bybit's where they are known.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from simulator.trading import params as read
from simulator.trading.contract import Listing, Markets, Params, TradeError
from simulator.trading.decimals import ZERO, ceil_to, floor_to
from simulator.trading.instruments import LINEAR, SPOT
from simulator.trading.orders import BUY, SELL, Intent
from simulator.trading.params import PARAMETER_ERROR, wrong

MARKET_CAP = Decimal("0.01")
"""How far from the last price a market order may be filled where no slippage tolerance is given, as a fraction."""
SLIPPAGE_TICKS_MAX = 10_000
SLIPPAGE_PERCENT = (Decimal("0.01"), Decimal(10))
IMMEDIATE = "IOC"
POST_ONLY = "PostOnly"
TIMES_IN_FORCE = ("GTC", IMMEDIATE, "FOK", POST_ONLY)
BASE_UNIT, QUOTE_UNIT = "baseCoin", "quoteCoin"

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{0,36}", re.ASCII)
_NOT_SIMULATED = ("triggerPrice", "takeProfit", "stopLoss", "orderIv", "bboSideType")
_SMP_TYPES = ("None", "CancelMaker", "CancelTaker", "CancelBoth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The prices that a request is checked against."""

    markets: Markets
    now_ms: int

    def last(self, listing: Listing) -> Decimal:
        """The last price."""
        return self.markets.last_price(listing.category, listing.symbol, self.now_ms)

    def touch(self, listing: Listing, side: str) -> Decimal:
        """The price that an order of this side meets first; the last price when nothing rests there."""
        book = self.markets.book(listing.category, listing.symbol, self.now_ms, 1)
        levels = book.asks if side == BUY else book.bids
        return levels[0][0] if levels else self.last(listing)


def read_intent(params: Params, desk: Desk) -> Intent:
    """The checked request; raises TradeError."""
    listing = listed(params, desk.markets)
    side = read.one_of(params, "side", (BUY, SELL))
    market = read.one_of(params, "orderType", ("Market", "Limit")) == "Market"
    force = read.one_of(params, "timeInForce", TIMES_IN_FORCE, IMMEDIATE if market else "GTC")
    _refuse_strange_fields(params, listing, market=market)
    unit = _market_unit(params, side) if listing.category == SPOT and market else ""
    price = _cap(params, desk, listing, side) if market else limit_price(params, listing)
    reduce_only = read.flag(params, "reduceOnly") and listing.category == LINEAR
    closing = read.flag(params, "closeOnTrigger") and reduce_only
    intent = Intent(
        listing=listing,
        side=side,
        market=market,
        time_in_force=IMMEDIATE if market else force,
        qty=read.number(params, "qty") if closing else read.positive(params, "qty"),
        quote_qty=unit == QUOTE_UNIT,
        price=price,
        link_id=link_id(params),
        reduce_only=reduce_only,
        close_on_trigger=closing,
        market_unit=unit,
        slippage_type=read.text(params, "slippageToleranceType", "UNKNOWN"),
        slippage=read.text(params, "slippageTolerance", ""),
        smp_type=read.one_of(params, "smpType", _SMP_TYPES, "None"),
    )
    reference = desk.last(listing) if market else price
    return sized(intent, intent.qty, reference)


def listed(params: Params, markets: Markets) -> Listing:
    """The symbol that the request is about; raises TradeError."""
    listing = markets.listing(read.category(params), read.text(params, "symbol"))
    if listing is None:
        raise TradeError(PARAMETER_ERROR, "Not supported symbols")
    return listing


def link_id(params: Params) -> str:
    """The orderLinkId, empty when none is given; raises TradeError."""
    value = read.text(params, "orderLinkId", "")
    if not _LINK_ID.fullmatch(value):
        raise TradeError(PARAMETER_ERROR, "params error: orderLinkId invalid: at most 36 of A-Z a-z 0-9 _ -")
    return value


def limit_price(params: Params, listing: Listing) -> Decimal:
    """The price of a limit order: on the tick and in range; raises TradeError."""
    price = read.positive(params, "price")
    if price % listing.tick:
        raise _of(listing, (110003, "price is invalid"), (170134, "Order price decimal too long."))
    if price > listing.price_max:
        raise _of(listing, (110003, "price is invalid"), (170132, "Order price too high."))
    return price


def sized(intent: Intent, qty: Decimal, reference: Decimal) -> Intent:
    """The intent with a quantity that the filters allow, its value taken at a reference price; raises TradeError."""
    listing = intent.listing
    most = listing.market_qty_max if intent.market else listing.limit_qty_max
    if listing.category == LINEAR:
        checked = _linear_qty(listing, qty, most, reference, closing=intent.close_on_trigger)
    elif intent.quote_qty:
        checked = _spot_amount(listing, qty, most * reference)
    else:
        checked = _spot_qty(listing, qty, most, reference)
    return replace(intent, qty=checked)


def _linear_qty(listing: Listing, qty: Decimal, most: Decimal, reference: Decimal, *, closing: bool) -> Decimal:
    """Cut down to the step first, without a word; only then are minimum and maximum looked at."""
    if qty > most:
        raise TradeError(PARAMETER_ERROR, "The number of contracts exceeds maximum limit allowed: too large")
    if closing and not qty:
        return ZERO
    cut = floor_to(qty, listing.qty_step)
    if not cut:
        raise TradeError(110017, "orderQty will be truncated to zero.")
    if cut < listing.qty_min:
        raise TradeError(PARAMETER_ERROR, "The number of contracts exceeds minimum limit allowed")
    if cut * reference < listing.notional_min:
        raise TradeError(110094, f"Order does not meet minimum order value {listing.notional_min}USDT")
    return cut


def _spot_qty(listing: Listing, qty: Decimal, most: Decimal, reference: Decimal) -> Decimal:
    if qty > most:
        raise TradeError(170124, "Order amount too large.")
    if qty % listing.qty_step:
        raise TradeError(170137, "Order volume decimal too long.")
    if qty * reference < listing.notional_min:
        raise TradeError(170140, "Order value exceeded lower limit.")
    return qty


def _spot_amount(listing: Listing, amount: Decimal, most: Decimal) -> Decimal:
    if amount > most:
        raise TradeError(170124, "Order amount too large.")
    if amount % listing.quote_step:
        raise TradeError(170137, "Order volume decimal too long.")
    if amount < listing.notional_min:
        raise TradeError(170140, "Order value exceeded lower limit.")
    return amount


def _refuse_strange_fields(params: Params, listing: Listing, *, market: bool) -> None:
    for name in _NOT_SIMULATED:
        if params.get(name) not in (None, "", "0"):
            raise TradeError(PARAMETER_ERROR, f"params error: {name}: conditional orders are not simulated")
    if listing.category == SPOT:
        if read.whole(params, "isLeverage", 0) != 0:
            raise TradeError(PARAMETER_ERROR, "params error: isLeverage: spot margin trading is not simulated")
        if read.one_of(params, "orderFilter", ("Order", "tpslOrder", "StopOrder"), "Order") != "Order":
            raise TradeError(PARAMETER_ERROR, "params error: orderFilter: conditional orders are not simulated")
    if read.text(params, "marketUnit", "") and (listing.category != SPOT or not market):
        raise wrong("marketUnit")
    slippage = {"slippageToleranceType", "slippageTolerance"} & params.keys()
    if slippage and not market:
        raise wrong(min(slippage))


def _market_unit(params: Params, side: str) -> str:
    """Unless it is said, a market buy is sized in the quote coin and a market sell in the base coin."""
    return read.one_of(params, "marketUnit", (BASE_UNIT, QUOTE_UNIT), QUOTE_UNIT if side == BUY else BASE_UNIT)


def _cap(params: Params, desk: Desk, listing: Listing, side: str) -> Decimal:
    """The worst price of a market order, which the exchange turns into an immediate limit order."""
    away = 1 if side == BUY else -1
    kind = read.text(params, "slippageToleranceType", "")
    if not kind and not read.text(params, "slippageTolerance", ""):
        raw = desk.last(listing) * (1 + away * MARKET_CAP)
    elif kind == "TickSize":
        ticks = read.positive(params, "slippageTolerance")
        if ticks % 1 or ticks > SLIPPAGE_TICKS_MAX:
            raise wrong("slippageTolerance")
        raw = desk.touch(listing, side) + away * ticks * listing.tick
    elif kind == "Percent":
        percent = read.positive(params, "slippageTolerance")
        low, high = SLIPPAGE_PERCENT
        if percent % low or not low <= percent <= high:
            raise wrong("slippageTolerance")
        raw = desk.touch(listing, side) * (1 + away * percent / 100)
    else:
        raise wrong("slippageToleranceType")
    # Rounded towards the market: never worse than what was allowed.
    return max(listing.tick, floor_to(raw, listing.tick) if side == BUY else ceil_to(raw, listing.tick))


def _of(listing: Listing, linear: tuple[int, str], spot: tuple[int, str]) -> TradeError:
    """The refusal in the words of the listing's category."""
    return TradeError(*(spot if listing.category == SPOT else linear))
