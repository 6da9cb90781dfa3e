"""What an account can still afford: cross margin of linear positions and orders, and coins held back by spot orders.

Only USDT is collateral. Initial margin of a symbol is the larger of what its position needs and what it would need if
all its open orders of one side were filled, over the leverage; so an order that only reduces needs nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from simulator.trading.account import Account, Holdings
from simulator.trading.contract import TradeError
from simulator.trading.decimals import ZERO
from simulator.trading.instruments import QUOTE_COIN
from simulator.trading.orders import Intent, Order

MAINTENANCE_RATE = Decimal("0.005")
"""Maintenance margin as a fraction of the position's value."""

Marks = Callable[[str], Decimal]
"""Mark price of a linear symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an open order may still take."""

    intent: Intent
    value: Decimal
    """In the quote coin, at its price."""
    base_qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The margin figures of an account, in USDT."""

    wallet: Decimal
    unrealised: Decimal
    position_initial: Decimal
    order_initial: Decimal
    """With the fees of the open orders."""
    maintenance: Decimal
    locked: Decimal

    @property
    def balance(self) -> Decimal:
        """The margin balance."""
        return self.wallet + self.unrealised

    @property
    def initial(self) -> Decimal:
        """All initial margin."""
        return self.position_initial + self.order_initial

    @property
    def available(self) -> Decimal:
        """What new orders may use; negative when positions have lost too much."""
        return self.balance - self.initial - self.locked


def claim_of(intent: Intent, price: Decimal, left: Decimal) -> Claim:
    """The claim of `left`, in the unit of the intent's qty, at a price."""
    if intent.quote_qty:
        return Claim(intent=intent, value=left, base_qty=left / price)
    return Claim(intent=intent, value=left * price, base_qty=left)


def claims_of(account: Account, without: Order | None = None) -> list[Claim]:
    """The claims of all open orders, those not yet applied included, perhaps without one."""
    return [
        claim_of(order.intent, order.state.price, order.left) for order in account.live.values() if order is not without
    ]


def locked_coins(claims: Iterable[Claim]) -> dict[str, Decimal]:
    """Coins that spot orders hold back: the quote coin of buys, the base coin of sells."""
    locked: defaultdict[str, Decimal] = defaultdict(Decimal)
    for claim in claims:
        intent = claim.intent
        if intent.spot and intent.sign > 0:
            locked[intent.listing.quote_coin] += claim.value
        elif intent.spot:
            locked[intent.listing.base_coin] += claim.base_qty
    return dict(locked)


def order_margin(account: Account, claims: Iterable[Claim], mark: Marks) -> Decimal:
    """The initial margin that open linear orders add to that of the positions, with their fees, in USDT."""
    sides: defaultdict[str, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    fees = ZERO
    for claim in claims:
        intent = claim.intent
        if not intent.spot and not intent.reduce_only:
            sides[intent.listing.symbol][intent.sign < 0] += claim.value
            fees += claim.value * account.config.taker_rate
    total = fees
    for symbol, (buys, sells) in sides.items():
        held = account.position(symbol).qty * mark(symbol)
        worst = max(abs(held), held + buys, sells - held)
        total += (worst - abs(held)) / account.leverages[symbol]
    return total


def margin_of(account: Account, holdings: Holdings, mark: Marks) -> Margin:
    """The figures for what an account holds, at mark prices."""
    unrealised = initial = maintenance = ZERO
    for symbol, position in holdings.positions.items():
        if position.qty:
            price = mark(symbol)
            value = abs(position.qty) * price
            unrealised += position.unrealised(price)
            initial += value / account.leverages[symbol]
            maintenance += value * MAINTENANCE_RATE
    return Margin(
        wallet=holdings.balances.get(QUOTE_COIN, ZERO),
        unrealised=unrealised,
        position_initial=initial,
        order_initial=holdings.order_margin,
        maintenance=maintenance,
        locked=holdings.locked.get(QUOTE_COIN, ZERO),
    )


def holdings_of(account: Account, claims: Iterable[Claim], mark: Marks) -> Holdings:
    """What an account holds now, were its open orders these."""
    claims = list(claims)
    return Holdings(
        balances=dict(account.balances),
        positions=dict(account.positions),
        locked=locked_coins(claims),
        order_margin=order_margin(account, claims, mark),
        realised=account.realised - account.fees - account.funding,
    )


def require_funds(account: Account, claim: Claim, others: list[Claim], mark: Marks) -> None:
    """Refuse an order that the account cannot pay for beside its other open orders; raises TradeError."""
    after = holdings_of(account, [*others, claim], mark)
    margin = margin_of(account, after, mark)
    if claim.intent.spot:
        coin = claim.intent.listing.quote_coin if claim.intent.sign > 0 else claim.intent.listing.base_coin
        short = after.locked[coin] > account.balances[coin]
        if short or (coin == QUOTE_COIN and margin.available < 0):
            raise TradeError(170131, "Insufficient balance.")
    elif not claim.intent.reduce_only and margin.available < 0 and not _only_reduces(account, claim, others, mark):
        raise TradeError(110007, "ab not enough for new order", post_margin(margin))


def post_margin(margin: Margin) -> dict[str, int]:
    """The margin rates after an order, as order/pre-check tells them: parts of ten thousand."""
    return {"postImrE4": _rate_e4(margin.initial, margin), "postMmrE4": _rate_e4(margin.maintenance, margin)}


def _rate_e4(part: Decimal, margin: Margin) -> int:
    return int(part / margin.balance * 10_000) if margin.balance > 0 else 0


def _only_reduces(account: Account, claim: Claim, others: list[Claim], mark: Marks) -> bool:
    """Whether the order adds nothing but its fee to the margin that is needed."""
    fee = claim.value * account.config.taker_rate
    return order_margin(account, [*others, claim], mark) - fee <= order_margin(account, others, mark)
