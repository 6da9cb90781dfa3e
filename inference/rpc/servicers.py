"""The services: convert, call, convert. Every method passes the boundary of inference/rpc/errors.py."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from google.api import httpbody_pb2
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc
from trading.v1 import json_edge_pb2_grpc, model_pb2, model_pb2_grpc

from inference.core.consensus import Ensemble, Rows, Scores, assemble_rows
from inference.core.refusal import Reason, Refused, shown
from inference.rpc import convert
from inference.rpc.errors import Boundary, Context
from inference.rpc.strict_json import parse_strictly

INLINE_ROWS_MAX = 256
"""Batches up to this size run on the event loop: they take less time than a hop to a thread and back costs others."""


class Scoring:
    """Scores rows without holding up other calls: small batches at once, large ones in a single thread."""

    def __init__(self, ensemble: Ensemble) -> None:
        self.card = ensemble.card
        self._ensemble = ensemble
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")

    async def score(self, rows: Rows) -> Scores:
        """What the ensemble says of the rows."""
        if rows.shape[0] <= INLINE_ROWS_MAX:
            return self._ensemble.score(rows)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._ensemble.score, rows)

    def answers(self) -> bool:
        """Whether the ensemble answers a row of zeros with a probability."""
        scores = self._ensemble.score(np.zeros((1, len(self.card.features)), dtype=np.float32))
        return 0.0 <= float(scores.prob_long[0, 0]) <= 1.0

    def not_served(self, name: str, version: str = "") -> Refused | None:
        """Why the model of that name and version is not the served one; an empty version is any."""
        card = self.card
        if name == card.name and version in ("", card.version):
            return None
        return Refused(
            reason=Reason.MODEL_NOT_FOUND,
            message=f"Nothing was predicted: the model {shown(name)} {shown(version)} is not served. "
            f"Ask for {card.name} {card.version}.",
            metadata={"model": card.name, "version": card.version},
        )


class InferenceServicer(oip_grpc.GRPCInferenceServiceServicer):
    """The Open Inference Protocol."""

    def __init__(self, *, scoring: Scoring, boundary: Boundary, rows_max: int, version: str) -> None:
        self._scoring = scoring
        self._boundary = boundary
        self._rows_max = rows_max
        self._version = version

    async def ServerLive(  # the protocol's name
        self, request: oip.ServerLiveRequest, context: Context
    ) -> oip.ServerLiveResponse:
        """Whether the server runs: it answers."""
        return await self._boundary.answer(context, "ServerLive", self._server_live, request)

    async def ServerReady(self, request: oip.ServerReadyRequest, context: Context) -> oip.ServerReadyResponse:
        """Whether the server takes inference requests; while draining it refuses."""
        return await self._boundary.answer(context, "ServerReady", self._server_ready, request)

    async def ModelReady(self, request: oip.ModelReadyRequest, context: Context) -> oip.ModelReadyResponse:
        """Whether that model is the served one and answers."""
        return await self._boundary.answer(context, "ModelReady", self._model_ready, request)

    async def ServerMetadata(self, request: oip.ServerMetadataRequest, context: Context) -> oip.ServerMetadataResponse:
        """What the server is."""
        return await self._boundary.answer(context, "ServerMetadata", self._server_metadata, request)

    async def ModelMetadata(self, request: oip.ModelMetadataRequest, context: Context) -> oip.ModelMetadataResponse:
        """What the model takes and gives."""
        return await self._boundary.answer(context, "ModelMetadata", self._model_metadata, request)

    async def ModelInfer(self, request: oip.ModelInferRequest, context: Context) -> oip.ModelInferResponse:
        """Scores one or many rows."""
        return await self._boundary.answer(context, "ModelInfer", self._model_infer, request, one_write=True)

    async def _server_live(self, _: oip.ServerLiveRequest) -> oip.ServerLiveResponse:
        return oip.ServerLiveResponse(live=True)

    async def _server_ready(self, _: oip.ServerReadyRequest) -> oip.ServerReadyResponse:
        return oip.ServerReadyResponse(ready=self._scoring.answers())

    async def _model_ready(self, request: oip.ModelReadyRequest) -> oip.ModelReadyResponse:
        served = self._scoring.not_served(request.name, request.version) is None
        return oip.ModelReadyResponse(ready=served and self._scoring.answers())

    async def _server_metadata(self, _: oip.ServerMetadataRequest) -> oip.ServerMetadataResponse:
        return oip.ServerMetadataResponse(name=convert.SERVER_NAME, version=self._version)

    async def _model_metadata(self, request: oip.ModelMetadataRequest) -> oip.ModelMetadataResponse | Refused:
        refused = self._scoring.not_served(request.name, request.version)
        return refused or convert.metadata_response(self._scoring.card)

    async def _model_infer(self, request: oip.ModelInferRequest) -> oip.ModelInferResponse | Refused:
        if refused := self._scoring.not_served(request.model_name, request.model_version):
            return refused
        outputs = convert.wanted_outputs(request)
        if isinstance(outputs, Refused):
            return outputs
        columns = convert.input_columns(request)
        if isinstance(columns, Refused):
            return columns
        card = self._scoring.card
        rows = assemble_rows(columns, card.feature_names, rows_max=self._rows_max)
        if isinstance(rows, Refused):
            return rows
        return convert.infer_response(await self._scoring.score(rows), outputs, card, request.id)


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Health, models and single predictions."""

    def __init__(self, *, scoring: Scoring, boundary: Boundary, version: str) -> None:
        self._scoring = scoring
        self._boundary = boundary
        self._version = version

    async def GetModelHealth(
        self, request: model_pb2.GetModelHealthRequest, context: Context
    ) -> model_pb2.GetModelHealthResponse:
        """Whether a model is loaded and answers."""
        return await self._boundary.answer(context, "GetModelHealth", self._health, request)

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Context) -> model_pb2.ListModelsResponse:
        """The served model with what its card says."""
        return await self._boundary.answer(context, "ListModels", self._models, request)

    async def Predict(self, request: model_pb2.PredictRequest, context: Context) -> model_pb2.PredictResponse:
        """One prediction."""
        return await self._boundary.answer(context, "Predict", self.predict, request)

    async def predict(self, request: model_pb2.PredictRequest) -> model_pb2.PredictResponse | Refused:
        """One prediction, for both ways in: gRPC and strict JSON."""
        if refused := convert.contract_violation(request):
            return refused
        card = self._scoring.card
        if refused := self._scoring.not_served(request.model_name or card.name):
            return refused
        rows = assemble_rows(convert.feature_columns(request.features), card.feature_names, rows_max=1)
        if isinstance(rows, Refused):
            return rows
        return convert.predict_response(await self._scoring.score(rows), card)

    async def _health(self, _: model_pb2.GetModelHealthRequest) -> model_pb2.GetModelHealthResponse:
        card = self._scoring.card
        served = model_pb2.ServedModel(name=card.name, version=card.version)
        return model_pb2.GetModelHealthResponse(ok=self._scoring.answers(), version=self._version, model=served)

    async def _models(self, _: model_pb2.ListModelsRequest) -> model_pb2.ListModelsResponse:
        return model_pb2.ListModelsResponse(models=[convert.model_info(self._scoring.card)])


class ModelJsonEdgeServicer(json_edge_pb2_grpc.ModelJsonEdgeServiceServicer):
    """The model service's route with a JSON body, parsed strictly."""

    def __init__(self, *, service: ModelServicer, boundary: Boundary) -> None:
        self._service = service
        self._boundary = boundary

    async def Predict(self, request: httpbody_pb2.HttpBody, context: Context) -> model_pb2.PredictResponse:
        """ModelService.Predict with its request as JSON."""
        return await self._boundary.answer(context, "Predict", self._predict, request)

    async def _predict(self, body: httpbody_pb2.HttpBody) -> model_pb2.PredictResponse | Refused:
        request = parse_strictly(body.data, model_pb2.PredictRequest())
        return request if isinstance(request, Refused) else await self._service.predict(request)
