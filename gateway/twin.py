"""Gives each live order a paper twin: the same order, simulated in the market of the moment at which it was sent.

The order itself waits for nothing: at its sending the book and the filters are put aside, and the twin is made and
compared once the journal has the order's end. An order that outlives its process has no twin, nor has one that was
never filled.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.core.json_fields import RecordFormatError
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import Book, Instrument, OrderKey, OrderRecord, Outcome
from gateway.core.risk import Approved
from gateway.core.twin_records import Twin, twin_document, twin_of
from gateway.ports import Clock, Journal, JournalUnavailableError, MarketData

LOOK_SECONDS: Final = 1.0
"""How often the ends of live orders are looked for."""
WAITING_MAX: Final = 256
"""Orders that are remembered for their end; each holds a book of some kilobytes."""

log = structlog.get_logger()

FillOnPaper = Callable[[Approved, Book | None, Instrument | None], Outcome]
"""What paper trading makes of an order in a given market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """An order as it was sent, and the market at that moment."""

    approved: Approved
    book: Book | None
    instrument: Instrument | None


class Twins:
    """The live orders that wait for their end, to be compared with their twins."""

    def __init__(self, *, market: MarketData, fill: FillOnPaper, clock: Clock) -> None:
        self._market = market
        self._fill = fill
        self._clock = clock
        self._waiting: OrderedDict[OrderKey, _Moment] = OrderedDict()

    def sending(self, approved: Approved) -> None:
        """Put the market of this moment aside: two look-ups, nothing that can wait or fail."""
        symbol = approved.order.symbol
        self._waiting[approved.order.key] = _Moment(
            approved=approved, book=self._market.book(symbol), instrument=self._market.instrument(symbol)
        )
        while len(self._waiting) > WAITING_MAX:
            key, _ = self._waiting.popitem(last=False)
            log.warning("twin_given_up", key=key, why="too many orders wait for their end")

    async def watch(self, journal: Journal) -> None:
        """Compare for ever what has ended, and once more when the gateway stops."""
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await self.run(journal)
        except asyncio.CancelledError:
            await self.run(journal)
            raise

    async def run(self, journal: Journal) -> None:
        """Compare what has ended so far; while the journal cannot be used, everything waits."""
        for key, moment in list(self._waiting.items()):
            try:
                record = journal.find_order(key)
                if record is None or record.state in OPEN_STATES:
                    continue
                if record.fills:
                    await journal.append_document(twin_document(self._twin(record, moment)))
            except JournalUnavailableError as fault:
                log.warning("twin_waits", key=key, detail=str(fault))
                return
            except (ArithmeticError, RecordFormatError) as fault:  # numbers that nobody foresaw end no order
                log.error("twin_not_comparable", key=key, detail=str(fault))  # noqa: TRY400 - expected
            self._waiting.pop(key, None)

    def _twin(self, record: OrderRecord, moment: _Moment) -> Twin:
        outcome = self._fill(moment.approved, moment.book, moment.instrument)
        return twin_of(record, outcome, self._clock.now_ms())
