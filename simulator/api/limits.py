"""How often one may ask: per account and endpoint in a rolling second, and per address in five.

A refused request of an account does not count against it. Every request of an address counts, also while it is banned:
who goes on asking as often during a ban stays banned.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

SECOND_MS = 1_000
BUCKETS_MAX = 10_000
"""Accounts times endpoints, and addresses, that are remembered; beyond that the oldest is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitConfig:
    """Bybit's limits by default."""

    enabled: bool = True
    """False: nothing is limited; the headers say so of every endpoint's default."""
    per_second: Mapping[str, int] = field(default_factory=dict)
    """By path, instead of the route's own; for every category of it."""
    system_per_second: int | None = None
    """Requests of all accounts together; over it, 10006 without any limit header. None: no such limit."""
    address_requests: int = 600
    address_window_ms: int = 5_000
    ban_ms: int = 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one endpoint's limit says to one request."""

    limit: int
    left: int
    reset_ms: int
    """When there is room again; now, when there is."""
    allowed: bool

    def headers(self) -> dict[str, str]:
        """Bybit's three headers."""
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(self.left),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class RateLimits:
    """The rolling second of every account and endpoint."""

    def __init__(self) -> None:
        self._taken: dict[object, deque[int]] = {}

    def take(self, bucket: object, limit: int, weight: int, now_ms: int) -> Allowance:
        """Count a request of this weight, if there is room for it."""
        taken = _recent(self._taken, bucket, now_ms - SECOND_MS)
        allowed = len(taken) + weight <= limit
        if allowed:
            taken.extend([now_ms] * weight)
        excess = max(0, len(taken) + weight - limit - 1)
        reset_ms = now_ms if allowed or not taken else taken[min(excess, len(taken) - 1)] + SECOND_MS
        return Allowance(limit=limit, left=max(0, limit - len(taken)), reset_ms=reset_ms, allowed=allowed)


class AddressGuard:
    """The limit on addresses, which answers HTTP 403 for a while."""

    def __init__(self, config: LimitConfig) -> None:
        self.config = config
        self._asked: dict[object, deque[int]] = {}
        self._banned_until: dict[str, int] = {}

    def admits(self, remote: str, now_ms: int) -> bool:
        """Count a request of this address; False when it asks too often or is banned."""
        if not self.config.enabled:
            return True
        asked = _recent(self._asked, remote, now_ms - self.config.address_window_ms)
        asked.append(now_ms)
        if len(asked) > self.config.address_requests:
            # As many as the limit still count, so that a ban is renewed only by who goes on asking at that rate.
            asked.popleft()
            self._banned_until[remote] = now_ms + self.config.ban_ms
        return now_ms >= self._banned_until.get(remote, 0)

    def pardon(self) -> None:
        """Lift every ban and forget what was asked."""
        self._banned_until.clear()
        self._asked.clear()


def _recent(held: dict[object, deque[int]], bucket: object, after_ms: int) -> deque[int]:
    """The times of this bucket in the window that opens after `after_ms`."""
    times = held.get(bucket)
    if times is None:
        if len(held) >= BUCKETS_MAX:
            del held[next(iter(held))]
        times = held[bucket] = deque()
    while times and times[0] <= after_ms:
        times.popleft()
    return times
