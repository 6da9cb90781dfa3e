"""The account as the running gateway knows it: the ledger, and the orders that may still fill.

The journal is the record; this is its fold, kept in memory and rebuilt at every start. In live trading the venue holds
the account itself: it counts as reconciled while a comparison with it was clean and the newest is not old.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from gateway.core.exposure import Pending
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import ZERO, OrderLinkId, OrderRecord, OrderState, Side, Symbol
from gateway.core.results import Results
from gateway.recent_orders import RecentOrders


class Account:
    """Mutable state of one account, changed only from the event loop's thread."""

    def __init__(self, name: str, ledger: Ledger, *, comparison_age_ms_max: int | None = None) -> None:
        """`comparison_age_ms_max`: how long a comparison with the venue holds; None where there is none to make."""
        self.name = name
        self.ledger = ledger
        self.results = Results()
        self.recent = RecentOrders()
        self._pending: dict[tuple[Symbol, Side], Decimal] = {}
        self._unknown: Counter[Symbol] = Counter()
        self._open: dict[OrderLinkId, OrderRecord] = {}
        self._touched_ms: dict[Symbol, int] = {}
        self._comparison_age_ms_max = comparison_age_ms_max
        self._compared_ms: int | None = None
        self._was_clean = False

    def load(self, filled: Iterable[OrderRecord], still_open: Iterable[OrderRecord]) -> None:
        """Rebuild from the journal: fills in the order in which they happened, then what is open."""
        for record in filled:
            self._book(record)
            self._touch(record)
        for record in still_open:
            self._keep(record)

    def reserve(self, record: OrderRecord, client: str = "") -> None:
        """Count an order of a client against the limits from now on, as if it filled whole."""
        self._keep(record)
        self._touch(record)
        self.recent.note(record.order, client, record.created_ms)

    def release(self, record: OrderRecord) -> None:
        """Stop counting an order that was never sent."""
        self._drop(record.order_link_id)

    def settle(self, record: OrderRecord) -> None:
        """Take what became of an order into the ledger; an order that is still open goes on counting."""
        self._touch(record)
        if record.state in OPEN_STATES:
            self._keep(record)
            return
        self._drop(record.order_link_id)
        self._book(record)

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """Orders that are pending or unknown."""
        return tuple(self._open.values())

    def is_newest(self, record: OrderRecord) -> bool:
        """Whether an order is still open, and this is the newest that is known of it."""
        return self._open.get(record.order_link_id) is record

    def unknown_orders(self) -> tuple[OrderRecord, ...]:
        """Orders whose end is not known, oldest first."""
        return tuple(record for record in self._open.values() if record.state is OrderState.UNKNOWN)

    def has_unknown(self, symbol: Symbol) -> bool:
        """Whether an order on `symbol` has an end that is not known."""
        return self._unknown[symbol] > 0

    def open_count(self) -> int:
        """How many orders are pending or unknown."""
        return len(self._open)

    def pending(self) -> Pending:
        """What open orders may still add, at worst, by symbol and side; only what is not zero."""
        return self._pending

    def moved_ms(self) -> Mapping[Symbol, int]:
        """When an order last moved on a symbol, those of an earlier run included."""
        return self._touched_ms

    def moved_since(self, since_ms: int) -> frozenset[Symbol]:
        """Symbols on which an order has moved since then."""
        return frozenset(symbol for symbol, at_ms in self._touched_ms.items() if at_ms >= since_ms)

    def compared(self, at_ms: int, *, clean: bool) -> None:
        """Note a finished comparison with the venue."""
        self._compared_ms = at_ms
        self._was_clean = self._was_clean or clean

    def reconciled(self, now_ms: int) -> bool:
        """Whether one comparison was clean, and the newest is not too old; a clock that went back makes none young."""
        if self._comparison_age_ms_max is None:
            return True
        if self._compared_ms is None or not self._was_clean:
            return False
        return 0 <= now_ms - self._compared_ms <= self._comparison_age_ms_max

    def pending_usd(self, symbol: Symbol, side: Side) -> Decimal:
        """What open orders on one side of `symbol` may still add, at worst."""
        return self._pending.get((symbol, side), ZERO)

    def _keep(self, record: OrderRecord) -> None:
        """Count an open order; the newest record of it takes the place of the last."""
        last = self._open.get(record.order_link_id)
        if last is not None:
            self._count(last, -1)
        self._open[record.order_link_id] = record
        self._count(record, 1)

    def _drop(self, order_link_id: OrderLinkId) -> None:
        record = self._open.pop(order_link_id, None)
        if record is not None:
            self._count(record, -1)

    def _count(self, record: OrderRecord, sign: int) -> None:
        """Keep the totals, so that no order waits for a sum over all others."""
        symbol, key = record.order.symbol, (record.order.symbol, record.order.side)
        self._pending[key] = self._pending.get(key, ZERO) + sign * record.approved_usd
        if not self._pending[key]:
            del self._pending[key]
        if record.state is OrderState.UNKNOWN:
            self._unknown[symbol] += sign

    def _book(self, record: OrderRecord) -> None:
        """Take an ended order's fills into the ledger and the results."""
        before = self.ledger
        self.ledger = before.applied(record.order.symbol, record.order.side, record.fills)
        self.results = self.results.after(record, before, self.ledger)

    def _touch(self, record: OrderRecord) -> None:
        symbol = record.order.symbol
        self._touched_ms[symbol] = max(record.updated_ms, self._touched_ms.get(symbol, 0))
