"""What all parts of the engine share: time that never goes back, drawn lags, ids, prices."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from random import Random

from simulator.trading.contract import Lags, Listing, Markets, Push, Scheduler
from simulator.trading.instruments import LINEAR, QUOTE_COIN, SPOT

SPOT_ID_DIGITS = 19


class Core:
    """The engine's surroundings. Everything random comes from one generator: the same calls give the same run.

    The start time is part of the seed, so that an exchange that was started anew invents other ids than before.
    """

    def __init__(
        self, *, markets: Markets, scheduler: Scheduler, publish: Callable[[Push], None], seed: int, lags: Lags
    ) -> None:
        self.markets = markets
        self.scheduler = scheduler
        self.publish = publish
        self.lags = lags
        self._now_ms = scheduler.now_ms()
        self._random = Random(f"{seed}:trading:{self._now_ms}")
        self._spot_id = 10 ** (SPOT_ID_DIGITS - 1) + self._random.randrange(10 ** (SPOT_ID_DIGITS - 1))
        self._sequence = 0

    def now_ms(self) -> int:
        """The exchange's time; a clock that was put back stands still here until it has caught up."""
        self._now_ms = max(self._now_ms, self.scheduler.now_ms())
        return self._now_ms

    def drawn(self, span: tuple[int, int]) -> int:
        """A lag out of a span, ends included."""
        low, high = span
        return low if low == high else self._random.randint(low, high)

    def new_id(self, category: str) -> str:
        """An id for an order or an execution: 19 digits in spot, a UUID elsewhere."""
        if category == SPOT:
            self._spot_id += 2  # the odd one between two is for an orderLinkId that the exchange invents
            return str(self._spot_id)
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def next_sequence(self) -> int:
        """Rises with every execution of the exchange."""
        self._sequence += 1
        return self._sequence

    def mark(self, symbol: str) -> Decimal:
        """The mark price of a linear symbol now."""
        return self.markets.mark_price(symbol, self._now_ms)

    def coin_price(self, coin: str) -> Decimal:
        """What a coin is worth in USDT now; zero when nothing here trades it."""
        if coin == QUOTE_COIN:
            return Decimal(1)
        symbol = f"{coin}{QUOTE_COIN}"
        return self.mark(symbol) if self.markets.listing(LINEAR, symbol) else Decimal(0)

    def last(self, listing: Listing) -> Decimal:
        """The last price now."""
        return self.markets.last_price(listing.category, listing.symbol, self._now_ms)
