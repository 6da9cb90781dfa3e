"""Asks Bybit what became of an order, rung by rung: order/realtime, order/history, execution/list, by its own id.

A rung that is empty proves nothing by itself: realtime forgets when Bybit restarts, and history lags. What each says
goes onto the order's trail. The climb ends as soon as the trail is complete.
"""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.adapters.venue_bybit.faults import NoAnswerError
from gateway.adapters.venue_bybit.messages import BadRowError, parse_execution, parse_order
from gateway.adapters.venue_bybit.session import BybitSession
from gateway.adapters.venue_bybit.trail import Trail
from gateway.core.model import Evidence, OrderLinkId

CATEGORY = "linear"
PAGE_ROWS = 100
PAGES_MAX = 50
"""Of executions of one order."""


class Ladder:
    """The three lists, asked by one session."""

    def __init__(self, reads: BybitSession) -> None:
        self._reads = reads

    async def climb(self, order_link_id: OrderLinkId, trail: Trail, *, within_seconds: float) -> None:
        """Ask until the trail is complete or every list has spoken. Raises VenueFault when one could not be asked."""
        deadline = asyncio.get_running_loop().time() + within_seconds
        await self._orders("get_open_orders", order_link_id, trail, Evidence.REALTIME, deadline)
        if not trail.ended:
            await self._orders("get_order_history", order_link_id, trail, Evidence.HISTORY, deadline)
        if not trail.complete:
            await self._executions(order_link_id, trail, deadline)

    async def _orders(
        self, method: str, order_link_id: OrderLinkId, trail: Trail, evidence: Evidence, deadline: float
    ) -> None:
        answer = await self._ask(method, deadline, orderLinkId=order_link_id)
        for row in _rows(answer, order_link_id):
            try:
                trail.saw_order(parse_order(row), evidence)
            except BadRowError as fault:
                raise NoAnswerError(f"{method} has a row that cannot be used: {fault}") from None

    async def _executions(self, order_link_id: OrderLinkId, trail: Trail, deadline: float) -> None:
        cursor: dict[str, object] = {}
        for _ in range(PAGES_MAX):
            answer = await self._ask("get_executions", deadline, orderLinkId=order_link_id, limit=PAGE_ROWS, **cursor)
            for row in _rows(answer, order_link_id):
                try:
                    trail.saw_execution(parse_execution(row))
                except BadRowError as fault:
                    raise NoAnswerError(f"get_executions has a row that cannot be used: {fault}") from None
            following = answer.get("nextPageCursor")
            if not isinstance(following, str) or not following or trail.complete:
                return
            cursor = {"cursor": following}
        raise NoAnswerError("get_executions has too many pages")

    async def _ask(self, method: str, deadline: float, **query: object) -> Mapping[str, object]:
        within_ms = int((deadline - asyncio.get_running_loop().time()) * 1000)
        if within_ms <= 0:
            raise NoAnswerError("there was no time left to ask")
        return (await self._reads.call(method, within_ms=within_ms, category=CATEGORY, **query)).result


def _rows(answer: Mapping[str, object], order_link_id: OrderLinkId) -> Sequence[Mapping[str, object]]:
    """The rows of a list, every one of them about that order. Raises NoAnswerError."""
    rows = answer.get("list")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise NoAnswerError("the answer has no list of rows")
    if any(row.get("orderLinkId") != order_link_id for row in rows):
        raise NoAnswerError("the answer is about another order")
    return rows
