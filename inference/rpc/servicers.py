"""The services of trading.v1: convert, call, convert. Every method passes the boundary of inference/rpc/errors.py."""

import asyncio

from google.api import httpbody_pb2
from trading.v1 import json_edge_pb2_grpc, model_pb2, model_pb2_grpc

from inference.core.consensus import assemble_rows
from inference.core.live_bars import features_of_last, label_of
from inference.core.refusal import Refused
from inference.core.registry import UNSTATED
from inference.core.serving import not_active
from inference.registry import Asked, Registry
from inference.rpc import convert, model_messages
from inference.rpc.bars import read_bars
from inference.rpc.errors import Boundary, Context
from inference.rpc.scoring import Scoring
from inference.rpc.strict_json import parse_strictly

_CHANGED, _COMPUTED, _READ = "changed", "computed", "read"  # what did not happen when a call of that kind is refused


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Health, versions and their changes, single predictions, and what comes of bars."""

    def __init__(
        self, *, registry: Registry, scoring: Scoring, boundary: Boundary, message_bytes_max: int, version: str
    ) -> None:
        self._registry = registry
        self._scoring = scoring
        self._boundary = boundary
        self._message_bytes_max = message_bytes_max
        self._version = version

    async def GetModelHealth(
        self, request: model_pb2.GetModelHealthRequest, context: Context
    ) -> model_pb2.GetModelHealthResponse:
        """Whether a model is loaded and answers."""
        return await self._boundary.answer(context, "GetModelHealth", self._health, request)

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Context) -> model_pb2.ListModelsResponse:
        """The versions with what their cards say, and the newest changes."""
        return await self._boundary.answer(context, "ListModels", self._models, request)

    async def GetModel(self, request: model_pb2.GetModelRequest, context: Context) -> model_pb2.GetModelResponse:
        """One version with its card."""
        return await self._boundary.answer(context, "GetModel", self._model, request)

    async def ActivateModel(
        self, request: model_pb2.ActivateModelRequest, context: Context
    ) -> model_pb2.ActivateModelResponse:
        """Serves another version."""
        peer = context.peer()
        return await self._boundary.answer(context, "ActivateModel", lambda one: self.activate(one, peer), request)

    async def RollbackModel(
        self, request: model_pb2.RollbackModelRequest, context: Context
    ) -> model_pb2.RollbackModelResponse:
        """Serves the version before."""
        peer = context.peer()
        return await self._boundary.answer(context, "RollbackModel", lambda one: self.roll_back(one, peer), request)

    async def SetShadowModel(
        self, request: model_pb2.SetShadowModelRequest, context: Context
    ) -> model_pb2.SetShadowModelResponse:
        """Attaches or detaches the shadow."""
        peer = context.peer()
        return await self._boundary.answer(context, "SetShadowModel", lambda one: self.set_shadow(one, peer), request)

    async def ComputeFeatures(
        self, request: model_pb2.ComputeFeaturesRequest, context: Context
    ) -> model_pb2.ComputeFeaturesResponse:
        """The features of the last bar."""
        return await self._boundary.answer(context, "ComputeFeatures", self._features, request)

    async def LabelBar(self, request: model_pb2.LabelBarRequest, context: Context) -> model_pb2.LabelBarResponse:
        """What became of a bar's label."""
        return await self._boundary.answer(context, "LabelBar", self._label, request)

    async def Predict(self, request: model_pb2.PredictRequest, context: Context) -> model_pb2.PredictResponse:
        """One prediction."""
        return await self._boundary.answer(context, "Predict", self.predict, request)

    async def predict(self, request: model_pb2.PredictRequest) -> model_pb2.PredictResponse | Refused:
        """One prediction, for both ways in: gRPC and strict JSON."""
        if refused := convert.contract_violation(request):
            return refused
        serving = self._scoring.serving
        card = serving.ensemble.card
        if refused := not_active(serving, request.model_name or card.name):
            return refused
        rows = assemble_rows(convert.feature_columns(request.features), serving.feature_names, rows_max=1)
        if isinstance(rows, Refused):
            return rows
        return convert.predict_response(await self._scoring.score(serving, rows), card)

    async def activate(
        self, request: model_pb2.ActivateModelRequest, peer: str
    ) -> model_pb2.ActivateModelResponse | Refused:
        """Serves another version, for both ways in; `peer` is the caller's address."""
        if refused := convert.contract_violation(request, undone=_CHANGED):
            return refused
        done = await self._registry.activate(request.version, _asked(request.actor, request.reason, peer))
        if isinstance(done, Refused):
            return done
        return model_pb2.ActivateModelResponse(
            ok=True, version=done.version, previous=done.previous, message=done.message
        )

    async def roll_back(
        self, request: model_pb2.RollbackModelRequest, peer: str
    ) -> model_pb2.RollbackModelResponse | Refused:
        """Serves the version before, for both ways in."""
        if refused := convert.contract_violation(request, undone=_CHANGED):
            return refused
        done = await self._registry.rollback(_asked(request.actor, request.reason, peer))
        if isinstance(done, Refused):
            return done
        return model_pb2.RollbackModelResponse(
            ok=True, version=done.version, previous=done.previous, message=done.message
        )

    async def set_shadow(
        self, request: model_pb2.SetShadowModelRequest, peer: str
    ) -> model_pb2.SetShadowModelResponse | Refused:
        """Attaches or detaches the shadow, for both ways in."""
        if refused := convert.contract_violation(request, undone=_CHANGED):
            return refused
        done = await self._registry.set_shadow(request.version, _asked(request.actor, request.reason, peer))
        if isinstance(done, Refused):
            return done
        return model_pb2.SetShadowModelResponse(ok=True, version=done.version, message=done.message)

    async def _health(self, _: model_pb2.GetModelHealthRequest) -> model_pb2.GetModelHealthResponse:
        card = self._scoring.serving.ensemble.card
        served = model_pb2.ServedModel(name=card.name, version=card.version)
        return model_pb2.GetModelHealthResponse(ok=self._scoring.answers(), version=self._version, model=served)

    async def _models(self, _: model_pb2.ListModelsRequest) -> model_pb2.ListModelsResponse:
        listing = await self._registry.listing()
        # 200 cards take 5 ms to tell: not on the event loop.
        return await asyncio.to_thread(
            model_messages.models_response, listing, self._registry.name, bytes_max=self._message_bytes_max
        )

    async def _model(self, request: model_pb2.GetModelRequest) -> model_pb2.GetModelResponse | Refused:
        if refused := convert.contract_violation(request, undone=_READ):
            return refused
        entry = await self._registry.entry(request.version)
        return entry if isinstance(entry, Refused) else model_messages.model_response(entry, self._registry.name)

    async def _features(self, request: model_pb2.ComputeFeaturesRequest) -> model_pb2.ComputeFeaturesResponse | Refused:
        if refused := convert.contract_violation(request, undone=_COMPUTED):
            return refused
        card = await self._registry.card_of(request.model_version)
        if isinstance(card, Refused):
            return card
        bars = read_bars(request.bars)
        if isinstance(bars, Refused):
            return bars
        features = await self._scoring.compute(len(bars), features_of_last, card, bars)
        if isinstance(features, Refused):
            return features
        return model_pb2.ComputeFeaturesResponse(features=features, model_version=card.version)

    async def _label(self, request: model_pb2.LabelBarRequest) -> model_pb2.LabelBarResponse | Refused:
        if refused := convert.contract_violation(request, undone=_COMPUTED):
            return refused
        card = await self._registry.card_of(request.model_version)
        if isinstance(card, Refused):
            return card
        bars = read_bars(request.bars)
        if isinstance(bars, Refused):
            return bars
        label = label_of(card, bars, request.open_time_ms)
        return label if isinstance(label, Refused) else model_pb2.LabelBarResponse(label=label)


class ModelJsonEdgeServicer(json_edge_pb2_grpc.ModelJsonEdgeServiceServicer):
    """The model service's routes with a JSON body, parsed strictly."""

    def __init__(self, *, service: ModelServicer, boundary: Boundary) -> None:
        self._service = service
        self._boundary = boundary

    async def Predict(self, request: httpbody_pb2.HttpBody, context: Context) -> model_pb2.PredictResponse:
        """ModelService.Predict with its request as JSON."""
        return await self._boundary.answer(context, "Predict", self._predict, request)

    async def ActivateModel(self, request: httpbody_pb2.HttpBody, context: Context) -> model_pb2.ActivateModelResponse:
        """ModelService.ActivateModel with its request as JSON."""
        peer = context.peer()
        return await self._boundary.answer(context, "ActivateModel", lambda body: self._activate(body, peer), request)

    async def RollbackModel(self, request: httpbody_pb2.HttpBody, context: Context) -> model_pb2.RollbackModelResponse:
        """ModelService.RollbackModel with its request as JSON, or nothing."""
        peer = context.peer()
        return await self._boundary.answer(context, "RollbackModel", lambda body: self._roll_back(body, peer), request)

    async def SetShadowModel(
        self, request: httpbody_pb2.HttpBody, context: Context
    ) -> model_pb2.SetShadowModelResponse:
        """ModelService.SetShadowModel with its request as JSON."""
        peer = context.peer()
        return await self._boundary.answer(context, "SetShadowModel", lambda body: self._shadow(body, peer), request)

    async def _predict(self, body: httpbody_pb2.HttpBody) -> model_pb2.PredictResponse | Refused:
        request = parse_strictly(body.data, model_pb2.PredictRequest())
        return request if isinstance(request, Refused) else await self._service.predict(request)

    async def _activate(self, body: httpbody_pb2.HttpBody, peer: str) -> model_pb2.ActivateModelResponse | Refused:
        request = parse_strictly(body.data, model_pb2.ActivateModelRequest(), undone=_CHANGED)
        return request if isinstance(request, Refused) else await self._service.activate(request, peer)

    async def _roll_back(self, body: httpbody_pb2.HttpBody, peer: str) -> model_pb2.RollbackModelResponse | Refused:
        request = parse_strictly(body.data or b"{}", model_pb2.RollbackModelRequest(), undone=_CHANGED)
        return request if isinstance(request, Refused) else await self._service.roll_back(request, peer)

    async def _shadow(self, body: httpbody_pb2.HttpBody, peer: str) -> model_pb2.SetShadowModelResponse | Refused:
        request = parse_strictly(body.data, model_pb2.SetShadowModelRequest(), undone=_CHANGED)
        return request if isinstance(request, Refused) else await self._service.set_shadow(request, peer)


def _asked(actor: str, reason: str, peer: str) -> Asked:
    return Asked(actor=actor or peer, reason=reason or UNSTATED)
