"""What an order was judged by, as plain JSON: the facts and the policy of facts.py, by their types.

Encoders and decoders are built once from the type hints of the dataclasses, so a field that is added there is kept
without a line here. Decimals are text, enumerations their values, sets sorted lists. A decision is kept by its id, as
the journal has it: whoever reads facts says how to find it.

A number that is not finite is kept by its name, as text: what refuses an order is a fact as well.

The form of the facts stands beside them: a digest of every field's name and type. Facts of another form were kept by
another version of the gateway, whose checks this one cannot repeat: they are not read.
"""

import hashlib
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, is_dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal, InvalidOperation
from enum import Enum
from math import isfinite
from operator import attrgetter
from typing import Any, Final, Never, NewType, Union, cast, get_args, get_origin, get_type_hints

from gateway.core.documents import Document, DocumentKind
from gateway.core.facts import OrderFacts, Policy
from gateway.core.json_fields import RecordFormatError, canonical, parsed, record_fields
from gateway.core.model import Decision, DecisionId

POLICY_VERSION: Final = 1
POLICY_ID_LENGTH: Final = 16
"""64 bits of a digest: an operator changes the limits some hundred times."""
FORM_LENGTH: Final = 8
NOT_FINITE: Final = frozenset({"nan", "inf", "-inf"})

DecisionOf = Callable[[DecisionId], Decision | None]
"""How facts find the decision that they name. None: the facts are read as if they named none."""

_Encode = Callable[[Any], object]
_Decode = Callable[[object, str, DecisionOf], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codec:
    """How values of one type are kept."""

    form: str
    """The type in words, fields and all."""
    encode: _Encode | None
    """None: the value is JSON as it is."""
    decode: _Decode
    """Raises RecordFormatError."""


def facts_object(facts: OrderFacts) -> dict[str, object]:
    """Facts as the JSON object that they are within an order's record."""
    return {"form": FACTS_FORM, "values": _encoded(_FACTS, facts)}


def facts_from(value: object, decision_of: DecisionOf | None) -> OrderFacts | None:
    """The facts that `facts_object` made; None when they are of another form, or nobody says how to find decisions.

    Raises RecordFormatError.
    """
    form, values = _formed(value, "facts")
    if form != FACTS_FORM or decision_of is None:
        return None
    return cast("OrderFacts", _FACTS.decode(values, "facts", decision_of))


def policy_document(policy: Policy, account: str, at_ms: int) -> Document:
    """The limits of an account's orders, as the journal keeps them from the moment at which they rule."""
    text = canonical(
        {"v": POLICY_VERSION, "account": account, "form": POLICY_FORM, "values": _encoded(_POLICY, policy)}
    )
    return Document(kind=DocumentKind.POLICY, subject=_id_of(text), text=text, at_ms=at_ms)


def policy_id(policy: Policy, account: str) -> str:
    """The id of the limits: the first 16 hexadecimal digits of the SHA-256 of their text."""
    return policy_document(policy, account, 0).subject


def policy_from(document: Document) -> tuple[Policy, str] | None:
    """The limits and their account's name; None when they are of another form. Raises RecordFormatError."""
    what = "policy"
    fields = record_fields(parsed(document.text, what), what, _POLICY_KEYS, POLICY_VERSION)
    if _id_of(document.text) != document.subject:
        raise RecordFormatError("policy: its id is not the digest of its text")
    if fields.text("form") != POLICY_FORM:
        return None
    return cast("Policy", _POLICY.decode(fields.value("values"), what, _no_decision)), fields.text("account")


def _id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:POLICY_ID_LENGTH]


def _formed(value: object, what: str) -> tuple[str, object]:
    if not isinstance(value, dict) or value.keys() != {"form", "values"} or not isinstance(value["form"], str):
        raise RecordFormatError(f"{what}: not an object of form and values")
    return value["form"], value["values"]


def _encoded(codec: _Codec, value: object) -> object:
    return value if codec.encode is None else codec.encode(value)


def _no_decision(_: DecisionId) -> None:
    return None


def _must(where: str, what: str) -> RecordFormatError:
    return RecordFormatError(f"{where} must be {what}")


def codec_of(kind: Any) -> _Codec:  # noqa: ANN401, PLR0911 - whatever a type hint is; one return for each sort of type
    """How values of a type are kept. Raises TypeError for one that nothing here knows."""
    if kind in _KNOWN:
        return _KNOWN[kind]
    if isinstance(kind, NewType):
        return codec_of(kind.__supertype__)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enumeration(kind)
    if is_dataclass(kind):
        return _object(cast("type", kind))
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType} and len(arguments) == 2 and types.NoneType in arguments:  # noqa: PLR2004
        return _optional(codec_of(next(each for each in arguments if each is not types.NoneType)))
    if origin in {frozenset, AbstractSet}:
        return _listed(codec_of(arguments[0]), frozenset, ordered=False)
    if origin is Sequence or (origin is tuple and arguments[1:] == (Ellipsis,)):
        return _listed(codec_of(arguments[0]), tuple, ordered=True)
    if origin is tuple:
        return _fixed([codec_of(each) for each in arguments])
    if origin is Mapping:
        return _mapping(codec_of(arguments[0]), codec_of(arguments[1]))
    raise TypeError(f"facts cannot hold {kind}: fact_records.py knows no way to keep it")


def _object(shape: type) -> _Codec:
    """A dataclass: an object of its fields, each by its own type."""
    hints = get_type_hints(shape)
    members = [(field.name, codec_of(hints[field.name])) for field in dataclass_fields(shape)]
    keys = frozenset(name for name, _ in members)
    plain = [(name, attrgetter(name)) for name, codec in members if codec.encode is None]
    coded = [(name, attrgetter(name), codec.encode) for name, codec in members if codec.encode is not None]
    decoders = [(name, codec.decode) for name, codec in members]

    def encode(value: object) -> dict[str, object]:
        kept: dict[str, object] = {name: get(value) for name, get in plain}
        for name, get, encode_member in coded:
            member = get(value)
            kept[name] = None if member is None else encode_member(member)
        return kept

    def decode(value: object, where: str, decision_of: DecisionOf) -> object:
        if not isinstance(value, dict) or value.keys() != keys:
            raise _must(where, f"an object of {sorted(keys)}")
        return shape(**{name: read(value[name], f"{where}.{name}", decision_of) for name, read in decoders})

    form = ",".join(f"{name}:{codec.form}" for name, codec in members)
    return _Codec(form=f"{{{form}}}", encode=encode, decode=decode)


def _optional(inner: _Codec) -> _Codec:
    encode = inner.encode

    def decode(value: object, where: str, decision_of: DecisionOf) -> object:
        return None if value is None else inner.decode(value, where, decision_of)

    return _Codec(
        form=f"{inner.form}?",
        encode=None if encode is None else lambda value: None if value is None else encode(value),
        decode=decode,
    )


def _enumeration(kind: type[Enum]) -> _Codec:
    by_value = {member.value: member for member in kind}

    def decode(value: object, where: str, _: DecisionOf) -> object:
        if not isinstance(value, str | int) or value not in by_value:
            raise _must(where, f"one of {sorted(map(str, by_value))}")
        return by_value[value]

    return _Codec(form=kind.__name__, encode=attrgetter("value"), decode=decode)


def _listed(inner: _Codec, make: Callable[[list[Any]], object], *, ordered: bool) -> _Codec:
    def encode(value: Any) -> list[object]:  # noqa: ANN401 - any collection
        kept = [_encoded(inner, item) for item in value]
        return kept if ordered else sorted(kept, key=str)

    def decode(value: object, where: str, decision_of: DecisionOf) -> object:
        if not isinstance(value, list):
            raise _must(where, "a list")
        return make([inner.decode(item, where, decision_of) for item in value])

    return _Codec(form=f"{'list' if ordered else 'set'} of {inner.form}", encode=encode, decode=decode)


def _fixed(parts: Sequence[_Codec]) -> _Codec:
    """A tuple of so many values, each of its own type."""

    def encode(value: Any) -> list[object]:  # noqa: ANN401 - a tuple
        return [_encoded(part, item) for part, item in zip(parts, value, strict=True)]

    def decode(value: object, where: str, decision_of: DecisionOf) -> object:
        if not isinstance(value, list) or len(value) != len(parts):
            raise _must(where, f"a list of {len(parts)}")
        return tuple(part.decode(item, where, decision_of) for part, item in zip(parts, value, strict=True))

    return _Codec(form=f"({','.join(part.form for part in parts)})", encode=encode, decode=decode)


def _mapping(key: _Codec, inner: _Codec) -> _Codec:
    def encode(value: Mapping[Any, Any]) -> dict[str, object]:
        return {str(_encoded(key, name)): _encoded(inner, item) for name, item in value.items()}

    def decode(value: object, where: str, decision_of: DecisionOf) -> object:
        if not isinstance(value, dict):
            raise _must(where, "an object")
        return {
            key.decode(name, where, decision_of): inner.decode(item, f"{where}.{name}", decision_of)
            for name, item in value.items()
        }

    return _Codec(form=f"map of {key.form} to {inner.form}", encode=encode, decode=decode)


def _decimal(value: object, where: str, _: DecisionOf) -> Decimal:
    try:
        return Decimal(value) if isinstance(value, str) else _no_decimal(where)
    except InvalidOperation:
        return _no_decimal(where)


def _no_decimal(where: str) -> Never:
    raise _must(where, "a decimal")


def _number_kept(value: float) -> float | str:
    """A number as JSON has it; one that is not finite by its name."""
    return value if isfinite(value) else str(value)


def _number(value: object, where: str, _: DecisionOf) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    if isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    raise _must(where, "a number")


def _plain(kind: type) -> _Decode:
    def decode(value: object, where: str, _: DecisionOf) -> object:
        if type(value) is not kind:
            raise _must(where, f"of type {kind.__name__}")
        return value

    return decode


def _decision(value: object, where: str, decision_of: DecisionOf) -> Decision | None:
    if not isinstance(value, str):
        raise _must(where, "a decision's id")
    return decision_of(DecisionId(value))


_KNOWN: Final[Mapping[object, _Codec]] = {
    str: _Codec(form="text", encode=None, decode=_plain(str)),
    int: _Codec(form="int", encode=None, decode=_plain(int)),
    bool: _Codec(form="bool", encode=None, decode=_plain(bool)),
    float: _Codec(form="number", encode=_number_kept, decode=_number),
    Decimal: _Codec(form="decimal", encode=str, decode=_decimal),
    Decision: _Codec(form="decision", encode=attrgetter("decision_id"), decode=_decision),
}

_FACTS: Final = codec_of(OrderFacts)
_POLICY: Final = codec_of(Policy)
_POLICY_KEYS: Final = frozenset({"v", "account", "form", "values"})


def _form(codec: _Codec) -> str:
    return hashlib.sha256(codec.form.encode()).hexdigest()[:FORM_LENGTH]


FACTS_FORM: Final = _form(_FACTS)
POLICY_FORM: Final = _form(_POLICY)
