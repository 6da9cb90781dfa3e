"""RiskService: convert, call the guard, convert."""

from decimal import Decimal
from typing import Protocol

from trading.v1 import risk_pb2 as pb
from trading.v1 import risk_pb2_grpc as pb_grpc

from gateway.account import Account
from gateway.core.model import Failure, Side, Symbol
from gateway.core.reasons import Reason
from gateway.guard import RiskGuard
from gateway.ports import Journal, JournalUnavailableError, MarketData
from gateway.rpc.calls import Call, Context
from gateway.rpc.convert import risk_changes, risk_summary
from gateway.rpc.errors import Boundary

CHANGES_SHOWN = 20


class _Audited(Protocol):
    """A request that says who asks, and why."""

    actor: str
    reason: str


class RiskServicer(pb_grpc.RiskServiceServicer):
    """Reads the risk state and moves it."""

    def __init__(
        self,
        *,
        boundary: Boundary,
        guard: RiskGuard,
        journal: Journal,
        account: Account,
        market: MarketData,
        symbols: tuple[Symbol, ...],
        symbol_cap_usd: Decimal,
        drawdown_max: Decimal,
    ) -> None:
        self._boundary = boundary
        self._guard = guard
        self._journal = journal
        self._account = account
        self._market = market
        self._symbols = symbols
        self._symbol_cap_usd = symbol_cap_usd
        self._drawdown_max = drawdown_max

    async def GetRisk(self, request: pb.GetRiskRequest, context: Context) -> pb.GetRiskResponse:
        """The risk state, the limits and their use."""
        return await self._boundary.unary(request, context, self.get)

    async def Reset(self, request: pb.ResetRequest, context: Context) -> pb.ResetResponse:
        """Lift the drawdown lock."""
        return await self._boundary.unary(request, context, self.reset)

    async def Halt(self, request: pb.HaltRequest, context: Context) -> pb.HaltResponse:
        """Refuse every order from now on."""
        return await self._boundary.unary(request, context, self.halt)

    async def Resume(self, request: pb.ResumeRequest, context: Context) -> pb.ResumeResponse:
        """Lift a halt, and the reducing."""
        return await self._boundary.unary(request, context, self.resume)

    def summary(self) -> pb.RiskSummary:
        """The risk state in short."""
        return risk_summary(self._guard.standing(), self._drawdown_max)

    async def get(self, request: pb.GetRiskRequest, call: Call) -> pb.GetRiskResponse | Failure:
        """The risk state, the limits and their use."""
        try:
            changes = self._journal.risk_changes(CHANGES_SHOWN)
        except JournalUnavailableError:
            return _unrecorded("Nothing was read")
        exposures = [
            pb.SymbolExposure(
                symbol=symbol, exposure_usd=float(self._exposure_usd(symbol)), cap_usd=float(self._symbol_cap_usd)
            )
            for symbol in self._symbols
        ]
        return pb.GetRiskResponse(risk=self.summary(), exposures=exposures, changes=risk_changes(changes))

    async def reset(self, request: pb.ResetRequest, call: Call) -> pb.ResetResponse | Failure:
        """Lift the drawdown lock."""
        try:
            await self._guard.reset(*_audit(request, call))
        except JournalUnavailableError:
            return _unrecorded("The risk state was not reset")
        message = "The drawdown is measured from today's equity; a halt, if one stands, stands on."
        return pb.ResetResponse(ok=True, risk=self.summary(), message=message)

    async def halt(self, request: pb.HaltRequest, call: Call) -> pb.HaltResponse | Failure:
        """Refuse every order from now on."""
        try:
            await self._guard.halt(*_audit(request, call))
        except JournalUnavailableError:
            return _unrecorded("Trading is halted, but the halt is not recorded yet")
        return pb.HaltResponse(ok=True, risk=self.summary(), message="Trading is halted until it is resumed.")

    async def resume(self, request: pb.ResumeRequest, call: Call) -> pb.ResumeResponse | Failure:
        """Lift a halt, and the reducing."""
        what = "halt and the reducing are" if self._guard.is_reducing else "halt is"
        try:
            await self._guard.resume(*_audit(request, call))
        except JournalUnavailableError:
            return _unrecorded("Trading was not resumed")
        return pb.ResumeResponse(ok=True, risk=self.summary(), message=f"The {what} lifted.")

    def _exposure_usd(self, symbol: Symbol) -> Decimal:
        """The worse of the two sides, orders under way counted; a symbol without a price is valued at its entry."""
        held = self._account.ledger.positions.get(symbol)
        book = self._market.book(symbol)
        position = held.qty * (book.mid if book else held.entry_price) if held else Decimal(0)
        long_side = position + self._account.pending_usd(symbol, Side.BUY)
        short_side = self._account.pending_usd(symbol, Side.SELL) - position
        return max(long_side, short_side)


def _audit(request: _Audited, call: Call) -> tuple[str, str]:
    return request.actor or call.client, request.reason or "unstated"


def _unrecorded(what: str) -> Failure:
    return Failure(
        reason=Reason.JOURNAL_UNAVAILABLE, message=f"{what}: the journal does not answer. Retry in a second."
    )
