"""SystemService: health, live calibration and events."""

from collections.abc import AsyncIterator

from trading.v1 import system_pb2 as pb
from trading.v1 import system_pb2_grpc as pb_grpc

from gateway import __version__
from gateway.calibration import Calibration
from gateway.core.model import Failure
from gateway.core.reasons import Reason
from gateway.health import Health
from gateway.ports import Journal
from gateway.rpc.calibration import calibration_health, calibration_message
from gateway.rpc.calls import Call, Context, RateLimit
from gateway.rpc.convert import event_message, venue_health
from gateway.rpc.errors import Boundary
from gateway.rpc.promotion import PromotionServicer
from gateway.rpc.risk import RiskServicer
from gateway.settings import Settings


class SystemServicer(pb_grpc.SystemServiceServicer):
    """Tells whether the gateway is fit for work, and what it does."""

    def __init__(
        self,
        *,
        boundary: Boundary,
        settings: Settings,
        health: Health,
        calibration: Calibration,
        journal: Journal,
        risk: RiskServicer,
        promotion: PromotionServicer,
        rate_limit: RateLimit,
    ) -> None:
        self._boundary = boundary
        self._settings = settings
        self._health = health
        self._calibration = calibration
        self._journal = journal
        self._risk = risk
        self._promotion = promotion
        self._rate_limit = rate_limit

    async def GetHealth(self, request: pb.GetHealthRequest, context: Context) -> pb.GetHealthResponse:
        """The health of the gateway and its parts."""
        return await self._boundary.unary(request, context, self.get_health)

    async def GetCalibration(self, request: pb.GetCalibrationRequest, context: Context) -> pb.GetCalibrationResponse:
        """How well the confidence keeps its promise."""
        return await self._boundary.unary(request, context, self.get_calibration)

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: Context
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        """What is recorded from now on."""
        call = self._boundary.call(context)
        async with self._journal.watch() as events:
            async for event in events:
                yield event_message(event)
        too_slow = Failure(
            reason=Reason.RATE_LIMITED,
            message="The stream ended: its reader fell too far behind. Begin again.",
            retry_after_seconds=1,
        )
        await self._boundary.fail(too_slow, call, context)

    async def get_health(self, request: pb.GetHealthRequest, call: Call) -> pb.GetHealthResponse | Failure:
        """The health of the gateway and its parts."""
        settings, parts = self._settings, self._health.parts()
        usage = await self._rate_limit.usage(call.client)
        return pb.GetHealthResponse(
            ok=parts.ok,
            mode=settings.trading_mode,
            version=__version__,
            model=pb.ModelHealth(ok=parts.model_version is not None, version=parts.model_version or ""),
            market_data=pb.MarketDataHealth(
                ok=parts.market_ok, source=settings.market_data, age_ms=parts.market_age_ms
            ),
            risk=self._risk.summary(),
            config=pb.ConfigSummary(
                confidence_threshold=float(settings.confidence_threshold),
                rate_limit_max=settings.rate_limit_max,
                per_symbol_usd_cap=float(settings.per_symbol_usd_cap),
                max_drawdown_pct=float(settings.max_drawdown_pct),
                target_ann_vol=None if settings.target_ann_vol is None else float(settings.target_ann_vol),
                trading_mode=settings.trading_mode,
            ),
            rate_limit=pb.RateLimitUsage(used=usage.used, max=usage.max, reset_seconds=usage.reset_seconds),
            journal=pb.JournalHealth(ok=parts.journal_ok, records=parts.journal_records),
            calibration=calibration_health(self._calibration.report()),
            venue=venue_health(parts.venue) if parts.venue else None,
            promotion=self._promotion.summary(),
        )

    async def get_calibration(self, request: pb.GetCalibrationRequest, call: Call) -> pb.GetCalibrationResponse:
        """How well the confidence keeps its promise."""
        return calibration_message(self._calibration.report())
