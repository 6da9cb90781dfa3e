"""The private POST endpoints of positions: leverage and position mode, done at once."""

from simulator.trading import params as read
from simulator.trading.account import Account
from simulator.trading.checks import listed
from simulator.trading.contract import Params, TradeError
from simulator.trading.core import Core
from simulator.trading.instruments import LINEAR
from simulator.trading.params import PARAMETER_ERROR

ONE_WAY, HEDGE = 0, 3


def set_leverage(core: Core, account: Account, params: Params) -> None:
    """Set the leverage of a symbol, the same for both sides; raises TradeError."""
    listing = listed(params, core.markets)
    if listing.category != LINEAR:
        raise TradeError(PARAMETER_ERROR, "Illegal category")
    buy, sell = read.positive(params, "buyLeverage"), read.positive(params, "sellLeverage")
    if buy != sell:
        raise read.wrong("sellLeverage")
    if buy < 1:
        raise read.wrong("buyLeverage")
    if buy > listing.leverage_max:
        raise TradeError(110013, "cannot set leverage due to risk limit level")
    if buy == account.leverages[listing.symbol]:
        raise TradeError(110043, "leverage not modified")
    account.leverages[listing.symbol] = buy


def switch_mode(account: Account, params: Params) -> None:
    """Set the position mode, here of all symbols at once; raises TradeError."""
    if read.category(params) != LINEAR:
        raise TradeError(PARAMETER_ERROR, "Illegal category")
    if not read.text(params, "symbol", "") and not read.text(params, "coin", ""):
        raise TradeError(PARAMETER_ERROR, "Missing some parameters that must be filled in, symbol or coin")
    mode = read.whole(params, "mode")
    if mode not in {ONE_WAY, HEDGE}:
        raise read.wrong("mode")
    hedge = mode == HEDGE
    if hedge is account.hedge:
        raise TradeError(110025, "Position mode is not modified")
    if any(position.qty for position in account.positions.values()):
        raise TradeError(110024, "You have an existing position, so the position mode cannot be switched")
    if account.live_of(LINEAR):
        raise TradeError(110028, "You have existing open orders, so the position mode cannot be switched")
    account.hedge = hedge
