"""How well the way to the venue is, and how far its account is known to be the journal's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.account import Account
from gateway.ports import Clock, Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueHealth:
    """The venue at this moment; ages are in milliseconds, None for never."""

    env: str
    stream_connected: bool
    stream_age_ms: int | None
    compared_age_ms: int | None
    """How long ago a comparison found no difference."""
    comparison_age_ms_max: int
    reconciled: bool
    unknown_orders: int
    oldest_unknown_age_ms: int
    unknown_age_ms_max: int
    blocked: str
    """Why no order that opens a position is taken; empty when it is."""

    @property
    def ok(self) -> bool:
        """The stream speaks, the account is the journal's, no order is unknown for too long, and orders are taken."""
        compared = self.compared_age_ms is not None and self.compared_age_ms <= self.comparison_age_ms_max
        settled = self.oldest_unknown_age_ms <= self.unknown_age_ms_max
        return self.stream_connected and self.reconciled and compared and settled and not self.blocked


class Stream(Protocol):
    """The private stream, as far as its health goes."""

    @property
    def connected(self) -> bool:
        """Whether it is signed in and subscribed."""
        ...

    @property
    def age_ms(self) -> int | None:
        """How long ago it was heard; None before the first."""
        ...


class VenueLook:
    """Looks at the parts of live trading."""

    def __init__(
        self,
        *,
        env: str,
        account: Account,
        venue: Venue,
        stream: Stream,
        clean_ms: Callable[[], int | None],
        clock: Clock,
        comparison_age_ms_max: int,
        unknown_age_ms_max: int,
    ) -> None:
        """`clean_ms`: when a comparison last found no difference; an unknown order may be `unknown_age_ms_max` old."""
        self._env = env
        self._account = account
        self._venue = venue
        self._stream = stream
        self._clean_ms = clean_ms
        self._clock = clock
        self._comparison_age_ms_max = comparison_age_ms_max
        self._unknown_age_ms_max = unknown_age_ms_max

    def health(self) -> VenueHealth:
        """The venue now."""
        now_ms = self._clock.now_ms()
        clean_ms, unknown = self._clean_ms(), self._account.unknown_orders()
        block = self._venue.block(reduce_only=False)
        return VenueHealth(
            env=self._env,
            stream_connected=self._stream.connected,
            stream_age_ms=self._stream.age_ms,
            compared_age_ms=None if clean_ms is None else max(0, now_ms - clean_ms),
            comparison_age_ms_max=self._comparison_age_ms_max,
            reconciled=self._account.reconciled(now_ms),
            unknown_orders=len(unknown),
            oldest_unknown_age_ms=max((now_ms - record.created_ms for record in unknown), default=0),
            unknown_age_ms_max=self._unknown_age_ms_max,
            blocked=block.what if block else "",
        )
