"""Gathers the facts of one moment from the account, the venue, the market, the guard, the calibration and journal."""

from gateway.account import Account
from gateway.core.facts import OrderFacts
from gateway.core.model import Order, Side
from gateway.guard import RiskGuard
from gateway.ports import CalibrationGuard, Clock, Journal, MarketData, Venue


class LocalFacts:
    """Facts that this process holds: all of them are read within one turn of the event loop, so they agree."""

    def __init__(
        self,
        *,
        account: Account,
        guard: RiskGuard,
        venue: Venue,
        market: MarketData,
        calibration: CalibrationGuard,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._account = account
        self._guard = guard
        self._venue = venue
        self._market = market
        self._calibration = calibration
        self._journal = journal
        self._clock = clock

    async def gather(self, order: Order) -> OrderFacts:
        """All facts of one moment. Raises JournalUnavailableError when a decision cannot be read."""
        standing = self._guard.standing()
        symbol, now_ms = order.symbol, self._clock.now_ms()
        return OrderFacts(
            at_ms=now_ms,
            risk_state=self._guard.state_for(order),
            drawdown=standing.drawdown,
            book=self._market.book(symbol),
            instrument=self._market.instrument(symbol),
            position_qty=self._account.ledger.position_qty(symbol),
            pending_buy_usd=self._account.pending_usd(symbol, Side.BUY),
            pending_sell_usd=self._account.pending_usd(symbol, Side.SELL),
            calibration=self._calibration.standing(),
            decision=self._journal.find_decision(order.decision_id) if order.decision_id else None,
            venue_block=self._venue.block(reduce_only=order.reduce_only),
            reconciled=self._account.reconciled(now_ms),
            unknown_orders=self._account.has_unknown(symbol),
        )
