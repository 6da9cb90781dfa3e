"""Bybit's v5 JSON shapes of private data: numbers are texts, empty where there is nothing to say.

The fields and their types follow Bybit's documentation of order/realtime, order/history, execution/list, position/list
and account/wallet-balance, and of the private topics, which add or rename a few.
"""

from decimal import Decimal

from simulator.shapes import Json
from simulator.trading.account import Account, Holdings
from simulator.trading.core import Core
from simulator.trading.decimals import ZERO, plain, shown
from simulator.trading.instruments import LINEAR, QUOTE_COIN
from simulator.trading.margin import MAINTENANCE_RATE, Margin, margin_of
from simulator.trading.orders import BUY, SELL, Execution, Order, OrderState
from simulator.trading.position import Position

Row = dict[str, Json]

ISOLATED = "ISOLATED_MARGIN"
_NO_ATTACHMENTS: dict[str, Json] = {
    "stopOrderType": "",
    "orderIv": "",
    "triggerPrice": "",
    "takeProfit": "",
    "stopLoss": "",
    "tpslMode": "",
    "ocoTriggerBy": "",
    "tpLimitPrice": "",
    "slLimitPrice": "",
    "tpTriggerBy": "",
    "slTriggerBy": "",
    "triggerDirection": 0,
    "triggerBy": "",
    "placeType": "",
    "smpGroup": 0,
    "smpOrderId": "",
    "blockTradeId": "",
    "extraFees": "",
}


def fee_coin(order: Order) -> str:
    """The coin that an order's fees are taken in: spot buys pay in what they buy."""
    listing = order.intent.listing
    return listing.base_coin if order.intent.spot and order.intent.sign > 0 else listing.quote_coin


def order_row(order: Order, state: OrderState) -> Row:
    """One order as order/realtime and order/history tell it."""
    intent = order.intent
    left = ZERO if state.closed else state.qty - (state.filled_value if intent.quote_qty else state.filled_qty)
    coin = fee_coin(order)
    return {
        **_NO_ATTACHMENTS,
        "orderId": order.order_id,
        "orderLinkId": intent.link_id,
        "symbol": intent.listing.symbol,
        "price": plain(state.price),
        "qty": plain(state.qty),
        "side": intent.side,
        "isLeverage": "0" if intent.spot else "",
        "positionIdx": 0,
        "orderStatus": state.status,
        "createType": order.create_type,
        "cancelType": state.cancel_type,
        "rejectReason": state.reject_reason,
        "avgPrice": shown(state.filled_value / state.filled_qty) if state.filled_qty else "",
        "leavesQty": shown(left / state.price) if intent.quote_qty else plain(left),
        "leavesValue": plain(left if intent.quote_qty else left * state.price),
        "cumExecQty": plain(state.filled_qty),
        "cumExecValue": plain(state.filled_value),
        "cumExecFee": plain(state.fee),
        "cumFeeDetail": {coin: plain(state.fee)} if state.filled_qty else {},
        "timeInForce": intent.time_in_force,
        "orderType": "Market" if intent.market else "Limit",
        "marketUnit": intent.market_unit,
        "slippageToleranceType": intent.slippage_type,
        "slippageTolerance": intent.slippage,
        "lastPriceOnCreated": plain(order.last_price),
        "reduceOnly": intent.reduce_only,
        "closeOnTrigger": intent.close_on_trigger,
        "smpType": intent.smp_type,
        "createdTime": str(order.created_ms),
        "updatedTime": str(state.updated_ms),
    }


def order_push(order: Order, state: OrderState) -> Row:
    """One order as the topic `order` tells it."""
    return {
        **order_row(order, state),
        "category": order.intent.listing.category,
        "closedPnl": plain(state.closed_pnl),
        "feeCurrency": fee_coin(order),
    }


def execution_row(execution: Execution) -> Row:
    """One execution as execution/list tells it."""
    mark = plain(execution.mark_price)
    return {
        "symbol": execution.listing.symbol,
        "orderId": execution.order_id,
        "orderLinkId": execution.link_id,
        "side": execution.side,
        "orderPrice": plain(execution.order_price),
        "orderQty": plain(execution.order_qty),
        "leavesQty": plain(execution.left_qty),
        "createType": execution.create_type,
        "orderType": execution.order_type,
        "stopOrderType": "UNKNOWN",
        "execFee": plain(execution.fee),
        "feeRate": plain(execution.fee_rate),
        "feeCurrency": execution.fee_coin,
        "execId": execution.exec_id,
        "execPrice": plain(execution.price),
        "execQty": plain(execution.qty),
        "execType": execution.exec_type,
        "execValue": plain(execution.price * execution.qty),
        "execTime": str(execution.at_ms),
        "isMaker": execution.maker,
        "tradeIv": "",
        "markIv": "",
        "markPrice": mark,
        "indexPrice": mark,
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": plain(execution.closed_qty),
        "seq": execution.sequence,
        "extraFees": "",
    }


def execution_push(execution: Execution) -> Row:
    """One execution as the topic `execution` tells it."""
    return {
        **execution_row(execution),
        "category": execution.listing.category,
        "execPnl": plain(execution.realised),
        "isLeverage": "0",
        "marketUnit": "",
    }


def position_row(account: Account, symbol: str, position: Position, mark: Decimal, index: int = 0) -> Row:
    """One position as position/list tells it; a flat one has an empty side."""
    leverage = account.leverages[symbol]
    held = bool(position.qty)
    value = abs(position.qty) * mark
    initial, maintenance = shown(value / leverage) if held else "", shown(value * MAINTENANCE_RATE) if held else ""
    entry = shown(position.entry_price)
    return {
        "positionIdx": index,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": symbol,
        "side": side_of(position.qty),
        "size": plain(abs(position.qty)),
        "avgPrice": entry,
        "breakEvenPrice": entry if held else "",
        "positionValue": shown(abs(position.cost)) if held else "",
        "positionBalance": "0",
        "tradeMode": 0,
        "autoAddMargin": 0,
        "leverage": plain(leverage),
        "markPrice": plain(mark),
        "liqPrice": "",
        "bustPrice": "",
        "positionIM": initial,
        "positionIMByMp": initial,
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "tpslMode": "Full",
        "sessionAvgPrice": "",
        "unrealisedPnl": plain(position.unrealised(mark)) if held else "",
        "curRealisedPnl": plain(position.realised_now),
        "cumRealisedPnl": plain(position.realised),
        "positionStatus": "Normal",
        "adlRankIndicator": 2 if held else 0,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "seq": position.sequence,
        "openTime": str(position.opened_ms) if held else "",
        "createdTime": str(account.created_ms),
        "updatedTime": str(position.updated_ms or account.created_ms),
    }


def position_push(account: Account, symbol: str, position: Position, mark: Decimal) -> Row:
    """One position as the topic `position` tells it: the entry price has another name there."""
    row = position_row(account, symbol, position, mark)
    entry = row.pop("avgPrice")
    return {**row, "entryPrice": entry, "category": LINEAR}


def side_of(signed_qty: Decimal) -> str:
    """Buy for long, Sell for short, empty for flat."""
    if not signed_qty:
        return ""
    return BUY if signed_qty > 0 else SELL


def wallet_row(core: Core, account: Account, holdings: Holdings, coins: frozenset[str] = frozenset()) -> Row:
    """The unified account as account/wallet-balance and the topic `wallet` tell it, all coins or only some.

    With isolated margin there are no account-wide margin figures: they are empty then, as Bybit has them.
    """
    margin = margin_of(account, holdings, core.mark)
    prices = {coin: core.coin_price(coin) for coin in holdings.balances}
    wallet = sum((amount * prices[coin] for coin, amount in holdings.balances.items()), ZERO)
    isolated = account.config.margin_mode == ISOLATED
    held = sorted(coin for coin, amount in holdings.balances.items() if amount)
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "totalEquity": plain(wallet + margin.unrealised),
        "totalWalletBalance": plain(wallet),
        "totalPerpUPL": plain(margin.unrealised),
        **{name: "" if isolated else text for name, text in _margin_fields(margin).items()},
        "coin": [_coin_row(coin, holdings, prices[coin], margin) for coin in held if not coins or coin in coins],
    }


def _margin_fields(margin: Margin) -> dict[str, str]:
    balance = margin.balance
    return {
        "totalMarginBalance": plain(balance),
        "totalAvailableBalance": shown(max(ZERO, margin.available)),
        "totalInitialMargin": shown(margin.initial),
        "totalInitialMarginByMp": shown(margin.initial),
        "totalMaintenanceMargin": shown(margin.maintenance),
        "totalMaintenanceMarginByMp": shown(margin.maintenance),
        "accountIMRate": shown(margin.initial / balance) if balance > 0 else "0",
        "accountIMRateByMp": shown(margin.initial / balance) if balance > 0 else "0",
        "accountMMRate": shown(margin.maintenance / balance) if balance > 0 else "0",
        "accountMMRateByMp": shown(margin.maintenance / balance) if balance > 0 else "0",
    }


def _coin_row(coin: str, holdings: Holdings, price: Decimal, margin: Margin) -> Row:
    settles = coin == QUOTE_COIN
    amount = holdings.balances[coin]
    unrealised = margin.unrealised if settles else ZERO
    return {
        "coin": coin,
        "equity": plain(amount + unrealised),
        "usdValue": plain((amount + unrealised) * price),
        "walletBalance": plain(amount),
        "free": "",
        "locked": plain(holdings.locked.get(coin, ZERO)),
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "availableToBorrow": "",
        "availableToWithdraw": "",
        "accruedInterest": "0",
        "totalOrderIM": shown(holdings.order_margin) if settles else "0",
        "totalPositionIM": shown(margin.position_initial) if settles else "0",
        "totalPositionMM": shown(margin.maintenance) if settles else "0",
        "unrealisedPnl": plain(unrealised),
        "cumRealisedPnl": plain(holdings.realised if settles else ZERO),
        "bonus": "0",
        "collateralSwitch": settles,
        "marginCollateral": settles,
    }
