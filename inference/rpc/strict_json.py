"""A JSON body as a request message, strictly.

Refused, naming the field: malformed JSON, what is not an object, an unknown or duplicate field, a truth value where a
number belongs, a wrong type. A literal NaN, Infinity or a number beyond float64 is passed on as proto3's own text for
it, so that the rule on finite numbers refuses it by its field and with its own reason.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from inference.core.refusal import Reason, Refused, invalid_field

Request = TypeVar("Request", bound=Message)

BODY_BYTES_MAX = 65_536
"""A body is about 100 bytes; this leaves room for the most features and the longest reason of the contract."""

_NUMBER_TEXT = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|-?Infinity|NaN")
_FAILED_FIELD = re.compile(r"Failed to parse (\w+) field")
_INFINITE_TEXTS = {float("inf"): "Infinity", float("-inf"): "-Infinity"}


class _DuplicateFieldError(ValueError):
    """An object that names a field twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def parse_strictly(body: bytes, message: Request, *, undone: str = "predicted") -> Request | Refused:
    """Fills the message from the body, or says what is wrong with it. `undone` is what the call would have done."""
    if len(body) > BODY_BYTES_MAX:
        return Refused(
            reason=Reason.BODY_TOO_LARGE,
            message=f"Nothing was {undone}: the body has {len(body)} bytes, more than {BODY_BYTES_MAX}. Send less.",
            metadata={"limit": str(BODY_BYTES_MAX), "value": str(len(body))},
        )
    try:
        raw = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=str,
            parse_float=_number,
            parse_int=_number,
        )
    except _DuplicateFieldError as fault:
        return invalid_field(fault.name, "appears twice", undone=undone)
    except (ValueError, RecursionError):
        return invalid_field("", "is not JSON", undone=undone)
    return _parse_object(raw, message, undone)


def _parse_object(raw: object, message: Request, undone: str) -> Request | Refused:
    if not isinstance(raw, dict):
        return invalid_field("", "is not a JSON object", undone=undone)
    fields: Sequence[Any] = message.DESCRIPTOR.fields  # the stubs know two kinds of the same descriptor
    known = {name: field for field in fields for name in (field.name, field.json_name)}
    for name, value in raw.items():
        if name not in known:
            return invalid_field(name, "is not a field of the request", undone=undone)
        if path := _unreadable_number(name, value, known[name]):
            return invalid_field(path, "is not a number", undone=undone)
    try:
        return ParseDict(raw, message)
    except ParseError as fault:
        return invalid_field(".".join(_FAILED_FIELD.findall(str(fault))), "has the wrong type", undone=undone)


def _unreadable_number(name: str, value: object, field: FieldDescriptor) -> str | None:
    """The path of what is not a number in a field of numbers, or in a map of them, named to the key."""
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry and isinstance(value, dict):
        numeric = entry.fields_by_name["value"].cpp_type == FieldDescriptor.CPPTYPE_DOUBLE
        return next((f"{name}.{key}" for key, part in value.items() if numeric and not _is_number(part)), None)
    return name if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE and not _is_number(value) else None


def _is_number(value: object) -> bool:
    """A number, or its text, which proto3's JSON allows; true and false, which Python takes for 1 and 0, are none."""
    if isinstance(value, str):
        return bool(_NUMBER_TEXT.fullmatch(value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise _DuplicateFieldError(name)
        seen[name] = value
    return seen


def _number(text: str) -> float | str:
    value = float(text)
    return _INFINITE_TEXTS.get(value, value)
