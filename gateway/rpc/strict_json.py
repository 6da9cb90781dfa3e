"""Strict JSON: a body becomes a message, or a Failure that names what is wrong with it.

An unknown field, a duplicate, a wrong type or malformed text is refused: a
mistyped `idempotencykey` must never become a second order.
"""

import json
import re
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.core.model import Failure
from gateway.core.reasons import Reason

MessageT = TypeVar("MessageT", bound=Message)

_UNKNOWN = re.compile(r'has no field named "([^"]*)" at "\w+\.?([^"]*)"')
_AT = re.compile(r" at \w+\.(\S+?)\.?$")
_BOOLEAN = re.compile(rb"true|false")
_WRONG = re.compile(r"Failed to parse (\w+) field")

NAME_LENGTH_MAX = 100
"""A longer field name is cut in the answer."""


class _DuplicateKeyError(ValueError):
    pass


def parse(body: bytes, message_type: type[MessageT]) -> MessageT | Failure:  # noqa: PLR0911 - one for each fault
    """The message that `body` stands for; an empty body is an empty message."""
    try:
        document = json.loads(body.decode("utf-8") or "{}", object_pairs_hook=_unique)
        if not isinstance(document, dict):
            return _invalid("body", "is not a JSON object")
        if _BOOLEAN.search(body) and (misused := _misused_boolean(document, message_type.DESCRIPTOR)):
            return _invalid(misused, "has the wrong type: it is no truth value")
        if twice := _given_twice(document, message_type):
            return _invalid(twice, "is given twice, by both of its names")
        return _built(document, message_type) or json_format.ParseDict(document, message_type())
    except UnicodeDecodeError:
        return _invalid("body", "is not UTF-8 text")
    except _DuplicateKeyError as fault:
        return _invalid(str(fault), "is given twice")
    except UnicodeEncodeError:
        return _invalid("body", "holds half a surrogate pair, which is no character")
    except (json.JSONDecodeError, RecursionError):
        return _invalid("body", "is not valid JSON")
    except json_format.ParseError as fault:
        return _of_parse_error(str(fault))


def _built(document: dict[str, object], message_type: type[MessageT]) -> MessageT | None:
    """The message, built in a third of the time for a plain document; None when anything is not as plain as that.

    The constructor takes no unknown name and no wrong type. What it refuses, and every name that is not the
    contract's own, goes to json_format, which accepts more spellings and says what is wrong.
    """
    fields = message_type.DESCRIPTOR.fields_by_camelcase_name
    values: dict[str, Any] = {}
    for name, value in document.items():
        found = fields.get(name)
        if found is None or (found.cpp_type == found.CPPTYPE_BOOL and not isinstance(value, bool)):
            return None
        values[found.name] = value
    try:
        return message_type(**values)
    except (TypeError, ValueError):
        return None


def _given_twice(document: dict[str, object], message_type: type[Message]) -> str | None:
    """A field that is given by both of its names, qtyUsd and qty_usd."""
    fields = message_type.DESCRIPTOR.fields_by_name
    return next(
        (name for name in document if name in fields and fields[name].json_name in document.keys() - {name}), None
    )


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object without duplicate keys."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKeyError(next(name for name in names if names.count(name) > 1))
    return found


def _misused_boolean(document: object, descriptor: Any) -> str | None:  # noqa: ANN401 - its two kinds share no type
    """The first field that is no truth value and was given one: Python would take true for the number 1."""
    for name, value in document.items() if isinstance(document, dict) else ():
        found = descriptor.fields_by_camelcase_name.get(name) or descriptor.fields_by_name.get(name)
        if found is None:
            continue
        values = value if isinstance(value, list) else [value]
        if found.message_type is not None and found.message_type.GetOptions().map_entry and isinstance(value, dict):
            values = list(value.values())
            found = found.message_type.fields_by_name["value"]
        if found.message_type is not None:
            for index, inner in enumerate(values):
                if misused := _misused_boolean(inner, found.message_type):
                    return f"{name}[{index}].{misused}"
        elif found.cpp_type != found.CPPTYPE_BOOL and any(isinstance(one, bool) for one in values):
            return str(name)
    return None


def _of_parse_error(text: str) -> Failure:
    if unknown := _UNKNOWN.search(text):
        return _invalid(".".join(filter(None, (unknown[2], unknown[1]))), "is not a field of this request")
    if wrong := _AT.search(text) or _WRONG.search(text):
        return _invalid(wrong[1], "has the wrong type, or is not a number that can be used")
    return _invalid("body", "does not fit this request")


def _invalid(field_name: str, what: str) -> Failure:
    name = field_name[:NAME_LENGTH_MAX]
    return Failure(
        reason=Reason.INVALID_FIELD,
        message=f"Nothing was done: {name} {what}. Mend it and send it again.",
        metadata={"field": name},
        field_name=name,
    )
