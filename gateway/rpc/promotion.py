"""PromotionService: convert, call the promotion, convert."""

from collections.abc import Sequence

from trading.v1 import promotion_pb2 as pb
from trading.v1 import promotion_pb2_grpc as pb_grpc
from trading.v1 import system_pb2

from gateway.core.criterion import Criterion
from gateway.core.evidence import passes
from gateway.core.model import Failure
from gateway.core.promotion import Stage, next_stage
from gateway.core.promotion_records import PromotionRecord
from gateway.core.promotion_rules import PromotionStanding
from gateway.core.reasons import Reason
from gateway.ports import JournalUnavailableError
from gateway.promotion import Promotion
from gateway.rpc.calls import Call, Context
from gateway.rpc.convert import timestamp
from gateway.rpc.errors import Boundary


class PromotionServicer(pb_grpc.PromotionServiceServicer):
    """Tells the stage and its evidence, and moves it."""

    def __init__(self, *, boundary: Boundary, promotion: Promotion) -> None:
        self._boundary = boundary
        self._promotion = promotion

    async def GetPromotion(self, request: pb.GetPromotionRequest, context: Context) -> pb.GetPromotionResponse:
        """The stage and the evidence toward the next one."""
        return await self._boundary.unary(request, context, self.get)

    async def Promote(self, request: pb.PromoteRequest, context: Context) -> pb.PromoteResponse:
        """Move up to the next stage."""
        return await self._boundary.unary(request, context, self.promote)

    async def Demote(self, request: pb.DemoteRequest, context: Context) -> pb.DemoteResponse:
        """Move down one stage."""
        return await self._boundary.unary(request, context, self.demote)

    def summary(self) -> system_pb2.PromotionHealth:
        """The stage in short."""
        return promotion_health(self._promotion.standing())

    async def get(self, request: pb.GetPromotionRequest, call: Call) -> pb.GetPromotionResponse | Failure:
        """The stage and the evidence toward the next one."""
        try:
            judged = await self._promotion.judge()
        except JournalUnavailableError:
            return _unrecorded("Nothing was read")
        standing = self._promotion.standing()
        return pb.GetPromotionResponse(
            promotion=promotion_health(standing),
            next_stage=judged.next_stage.value if judged.next_stage else "",
            criteria=_criteria(judged.criteria),
            passes=judged.next_stage is not None and passes(judged.criteria),
            record=_record(standing.record) if standing.record else None,
            signed_record=self._promotion.exported(),
        )

    async def promote(self, request: pb.PromoteRequest, call: Call) -> pb.PromoteResponse | Failure:
        """Move up to the next stage."""
        stage = self._promotion.standing().stage
        to_stage = Stage(request.to) if request.to else next_stage(stage) or stage
        try:
            moved = await self._promotion.promote(to_stage, request.actor or call.client, request.reason)
        except JournalUnavailableError:
            return _unrecorded("The account was not promoted")
        if isinstance(moved, Failure):
            return moved
        message = f"The account stands at {moved.to_stage.value}."
        return pb.PromoteResponse(ok=True, promotion=self.summary(), record=_record(moved), message=message)

    async def demote(self, request: pb.DemoteRequest, call: Call) -> pb.DemoteResponse | Failure:
        """Move down one stage."""
        try:
            moved = await self._promotion.demote(request.actor or call.client, request.reason)
        except JournalUnavailableError:
            return _unrecorded("The account was demoted, but that is not recorded")
        if isinstance(moved, Failure):
            return moved
        message = f"The account stands at {moved.to_stage.value}."
        return pb.DemoteResponse(ok=True, promotion=self.summary(), record=_record(moved), message=message)


def promotion_health(standing: PromotionStanding) -> system_pb2.PromotionHealth:
    """The stage in short."""
    permission = standing.permission
    return system_pb2.PromotionHealth(
        stage=standing.stage.value,
        refusal=permission.refusal,
        cap_usd=None if permission.cap_usd is None else float(permission.cap_usd),
        override=bool(standing.override),
        override_reason=standing.override,
    )


def _criteria(criteria: Sequence[Criterion]) -> list[pb.Criterion]:
    return [
        pb.Criterion(
            name=criterion.name,
            finding=criterion.finding.value,
            value=criterion.value,
            limit=criterion.limit,
            interval=None
            if criterion.interval is None
            else system_pb2.Interval(
                value=criterion.interval.value, low=criterion.interval.low, high=criterion.interval.high
            ),
            n=criterion.n,
            needed_more=criterion.needed_more,
            sentence=criterion.sentence,
        )
        for criterion in criteria
    ]


def _record(record: PromotionRecord) -> pb.PromotionRecord:
    return pb.PromotionRecord(
        move=record.move.value,
        from_stage=record.from_stage.value,
        to_stage=record.to_stage.value,
        model_version=record.model_version,
        model_sha256=record.model_sha256,
        limits=record.limits,
        real_market=record.real_market,
        window_start=timestamp(record.from_ms) if record.criteria else None,
        criteria=_criteria(record.criteria),
        actor=record.actor,
        reason=record.reason,
        time=timestamp(record.at_ms),
    )


def _unrecorded(what: str) -> Failure:
    return Failure(
        reason=Reason.JOURNAL_UNAVAILABLE, message=f"{what}: the journal does not answer. Retry in a second."
    )
