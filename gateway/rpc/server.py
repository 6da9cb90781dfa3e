"""The gateway's gRPC server: services, health, reflection, limits, and a drain that loses nothing."""

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from trading.v1 import (
    consensus_pb2,
    consensus_pb2_grpc,
    json_edge_pb2,
    json_edge_pb2_grpc,
    promotion_pb2,
    promotion_pb2_grpc,
    risk_pb2,
    risk_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)

from gateway.ports import StartError
from gateway.rpc.servicers import Servicers

CONSENSUS = consensus_pb2.DESCRIPTOR.services_by_name["ConsensusService"].full_name
SERVICES = (
    CONSENSUS,
    trade_pb2.DESCRIPTOR.services_by_name["TradeService"].full_name,
    risk_pb2.DESCRIPTOR.services_by_name["RiskService"].full_name,
    promotion_pb2.DESCRIPTOR.services_by_name["PromotionService"].full_name,
    system_pb2.DESCRIPTOR.services_by_name["SystemService"].full_name,
    json_edge_pb2.DESCRIPTOR.services_by_name["JsonEdgeService"].full_name,
)


METADATA_BYTES_MAX = 65_536
"""Above what Envoy lets through, so that an oversized header is refused by the contract's own rule, not at random."""


class ListenError(StartError):
    """The address cannot be listened on; the message names it."""


class Server:
    """A gRPC server with health and reflection."""

    def __init__(
        self, servicers: Servicers, *, address: str, max_message_bytes: int, max_concurrent_calls: int
    ) -> None:
        self._servicers = servicers
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            maximum_concurrent_rpcs=max_concurrent_calls,
            options=(
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_metadata_size", METADATA_BYTES_MAX),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ),
        )
        self._add_services()
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as fault:
            raise ListenError(f"cannot listen on {address}: is another gateway running there?") from fault

    async def start(self) -> None:
        """Serve; every service is SERVING, but the consensus until its model is known to answer."""
        await self._server.start()
        for name in ("", *SERVICES):
            await self._set(name, serving=name != CONSENSUS)

    async def model_answers(self, answers: bool) -> None:
        """Tell health checks whether decisions can be made."""
        await self._set(CONSENSUS, serving=answers)

    async def drain(self, grace_seconds: float) -> None:
        """NOT_SERVING first, then no new orders, then wait for calls under way."""
        await self._health.enter_graceful_shutdown()
        self._servicers.trade.drain()
        await self._server.stop(grace_seconds)

    async def _set(self, name: str, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    def _add_services(self) -> None:
        server, servicers = self._server, self._servicers
        consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(servicers.consensus, server)
        trade_pb2_grpc.add_TradeServiceServicer_to_server(servicers.trade, server)
        risk_pb2_grpc.add_RiskServiceServicer_to_server(servicers.risk, server)
        promotion_pb2_grpc.add_PromotionServiceServicer_to_server(servicers.promotion, server)
        system_pb2_grpc.add_SystemServiceServicer_to_server(servicers.system, server)
        json_edge_pb2_grpc.add_JsonEdgeServiceServicer_to_server(servicers.json_edge, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
