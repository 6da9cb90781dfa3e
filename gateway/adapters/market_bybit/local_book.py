"""One symbol's book as snapshots and deltas build it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from gateway.adapters.market_bybit.messages import LEVELS_MAX, BadMessageError, parse_update
from gateway.core.model import Book, Level


class LocalBook:
    """One symbol's book as snapshots and deltas build it; no clock, no I/O."""

    def __init__(self) -> None:
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._update_id: int | None = None
        self._exchange_ms: int | None = None
        self._received_ms = 0
        self._shown: Book | None = None
        self._changed = False

    def book(self) -> Book | None:
        """The book, sorted once after each change; None before a snapshot or with an empty side."""
        if self._changed:
            self._changed = False
            self._shown = self._sorted()
        return self._shown

    def await_snapshot(self) -> None:
        """Take no delta until a snapshot came; what is shown stays, and grows old."""
        self._update_id = None

    def drop(self) -> None:
        """Show no book until a snapshot came."""
        self._update_id = None
        self._shown = None
        self._changed = False

    @property
    def awaits_snapshot(self) -> bool:
        """Whether deltas are of no use."""
        return self._update_id is None

    def apply(self, message: Mapping[str, object], now_ms: int) -> bool:
        """Take one orderbook message; False when it is of no use. BadMessageError: the book may be wrong now."""
        update = parse_update(message)
        if update.snapshot or update.update_id == 1:
            # u = 1 is Bybit's service after a restart: whatever the type says, it is the whole book.
            self._bids, self._asks = {}, {}
        elif self._update_id is None:
            return False  # a delta to a book that we do not have
        elif update.update_id <= self._update_id:
            return False  # seen before, or overtaken by another
        _set_levels(self._bids, update.bids)
        _set_levels(self._asks, update.asks)
        if self._bids and self._asks and max(self._bids) >= min(self._asks):
            raise BadMessageError("the book is crossed")
        self._update_id = update.update_id
        if update.exchange_ms != self._exchange_ms:
            self._exchange_ms, self._received_ms = update.exchange_ms, now_ms
        self._changed = True
        return True

    def _sorted(self) -> Book | None:
        if not self._bids or not self._asks:
            return None
        bids = [Level(price=price, qty=self._bids[price]) for price in sorted(self._bids, reverse=True)]
        asks = [Level(price=price, qty=self._asks[price]) for price in sorted(self._asks)]
        return Book(bids=bids, asks=asks, received_ms=self._received_ms)


def _set_levels(side: dict[Decimal, Decimal], levels: Sequence[tuple[Decimal, Decimal]]) -> None:
    for price, qty in levels:
        if qty:
            side[price] = qty
        else:
            side.pop(price, None)
    if len(side) > LEVELS_MAX:
        raise BadMessageError("the book has too many levels")
