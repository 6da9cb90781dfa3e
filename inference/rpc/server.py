"""The gRPC server: its limits, its services, its health, and how it stops."""

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from open_inference import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc
from trading.v1 import json_edge_pb2, json_edge_pb2_grpc, model_pb2, model_pb2_grpc

from inference.registry import Registry
from inference.rpc.errors import Boundary
from inference.rpc.infer import InferenceServicer
from inference.rpc.scoring import Scoring
from inference.rpc.servicers import ModelJsonEdgeServicer, ModelServicer

SERVICES = (
    grpc_predict_v2_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
    model_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    json_edge_pb2.DESCRIPTOR.services_by_name["ModelJsonEdgeService"].full_name,
)
"""The services that health speaks of, beside "" for the whole."""

_PING_INTERVAL_MS_MIN = 10_000  # a client that pings more often than this is cut off
_CLOSE_SECONDS = 0.5  # for streams that never end (health watchers) and for calls refused late


class AddressTakenError(Exception):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may ask of the server: rows of one call, bytes of one message, calls at one time."""

    rows_max: int
    message_bytes_max: int
    calls_max: int


class ModelServer:
    """A served model. `port` is the one that was taken."""

    def __init__(
        self,
        *,
        server: grpc.aio.Server,
        health_servicer: health.aio.HealthServicer,
        boundary: Boundary,
        registry: Registry,
        port: int,
    ) -> None:
        self._server = server
        self._registry = registry
        self._health = health_servicer
        self._boundary = boundary
        self.port = port

    async def start(self) -> None:
        """Serves from now on, and says so to health probes."""
        await self._server.start()
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, drain_seconds: float) -> bool:
        """NOT_SERVING first, then no new calls, then the running ones finish; False when some had to be cancelled."""
        await self._health.enter_graceful_shutdown()
        drained = await self._boundary.drain(drain_seconds)
        await self._server.stop(_CLOSE_SECONDS if drained else 0.0)
        await self._registry.settle()
        return drained


def build_server(
    *, registry: Registry, boundary: Boundary, limits: Limits, version: str, listen_addr: str
) -> ModelServer:
    """The server with all its services, listening but not yet serving. Raises AddressTakenError."""
    server = grpc.aio.server(maximum_concurrent_rpcs=limits.calls_max, options=_options(limits))
    scoring = Scoring(registry)
    models = ModelServicer(
        registry=registry,
        scoring=scoring,
        boundary=boundary,
        message_bytes_max=limits.message_bytes_max,
        version=version,
    )
    inference = InferenceServicer(scoring=scoring, boundary=boundary, rows_max=limits.rows_max, version=version)
    health_servicer = health.aio.HealthServicer()
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, server)
    model_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
    json_edge_pb2_grpc.add_ModelJsonEdgeServiceServicer_to_server(
        ModelJsonEdgeServicer(service=models, boundary=boundary), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        port = server.add_insecure_port(listen_addr)
    except RuntimeError as fault:
        raise AddressTakenError(f"cannot listen on {listen_addr}") from fault
    return ModelServer(server=server, health_servicer=health_servicer, boundary=boundary, registry=registry, port=port)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message_bytes_max),
        ("grpc.max_send_message_length", limits.message_bytes_max),
        ("grpc.max_metadata_size", 65_536),  # above what Envoy lets through; gRPC's own limit refuses at random
        ("grpc.so_reuseport", 0),  # a second service on the port must fail, not share it in silence
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _PING_INTERVAL_MS_MIN),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
