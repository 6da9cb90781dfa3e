"""The liquidity that is left in a slot: what orders of any account took from a book is gone until its next slot."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from simulator.book import LEVELS_MAX
from simulator.process import SLOT_MS
from simulator.trading.contract import Level, Listing, Markets
from simulator.trading.decimals import ZERO, floor_to
from simulator.trading.orders import BUY

LEVELS_AT_HAND = 25
"""How many levels are looked at first; only orders beyond them need the whole book."""


@dataclass(slots=True)
class _Slot:
    number: int
    taken: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)
    """Quantity by the taker's side and price."""


class Depth:
    """The books less what was taken from them."""

    def __init__(self, markets: Markets) -> None:
        self._markets = markets
        self._slots: dict[tuple[str, str], _Slot] = {}

    def offers(self, listing: Listing, side: str, limit: Decimal, wanted: Decimal, now_ms: int) -> list[Level]:
        """What an order of `side` may take up to its limit price, best first; all of it, or at least `wanted`."""
        reached: list[Level] = []
        for levels in (LEVELS_AT_HAND, LEVELS_MAX):
            book = self._markets.book(listing.category, listing.symbol, now_ms, levels)
            ladder = book.asks if side == BUY else book.bids
            reached = self._left(listing, side, _within(ladder, side, limit), now_ms)
            whole_reach = len(ladder) < levels or not _reaches(ladder[-1][0], side, limit)
            if whole_reach or sum((qty for _, qty in reached), ZERO) >= wanted:
                break
        return reached

    def touches(self, listing: Listing, side: str, limit: Decimal, now_ms: int) -> bool:
        """Whether anything rests within the limit price: the cheap first look."""
        book = self._markets.book(listing.category, listing.symbol, now_ms, 1)
        ladder = book.asks if side == BUY else book.bids
        return bool(ladder) and _reaches(ladder[0][0], side, limit)

    def take(self, listing: Listing, side: str, levels: Sequence[Level], now_ms: int) -> None:
        """Take quantities out of the current slot."""
        taken = self._slot(listing, now_ms).taken
        for price, qty in levels:
            taken[side, price] = taken.get((side, price), ZERO) + qty

    def _left(self, listing: Listing, side: str, ladder: list[Level], now_ms: int) -> list[Level]:
        taken = self._slot(listing, now_ms).taken
        if not taken:
            return ladder
        left = ((price, qty - taken.get((side, price), ZERO)) for price, qty in ladder)
        return [(price, qty) for price, qty in left if qty > 0]

    def _slot(self, listing: Listing, now_ms: int) -> _Slot:
        key, number = (listing.category, listing.symbol), now_ms // SLOT_MS
        slot = self._slots.get(key)
        if slot is None or slot.number != number:
            slot = self._slots[key] = _Slot(number)
        return slot


def plan_base(offers: Sequence[Level], qty: Decimal) -> list[Level]:
    """The fills of an order of `qty` in the base coin."""
    fills = []
    for price, offered in offers:
        if qty <= 0:
            break
        fills.append((price, min(offered, qty)))
        qty -= offered
    return fills


def plan_quote(offers: Sequence[Level], amount: Decimal, step: Decimal) -> list[Level]:
    """The fills of an order that is worth `amount`; the rest is less than one step, or nothing is offered any more."""
    fills = []
    for price, offered in offers:
        qty = min(offered, floor_to(amount / price, step))
        if not qty:
            break
        fills.append((price, qty))
        amount -= qty * price
    return fills


def _reaches(price: Decimal, side: str, limit: Decimal) -> bool:
    return price <= limit if side == BUY else price >= limit


def _within(ladder: Sequence[Level], side: str, limit: Decimal) -> list[Level]:
    return [level for level in ladder if _reaches(level[0], side, limit)]
