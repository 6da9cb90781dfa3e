"""The Open Inference Protocol: convert, call, convert. Every method passes the boundary of inference/rpc/errors.py."""

from collections.abc import Sequence

from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc

from inference.core.card import Card
from inference.core.consensus import Rows, assemble_rows
from inference.core.refusal import Refused
from inference.core.serving import Serving, not_active
from inference.rpc import convert
from inference.rpc.errors import Boundary, Context
from inference.rpc.scoring import Scoring


class InferenceServicer(oip_grpc.GRPCInferenceServiceServicer):
    """The Open Inference Protocol."""

    def __init__(self, *, scoring: Scoring, boundary: Boundary, rows_max: int, version: str) -> None:
        self._scoring = scoring
        self._boundary = boundary
        self._rows_max = rows_max
        self._version = version
        self._template_card: Card | None = None
        self._template = oip.ModelInferResponse()

    async def ServerLive(  # the protocol's name
        self, request: oip.ServerLiveRequest, context: Context
    ) -> oip.ServerLiveResponse:
        """Whether the server runs: it answers."""
        return await self._boundary.answer(context, "ServerLive", self._server_live, request)

    async def ServerReady(self, request: oip.ServerReadyRequest, context: Context) -> oip.ServerReadyResponse:
        """Whether the server takes inference requests; while draining it refuses."""
        return await self._boundary.answer(context, "ServerReady", self._server_ready, request)

    async def ModelReady(self, request: oip.ModelReadyRequest, context: Context) -> oip.ModelReadyResponse:
        """Whether that model is the active one and answers."""
        return await self._boundary.answer(context, "ModelReady", self._model_ready, request)

    async def ServerMetadata(self, request: oip.ServerMetadataRequest, context: Context) -> oip.ServerMetadataResponse:
        """What the server is."""
        return await self._boundary.answer(context, "ServerMetadata", self._server_metadata, request)

    async def ModelMetadata(self, request: oip.ModelMetadataRequest, context: Context) -> oip.ModelMetadataResponse:
        """What the active model takes and gives."""
        return await self._boundary.answer(context, "ModelMetadata", self._model_metadata, request)

    async def ModelInfer(self, request: oip.ModelInferRequest, context: Context) -> oip.ModelInferResponse:
        """Scores one or many rows."""
        return await self._boundary.answer(context, "ModelInfer", self._model_infer, request, one_write=True)

    async def _server_live(self, _: oip.ServerLiveRequest) -> oip.ServerLiveResponse:
        return oip.ServerLiveResponse(live=True)

    async def _server_ready(self, _: oip.ServerReadyRequest) -> oip.ServerReadyResponse:
        return oip.ServerReadyResponse(ready=self._scoring.answers())

    async def _model_ready(self, request: oip.ModelReadyRequest) -> oip.ModelReadyResponse:
        active = not_active(self._scoring.serving, request.name, request.version) is None
        return oip.ModelReadyResponse(ready=active and self._scoring.answers())

    async def _server_metadata(self, _: oip.ServerMetadataRequest) -> oip.ServerMetadataResponse:
        return oip.ServerMetadataResponse(name=convert.SERVER_NAME, version=self._version)

    async def _model_metadata(self, request: oip.ModelMetadataRequest) -> oip.ModelMetadataResponse | Refused:
        serving = self._scoring.serving
        refused = not_active(serving, request.name, request.version)
        return refused or convert.metadata_response(serving.ensemble.card)

    async def _model_infer(self, request: oip.ModelInferRequest) -> oip.ModelInferResponse | Refused:
        serving = self._scoring.serving
        if refused := not_active(serving, request.model_name, request.model_version):
            return refused
        outputs = convert.wanted_outputs(request)
        if isinstance(outputs, Refused):
            return outputs
        with_shadow = convert.wants_shadow(request)
        if isinstance(with_shadow, Refused):
            return with_shadow
        rows = self._rows_of(request, serving)
        if isinstance(rows, Refused):
            return rows
        template = self._template_of(serving.ensemble.card)
        if with_shadow:
            return await self._with_shadow(serving, rows, template, outputs=outputs, request_id=request.id)
        return convert.infer_response(template, await self._scoring.score(serving, rows), outputs, request.id)

    def _rows_of(self, request: oip.ModelInferRequest, serving: Serving) -> Rows | Refused:
        columns = convert.input_columns(request)
        if isinstance(columns, Refused):
            return columns
        return assemble_rows(columns, serving.feature_names, rows_max=self._rows_max)

    async def _with_shadow(
        self, serving: Serving, rows: Rows, template: oip.ModelInferResponse, *, outputs: Sequence[str], request_id: str
    ) -> oip.ModelInferResponse:
        scored = await self._scoring.score_both(serving, rows)
        response = convert.infer_response(template, scored.scores, outputs, request_id)
        if serving.shadow is not None and scored.shadow is not None:
            convert.add_shadow(response, serving.shadow.version, scored.shadow)
        return response

    def _template_of(self, card: Card) -> oip.ModelInferResponse:
        """What all answers of the model share, made once for each change of the active version."""
        if self._template_card is not card:
            self._template, self._template_card = convert.answer_template(card), card
        return self._template
