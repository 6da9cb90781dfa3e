"""What is known of the health of the parts, looked at on a timer so that asking costs nothing."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gateway.calibration import Calibration
from gateway.core.model import Symbol
from gateway.ports import Clock, Journal, JournalUnavailableError, MarketData, Model
from gateway.venue_health import VenueHealth

INTERVAL_SECONDS = 1.0
"""How often the model service is asked; a failure is seen within this."""

AGE_MS_MAX = 2**31 - 1
"""An older price is told as this old: the contract's int32 holds no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The health of each part."""

    model_version: str | None
    """None when the model service does not answer."""
    market_ok: bool
    market_age_ms: int
    """The age of the oldest allowed symbol's price; -1 when one has none."""
    journal_ok: bool
    journal_records: int
    venue: VenueHealth | None
    """None on paper."""

    @property
    def ok(self) -> bool:
        """All parts work."""
        venue_ok = self.venue is None or self.venue.ok
        return self.model_version is not None and self.market_ok and self.journal_ok and venue_ok


class Health:
    """Watches the parts."""

    def __init__(
        self,
        *,
        model: Model,
        calibration: Calibration,
        market: MarketData,
        journal: Journal,
        clock: Clock,
        symbols: Sequence[Symbol],
        price_age_ms_max: int,
        venue: Callable[[], VenueHealth] | None = None,
    ) -> None:
        """`venue` looks at the venue; None on paper."""
        self._model = model
        self._calibration = calibration
        self._market = market
        self._journal = journal
        self._clock = clock
        self._symbols = symbols
        self._price_age_ms_max = price_age_ms_max
        self._venue = venue
        self._model_version: str | None = None

    async def watch(self, changed: Callable[[bool], Awaitable[None]]) -> None:
        """Ask the model service for ever, telling `changed` whether it answers."""
        while True:
            await self.look()
            await changed(self._model_version is not None)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def look(self) -> None:
        """Ask the model service once; a version that is served from now on is the one whose calibration counts."""
        self._model_version = await self._model.ready()
        if self._model_version is not None:
            with contextlib.suppress(JournalUnavailableError):  # it is told as such, and the next look tries again
                self._calibration.load(self._model_version)

    @property
    def model_version(self) -> str | None:
        """The served version as of the newest look; None when the model service did not answer."""
        return self._model_version

    def parts(self) -> Parts:
        """What is known now."""
        ages = [self._age_ms(symbol) for symbol in self._symbols]
        age_ms = -1 if -1 in ages else max(ages, default=-1)
        journal_ok, records = self._journal.health()
        return Parts(
            model_version=self._model_version,
            market_ok=0 <= age_ms <= self._price_age_ms_max,
            market_age_ms=age_ms,
            journal_ok=journal_ok,
            journal_records=records,
            venue=self._venue() if self._venue else None,
        )

    def _age_ms(self, symbol: Symbol) -> int:
        book = self._market.book(symbol)
        return -1 if book is None else min(max(0, self._clock.now_ms() - book.received_ms), AGE_MS_MAX)
