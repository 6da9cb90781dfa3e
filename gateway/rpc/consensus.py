"""ConsensusService: convert, call the decision path, convert."""

from collections.abc import AsyncIterator

import structlog
from trading.v1 import consensus_pb2 as pb
from trading.v1 import consensus_pb2_grpc as pb_grpc

from gateway.core.model import Decision, Failure
from gateway.core.reasons import Reason
from gateway.decision_path import DecisionPath
from gateway.ports import Journal, JournalUnavailableError
from gateway.rpc.calls import Call, Context, RateLimit
from gateway.rpc.convert import decision_message, question_of, recorded_decision
from gateway.rpc.errors import Boundary

STREAM_AHEAD_MAX = 256
"""Requests of one stream that may be under way at once; the answers keep their order."""

PAGE_SIZE = 50
"""Decisions of one page when the caller does not say."""

log = structlog.get_logger()


class ConsensusServicer(pb_grpc.ConsensusServiceServicer):
    """Makes and records decisions."""

    def __init__(self, *, boundary: Boundary, path: DecisionPath, journal: Journal, rate_limit: RateLimit) -> None:
        self._boundary = boundary
        self._journal = journal
        self._path = path
        self._rate_limit = rate_limit

    async def GetConsensus(self, request: pb.GetConsensusRequest, context: Context) -> pb.GetConsensusResponse:
        """Judge one set of features."""
        return await self._boundary.unary(request, context, self.get)

    async def BatchGetConsensus(
        self, request: pb.BatchGetConsensusRequest, context: Context
    ) -> pb.BatchGetConsensusResponse:
        """Judge many."""
        return await self._boundary.unary(request, context, self.batch)

    async def StreamConsensus(
        self, request_iterator: AsyncIterator[pb.StreamConsensusRequest], context: Context
    ) -> AsyncIterator[pb.StreamConsensusResponse]:
        """Judge a stream, in order."""
        async for response in self._boundary.stream(request_iterator, context, self._one_of_stream, STREAM_AHEAD_MAX):
            yield response

    async def ListDecisions(self, request: pb.ListDecisionsRequest, context: Context) -> pb.ListDecisionsResponse:
        """A page of decisions."""
        return await self._boundary.unary(request, context, self.list_decisions)

    async def get(self, request: pb.GetConsensusRequest, call: Call) -> pb.GetConsensusResponse | Failure:
        """Judge one set of features."""
        limited = await self._rate_limit.take(call.client)
        if limited:
            return limited
        decision = await self._path.decide(question_of(request))
        if isinstance(decision, Failure):
            return decision
        _log_decision(decision, call)
        return decision_message(decision)

    async def batch(self, request: pb.BatchGetConsensusRequest, call: Call) -> pb.BatchGetConsensusResponse | Failure:
        """Judge many; one log line for all."""
        limited = await self._rate_limit.take(call.client)
        if limited:
            return limited
        decisions = await self._path.decide_many([question_of(one) for one in request.requests])
        if isinstance(decisions, Failure):
            return decisions
        log.info("consensus_batch", decisions=len(decisions), client=call.client, request_id=call.request_id)
        return pb.BatchGetConsensusResponse(responses=[decision_message(decision) for decision in decisions])

    async def list_decisions(self, request: pb.ListDecisionsRequest, call: Call) -> pb.ListDecisionsResponse | Failure:
        """A page of decisions, newest first."""
        size = request.page_size or PAGE_SIZE
        before = int(request.page_token) if request.page_token else None
        try:
            found = self._journal.list_decisions(limit=size, before=before)
        except JournalUnavailableError:
            return Failure(
                reason=Reason.JOURNAL_UNAVAILABLE,
                message="Nothing was read: the journal does not answer. Retry in a second.",
            )
        last = str(found[-1][0]) if len(found) == size else ""
        return pb.ListDecisionsResponse(
            decisions=[recorded_decision(decision) for _, decision in found], next_page_token=last
        )

    async def _one_of_stream(
        self, request: pb.StreamConsensusRequest, call: Call
    ) -> pb.StreamConsensusResponse | Failure:
        answer = await self.get(request.request, call)
        return answer if isinstance(answer, Failure) else pb.StreamConsensusResponse(response=answer)


def _log_decision(decision: Decision, call: Call) -> None:
    log.info(
        "consensus_decision",
        decision_id=decision.decision_id,
        symbol=decision.symbol,
        signal=decision.signal.value,
        confidence=decision.confidence,
        allow=decision.allow,
        model_version=decision.model_version,
        client=call.client,
        request_id=call.request_id,
    )
