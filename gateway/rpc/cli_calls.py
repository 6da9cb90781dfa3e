"""One call of `tollgate` to a running part over gRPC, its answer in two forms, and its failures in one sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self, TypeVar, cast

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

DEADLINE_SECONDS: Final = 5.0
"""How long a call may take; every one of them answers in milliseconds or not at all."""

_DETAILS_KEY: Final = "grpc-status-details-bin"

ResponseT = TypeVar("ResponseT", bound=Message)


class CallFailedError(Exception):
    """The part refused the call, or did not answer; the message says which, with the reason where there is one."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered
        """True when the part itself said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer in both forms."""

    lines: Sequence[str]
    json: str
    ok: bool = True
    """False where the answer itself says that not all is well: the exit code tells it."""


class Connection:
    """A connection to one part; every call raises CallFailedError."""

    part: ClassVar[str]
    """What answers, as an operator calls it."""
    setting: ClassVar[str]
    """The environment variable that names its address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.channel = grpc.insecure_channel(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def call(
        self, method: Callable[..., ResponseT], request: Message, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> ResponseT:
        """The answer to the request. Raises CallFailedError."""
        try:
            return method(request, timeout=deadline_seconds)
        except grpc.RpcError as error:
            raise self._failure(cast("grpc.Call", error)) from error  # what a stub raises is both

    def _failure(self, error: grpc.Call) -> CallFailedError:
        """The part's own reason where it gave one, else what the channel says."""
        info = _error_info(error)
        if info is not None:
            return CallFailedError(f"{info.reason}: {error.details()}", answered=True)
        code = error.code()
        if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
            return CallFailedError(
                f"No {self.part} answers at {self._address} ({code.name}). Is it running? "
                f"Name another with --addr or {self.setting}.",
                answered=False,
            )
        return CallFailedError(f"{code.name}: {error.details()}", answered=True)


def _error_info(error: grpc.Call) -> error_details_pb2.ErrorInfo | None:
    details = dict(error.trailing_metadata() or ()).get(_DETAILS_KEY)
    if not isinstance(details, bytes):
        return None
    info = error_details_pb2.ErrorInfo()
    try:
        packed = status_pb2.Status.FromString(details).details
        return info if any(detail.Unpack(info) for detail in packed) else None
    except DecodeError:
        return None


def reply(message: Message, lines: Sequence[str], *, ok: bool = True) -> Reply:
    """The message in both forms."""
    return Reply(lines=lines, json=MessageToJson(message, always_print_fields_with_no_presence=True), ok=ok)
