"""One symbol's mark price as the ticker's snapshots and deltas tell it."""

from collections.abc import Mapping
from decimal import Decimal

from gateway.adapters.market_bybit.messages import BadMessageError, parse_ticker
from gateway.core.model import Symbol


class MarkPrice:
    """The price that the venue values positions at; no clock, no I/O."""

    def __init__(self, symbol: Symbol) -> None:
        self._symbol = symbol
        self._price: Decimal | None = None
        self._told = False
        self._exchange_ms: int | None = None
        self._received_ms = 0

    def price(self, now_ms: int, age_ms_max: int) -> Decimal | None:
        """The price, or None when none came, or none for so long."""
        return self._price if now_ms - self._received_ms <= age_ms_max else None

    def await_price(self) -> None:
        """Take no message without a price until one with a price came; what is shown stays, and grows old."""
        self._told = False

    def apply(self, message: Mapping[str, object], now_ms: int) -> None:
        """Take one tickers message. Raises BadMessageError: the price may be wrong now, and grows old."""
        try:
            update = parse_ticker(self._symbol, message)
        except BadMessageError:
            self._told = False
            raise
        if update.mark_price is not None:
            self._price, self._told = update.mark_price, True
        if self._told and update.exchange_ms != self._exchange_ms:
            # What a delta does not name has not changed, so that every message confirms the price.
            self._exchange_ms, self._received_ms = update.exchange_ms, now_ms
