"""What `tollgate evidence`, `promote` and `demote` ask of a running gateway."""

from collections.abc import Sequence
from typing import Final

from trading.v1 import promotion_pb2, promotion_pb2_grpc, system_pb2

from gateway.rpc.cli_calls import CallFailedError, Connection, Reply, reply

DEADLINE_SECONDS: Final = 60.0
"""A first look reads months of records."""

_MARKS: Final = {"pass": "ok", "fail": "FAIL", "not_enough": "not yet"}


class PromotionClient(Connection):
    """A connection to one gateway; every method raises CallFailedError."""

    part = "gateway"
    setting = "TOLLGATE_ADDR"

    def evidence(self) -> Reply:
        """The stage, and every criterion for the next one; well when all pass."""
        found = self._promotion()
        return reply(found, [*promotion_lines(found.promotion), *_evidence_lines(found)], well=found.passes)

    def promote(self, to_stage: str, *, actor: str, reason: str) -> Reply:
        """Move up to the next stage."""
        stub = promotion_pb2_grpc.PromotionServiceStub(self.channel)
        request = promotion_pb2.PromoteRequest(to=to_stage, actor=actor, reason=reason)
        moved = self.call(stub.Promote, request, deadline_seconds=DEADLINE_SECONDS)
        return reply(moved, [moved.message, *promotion_lines(moved.promotion)])

    def demote(self, *, actor: str, reason: str) -> Reply:
        """Move down one stage."""
        stub = promotion_pb2_grpc.PromotionServiceStub(self.channel)
        moved = self.call(stub.Demote, promotion_pb2.DemoteRequest(actor=actor, reason=reason))
        return reply(moved, [moved.message, *promotion_lines(moved.promotion)])

    def signed_record(self) -> str:
        """The record that the stage stands on, as a live gateway takes it. Raises CallFailedError: there is none."""
        text = self._promotion().signed_record
        if not text:
            raise CallFailedError("There is no record to export: the account was never promoted.", answered=True)
        return text

    def _promotion(self) -> promotion_pb2.GetPromotionResponse:
        stub = promotion_pb2_grpc.PromotionServiceStub(self.channel)
        return self.call(stub.GetPromotion, promotion_pb2.GetPromotionRequest(), deadline_seconds=DEADLINE_SECONDS)


def promotion_lines(promotion: system_pb2.PromotionHealth) -> list[str]:
    """The stage in short."""
    if promotion.override:
        return [f"stage     LIVE WITHOUT A PROMOTION: {promotion.override_reason}"]
    cap = f", at most {promotion.cap_usd:g} USD" if promotion.HasField("cap_usd") else ""
    refusal = f"; NO order may open: {promotion.refusal}" if promotion.refusal else ""
    return [f"stage     {promotion.stage}{cap}{refusal}"]


def _evidence_lines(found: promotion_pb2.GetPromotionResponse) -> Sequence[str]:
    if not found.next_stage:
        return ["toward    nothing: this is the highest stage"]
    width = max(len(criterion.name) for criterion in found.criteria)
    return [
        f"toward    {found.next_stage}: {'every criterion passes' if found.passes else 'not shown yet'}",
        *(f"{_MARKS[one.finding]:<8}  {one.name:<{width}}  {one.sentence}" for one in found.criteria),
    ]
