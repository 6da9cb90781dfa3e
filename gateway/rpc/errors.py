"""From failures to the wire, and the one boundary that catches what nobody expected.

A Failure becomes a google.rpc.Status with ErrorInfo (reason, domain, metadata), BadRequest
and RetryInfo where they apply, and RequestInfo. The HTTP status that gRPC has no
code for travels as trailing metadata `x-http-status`; Envoy sets it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
import protovalidate
import structlog
from google.api import httpbody_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from gateway.core.model import Failure
from gateway.core.reasons import CODES, Reason
from gateway.rpc.calls import Call, Callers, Context
from gateway.rpc.strict_json import parse

DOMAIN = "tollgate"

HTTP_OK = 200

log = structlog.get_logger()

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
Handler = Callable[[RequestT, Call], Awaitable[ResponseT | Failure]]


class Boundary:
    """Runs a handler for a call: parse, validate, handle, and tell failures in the contract's form."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._validator = protovalidate.Validator()

    async def unary(self, request: RequestT, context: Context, handler: Handler[RequestT, ResponseT]) -> ResponseT:
        """Answer a gRPC call."""
        call = self._callers.call(context)
        return await self._answer(call, context, self._checked(request, call, handler))

    async def json(
        self,
        body: httpbody_pb2.HttpBody,
        context: Context,
        request_type: type[RequestT],
        handler: Handler[RequestT, ResponseT],
    ) -> ResponseT:
        """Answer a JSON call: parse its body strictly, then go on as the gRPC call does."""
        call = self._callers.call(context)

        async def parsed() -> ResponseT | Failure:
            request = parse(body.data, request_type)
            return request if isinstance(request, Failure) else await self._checked(request, call, handler)

        return await self._answer(call, context, parsed())

    async def _checked(
        self, request: RequestT, call: Call, handler: Handler[RequestT, ResponseT]
    ) -> ResponseT | Failure:
        """Handle a request that keeps the contract's rules."""
        return self.violation(request) or await handler(request, call)

    def violation(self, request: Message) -> Failure | None:
        """The rule of the contract that `request` breaks, non-finite numbers first; None when it breaks none."""
        violations = self._validator.collect_violations(request)
        if not violations:
            return None
        worst = next((found for found in violations if found.proto.rule_id == "double.finite"), violations[0])
        name = _field_name(request, worst.proto.field)
        reason = Reason.NON_FINITE if worst.proto.rule_id == "double.finite" else Reason.INVALID_FIELD
        return Failure(
            reason=reason,
            message=f"Nothing was done: {name} {worst.proto.message}. Mend it and send it again.",
            metadata={"field": name, "rule": worst.proto.rule_id},
            field_name=name,
        )

    async def fail(self, failure: Failure, call: Call, context: Context) -> NoReturn:
        """End a call with a failure."""
        codes = CODES[failure.reason]
        trailing = [
            ("grpc-status-details-bin", _status(failure, call.request_id).SerializeToString()),
            ("x-http-status", str(codes.http)),
            ("x-request-id", call.request_id),
        ]
        if failure.retry_seconds is not None:
            trailing.append(("retry-after", str(failure.retry_seconds)))
        await context.abort(grpc.StatusCode[codes.grpc], failure.message, tuple(trailing))

    def _unexpected(self, call: Call) -> Failure:
        """Log the exception being handled, and make the only thing that a client may learn of it."""
        incident = uuid.uuid4().hex[:12]
        log.exception("internal_error", incident=incident, request_id=call.request_id)  # noqa: LOG004 - called from handlers
        return Failure(
            reason=Reason.INTERNAL_ERROR,
            message="Something failed inside the gateway. Ask again with the same key, and tell the operator.",
            metadata={"incident": incident},
        )

    def call(self, context: Context) -> Call:
        """The call that `context` stands for."""
        return self._callers.call(context)

    async def stream(
        self,
        requests: AsyncIterator[RequestT],
        context: Context,
        handler: Handler[RequestT, ResponseT],
        ahead_max: int,
    ) -> AsyncIterator[ResponseT]:
        """Answer a stream in order, with up to `ahead_max` requests under way; the first failure ends it."""
        call = self._callers.call(context)
        under_way: asyncio.Queue[asyncio.Task[ResponseT | Failure] | None] = asyncio.Queue(ahead_max)

        async def read() -> None:
            async for request in requests:
                await under_way.put(asyncio.create_task(self._caught(call, self._checked(request, call, handler))))
            await under_way.put(None)

        reader = asyncio.create_task(read())
        try:
            while task := await under_way.get():
                result = await task
                if isinstance(result, Failure):
                    _log_failure(result, call)
                    await self.fail(result, call, context)
                yield result
        finally:
            reader.cancel()

    async def _caught(self, call: Call, work: Awaitable[ResponseT | Failure]) -> ResponseT | Failure:
        """What `work` comes to, an unexpected exception as the failure that a client may see: the one boundary."""
        try:
            return await work
        except Exception:  # noqa: BLE001 - the one boundary
            return self._unexpected(call)

    async def _answer(self, call: Call, context: Context, work: Awaitable[ResponseT | Failure]) -> ResponseT:
        result = await self._caught(call, work)
        if isinstance(result, Failure):
            _log_failure(result, call)
            await self.fail(result, call, context)
        if call.http_status != HTTP_OK:
            await context.send_initial_metadata((("x-http-status", str(call.http_status)),))
        context.set_trailing_metadata((("x-request-id", call.request_id),))
        return result


def _log_failure(failure: Failure, call: Call) -> None:
    write = log.error if CODES[failure.reason].http >= 500 else log.warning  # noqa: PLR2004 - HTTP's own border
    write(
        "request_failed",
        reason=failure.reason.value,
        message=failure.message,
        http_status=CODES[failure.reason].http,
        client=call.client,
        request_id=call.request_id,
        **call.log_fields,
    )


def _status(failure: Failure, request_id: str) -> status_pb2.Status:
    code: int = grpc.StatusCode[CODES[failure.reason].grpc].value[0]
    status = status_pb2.Status(code=code, message=failure.message)
    info = error_details_pb2.ErrorInfo(reason=failure.reason.value, domain=DOMAIN, metadata=failure.metadata)
    status.details.add().Pack(info)
    if CODES[failure.reason].grpc == "INVALID_ARGUMENT" and failure.field_name:
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=failure.field_name, description=failure.message)
        status.details.add().Pack(bad)
    if failure.retry_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.seconds = failure.retry_seconds
        status.details.add().Pack(retry)
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    return status


def _field_name(request: Message, path: protovalidate.FieldPathPb | None) -> str:
    """The field at fault as the JSON names it: `requests[3].features.mom_20`; `body` for the message as a whole."""
    name = ""
    descriptor: Any = request.DESCRIPTOR  # its two implementations share no type
    for element in path.elements if path else ():
        found = descriptor.fields_by_name[element.field_name] if descriptor is not None else None
        name += ("." if name else "") + (found.json_name if found is not None else element.field_name)
        descriptor = found.message_type if found is not None else None
        if element.subscript is not None:
            value = element.subscript.value
            name += f"[{value}]" if element.subscript.field == "index" else f".{value}"
    return name or "body"
