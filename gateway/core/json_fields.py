"""JSON objects of records: written canonically; read strictly, every key known and present, every value of its type."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields as dataclass_fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Never, TypeVar

_MAX = sys.float_info.max
_Value = TypeVar("_Value")
_Closed = TypeVar("_Closed", bound=StrEnum)


class RecordFormatError(ValueError):
    """A text is not the record that it should be, or a record holds what no text can; says which and why."""


def parsed(text: str, what: str) -> object:
    """The value of a JSON text. Raises RecordFormatError; NaN and Infinity are no JSON."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise RecordFormatError(f"{what}: not JSON: {error}") from error


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Mapping[str, object]) -> str:
    """A record's only JSON text: sorted keys, no spaces, ASCII. Raises RecordFormatError: a number is not finite."""
    return canonical_text(value)


def canonical_text(value: object) -> str:
    """As `canonical`, of a part of a record."""
    try:
        return _ENCODER.encode(value)
    except ValueError as error:
        raise RecordFormatError(f"a record cannot be written: {error}") from error


def keys_of(shape: type) -> frozenset[str]:
    """The keys of a dataclass's JSON object: its fields."""
    return frozenset(field.name for field in dataclass_fields(shape))


class Fields:
    """One JSON object, every key known and present; each method reads one key strictly."""

    __slots__ = ("_values", "_what")

    def __init__(self, value: object, what: str, keys: frozenset[str]) -> None:
        if not isinstance(value, dict):
            raise RecordFormatError(f"{what}: not an object")
        if value.keys() != keys:
            missing, unknown = sorted(keys - value.keys()), sorted(value.keys() - keys)
            raise RecordFormatError(f"{what}: missing keys {missing}, unknown keys {unknown}")
        self._values: dict[str, object] = value
        self._what = what

    def _fault(self, key: str, must: str) -> RecordFormatError:
        return RecordFormatError(f"{self._what}: {key} must be {must}")

    def is_null(self, key: str) -> bool:
        """Whether the key's value is null."""
        return self._values[key] is None

    def optional(self, key: str, read: Callable[[str], _Value]) -> _Value | None:
        """None for null, else what `read` reads."""
        return None if self._values[key] is None else read(key)

    def value(self, key: str) -> object:
        """Whatever it is, for another reader."""
        return self._values[key]

    def text(self, key: str) -> str:
        """A string."""
        value = self._values[key]
        if not isinstance(value, str):
            raise self._fault(key, "text")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._values[key]
        if not isinstance(value, bool):
            raise self._fault(key, "true or false")
        return value

    def integer(self, key: str) -> int:
        """A whole number."""
        value = self._values[key]
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._fault(key, "a whole number")
        return value

    def decimal(self, key: str) -> Decimal:
        """A finite decimal, written as a string."""
        try:
            value = Decimal(self.text(key))
        except InvalidOperation as error:
            raise self._fault(key, "a decimal") from error
        if not value.is_finite():
            raise self._fault(key, "a finite decimal")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        return self._number(key, self._values[key])

    def _number(self, key: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not -_MAX <= value <= _MAX:
            raise self._fault(key, "a finite number")
        return float(value)

    def member(self, key: str, closed_set: type[_Closed]) -> _Closed:
        """A member of an enumeration, by its value."""
        try:
            return closed_set(self.text(key))
        except ValueError as error:
            raise self._fault(key, f"one of {[member.value for member in closed_set]}") from error

    def nested(self, key: str, keys: frozenset[str]) -> "Fields":
        """An object with exactly `keys`."""
        return Fields(self._values[key], f"{self._what}.{key}", keys)

    def objects(self, key: str, keys: frozenset[str]) -> list["Fields"]:
        """A list of objects, each with exactly `keys`."""
        return [Fields(item, f"{self._what}.{key}", keys) for item in self._list(key)]

    def _list(self, key: str) -> list[object]:
        value = self._values[key]
        if not isinstance(value, list):
            raise self._fault(key, "a list")
        return value

    def names(self, key: str, known: frozenset[str]) -> list[str]:
        """A list of strings out of `known`."""
        items = self._list(key)
        names = [item for item in items if isinstance(item, str) and item in known]
        if len(names) != len(items):
            raise self._fault(key, f"a list of {sorted(known)}")
        return names

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers."""
        return tuple(self._number(key, item) for item in self._list(key))

    def numbers_by_name(self, key: str) -> dict[str, float]:
        """An object whose values are finite numbers."""
        return {name: self._number(key, item) for name, item in self._by_name(key).items()}

    def texts_by_name(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        values = self._by_name(key)
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        if len(texts) != len(values):
            raise self._fault(key, "an object of texts")
        return texts

    def _by_name(self, key: str) -> dict[str, object]:
        value = self._values[key]
        if not isinstance(value, dict):
            raise self._fault(key, "an object")
        return value


def record_version(value: object) -> object:
    """What a parsed record says of its version; None when it says nothing."""
    return value.get("v") if isinstance(value, dict) else None


def record_fields(value: object, what: str, keys: frozenset[str], version: int) -> Fields:
    """The checked fields of a whole parsed record of `version`. Raises RecordFormatError."""
    fields = Fields(value, what, keys)
    found = fields.integer("v")
    if found != version:
        raise RecordFormatError(f"{what}: version {found} is not known, only {version}")
    return fields
