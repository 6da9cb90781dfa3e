"""The orders of the last minute: how many were sent for a client and symbol, and which a new one looks like.

Kept in memory alone: after a restart the minute begins anew.
"""

from collections import Counter, deque
from dataclasses import dataclass

from gateway.core.model import Order, OrderKey, Side, Symbol

MINUTE_MS = 60_000

_Likeness = tuple[Symbol, Side, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    at_ms: int
    client: str
    order: Order


class RecentOrders:
    """Orders that were let out within the last minute; each costs the same, however many there are."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._counts: Counter[tuple[str, Symbol]] = Counter()
        self._newest: dict[_Likeness, tuple[OrderKey, int]] = {}

    def note(self, order: Order, client: str, at_ms: int) -> None:
        """Count an order that is let out at this moment."""
        self._forget(at_ms)
        self._sent.append(_Sent(at_ms=at_ms, client=client, order=order))
        self._counts[client, order.symbol] += 1
        self._newest[_likeness(order)] = (order.key, at_ms)

    def count(self, client: str, symbol: Symbol, now_ms: int) -> int:
        """How many were let out for a client and symbol in the minute up to now."""
        self._forget(now_ms)
        return self._counts[client, symbol]

    def like_age_ms(self, order: Order, now_ms: int) -> int | None:
        """How long ago the newest order of the same symbol, side and size was let out; None: not within a minute."""
        self._forget(now_ms)
        newest = self._newest.get(_likeness(order))
        return None if newest is None or newest[0] == order.key else max(0, now_ms - newest[1])

    def _forget(self, now_ms: int) -> None:
        while self._sent and now_ms - self._sent[0].at_ms >= MINUTE_MS:
            old = self._sent.popleft()
            pair, likeness = (old.client, old.order.symbol), _likeness(old.order)
            self._counts[pair] -= 1
            if not self._counts[pair]:
                del self._counts[pair]
            if self._newest.get(likeness, ("", -1))[1] == old.at_ms:
                del self._newest[likeness]


def _likeness(order: Order) -> _Likeness:
    return (order.symbol, order.side, format(order.requested_usd.normalize(), "f"))
