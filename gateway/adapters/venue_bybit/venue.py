"""The live venue: sends an order to Bybit once, and says what became of it only when that is proven.

1. Not sent at all (no filters, too small, no budget, shut out, no time left): said so, with evidence UNSENT.
2. A retCode that says "not done" is the end: REJECTED, unless the stream has told of the order already. Everything else
   that is not an answer to this very order, with its id, is ambiguous: the order may exist.
3. An answer only says that Bybit has taken the order. What became of it is told by the private stream, else by asking:
   the order has ended, and its executions add up to what it says was filled.
4. What is not proven when the time is over is UNKNOWN, and stays so until `find` proves an end, or that the order was
   never taken (absence.py). Until then this venue does not send it again.
5. An order under the id that is not the one that was sent is an alarm, and UNKNOWN: one with other content, and one
   that is older than the decision to send it, as after a journal was lost and its keys are used again.
6. Orders that reduce a position have a session of their own: none waits behind an opening whose answer does not come.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import structlog

from gateway.adapters.pause import Pause
from gateway.adapters.venue_bybit.absence import Absence
from gateway.adapters.venue_bybit.alarms import Alarm, AlarmKind
from gateway.adapters.venue_bybit.budget import CREATE
from gateway.adapters.venue_bybit.codes import NOT_DONE, STALE_FILTERS, CodeKind
from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.ladder import CATEGORY, Ladder
from gateway.adapters.venue_bybit.reads import SETTLE_COIN, asked, rows_of
from gateway.adapters.venue_bybit.session import BybitSession, NotSentError, Refusal, Reply, VenueFault
from gateway.adapters.venue_bybit.trail import Trail
from gateway.core.model import Evidence, Order, OrderLinkId, OrderRecord, OrderState, Outcome, Side, Symbol
from gateway.core.quantity import market_qty, refusal_of
from gateway.core.risk import Approved
from gateway.core.venue import VenueBlock
from gateway.ports import Clock, MarketData, StartError, VenueUnavailableError

TOLERANCE_PCT = (Decimal("0.01"), Decimal(10))
"""What Bybit takes as slippageTolerance in percent, with two decimal places."""
PAUSE_SECONDS = (0.25, 2.0)
"""The first and the longest wait for the stream between two climbs of the ladder; each doubles the one before."""
REPLY_SHARE = 0.6
"""Of the time for an order its own answer may take so much; the rest is for asking what became of it."""
FIND_SECONDS = 10.0
"""The longest that one `find` asks."""
SYMBOL_PAUSE_MS = 600_000
"""How long no position is opened in a symbol that Bybit does not let this account trade."""
OLDER_MS_MAX = 2000
"""Bybit takes no request that is stamped a second ahead of its clock: so an order is older there than its request is
here by a second at most. The other second is for clocks that are set."""
UNSIGNED_OLDER_MS_MAX = 600_000
"""The same for an order that this process did not sign: Bybit never held the clock of its record against its own, so
it may have been that far ahead. An order that an earlier journal sent under the same id is older than this."""
MISMATCHES_MAX = 1000
"""Orders whose alarm is remembered, so that it is raised once."""

_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)
_SIDES: Mapping[Side, str] = {Side.BUY: "Buy", Side.SELL: "Sell"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sendable:
    """An order as it is to be sent."""

    approved: Approved
    qty: Decimal

    @property
    def link(self) -> OrderLinkId:
        return self.approved.order_link_id

    @property
    def reduce_only(self) -> bool:
        return self.approved.order.reduce_only


class BybitVenue:
    """Bybit's linear perpetuals, one-way positions, market orders."""

    dry_run = False

    def __init__(
        self,
        *,
        openings: BybitSession,
        reductions: BybitSession,
        reads: BybitSession,
        events: OrderEvents,
        market: MarketData,
        clock: Clock,
        alarm: Callable[[Alarm], None],
        recv_window_ms: int,
        answer_ms: int,
        lag_ms_max: int,
        clock_skew_ms_max: int,
        slippage_tolerance_pct: Decimal,
        refresh_instruments: Callable[[], None] | None = None,
        sending: Callable[[Approved], None] | None = None,
    ) -> None:
        """`sending` is told of each order at the moment at which it is sent, and may neither wait nor fail."""
        least, most = TOLERANCE_PCT
        if not least <= slippage_tolerance_pct <= most or slippage_tolerance_pct % least:
            raise StartError(f"SLIPPAGE_TOLERANCE_PCT must lie between {least} and {most}, in steps of {least}.")
        self._openings = openings
        self._reductions = reductions
        self._ladder = Ladder(reads)
        self._events = events
        self._market = market
        self._clock = clock
        self._alarm = alarm
        self._answer_seconds = answer_ms / 1000
        self._tolerance_pct = slippage_tolerance_pct
        self._refresh_instruments = refresh_instruments
        self._sending = sending
        self._absence = Absence(
            clock=clock,
            signed_ms=self._signed_ms,
            margin_ms=recv_window_ms + clock_skew_ms_max + lag_ms_max,
        )
        self._symbols_shut: dict[Symbol, Pause] = {}
        self._mismatched: OrderedDict[OrderLinkId, None] = OrderedDict()

    def block(self, *, reduce_only: bool) -> VenueBlock | None:
        """Why no such order can be sent at this moment; None when it can."""
        return self._openings.budget.block(reduce_only=reduce_only)

    async def submit(self, approved: Approved) -> Outcome:
        """Send once, and say what is proven of it within the time for an answer; never raises for the venue."""
        if not self._absence.may_send(approved.order_link_id):
            return Outcome(state=OrderState.UNKNOWN)
        block = self.block(reduce_only=approved.order.reduce_only)
        if block:
            return _unsent(OrderState.EXPIRED, block.what)
        sendable = self._sized(approved)
        if isinstance(sendable, str):
            return _unsent(OrderState.REJECTED, sendable)
        if self._sending:
            self._sending(approved)
        deadline = asyncio.get_running_loop().time() + self._answer_seconds
        with self._events.follow(approved.order_link_id) as trail:
            outcome = await self._send(sendable, trail, deadline)
        if outcome.state is not OrderState.UNKNOWN:
            self._absence.settle(approved.order_link_id)
        return outcome

    async def find(self, record: OrderRecord) -> Outcome | None:
        """What became of an order; UNKNOWN while that cannot be told, None when it is proven never to have arrived.

        Raises VenueUnavailableError when Bybit could not be asked.
        """
        link = record.order_link_id
        provable = self._absence.can_be_proven(record)  # before the first question: every answer is younger
        trail = self._events.known(link) or Trail()
        if not trail.complete:
            try:
                await self._ladder.climb(link, trail, within_seconds=FIND_SECONDS)
            except VenueFault as fault:
                raise VenueUnavailableError(f"what became of the order could not be asked: {fault}") from None
        made_ms = self._made_ms(link, record.created_ms, record.updated_ms)
        if self._is_another(record.order, None, trail, link=link, made_ms=made_ms):
            return Outcome(state=OrderState.UNKNOWN)
        if not trail.exists and not record.venue_order_id and provable:
            self._absence.settle(link)
            return None
        outcome = trail.outcome()
        if outcome.state is not OrderState.UNKNOWN:
            self._absence.settle(link)
        return outcome

    async def cancel_open(self) -> int:
        """Cancel every open order of the account, whoever made it; how many. Raises VenueUnavailableError."""
        method = "cancel_all_orders"
        reply = await asked(self._reductions, method, category=CATEGORY, settleCoin=SETTLE_COIN)
        return len(rows_of(method, reply.result))

    def _sized(self, approved: Approved) -> _Sendable | str:
        """The order as the venue's filters allow it, or why they do not."""
        symbol, reduce_only = approved.order.symbol, approved.order.reduce_only
        book, instrument = self._market.book(symbol), self._market.instrument(symbol)
        if book is None or instrument is None:
            return f"{symbol} has no price or no trading rules at this moment"
        if not _LINK_ID.fullmatch(approved.order_link_id):
            return "the order id is none that Bybit takes"
        shut = self._symbols_shut.get(symbol)
        if shut and shut.left_ms(self._clock.now_ms()) and not reduce_only:
            return f"Bybit does not let this account trade {symbol} for now"
        qty = market_qty(approved, book, instrument, self._tolerance_pct / 100)
        # The lowest price in sight, so that Bybit's own check does not find the order smaller than this one did.
        price = approved.mid_price if reduce_only and approved.mid_price else book.bids[0].price
        return refusal_of(qty, instrument, price) or _Sendable(approved=approved, qty=qty)

    def _body(self, sendable: _Sendable) -> dict[str, object]:
        """The request: every field that matters is set, and every number is a plain text."""
        order = sendable.approved.order
        return {
            "category": CATEGORY,
            "symbol": order.symbol,
            "side": _SIDES[order.side],
            "orderType": "Market",
            "qty": format(sendable.qty, "f"),
            "timeInForce": "IOC",
            "positionIdx": 0,
            "reduceOnly": sendable.reduce_only,
            "orderLinkId": sendable.link,
            "slippageToleranceType": "Percent",
            "slippageTolerance": format(self._tolerance_pct.quantize(TOLERANCE_PCT[0]), "f"),
        }

    def _session(self, sendable: _Sendable) -> BybitSession:
        return self._reductions if sendable.reduce_only else self._openings

    def _signed_ms(self, order_link_id: OrderLinkId) -> int | None:
        told = (session.signed_ms(order_link_id) for session in (self._openings, self._reductions))
        return max((signed_ms for signed_ms in told if signed_ms is not None), default=None)

    async def _send(self, sendable: _Sendable, trail: Trail, deadline: float) -> Outcome:
        within_ms = int(self._answer_seconds * 1000 * REPLY_SHARE)
        try:
            with self._absence.sending(sendable.link):
                reply = await self._session(sendable).call(CREATE, within_ms=within_ms, **self._body(sendable))
        except NotSentError as fault:
            self._absence.settle(sendable.link)
            return _unsent(OrderState.EXPIRED, fault.text)
        except Refusal as refusal:
            # Something on the way may have sent the request twice: what the stream told of the order is stronger.
            if refusal.kind in NOT_DONE and not trail.exists:
                return self._rejected(sendable, refusal)
            log.warning("order_answer_ambiguous", link=sendable.link, detail=refusal.text)
        except VenueFault as fault:
            log.warning("order_answer_lost", link=sendable.link, detail=fault.text)
        else:
            self._take_ack(sendable, trail, reply)
        return await self._confirmed(sendable, trail, deadline)

    def _take_ack(self, sendable: _Sendable, trail: Trail, reply: Reply) -> None:
        """An answer counts only when it names this order; any other says nothing."""
        order_id = reply.result.get("orderId")
        if isinstance(order_id, str) and order_id and reply.result.get("orderLinkId") == sendable.link:
            trail.acked_id = order_id
        else:
            log.warning("order_answer_names_no_order", link=sendable.link)

    def _rejected(self, sendable: _Sendable, refusal: Refusal) -> Outcome:
        """Bybit has said that it did not take the order."""
        if refusal.code in STALE_FILTERS and self._refresh_instruments:
            self._refresh_instruments()
        if refusal.kind is CodeKind.HALT_SYMBOL:
            pause = self._symbols_shut.setdefault(sendable.approved.order.symbol, Pause())
            pause.begin(self._clock.now_ms(), SYMBOL_PAUSE_MS)
        return Outcome(state=OrderState.REJECTED, detail=refusal.text, evidence=Evidence.REPLY)

    async def _confirmed(self, sendable: _Sendable, trail: Trail, deadline: float) -> Outcome:
        """Wait for the stream and climb the ladder by turns, until the end is proven or the time is over."""
        pause, longest = PAUSE_SECONDS
        left = deadline - asyncio.get_running_loop().time()
        while not await self._events.wait(sendable.link, min(pause, left)):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                await self._ladder.climb(sendable.link, trail, within_seconds=left)
            except VenueFault as fault:
                log.info("order_not_confirmed_yet", link=sendable.link, detail=fault.text)
            left = deadline - asyncio.get_running_loop().time()
            pause = min(2 * pause, longest)
        made_ms = self._made_ms(sendable.link, sendable.approved.at_ms)
        if self._is_another(sendable.approved.order, sendable.qty, trail, link=sendable.link, made_ms=made_ms):
            return Outcome(state=OrderState.UNKNOWN)
        return trail.outcome()

    def _made_ms(self, link: OrderLinkId, *noted_ms: int) -> int:
        """Since when an order of ours can exist: the earliest that was noted, since a clock may have been ahead then.

        When this process signed it is the surest: Bybit has held that against its own clock.
        """
        signed_ms = self._signed_ms(link)
        if signed_ms is None:
            return min(*noted_ms, self._clock.now_ms()) - UNSIGNED_OLDER_MS_MAX
        return min(*noted_ms, signed_ms) - OLDER_MS_MAX

    def _is_another(self, order: Order, qty: Decimal | None, trail: Trail, *, link: OrderLinkId, made_ms: int) -> bool:
        """Whether what is known under the id is not the order that was sent; raises the alarm then."""
        told = trail.order
        same = told is None or (
            (told.symbol, told.side, told.reduce_only) == (order.symbol, order.side, order.reduce_only)
            and (qty is None or _may_be(told.qty, qty, reduce_only=order.reduce_only))
        )
        if same and not trail.contradicts_itself and not trail.is_older_than(made_ms):
            return False
        if link in self._mismatched:
            return True
        self._mismatched[link] = None
        while len(self._mismatched) > MISMATCHES_MAX:
            self._mismatched.popitem(last=False)
        text = f"Bybit has an order {link} that is not the one that was sent: {order.symbol} {order.side.value}"
        self._alarm(Alarm(kind=AlarmKind.MISMATCH, text=text))
        return True


def _may_be(told: Decimal, sent: Decimal, *, reduce_only: bool) -> bool:
    """Whether an order of one quantity is the one that was sent with another.

    A reduction is cut down to what is left of the position when it arrives.
    """
    return told == sent or (reduce_only and told < sent)


def _unsent(state: OrderState, why: str) -> Outcome:
    return Outcome(state=state, detail=why, evidence=Evidence.UNSENT)
