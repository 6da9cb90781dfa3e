"""The columns of an exported journal: each kind of record as a flat table.

Every table begins with the record's number, subject, time and digest. What follows are the fields of its body, by the
dataclass that the kind keeps; an order's own fields come first. Money is decimal text, as recorded; what is nested is
JSON text; a field that the record's version did not have is empty.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Final, Literal, TypeAlias, get_args

from gateway.core.audit import StoredRecord
from gateway.core.documents import DocumentKind
from gateway.core.json_fields import RecordFormatError, canonical_text, parsed
from gateway.core.model import Decision, Matured, Order, OrderRecord, RiskChange, WatchMove

Kind: TypeAlias = Literal["text", "int", "float", "bool"]
Cell: TypeAlias = str | int | float | bool | None

SHAPES: Final[Mapping[str, type]] = {
    "decision": Decision,
    "order": OrderRecord,
    "risk": RiskChange,
    "outcome": Matured,
    "watch": WatchMove,
}
KINDS: Final = (*SHAPES, *(kind.value for kind in DocumentKind))
"""Every kind of record, one table each."""

_HEAD: Final[Mapping[str, Kind]] = {"seq": "int", "subject": "text", "recorded_ms": "int", "digest": "text"}
_OF_TYPE: Final[Mapping[object, Kind]] = {int: "int", float: "float", bool: "bool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One kind's table."""

    name: str
    columns: Mapping[str, Kind]

    def row(self, record: StoredRecord) -> tuple[Cell, ...]:
        """A record as a row of it. Raises RecordFormatError."""
        body = parsed(record.body, record.kind)
        if not isinstance(body, dict):
            raise RecordFormatError(f"record {record.seq} is no object")
        head: dict[str, object] = {
            "seq": record.seq,
            "subject": record.subject,
            "recorded_ms": record.at_ms,
            "digest": record.digest.hex(),
        }
        flat = head | {f"order_{name}": value for name, value in _nested(body, "order").items()} | _document(self, body)
        cells = body | flat
        return tuple(_cell(cells.get(name), kind) for name, kind in self.columns.items())


def table_of(kind: str) -> Table:
    """The table of a kind of record."""
    return Table(name=kind, columns={**_HEAD, **dict(_columns(kind))})


def _columns(kind: str) -> Iterator[tuple[str, Kind]]:
    shape = SHAPES.get(kind)
    if shape is None:
        yield "body", "text"
        return
    yield "v", "int"
    if shape is OrderRecord:
        yield from ((f"order_{field.name}", _kind(field.type)) for field in dataclass_fields(Order))
    for field in dataclass_fields(shape):
        if (shape, field.name) != (OrderRecord, "order"):
            yield field.name, _kind(field.type)


def _kind(hint: Any) -> Kind:  # noqa: ANN401 - whatever a type hint is
    """How values of a field are shown."""
    if isinstance(hint, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not types.NoneType)
    return _OF_TYPE.get(hint, "text")


def _nested(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    inner = body.get(name)
    return inner if isinstance(inner, dict) else {}


def _document(table: Table, body: Mapping[str, object]) -> dict[str, object]:
    return {"body": body} if "body" in table.columns else {}


def _cell(value: object, kind: Kind) -> Cell:
    """One value as its column shows it. Raises RecordFormatError: it is of another type."""
    match kind, value:
        case _, None:
            return None
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool):
            return value
        case "float", int() | float() if not isinstance(value, bool):
            return float(value)
        case "text", str():
            return value
        case "text", dict() | list():
            return canonical_text(value)
        case _:
            raise RecordFormatError(f"{value!r} is no {kind}")
