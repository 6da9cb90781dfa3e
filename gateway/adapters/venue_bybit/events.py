"""What the private stream says of orders, kept by their ids until somebody asks.

The stream may speak before the answer to the order itself, twice, or out of turn: all of that ends in the same trail.
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.adapters.venue_bybit.trail import Trail
from gateway.core.model import Evidence, OrderLinkId
from gateway.core.venue import Execution, VenueOrder

TRAILS_MAX = 10_000
"""Orders that are remembered: hours of trading, while reconciliation asks within seconds."""
_LOOKED_AT = 64
"""So many of the oldest are looked through for one that has ended, before the oldest of all is forgotten."""

Unfollowed = Callable[[VenueOrder | Execution], None]


class OrderEvents:
    """The newest word on every order; for one event loop."""

    def __init__(self, *, unfollowed: Unfollowed | None = None, trails_max: int = TRAILS_MAX) -> None:
        self._unfollowed = unfollowed
        self._trails_max = trails_max
        self._trails: OrderedDict[OrderLinkId, Trail] = OrderedDict()
        self._followed: dict[OrderLinkId, asyncio.Event] = {}
        self._ours: OrderedDict[OrderLinkId, None] = OrderedDict()

    def took_order(self, order: VenueOrder) -> None:
        """The stream told of an order."""
        if order.order_link_id:
            self._trail(order.order_link_id).saw_order(order, Evidence.STREAM)
        self._tell(order)

    def took_execution(self, execution: Execution) -> None:
        """The stream told of an execution."""
        if execution.order_link_id:
            self._trail(execution.order_link_id).saw_execution(execution)
        self._tell(execution)

    def known(self, order_link_id: OrderLinkId) -> Trail | None:
        """What is known of an order; None when nothing is."""
        return self._trails.get(order_link_id)

    @contextmanager
    def follow(self, order_link_id: OrderLinkId) -> Iterator[Trail]:
        """Keep all that is told of an order from now on; to be entered before the order is sent."""
        trail = self._trail(order_link_id)
        self._followed[order_link_id] = asyncio.Event()
        self._ours[order_link_id] = None
        while len(self._ours) > self._trails_max:
            self._ours.popitem(last=False)
        try:
            yield trail
        finally:
            del self._followed[order_link_id]

    async def wait(self, order_link_id: OrderLinkId, seconds: float) -> bool:
        """Wait until a followed order is complete, so long at most. Whether it is."""
        trail, news = self._trails[order_link_id], self._followed[order_link_id]
        deadline = asyncio.get_running_loop().time() + seconds
        while not trail.complete:
            news.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError:
                break
        return trail.complete

    def _trail(self, order_link_id: OrderLinkId) -> Trail:
        if order_link_id not in self._trails:
            self._make_room()
            self._trails[order_link_id] = Trail()
        self._trails.move_to_end(order_link_id)
        return self._trails[order_link_id]

    def _make_room(self) -> None:
        """Keep within the bound: the oldest that has ended goes first, and none that is followed."""
        while len(self._trails) >= self._trails_max:
            oldest = list(itertools.islice((each for each in self._trails if each not in self._followed), _LOOKED_AT))
            if not oldest:
                return
            del self._trails[next((each for each in oldest if self._trails[each].ended), oldest[0])]

    def _tell(self, what: VenueOrder | Execution) -> None:
        news = self._followed.get(what.order_link_id)
        if news is not None:
            news.set()
        elif self._unfollowed is not None and what.order_link_id not in self._ours:
            self._unfollowed(what)
