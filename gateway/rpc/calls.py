"""Who calls, and by which name the call is known in logs and answers."""

import functools
import ipaddress
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from gateway.core.model import Failure
from gateway.core.reasons import Reason

REQUEST_ID_LENGTH_MAX = 100
"""A longer x-request-id is cut: it goes into every log line."""

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


@dataclass(slots=True, kw_only=True)
class Call:
    """One call under way."""

    request_id: str
    client: str
    """The client's address, for the rate limit and the audit."""
    metadata: dict[str, str]
    http_status: int = 200
    """What the JSON edge answers on success."""
    log_fields: dict[str, str] = field(default_factory=dict)


class Callers:
    """Tells clients apart; behind a trusted proxy by the last address that it forwarded for."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(entry, strict=False) for entry in trusted_proxies)
        self._is_trusted = functools.lru_cache(maxsize=1024)(self._in_networks)

    def call(self, context: Context) -> Call:
        """The call that `context` stands for."""
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        request_id = _printable(metadata.get("x-request-id", ""))[:REQUEST_ID_LENGTH_MAX] or uuid.uuid4().hex
        return Call(request_id=request_id, client=self._client(context.peer(), metadata), metadata=metadata)

    def _client(self, peer: str, metadata: dict[str, str]) -> str:
        """`peer` looks like ipv4:127.0.0.1:4711, ipv6:[::1]:4711 or unix:/path."""
        address = peer.partition(":")[2].rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "")
        forwarded = metadata.get("x-forwarded-for", "")
        if forwarded and self._is_trusted(address):
            return _printable(forwarded.rpartition(",")[2].strip())[:REQUEST_ID_LENGTH_MAX]
        return address or peer

    def _in_networks(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One client's use of the rate limit."""

    used: int
    max: int
    reset_seconds: int


class RateLimit:
    """So many calls a minute for each client. The storage of `limits.aio` starts no threads; its blocking twin does."""

    def __init__(self, calls_per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(calls_per_minute)
        self._max = calls_per_minute
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def take(self, client: str) -> Failure | None:
        """Count one call; a Failure when there is no room for it."""
        if await self._limiter.hit(self._item, client):
            return None
        usage = await self.usage(client)
        return Failure(
            reason=Reason.RATE_LIMITED,
            message="Nothing was done: too many calls in a minute. Wait, then retry with the same key.",
            metadata={"max_per_minute": str(self._max), "used": str(usage.used)},
            retry_after_seconds=max(1, usage.reset_seconds),
        )

    async def usage(self, client: str) -> Usage:
        """How much of the limit a client has used."""
        stats = await self._limiter.get_window_stats(self._item, client)
        used = self._max - stats.remaining
        return Usage(used=used, max=self._max, reset_seconds=_seconds_until(stats.reset_time) if used else 0)


def _seconds_until(moment: float) -> int:
    return max(0, round(moment - time.time() + 0.5))


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() and character.isascii())
