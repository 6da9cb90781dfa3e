"""Gathers the facts of one moment from the account, the venue, the market, the guard, the calibration and journal."""

from collections.abc import Callable
from decimal import Decimal

from gateway.account import Account
from gateway.core.bars import is_fresh
from gateway.core.exposure import depth_usd, held_usd, open_pnl_usd, other_exposure
from gateway.core.facts import OrderFacts, Permission, Policy, Quote, VolatilityFacts
from gateway.core.model import BarSeries, Book, Order, Side, Symbol
from gateway.core.volatility import covariance, volatility_facts
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
        policy: Policy,
        permission: Callable[[], Permission],
    ) -> None:
        self._account = account
        self._guard = guard
        self._venue = venue
        self._market = market
        self._calibration = calibration
        self._journal = journal
        self._clock = clock
        self._policy = policy
        self._permission = permission
        self._quotes = Quotes(market, policy.depth_within_bps)
        self._covariances = Covariances(market)

    async def gather(self, order: Order, client: str) -> OrderFacts:
        """All facts of one moment. Raises JournalUnavailableError when a decision cannot be read."""
        standing, account = self._guard.standing(), self._account
        symbol, now_ms = order.symbol, self._clock.now_ms()
        positions, pending = account.ledger.positions, account.pending()
        mids = self._mids(now_ms)
        open_pnl = open_pnl_usd(positions, mids)
        earned = account.results.earned_today_usd(account.ledger, now_ms)
        return OrderFacts(
            at_ms=now_ms,
            permission=self._permission(),
            risk_state=self._guard.state_for(order),
            drawdown=standing.drawdown,
            equity_usd=standing.equity_usd,
            day_pnl_usd=None if open_pnl is None else earned + open_pnl,
            losing_streak=account.results.losing_streak,
            last_loss_ms=account.results.last_loss_ms,
            quote=self._quotes.quote(symbol, order.side),
            reference_price=self._reference(symbol, now_ms),
            instrument=self._market.instrument(symbol),
            position_qty=account.ledger.position_qty(symbol),
            pending_buy_usd=account.pending_usd(symbol, Side.BUY),
            pending_sell_usd=account.pending_usd(symbol, Side.SELL),
            others=other_exposure(symbol, positions, pending, mids),
            volatility=self._volatility(symbol, mids, now_ms),
            open_orders=account.open_count(),
            orders_in_minute=account.recent.count(client, symbol, now_ms),
            like_order_age_ms=account.recent.like_age_ms(order, now_ms),
            calibration=self._calibration.standing(),
            decision=self._journal.find_decision(order.decision_id) if order.decision_id else None,
            venue_block=self._venue.block(reduce_only=order.reduce_only),
            reconciled=account.reconciled(now_ms),
            unknown_orders=account.has_unknown(symbol),
        )

    def _mids(self, now_ms: int) -> dict[Symbol, Decimal]:
        """The mid prices of all that is held; without those that are not fresh."""
        mids: dict[Symbol, Decimal] = {}
        for symbol in self._account.ledger.positions:
            book = self._market.book(symbol)
            if book is not None and 0 <= now_ms - book.received_ms <= self._policy.price_age_ms_max:
                mids[symbol] = book.mid
        return mids

    def _reference(self, symbol: Symbol, now_ms: int) -> Decimal | None:
        """The mark price; without one the close of the newest bar, while that is the newest that there can be."""
        mark = self._market.mark_price(symbol)
        if mark is not None:
            return mark
        series = self._market.bars(symbol)
        return Decimal(repr(series.bars[-1].close)) if series and is_fresh(series, now_ms) else None

    def _volatility(self, symbol: Symbol, mids: dict[Symbol, Decimal], now_ms: int) -> VolatilityFacts | None:
        if self._policy.target_ann_vol is None:
            return None
        held = held_usd(self._account.ledger.positions, self._account.pending(), mids)
        if held is None:
            return None
        known = self._covariances
        return volatility_facts(
            symbol,
            {name: float(usd) for name, usd in held.items()},
            lambda one, other: known.between(one, other, now_ms),
        )


class Quotes:
    """The newest quotes; what stands near the mid is added up once for each book, not for each order."""

    def __init__(self, market: MarketData, within_bps: Decimal) -> None:
        self._market = market
        self._within_bps = within_bps
        self._depths: dict[tuple[Symbol, Side], tuple[Book, Decimal]] = {}

    def quote(self, symbol: Symbol, side: Side) -> Quote | None:
        """The quote of a symbol for an order of that side; None when there is no book."""
        book = self._market.book(symbol)
        if book is None:
            return None
        return Quote(
            bid=book.bids[0].price,
            ask=book.asks[0].price,
            depth_usd=self._depth(symbol, side, book),
            received_ms=book.received_ms,
        )

    def _depth(self, symbol: Symbol, side: Side, book: Book) -> Decimal:
        known = self._depths.get((symbol, side))
        if known is None or known[0] is not book:
            known = self._depths[symbol, side] = (book, depth_usd(book, side, self._within_bps))
        return known[1]


class Covariances:
    """Annual covariances from the market's bars; each is reckoned once for each new bar."""

    def __init__(self, market: MarketData) -> None:
        self._market = market
        self._known: dict[tuple[Symbol, Symbol], tuple[BarSeries, BarSeries, float | None]] = {}

    def between(self, one: Symbol, other: Symbol, now_ms: int) -> float | None:
        """The covariance of two symbols' returns; None when it cannot be told from bars that are the newest."""
        left, right = self._market.bars(one), self._market.bars(other)
        if left is None or right is None or not (is_fresh(left, now_ms) and is_fresh(right, now_ms)):
            return None
        known = self._known.get((one, other))
        if known is None or known[0] is not left or known[1] is not right:
            known = self._known[one, other] = (left, right, covariance(left, right))
        return known[2]
