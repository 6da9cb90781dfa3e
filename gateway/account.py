"""The account as the running gateway knows it: the ledger, and the orders that may still fill.

The journal is the record; this is its fold, kept in memory and rebuilt at every start. In live trading the venue holds
the account itself: it counts as reconciled while a comparison with it was clean and the newest is not old.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from gateway.core.ledger import Ledger
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import ZERO, OrderLinkId, OrderRecord, OrderState, Side, Symbol


class Account:
    """Mutable state of one account, changed only from the event loop's thread."""

    def __init__(self, name: str, ledger: Ledger, *, comparison_age_ms_max: int | None = None) -> None:
        """`comparison_age_ms_max`: how long a comparison with the venue holds; None where there is none to make."""
        self.name = name
        self.ledger = ledger
        self._open: dict[OrderLinkId, OrderRecord] = {}
        self._touched_ms: dict[Symbol, int] = {}
        self._comparison_age_ms_max = comparison_age_ms_max
        self._compared_ms: int | None = None
        self._was_clean = False

    def load(self, filled: Iterable[OrderRecord], still_open: Iterable[OrderRecord]) -> None:
        """Rebuild from the journal: fills in the order in which they happened, then what is open."""
        for record in filled:
            self.ledger = self.ledger.applied(record.order.symbol, record.order.side, record.fills)
            self._touch(record)
        self._open = {record.order_link_id: record for record in still_open}

    def reserve(self, record: OrderRecord) -> None:
        """Count an order against the limits from now on, as if it filled whole."""
        self._open[record.order_link_id] = record
        self._touch(record)

    def release(self, record: OrderRecord) -> None:
        """Stop counting an order that was never sent."""
        self._open.pop(record.order_link_id, None)

    def settle(self, record: OrderRecord) -> None:
        """Take what became of an order into the ledger; an order that is still open goes on counting."""
        self._touch(record)
        if record.state in OPEN_STATES:
            self._open[record.order_link_id] = record
            return
        self._open.pop(record.order_link_id, None)
        self.ledger = self.ledger.applied(record.order.symbol, record.order.side, record.fills)

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
        return any(record.order.symbol == symbol for record in self.unknown_orders())

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
        return sum(
            (
                record.approved_usd
                for record in self._open.values()
                if record.order.symbol == symbol and record.order.side is side
            ),
            ZERO,
        )

    def _touch(self, record: OrderRecord) -> None:
        symbol = record.order.symbol
        self._touched_ms[symbol] = max(record.updated_ms, self._touched_ms.get(symbol, 0))
