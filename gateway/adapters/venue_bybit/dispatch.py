"""Gives what the private stream says to those who want to know it.

A row that cannot be read, or a listener that fails, costs itself: it is counted and logged without its content, the
next one is handled, and `lost` says that the account is to be read by REST.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from gateway.adapters.venue_bybit.messages import (
    BadRowError,
    Row,
    parse_execution,
    parse_order,
    parse_position,
    parse_symbol,
    parse_wallet,
)
from gateway.core.model import Symbol
from gateway.core.venue import Execution, VenueOrder, VenuePosition, Wallet
from gateway.ports import Clock

ROWS_MAX = 1_000
"""Rows of one frame."""

log = structlog.get_logger()


class OrderNews(Protocol):
    """Who wants to know of orders. An execution may come twice, before its order, and after a later one."""

    def took_order(self, order: VenueOrder) -> None:
        """An order is or ended so."""
        ...

    def took_execution(self, execution: Execution) -> None:
        """An execution; `exec_id` tells whether it was told before."""
        ...


OnPosition = Callable[[Symbol, VenuePosition | None], None]
"""Told of a symbol's position, None when it is flat."""
OnWallet = Callable[[Wallet], None]


class Dispatch:
    """Reads the frames of the private topics, one at a time."""

    def __init__(self, *, events: OrderNews, on_position: OnPosition, on_wallet: OnWallet, clock: Clock) -> None:
        self._events = events
        self._on_position = on_position
        self._on_wallet = on_wallet
        self._clock = clock
        self._takers: Mapping[str, Callable[[Row], None]] = {
            "order": self._take_order,
            "execution": self._take_execution,
            "position": self._take_position,
            "wallet": self._take_wallet,
        }
        self.callback_faults = 0
        """How often a listener failed."""
        self.unreadable = 0
        """How many frames or rows could not be read."""
        self.lost = False
        """Something was said that nobody could use; whoever reads the account by REST then clears it."""

    def take(self, message: Mapping[str, object]) -> None:
        """Handle one frame of a topic. Never raises."""
        topic, rows = message.get("topic"), message.get("data")
        taker = self._takers.get(topic) if isinstance(topic, str) else None
        if taker is None:
            return
        if not isinstance(rows, list) or len(rows) > ROWS_MAX:
            self.note_unreadable(f"{topic} has no list of rows, or too long a one")
            return
        for row in rows:
            self._take_row(str(topic), taker, row)

    def call(self, name: str, listener: Callable[[], None]) -> None:
        """Call a listener; its failure is counted and told, and goes no further."""
        try:
            listener()
        except Exception as fault:  # noqa: BLE001 - whatever a listener does, the stream goes on
            self.callback_faults += 1
            self.lost = True
            log.error("private_stream_callback_failed", callback=name, fault=type(fault).__name__)  # noqa: TRY400 - a traceback could quote the account

    def note_unreadable(self, detail: str) -> None:
        """Count what could not be read."""
        self.unreadable += 1
        self.lost = True
        log.warning("private_stream_unreadable", detail=detail)

    def _take_row(self, topic: str, taker: Callable[[Row], None], row: object) -> None:
        if not isinstance(row, dict):
            self.note_unreadable(f"{topic} holds what is no row")
            return
        try:
            taker(row)
        except BadRowError as fault:
            self.note_unreadable(f"{topic}: {fault}")

    def _take_order(self, row: Row) -> None:
        if _is_linear(row):
            order = parse_order(row)
            self.call("took_order", lambda: self._events.took_order(order))

    def _take_execution(self, row: Row) -> None:
        if _is_linear(row):
            execution = parse_execution(row)
            self.call("took_execution", lambda: self._events.took_execution(execution))

    def _take_position(self, row: Row) -> None:
        if _is_linear(row):
            symbol, position = parse_symbol(row), parse_position(row)
            self.call("on_position", lambda: self._on_position(symbol, position))

    def _take_wallet(self, row: Row) -> None:
        if row.get("accountType") == "UNIFIED":
            wallet = parse_wallet(row, self._clock.now_ms())
            self.call("on_wallet", lambda: self._on_wallet(wallet))


def _is_linear(row: Row) -> bool:
    """Whether it is of linear perpetuals, the only products that are traded here. Raises BadRowError."""
    category = row.get("category")
    if not isinstance(category, str) or not category:
        raise BadRowError("category is missing")
    return category == "linear"
