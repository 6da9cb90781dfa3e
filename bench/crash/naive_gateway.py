"""The control of the crash matrix: a gateway that sends as most examples of pybit do.

All but the sending is ours: the order path, the journal, the reconciliation. Orders bear no orderLinkId, pybit repeats
what it got no answer to, an answer that is missing after that counts for a failure, and an order that a crash left open
counts for one that was never sent. Fills are read as they should be, so that nothing but the sending is at fault.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

import uvloop
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP
from requests import RequestException

from gateway.account import Account
from gateway.adapters.ban import AddressBan
from gateway.adapters.market_bybit import BybitMarket
from gateway.adapters.venue_bybit.messages import parse_execution, parse_order
from gateway.adapters.venue_bybit.trail import Trail
from gateway.core.ledger import Ledger
from gateway.core.model import Evidence, OrderRecord, OrderState, Outcome
from gateway.core.quantity import market_qty
from gateway.core.risk import Approved
from gateway.core.venue import VenueBlock
from gateway.logs import configure
from gateway.ports import Clock, MarketData, StartError
from gateway.settings import LiveSettings, Settings, load
from gateway.wiring import PaperSide, serve

FILL_SECONDS_MAX = 10.0
POLL_SECONDS = 0.1
TIMEOUT_SECONDS = 1.0


class NaiveVenue:
    """Sends until there is an answer."""

    dry_run = False

    def __init__(self, live: LiveSettings, market: MarketData) -> None:
        self._market = market
        self._http = HTTP(
            api_key=live.credentials.key,
            api_secret=live.credentials.secret.reveal(),
            force_retry=True,
            timeout=TIMEOUT_SECONDS,
        )
        self._http.endpoint = live.rest_url

    def block(self, *, reduce_only: bool) -> VenueBlock | None:  # noqa: ARG002 - nothing is ever a reason
        return None

    async def submit(self, approved: Approved) -> Outcome:
        return await asyncio.to_thread(self._submit, approved)

    async def find(self, record: OrderRecord) -> Outcome | None:  # noqa: ARG002 - it asks nobody
        """Nothing is known of it, so it was never sent."""
        return None

    def _submit(self, approved: Approved) -> Outcome:
        symbol, side = approved.order.symbol, approved.order.side
        book, instrument = self._market.book(symbol), self._market.instrument(symbol)
        if book is None or instrument is None:
            return Outcome(state=OrderState.REJECTED, detail="no price", evidence=Evidence.REPLY)
        try:
            placed = self._http.place_order(
                category="linear",
                symbol=symbol,
                side=side.value.capitalize(),
                orderType="Market",
                qty=str(market_qty(approved, book, instrument, instrument.qty_step)),
            )
            order_id = placed["result"]["orderId"]
        except (FailedRequestError, InvalidRequestError, RequestException, LookupError, OSError) as fault:
            return Outcome(state=OrderState.REJECTED, detail=type(fault).__name__, evidence=Evidence.REPLY)
        return self._followed(order_id)

    def _followed(self, order_id: str) -> Outcome:
        """What was filled."""
        trail, end = Trail(acked_id=order_id), time.monotonic() + FILL_SECONDS_MAX
        while not trail.complete and time.monotonic() < end:
            for method in ("get_open_orders", "get_order_history"):
                for row in self._rows(method, order_id):
                    trail.saw_order(parse_order(row), Evidence.REALTIME)
            for row in self._rows("get_executions", order_id):
                trail.saw_execution(parse_execution(row))
            time.sleep(POLL_SECONDS)
        return trail.outcome()

    def _rows(self, method: str, order_id: str) -> Sequence[Mapping[str, object]]:
        rows: Sequence[Mapping[str, object]] = getattr(self._http, method)(category="linear", orderId=order_id)[
            "result"
        ]["list"]
        return rows


class NaiveSide(PaperSide):
    """Its journal is its only account of the account."""

    def __init__(self, settings: Settings, market: BybitMarket, clock: Clock, _ban: AddressBan) -> None:
        super().__init__(settings, market, clock)
        if settings.live is None:
            raise StartError("TRADING_MODE must be live.")
        self.account = Account("live-simulator", Ledger(start_usd=settings.paper_equity_usd))
        self.venue = NaiveVenue(settings.live, market)


if __name__ == "__main__":
    settings = load()
    configure(settings.log_level)
    uvloop.run(serve(settings, NaiveSide))
