"""RiskService: convert, call the guard, convert."""

from decimal import Decimal
from typing import Protocol

from trading.v1 import risk_pb2 as pb
from trading.v1 import risk_pb2_grpc as pb_grpc

from gateway.account import Account
from gateway.confirmations import Confirmations
from gateway.core.lifecycle import RiskEvent
from gateway.core.model import Failure, Side, Symbol
from gateway.core.reasons import Reason
from gateway.guard import OvertakenError, RiskGuard
from gateway.kill_switch import KillSwitch
from gateway.ports import Journal, JournalUnavailableError, MarketData
from gateway.rpc.calls import Call, Context
from gateway.rpc.convert import risk_changes, risk_summary
from gateway.rpc.errors import Boundary
from gateway.rpc.risk_messages import flatten_message, preview_message

CHANGES_SHOWN = 20

_LOOK = "Nothing was changed yet: look at the preview, and send its confirmToken within 60 seconds to do it."


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
        kill_switch: KillSwitch,
        confirmations: Confirmations,
        journal: Journal,
        account: Account,
        market: MarketData,
        symbols: tuple[Symbol, ...],
        symbol_cap_usd: Decimal,
        drawdown_max: Decimal,
    ) -> None:
        self._boundary = boundary
        self._guard = guard
        self._kill_switch = kill_switch
        self._confirmations = confirmations
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

    async def Flatten(self, request: pb.FlattenRequest, context: Context) -> pb.FlattenResponse:
        """Halt, and close every position."""
        return await self._boundary.unary(request, context, self.flatten)

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
        """Lift the drawdown lock: at once, or after a look at what that will do."""
        if request.two_step and not request.confirm_token:
            token, preview = self._previewed(RiskEvent.RESET)
            return pb.ResetResponse(risk=self.summary(), message=_LOOK, preview=preview, confirm_token=token)
        if unconfirmed := self._unconfirmed(RiskEvent.RESET, request.confirm_token):
            return unconfirmed
        message = "The drawdown is measured from today's equity; a halt, if one stands, stands on."
        overtaken = ""
        try:
            await self._guard.reset(*_audit(request, call))
        except JournalUnavailableError:
            return _unrecorded("The risk state was not reset")
        except OvertakenError as fault:
            overtaken = f"Look at the state again: meanwhile there came a {fault}, and that stands."
        return pb.ResetResponse(ok=not overtaken, risk=self.summary(), message=overtaken or message)

    async def halt(self, request: pb.HaltRequest, call: Call) -> pb.HaltResponse | Failure:
        """Refuse every order from now on."""
        try:
            await self._kill_switch.halt(*_audit(request, call), flatten=request.flatten)
        except JournalUnavailableError:
            return _unrecorded("Trading is halted, but the halt is not recorded yet")
        closing = " What is held is being closed; ask for the positions." if request.flatten else ""
        return pb.HaltResponse(ok=True, risk=self.summary(), message=f"Trading is halted until it is resumed.{closing}")

    async def resume(self, request: pb.ResumeRequest, call: Call) -> pb.ResumeResponse | Failure:
        """Lift a halt, and the reducing, after a look at what that will do."""
        if not request.confirm_token:
            token, preview = self._previewed(RiskEvent.RESUME)
            return pb.ResumeResponse(risk=self.summary(), message=_LOOK, preview=preview, confirm_token=token)
        if unconfirmed := self._unconfirmed(RiskEvent.RESUME, request.confirm_token):
            return unconfirmed
        what = "halt and the reducing are" if self._guard.is_reducing else "halt is"
        overtaken = ""
        try:
            await self._guard.resume(*_audit(request, call))
        except JournalUnavailableError:
            return _unrecorded("Trading was not resumed")
        except OvertakenError as fault:
            overtaken = f"Trading is not resumed: meanwhile there came a {fault}."
        return pb.ResumeResponse(ok=not overtaken, risk=self.summary(), message=overtaken or f"The {what} lifted.")

    async def flatten(self, request: pb.FlattenRequest, call: Call) -> pb.FlattenResponse | Failure:
        """Halt, and close every position."""
        try:
            result = await self._kill_switch.flatten(*_audit(request, call))
        except JournalUnavailableError:
            return _unrecorded("Trading is halted, but nothing was closed")
        return flatten_message(result, self.summary())

    def _previewed(self, event: RiskEvent) -> tuple[str, pb.RiskPreview]:
        """The first step: a token, and what it will do."""
        confirmation = self._confirmations.issue(event, self._guard.moves)
        return confirmation.token, preview_message(self._guard, self._account, confirmation)

    def _unconfirmed(self, event: RiskEvent, token: str) -> Failure | None:
        """Why the second step must not be taken; no token is the documented one-step form of a reset."""
        why = self._confirmations.use(token, event, self._guard.moves) if token else ""
        if not why:
            return None
        return Failure(
            reason=Reason.CONFIRMATION_EXPIRED,
            message=f"Nothing was changed: {why}. Ask without a token, and look again.",
            field_name="confirmToken",
        )

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
