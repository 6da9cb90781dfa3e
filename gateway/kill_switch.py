"""The kill switch: stops trading, cancels what is open at the venue, and on demand closes what is held.

1. The halt holds before anything is asked of anybody, so it needs neither model, market, venue nor journal.
2. What is open at the venue is cancelled after it, and asked for again until the venue tells of none.
3. A flatten closes every position by reduce-only orders on the one order path. They alone pass the halt, each under
   its own key. It goes on until ledger, open orders and venue say that the account is flat, or its tries are over.

A flatten is not taken up again by a restart: the halt stands, and an operator asks again.
"""

import asyncio
import uuid
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from math import ceil
from typing import Final

import structlog

from gateway.account import Account
from gateway.core.model import Failure, Order, OrderKey, Side, Symbol
from gateway.core.venue import AccountSnapshot
from gateway.guard import ACTOR, RiskGuard
from gateway.order_path import OrderPath
from gateway.ports import Clock, MarketData, Venue, VenueAccount, VenueUnavailableError

TRIES_MAX: Final = 20
"""Rounds of closing orders: a thin book takes a large position in several."""

FLATTEN_SECONDS_MAX: Final = 15.0
"""No round begins after so long: the caller's connection lasts for 30 seconds, and a round may take some of them."""

CANCEL_TRIES_MAX: Final = 120
"""So often is a venue that does not answer asked to cancel, for a minute at the least; then a person must look."""

PAUSE_SECONDS: Final = 0.5
"""Between two rounds: as long as a book takes to fill up again, and a venue to tell what became of an order."""

_ROOM = 2
"""A closing order asks for so many times what is held; risk clips it to what stands open."""

_CENT = Decimal("0.01")
_MARGIN = Decimal("0.99")
"""Of the largest order that the venue takes: the price may move before the order is judged."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What a flatten did to one position; quantities are signed, in units of the base asset."""

    symbol: Symbol
    before: Decimal
    left: Decimal
    why: str
    """Why something is left; empty when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flattened:
    """What a flatten came to."""

    flat: bool
    """Nothing is held and nothing is open, by the ledger and, in live trading, by the venue's own word."""
    positions: tuple[Closed, ...]
    open_orders: int
    """Orders whose end is not known, or which the venue still has open."""
    detail: str
    """What else keeps the account from being known as flat; empty when nothing does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """The account at one moment of a flatten."""

    held: dict[Symbol, Decimal]
    open_orders: int
    detail: str

    @property
    def flat(self) -> bool:
        return not self.held and not self.open_orders and not self.detail


class KillSwitch:
    """Stops trading for an operator."""

    def __init__(
        self,
        *,
        account: Account,
        path: OrderPath,
        guard: RiskGuard,
        venue: Venue,
        market: MarketData,
        clock: Clock,
        venue_account: VenueAccount | None,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """`venue_account`: who tells what the venue holds; None where the ledger is all there is."""
        self._account = account
        self._path = path
        self._guard = guard
        self._venue = venue
        self._market = market
        self._clock = clock
        self._venue_account = venue_account
        self._pause_seconds = pause_seconds
        self._flattening: asyncio.Task[Flattened] | None = None
        self._cancelling: asyncio.Task[None] | None = None

    async def halt(self, actor: str, reason: str, *, flatten: bool = False) -> None:
        """Refuse every order from now on; cancelling, and closing where it is asked for, go on behind it.

        Raises JournalUnavailableError: halted all the same, recorded later.
        """
        try:
            await self._guard.halt(actor, reason)
        finally:
            if flatten:
                self._begin_flatten(actor)
            elif self._cancelling is None or self._cancelling.done():
                self._cancelling = asyncio.create_task(self._cancel_and_tell())

    async def flatten(self, actor: str, reason: str) -> Flattened:
        """Halt and close everything; a second call joins the one that runs.

        Raises JournalUnavailableError: halted, but orders cannot be recorded, so none was sent.
        """
        await self._guard.halt(actor, reason)
        return await asyncio.shield(self._begin_flatten(actor))

    async def stop(self) -> None:
        """Begin nothing more; an order that is under way goes to its end on the order path."""
        tasks = [task for task in (self._flattening, self._cancelling) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin_flatten(self, actor: str) -> asyncio.Task[Flattened]:
        if self._flattening is None or self._flattening.done():
            self._flattening = asyncio.create_task(self._flatten(actor))
        return self._flattening

    async def _cancel_and_tell(self) -> None:
        """Cancel what is open at the venue, and journal what came of it; on paper nothing ever is."""
        if self._venue_account is None:
            return
        cancelled, trouble = 0, ""
        for _ in range(CANCEL_TRIES_MAX):
            try:
                cancelled += await self._venue.cancel_open()
                left = len((await self._asked(self._venue_account)).open_orders)
            except VenueUnavailableError as fault:
                trouble = str(fault)
            else:
                trouble = f"{left} are open still" if left else ""
                if not left:
                    break
            await asyncio.sleep(self._pause_seconds)
        told = f"NOT known whether an order is open at the venue: {trouble}" if trouble else "the venue has none open"
        write = log.error if trouble else log.warning
        write("halt_cancelled", cancelled=cancelled, trouble=trouble)
        await self._guard.report(ACTOR, f"after the halt: {cancelled} orders cancelled; {told}")

    async def _flatten(self, actor: str) -> Flattened:
        before = {symbol: held.qty for symbol, held in self._account.ledger.positions.items()}
        name, why = uuid.uuid4().hex[:12], dict.fromkeys(before, "")
        end = asyncio.get_running_loop().time() + FLATTEN_SECONDS_MAX
        for number in range(TRIES_MAX):
            sight = await self._looked()
            over = asyncio.get_running_loop().time() > end or not self._guard.is_halted
            if sight.flat or over:
                break
            before = sight.held | before
            why |= await self._round(name, number)
            await asyncio.sleep(self._pause_seconds)
        result = _result(before, await self._looked(), why)
        await self._guard.report(ACTOR, f"flatten {name} for {actor}: {_sentence(result)}")
        return result

    async def _round(self, name: str, number: int) -> dict[Symbol, str]:
        """One closing order for every position, at once; why each was not sent."""
        symbols = list(self._account.ledger.positions)
        orders = (self._close(OrderKey(f"flatten-{name}-{symbol}-{number}"), symbol) for symbol in symbols)
        return dict(zip(symbols, await asyncio.gather(*orders), strict=True))

    async def _close(self, key: OrderKey, symbol: Symbol) -> str:
        qty = self._account.ledger.position_qty(symbol)
        order = Order(
            key=key,
            symbol=symbol,
            side=Side.SELL if qty > 0 else Side.BUY,
            requested_usd=self._asked_usd(symbol, abs(qty)),
            confidence=None,
            decision_id=None,
            reduce_only=True,
        )
        with self._guard.closing(key):
            answer = await self._path.execute(order)
        return f"{answer.reason.value}: {answer.message}" if isinstance(answer, Failure) else answer.record.state.value

    def _asked_usd(self, symbol: Symbol, qty: Decimal) -> Decimal:
        """Enough for all that is held; where the venue takes less at once, an even part, so that no dust is left."""
        book, instrument = self._market.book(symbol), self._market.instrument(symbol)
        price = book.mid if book else self._account.ledger.positions[symbol].entry_price
        rounds = ceil(qty / (instrument.max_market_qty * _MARGIN)) if instrument else 1
        return (price * (qty * _ROOM if rounds == 1 else qty / rounds)).quantize(_CENT, rounding=ROUND_UP)

    async def _looked(self) -> _Sight:
        """The account as the ledger has it, and in live trading as the venue tells it, what is open there cancelled."""
        held = {symbol: position.qty for symbol, position in self._account.ledger.positions.items()}
        unsettled = len(self._account.open_orders())
        if self._venue_account is None:
            return _Sight(held=held, open_orders=unsettled, detail="")
        try:
            await self._venue.cancel_open()
            told = await self._asked(self._venue_account)
        except VenueUnavailableError as fault:
            return _Sight(held=held, open_orders=unsettled, detail=f"the venue could not be asked: {fault}")
        at_venue = {position.symbol: position.qty for position in told.positions}
        return _Sight(held=at_venue | held, open_orders=max(unsettled, len(told.open_orders)), detail="")

    async def _asked(self, venue_account: VenueAccount) -> AccountSnapshot:
        return await venue_account.snapshot(self._clock.now_ms())


def _result(before: dict[Symbol, Decimal], sight: _Sight, why: dict[Symbol, str]) -> Flattened:
    positions = tuple(
        Closed(
            symbol=symbol,
            before=qty,
            left=sight.held.get(symbol, Decimal(0)),
            why=why.get(symbol, "the ledger does not have it") if symbol in sight.held else "",
        )
        for symbol, qty in sorted((sight.held | before).items())
    )
    return Flattened(flat=sight.flat, positions=positions, open_orders=sight.open_orders, detail=sight.detail)


def _sentence(result: Flattened) -> str:
    left = "; ".join(f"{one.symbol} {one.left:f} left ({one.why})" for one in result.positions if one.left)
    parts = [
        f"{sum(not one.left for one in result.positions)} positions closed",
        left,
        f"{result.open_orders} orders not ended" if result.open_orders else "",
        result.detail,
        "the account is flat" if result.flat else "the account is NOT known to be flat",
    ]
    return "; ".join(part for part in parts if part)
