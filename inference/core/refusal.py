"""Why a call can be refused, as values.

The names are those of `ErrorReason` in proto/trading/v1/errors.proto; a test compares the two.
The gRPC and HTTP status of each reason stand in inference/rpc/errors.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique

_SHOWN_MAX = 64


@unique
class Reason(Enum):
    """The reasons that the model service gives; a subset of the contract's."""

    INVALID_FIELD = "INVALID_FIELD"
    UNKNOWN_FEATURE = "UNKNOWN_FEATURE"
    MISSING_FEATURE = "MISSING_FEATURE"
    NON_FINITE = "NON_FINITE"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    MODEL_UNFIT = "MODEL_UNFIT"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A call that was not answered.

    `message` says what did not happen, then what to do. `fields` are the paths of the
    request's faulty fields with what is wrong with each. `metadata` carries the limit and the value.
    """

    reason: Reason
    message: str
    fields: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def shown(text: str) -> str:
    """A caller's text as it may be repeated to it: bounded, and valid in UTF-8."""
    return text[:_SHOWN_MAX].encode("utf-8", errors="backslashreplace").decode("utf-8")


def invalid_field(path: str, fault: str, *, undone: str = "predicted", **metadata: str) -> Refused:
    """The refusal of one field: its path and what is wrong with it. `undone` is what the call would have done."""
    path = shown(path)
    return Refused(
        reason=Reason.INVALID_FIELD,
        message=f"Nothing was {undone}: {path or 'the request'} {fault}. Mend it and send again.",
        fields=((path, fault),),
        metadata={"field": path, **metadata},
    )
