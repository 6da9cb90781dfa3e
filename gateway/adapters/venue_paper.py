"""The paper venue: fills orders from the market's book, at a cost, and sends nothing anywhere.

An order is what Bybit makes of a market order: immediate-or-cancel, with a price cap.

1. The most that may be filled is a quantity: the approved notional at the mid price, rounded down to
   whole quantity steps. A buy is also held to the approved notional at the prices it pays, so that no
   fill exceeds what risk approved. A reduce-only order is held to the quantity alone, at the mid price
   that risk judged it at: that is what closes a position exactly, and it can only shrink exposure.
2. Below the instrument's minimum quantity or notional, or above its maximum, it is rejected.
3. It takes the levels in order of price, none further than PROTECTION from the best one, and pays the
   taker fee on every fill. What other paper orders took from the same book is gone until the next book.
4. All filled: filled. A part: partially filled, the rest cancelled. Nothing: cancelled.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from gateway.core.model import (
    ZERO,
    Book,
    Evidence,
    Fill,
    Instrument,
    Level,
    OrderLinkId,
    OrderRecord,
    OrderState,
    Outcome,
    Side,
    Symbol,
)
from gateway.core.quantity import floored, paper_qty, refusal_of
from gateway.core.risk import Approved
from gateway.core.venue import VenueBlock
from gateway.ports import MarketData

DEFAULT_FEE_BPS = Decimal("5.5")
"""Bybit's standard taker fee for linear perpetuals."""
PROTECTION = Decimal("0.01")
"""How far from the best price an order may fill, a fraction; what Bybit's engine was seen to use."""
OUTCOMES_MAX = 10_000
"""Outcomes that are remembered for `find`: hours of trading, while reconciliation asks within seconds."""
BPS = Decimal(10_000)


@dataclass(slots=True)
class _Taken:
    """What paper orders took from one book of a symbol."""

    received_ms: int = -1
    by_price: dict[tuple[Side, Decimal], Decimal] = field(default_factory=dict)


LOOK_AHEAD = 2
"""Levels are read until they hold this many times the order: more than it can take, whatever the rounding."""


class PaperVenue:
    """A venue of its own process: what it did not answer, it did not do."""

    dry_run = True

    def __init__(self, *, market: MarketData, fee_bps: Decimal = DEFAULT_FEE_BPS) -> None:
        self._market = market
        self._fee_rate = fee_bps / BPS
        self._taken: dict[Symbol, _Taken] = {}
        self._outcomes: OrderedDict[OrderLinkId, Outcome] = OrderedDict()

    def block(self, *, reduce_only: bool) -> VenueBlock | None:  # noqa: ARG002 - it is this process itself
        """Nothing: paper orders can always be filled."""
        return None

    async def submit(self, approved: Approved) -> Outcome:
        """Fill at once; an order link id that was seen before gets its first outcome again."""
        known = self._outcomes.get(approved.order_link_id)
        if known is not None:
            return known
        outcome = self._execute(approved)
        self._outcomes[approved.order_link_id] = outcome
        while len(self._outcomes) > OUTCOMES_MAX:
            self._outcomes.popitem(last=False)
        return outcome

    async def find(self, record: OrderRecord) -> Outcome | None:
        """What became of an order of this process. None: no fill of it exists, since fills exist only as answers."""
        return self._outcomes.get(record.order_link_id)

    async def cancel_open(self) -> int:
        """Nothing: no paper order outlives its answer."""
        return 0

    def _execute(self, approved: Approved) -> Outcome:
        symbol = approved.order.symbol
        return self.fill(approved, self._market.book(symbol), self._market.instrument(symbol))

    def fill(self, approved: Approved, book: Book | None, instrument: Instrument | None) -> Outcome:
        """What becomes of an order in this market; without prices or filters nothing is filled."""
        symbol, side = approved.order.symbol, approved.order.side
        if book is None or instrument is None:
            return outcome_of(ZERO, ())
        levels = list(self._remaining(symbol, side, book, approved.qty_usd * LOOK_AHEAD))
        qty = paper_qty(approved, book, levels, instrument)
        refusal = refusal_of(qty, instrument, book.mid)
        if refusal:
            return Outcome(state=OrderState.REJECTED, detail=refusal, evidence=Evidence.PAPER)
        fills = walk(levels, qty, instrument.qty_step, self._fee_rate)
        self._take(symbol, side, fills)
        return outcome_of(qty, fills)

    def _remaining(self, symbol: Symbol, side: Side, book: Book, enough_usd: Decimal) -> Iterator[Level]:
        """The levels that an order may take, best first, less what others took of this book, until they are enough."""
        taken = self._taken.get(symbol)
        if taken is None or taken.received_ms != book.received_ms:
            taken = self._taken[symbol] = _Taken(received_ms=book.received_ms)
        for level in within_protection(side, book):
            left = level.qty - taken.by_price.get((side, level.price), ZERO)
            if left > 0:
                yield Level(price=level.price, qty=left)
                enough_usd -= level.price * left
                if enough_usd < 0:
                    return

    def _take(self, symbol: Symbol, side: Side, fills: Sequence[Fill]) -> None:
        by_price = self._taken[symbol].by_price
        for fill in fills:
            by_price[side, fill.price] = by_price.get((side, fill.price), ZERO) + fill.qty


def within_protection(side: Side, book: Book) -> Iterator[Level]:
    """The opposite side of the book, as far as the protection cap reaches from its best price."""
    if side is Side.BUY:
        cap = book.asks[0].price * (1 + PROTECTION)
        yield from itertools.takewhile(lambda level: level.price <= cap, book.asks)
    else:
        floor = book.bids[0].price * (1 - PROTECTION)
        yield from itertools.takewhile(lambda level: level.price >= floor, book.bids)


def walk(levels: Sequence[Level], qty: Decimal, step: Decimal, fee_rate: Decimal) -> tuple[Fill, ...]:
    """Take levels in order until `qty` is filled or they end; one fill for each level."""
    fills: list[Fill] = []
    left = qty
    for level in levels:
        taken = min(left, floored(level.qty, step))
        if taken > 0:
            fills.append(Fill(price=level.price, qty=taken, fee_usd=taken * level.price * fee_rate))
            left -= taken
        if left <= 0:
            break
    return tuple(fills)


def outcome_of(qty: Decimal, fills: tuple[Fill, ...]) -> Outcome:
    """How an immediate-or-cancel order for `qty` ended."""
    filled = sum((fill.qty for fill in fills), ZERO)
    if filled == 0:
        return Outcome(state=OrderState.CANCELLED, evidence=Evidence.PAPER)
    state = OrderState.FILLED if filled == qty else OrderState.PARTIALLY_FILLED
    return Outcome(state=state, fills=fills, evidence=Evidence.PAPER)
