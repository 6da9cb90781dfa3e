"""The account as the running gateway knows it: the ledger, and the orders that may still fill.

The journal is the record; this is its fold, kept in memory and rebuilt at every start.
"""

from collections.abc import Iterable
from decimal import Decimal

from gateway.core.ledger import Ledger
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import ZERO, OrderLinkId, OrderRecord, Side, Symbol


class Account:
    """Mutable state of one account, changed only from the event loop's thread."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name = name
        self.ledger = ledger
        self._open: dict[OrderLinkId, OrderRecord] = {}

    def load(self, filled: Iterable[OrderRecord], still_open: Iterable[OrderRecord]) -> None:
        """Rebuild from the journal: fills in the order in which they happened, then what is open."""
        for record in filled:
            self.ledger = self.ledger.applied(record.order.symbol, record.order.side, record.fills)
        self._open = {record.order_link_id: record for record in still_open}

    def reserve(self, record: OrderRecord) -> None:
        """Count an order against the limits from now on, as if it filled whole."""
        self._open[record.order_link_id] = record

    def release(self, record: OrderRecord) -> None:
        """Stop counting an order that was never sent."""
        self._open.pop(record.order_link_id, None)

    def settle(self, record: OrderRecord) -> None:
        """Take what became of an order into the ledger; an order that is still open goes on counting."""
        if record.state in OPEN_STATES:
            self._open[record.order_link_id] = record
            return
        self._open.pop(record.order_link_id, None)
        self.ledger = self.ledger.applied(record.order.symbol, record.order.side, record.fills)

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """Orders that are pending or unknown."""
        return tuple(self._open.values())

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
