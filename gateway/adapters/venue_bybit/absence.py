"""When an order that left no trace is proven never to have arrived, and never to arrive.

Bybit takes a request until recv_window after its time stamp. What it has taken may stay hidden for a while. So an order
without a trace was never taken once this much has passed since the last moment at which it can have been signed:

    recv_window + the clocks' difference at most + the longest that Bybit hides an order

That moment is known for orders that this process signed. An earlier process can have signed one no later than this
process began, nor than its newest record. The time is taken from two clocks, and both must agree that it has passed:
the gateway's own, which may be set, and the event loop's, which only runs.

While it is not known what became of an order, it cannot be sent again.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.core.model import OrderLinkId, OrderRecord
from gateway.ports import Clock

OPEN_MAX = 10_000
"""Orders of unknown end that are kept; far more than risk lets stand open."""


class Absence:
    """Which orders are at large, and until when they may still arrive."""

    def __init__(self, *, clock: Clock, signed_ms: Callable[[OrderLinkId], int | None], margin_ms: int) -> None:
        self._clock = clock
        self._signed_ms = signed_ms
        self._margin_ms = margin_ms
        self._began_ms = clock.now_ms()
        self._began_seconds: float | None = None
        self._left_seconds: dict[OrderLinkId, float | None] = {}
        """When each order at large had left for certain, by the loop's clock; None while it is being sent."""

    def may_send(self, order_link_id: OrderLinkId) -> bool:
        """Whether no earlier order of that id can exist, as far as this process knows."""
        return order_link_id not in self._left_seconds and len(self._left_seconds) < OPEN_MAX

    @contextmanager
    def sending(self, order_link_id: OrderLinkId) -> Iterator[None]:
        """Send an order within: from now on it is at large."""
        self._left_seconds[order_link_id] = None
        try:
            yield
        finally:
            self._left_seconds[order_link_id] = asyncio.get_running_loop().time()

    def settle(self, order_link_id: OrderLinkId) -> None:
        """It is known what became of an order, or that it was never taken."""
        self._left_seconds.pop(order_link_id, None)

    def can_be_proven(self, record: OrderRecord) -> bool:
        """Whether an order that leaves no trace from now on was never taken, and never will be."""
        link = record.order_link_id
        now_seconds = asyncio.get_running_loop().time()
        if self._began_seconds is None:
            self._began_seconds = now_seconds
        left_seconds = self._left_seconds.get(link, self._began_seconds)
        if left_seconds is None:
            return False
        signed_ms = self._signed_ms(link)
        last_ms = signed_ms if signed_ms is not None else max(self._began_ms, record.updated_ms)
        run_ms = (now_seconds - left_seconds) * 1000
        return self._clock.now_ms() - last_ms > self._margin_ms and run_ms > self._margin_ms
