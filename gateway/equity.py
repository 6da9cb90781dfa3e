"""What the account is worth: on paper by the ledger's own cash, in live trading by the venue's."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from gateway.account import Account
from gateway.core.ledger import Position
from gateway.core.model import ZERO, Symbol
from gateway.ports import Clock, MarketData, VenueAccount


class Equity(Protocol):
    """What the account is worth at this moment."""

    def usd(self) -> Decimal | None:
        """US dollars; None when it cannot be told."""
        ...


class PaperEquity:
    """The ledger's start, what was earned and paid, and what is open at fresh mid prices."""

    def __init__(self, *, account: Account, market: MarketData, clock: Clock, price_age_ms_max: int) -> None:
        self._account = account
        self._market = market
        self._clock = clock
        self._price_age_ms_max = price_age_ms_max

    def usd(self) -> Decimal | None:
        """US dollars; None when a held symbol has no fresh price."""
        ledger = self._account.ledger
        mids: dict[Symbol, Decimal] = {}
        for symbol in ledger.positions:
            book = self._market.book(symbol)
            if book is None or self._clock.now_ms() - book.received_ms > self._price_age_ms_max:
                return None
            mids[symbol] = book.mid
        return ledger.equity_usd(mids)


class LiveEquity:
    """The wallet's balance at the venue, and what the ledger's positions have open at the venue's mark prices.

    Open is what the balance does not hold yet: so it is measured from the venue's entry prices. The ledger's may be
    others, when fills were booked in another order than they were made, and stand in until the venue has told its own.
    """

    def __init__(
        self, *, account: Account, venue: VenueAccount, market: MarketData, clock: Clock, wallet_age_ms_max: int
    ) -> None:
        self._account = account
        self._venue = venue
        self._market = market
        self._clock = clock
        self._wallet_age_ms_max = wallet_age_ms_max

    def usd(self) -> Decimal | None:
        """US dollars; None without a fresh wallet, or when a held symbol has no fresh mark price."""
        wallet = self._venue.wallet()
        if wallet is None or self._clock.now_ms() - wallet.at_ms > self._wallet_age_ms_max:
            return None
        positions = self._account.ledger.positions
        marks = self._marks(positions)
        if marks is None:
            return None
        opened = sum(
            (self._as_venue(symbol, held).unrealised_usd(marks[symbol]) for symbol, held in positions.items()), ZERO
        )
        return wallet.balance_usd + opened

    def _as_venue(self, symbol: Symbol, held: Position) -> Position:
        entry_price = self._venue.entry_price(symbol, held.qty)
        return held if entry_price is None else replace(held, entry_price=entry_price)

    def _marks(self, symbols: Mapping[Symbol, object]) -> Mapping[Symbol, Decimal] | None:
        marks: dict[Symbol, Decimal] = {}
        for symbol in symbols:
            mark = self._market.mark_price(symbol)
            if mark is None:
                return None
            marks[symbol] = mark
        return marks
