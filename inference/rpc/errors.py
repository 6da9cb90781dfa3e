"""The boundary: every call passes it, and only here is an unexpected exception caught.

A servicer's method is written as an `Answer`: it takes the request and returns the response or why it was
refused. `Boundary.answer` gives each call its id, refuses while draining, turns a refusal into an
error with google.rpc.Status details, and turns a fault of ours into INTERNAL with a fixed sentence and an
incident id; the exception itself goes to the log only.

The HTTP status that a gRPC code does not imply travels as trailing metadata `x-http-status`.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from structlog.typing import FilteringBoundLogger

from inference.core.refusal import Reason, Refused

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Any, Any]

DOMAIN = "tollgate"
REQUEST_ID = "x-request-id"
RETRY_SECONDS = 1
"""When a caller that met a draining service should try again: by then another one answers, or none."""

_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:/=+-]{1,128}")


@dataclass(frozen=True, slots=True)
class WireStatus:
    """How a reason travels; `http` only where the gRPC code does not imply it."""

    code: grpc.StatusCode
    http: int | None = None


STATUSES: Mapping[Reason, WireStatus] = MappingProxyType(
    {
        Reason.INVALID_FIELD: WireStatus(grpc.StatusCode.INVALID_ARGUMENT),
        Reason.UNKNOWN_FEATURE: WireStatus(grpc.StatusCode.INVALID_ARGUMENT),
        Reason.MISSING_FEATURE: WireStatus(grpc.StatusCode.INVALID_ARGUMENT),
        Reason.NON_FINITE: WireStatus(grpc.StatusCode.INVALID_ARGUMENT),
        Reason.MODEL_NOT_FOUND: WireStatus(grpc.StatusCode.NOT_FOUND),
        Reason.BODY_TOO_LARGE: WireStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, http=413),
        Reason.MODEL_UNFIT: WireStatus(grpc.StatusCode.FAILED_PRECONDITION, http=422),
        Reason.MODEL_UNAVAILABLE: WireStatus(grpc.StatusCode.UNAVAILABLE),
        Reason.INTERNAL_ERROR: WireStatus(grpc.StatusCode.INTERNAL),
    }
)

_DRAINING = Refused(
    reason=Reason.MODEL_UNAVAILABLE,
    message="Nothing was answered: the model service is shutting down. Send again in a moment.",
)


class Logger(Protocol):
    """What the boundary writes to: structlog's bound logger."""

    def debug(self, event: str, **keys: object) -> object:
        """A served call."""
        ...

    def info(self, event: str, **keys: object) -> object:
        """A refused call."""
        ...

    def exception(self, event: str, **keys: object) -> object:
        """A fault of ours, with its traceback."""
        ...


class Boundary:
    """What stands between the wire and every method. Counts running calls, so that a drain knows when it is done."""

    def __init__(self, log: Logger | FilteringBoundLogger) -> None:
        self._log = log
        self._running = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def answer(
        self,
        context: Context,
        call: str,
        method: Callable[[Request], Awaitable[Response | Refused]],
        request: Request,
        *,
        one_write: bool = False,
    ) -> Response:
        """The method's answer to the request; a refusal or a fault of ours aborts the call.

        The call's id goes back as initial metadata, or as trailing metadata with `one_write`, which spares a
        busy call its second write. An error carries it in its trailing metadata: it stays free of
        initial metadata, so that a proxy sees its status and details at once.
        """
        request_id = _request_id(context.invocation_metadata())
        answered = _DRAINING if self._draining else await self._guarded(method, request, call, request_id)
        if isinstance(answered, Refused):
            if answered.reason is not Reason.INTERNAL_ERROR:
                self._log.info("refused", call=call, reason=answered.reason.value, request_id=request_id)
            await _abort(context, answered, request_id)
        self._log.debug("answered", call=call, request_id=request_id)
        if one_write:
            context.set_trailing_metadata(((REQUEST_ID, request_id),))
        else:
            await context.send_initial_metadata(((REQUEST_ID, request_id),))
        return answered

    async def drain(self, seconds: float) -> bool:
        """Refuses new calls from now on and waits for the running ones; False when some outlast `seconds`."""
        self._draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), timeout=seconds)
        except TimeoutError:
            return False
        return True

    async def _guarded(
        self, method: Callable[[Request], Awaitable[Response | Refused]], request: Request, call: str, request_id: str
    ) -> Response | Refused:
        self._running += 1
        self._idle.clear()
        try:
            return await method(request)
        except Exception:  # noqa: BLE001 # the one boundary: what is unexpected must neither pass nor reach the client
            incident = secrets.token_hex(8)
            self._log.exception("internal_error", call=call, incident=incident, request_id=request_id)
            return Refused(
                reason=Reason.INTERNAL_ERROR,
                message=f"Nothing was answered: the fault is ours. Give the operator the incident id {incident}.",
                metadata={"incident": incident},
            )
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()


def _request_id(metadata: object) -> str:
    """The caller's id when it is a sane one, else a new one."""
    for key, value in metadata or ():  # type: ignore[attr-defined] # pairs; grpc's stubs call it a Mapping
        if key == REQUEST_ID and isinstance(value, str) and _REQUEST_ID_FORM.fullmatch(value):
            return value
    return secrets.token_hex(16)


async def _abort(context: Context, refused: Refused, request_id: str) -> NoReturn:
    status = STATUSES[refused.reason]
    trailing: list[tuple[str, str | bytes]] = [
        (REQUEST_ID, request_id),
        ("grpc-status-details-bin", status_details(refused).SerializeToString()),
    ]
    if status.http is not None:
        trailing.append(("x-http-status", str(status.http)))
    await context.abort(status.code, refused.message, tuple(trailing))
    raise AssertionError("abort raises")


def status_details(refused: Refused) -> status_pb2.Status:
    """The refusal as google.rpc.Status: ErrorInfo always, BadRequest and RetryInfo where they apply."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=refused.reason.value, domain=DOMAIN, metadata=dict(refused.metadata))
    ]
    if refused.fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=path, description=fault) for path, fault in refused.fields
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if STATUSES[refused.reason].code is grpc.StatusCode.UNAVAILABLE:
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
    number: int = STATUSES[refused.reason].code.value[0]
    return status_pb2.Status(code=number, message=refused.message, details=[_packed(detail) for detail in details])


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
