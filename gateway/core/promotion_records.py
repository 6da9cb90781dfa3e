"""The signed record of a move between stages: who moved what, on which evidence, for which model and limits.

The text is canonical JSON with an HMAC-SHA256 over all the rest, made with the key of this installation: a record that
was changed, or made elsewhere, is refused. Records are never rewritten: whoever changes the shape raises VERSION and
keeps the reader of the version before.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from enum import StrEnum
from typing import Final

from gateway.core.criterion import Criterion, Finding
from gateway.core.facts import Policy
from gateway.core.figures import Interval
from gateway.core.json_fields import Fields, RecordFormatError, canonical, keys_of, parsed, record_fields
from gateway.core.promotion import Stage

VERSION: Final = 1

OVERRIDE_SUBJECT: Final = "OVERRIDE"


class Move(StrEnum):
    """What kind of move a record tells of."""

    PROMOTION = "promotion"
    DEMOTION = "demotion"
    RESTART = "restart"
    """Another model is served: the ladder begins anew."""
    OVERRIDE = "override"
    """A live start without a promotion; the stage stays what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRecord:
    """One move."""

    move: Move
    from_stage: Stage
    to_stage: Stage
    model_version: str
    """The model that the stage was earned with; empty while none was known."""
    model_sha256: str
    """Of its graph, lower-case hexadecimal; empty where its server does not tell."""
    limits: Mapping[str, str]
    """The limits that the evidence was made under, by name."""
    real_market: bool
    """Whether the evidence is of a real market."""
    from_ms: int
    """When the window of the evidence began."""
    criteria: Sequence[Criterion]
    actor: str
    """Who moved it; "tollgate" for the gateway itself."""
    reason: str
    at_ms: int


NO_LIMITS: Final = frozenset({"real_market", "require_decision", "maintenance"})
"""Fields of a policy that a promotion is not bound to: the record has the market itself, live asks for decisions where
paper need not, and a pause for maintenance changes nothing of what was shown."""


def limits_of(policy: Policy) -> dict[str, str]:
    """The limits that a promotion is for, as text by name: under others it was not earned."""
    return {
        field.name: _limit_text(getattr(policy, field.name))
        for field in dataclass_fields(policy)
        if field.name not in NO_LIMITS
    }


def _limit_text(value: object) -> str:
    """The same text for the same limit, however it was written: 100 and 100.0 are one."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def signed_text(record: PromotionRecord, key: bytes) -> str:
    """The record as canonical JSON with its signature. Raises RecordFormatError when a number is not finite."""
    content = _content(record)
    return canonical(content | {"signature": _signature(content, key)})


def verified(text: str, key: bytes) -> PromotionRecord:
    """The record that was signed with this key. Raises RecordFormatError: it is none, or was changed."""
    fields = record_fields(parsed(text, "promotion record"), "promotion record", _KEYS, VERSION)
    record = _record(fields)
    if not hmac.compare_digest(_signature(_content(record), key), fields.text("signature")):
        raise RecordFormatError("promotion record: its signature is not that of this installation's key")
    return record


def _signature(content: Mapping[str, object], key: bytes) -> str:
    return hmac.new(key, canonical(content).encode("ascii"), hashlib.sha256).hexdigest()


def _content(record: PromotionRecord) -> dict[str, object]:
    return {
        "v": VERSION,
        "move": record.move.value,
        "from_stage": record.from_stage.value,
        "to_stage": record.to_stage.value,
        "model_version": record.model_version,
        "model_sha256": record.model_sha256,
        "limits": dict(record.limits),
        "real_market": record.real_market,
        "from_ms": record.from_ms,
        "criteria": [_criterion_object(criterion) for criterion in record.criteria],
        "actor": record.actor,
        "reason": record.reason,
        "at_ms": record.at_ms,
    }


def _criterion_object(criterion: Criterion) -> dict[str, object]:
    found = criterion.interval
    return {
        "name": criterion.name,
        "finding": criterion.finding.value,
        "value": criterion.value,
        "limit": criterion.limit,
        "interval": None if found is None else {"value": found.value, "low": found.low, "high": found.high},
        "n": criterion.n,
        "needed_more": criterion.needed_more,
        "sentence": criterion.sentence,
    }


def _record(fields: Fields) -> PromotionRecord:
    return PromotionRecord(
        move=fields.member("move", Move),
        from_stage=fields.member("from_stage", Stage),
        to_stage=fields.member("to_stage", Stage),
        model_version=fields.text("model_version"),
        model_sha256=fields.text("model_sha256"),
        limits=fields.texts_by_name("limits"),
        real_market=fields.flag("real_market"),
        from_ms=fields.integer("from_ms"),
        criteria=tuple(_criterion(item) for item in fields.objects("criteria", _CRITERION_KEYS)),
        actor=fields.text("actor"),
        reason=fields.text("reason"),
        at_ms=fields.integer("at_ms"),
    )


def _criterion(fields: Fields) -> Criterion:
    interval = None if fields.is_null("interval") else fields.nested("interval", _INTERVAL_KEYS)
    return Criterion(
        name=fields.text("name"),
        finding=fields.member("finding", Finding),
        value=fields.optional("value", fields.number),
        limit=fields.number("limit"),
        interval=None
        if interval is None
        else Interval(value=interval.number("value"), low=interval.number("low"), high=interval.number("high")),
        n=fields.integer("n"),
        needed_more=fields.integer("needed_more"),
        sentence=fields.text("sentence"),
    )


_KEYS = keys_of(PromotionRecord) | {"v", "signature"}
_CRITERION_KEYS = keys_of(Criterion)
_INTERVAL_KEYS = keys_of(Interval)
