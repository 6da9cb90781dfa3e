"""JsonEdgeService: the routes with a JSON body, parsed strictly, answered as their gRPC twins are."""

from typing import TypeAlias

from google.api import httpbody_pb2
from trading.v1 import consensus_pb2, json_edge_pb2_grpc, promotion_pb2, risk_pb2, trade_pb2

from gateway.rpc.calls import Context
from gateway.rpc.consensus import ConsensusServicer
from gateway.rpc.errors import Boundary
from gateway.rpc.promotion import PromotionServicer
from gateway.rpc.risk import RiskServicer
from gateway.rpc.trade import TradeServicer

Body: TypeAlias = httpbody_pb2.HttpBody


class JsonEdgeServicer(json_edge_pb2_grpc.JsonEdgeServiceServicer):
    """One method for each route, each with its twin's handler."""

    def __init__(
        self,
        *,
        boundary: Boundary,
        consensus: ConsensusServicer,
        trade: TradeServicer,
        risk: RiskServicer,
        promotion: PromotionServicer,
    ) -> None:
        self._boundary = boundary
        self._consensus = consensus
        self._trade = trade
        self._risk = risk
        self._promotion = promotion

    async def GetConsensus(self, request: Body, context: Context) -> consensus_pb2.GetConsensusResponse:
        """POST /api/ai/consensus."""
        return await self._boundary.json(request, context, consensus_pb2.GetConsensusRequest, self._consensus.get)

    async def BatchGetConsensus(self, request: Body, context: Context) -> consensus_pb2.BatchGetConsensusResponse:
        """POST /api/ai/consensus:batch."""
        return await self._boundary.json(
            request, context, consensus_pb2.BatchGetConsensusRequest, self._consensus.batch
        )

    async def Execute(self, request: Body, context: Context) -> trade_pb2.ExecuteResponse:
        """POST /api/trade/execute."""
        return await self._boundary.json(request, context, trade_pb2.ExecuteRequest, self._trade.execute)

    async def Reset(self, request: Body, context: Context) -> risk_pb2.ResetResponse:
        """POST /api/risk/reset."""
        return await self._boundary.json(request, context, risk_pb2.ResetRequest, self._risk.reset)

    async def Halt(self, request: Body, context: Context) -> risk_pb2.HaltResponse:
        """POST /api/risk/halt."""
        return await self._boundary.json(request, context, risk_pb2.HaltRequest, self._risk.halt)

    async def Resume(self, request: Body, context: Context) -> risk_pb2.ResumeResponse:
        """POST /api/risk/resume."""
        return await self._boundary.json(request, context, risk_pb2.ResumeRequest, self._risk.resume)

    async def Flatten(self, request: Body, context: Context) -> risk_pb2.FlattenResponse:
        """POST /api/risk/flatten."""
        return await self._boundary.json(request, context, risk_pb2.FlattenRequest, self._risk.flatten)

    async def Promote(self, request: Body, context: Context) -> promotion_pb2.PromoteResponse:
        """POST /api/promotion/promote."""
        return await self._boundary.json(request, context, promotion_pb2.PromoteRequest, self._promotion.promote)

    async def Demote(self, request: Body, context: Context) -> promotion_pb2.DemoteResponse:
        """POST /api/promotion/demote."""
        return await self._boundary.json(request, context, promotion_pb2.DemoteRequest, self._promotion.demote)
