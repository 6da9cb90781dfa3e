"""`tollgate journal limits`: the limits that orders are judged by, as the journal's file has them."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.adapters.journal_sqlite.reading import snapshot
from gateway.adapters.journal_sqlite.schema import JournalUnusableError
from gateway.core.documents import DocumentKind
from gateway.core.json_fields import RecordFormatError, parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLimits:
    """One policy of the journal."""

    policy_id: str
    since_ms: int
    """When it was recorded."""
    body: str

    ok = True

    def text(self) -> str:
        """For a person: one limit a line."""
        values = json.loads(self.body)["values"]
        since = datetime.fromtimestamp(self.since_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        width = max(len(name) for name in values)
        return "\n".join(
            [f"limits {self.policy_id}, since {since}", *(f"{n:<{width}}  {_told(v)}" for n, v in values.items())]
        )

    def json(self) -> str:
        """For a program: the record."""
        return json.dumps({"policy_id": self.policy_id, "since_ms": self.since_ms} | json.loads(self.body), indent=2)


def shown_limits(journal: Path) -> ShownLimits:
    """The newest limits. Raises JournalUnusableError: there are none, or the file cannot be read."""
    try:
        with snapshot(journal) as at_once:
            newest = next(at_once.newest(DocumentKind.POLICY.value, 1), None)
            body = parsed(newest.body, "policy") if newest else None
    except RecordFormatError as fault:
        raise JournalUnusableError(f"{journal} is damaged: {fault}. Run tollgate doctor.") from fault
    if newest is None or not isinstance(body, dict) or not isinstance(body.get("values"), dict):
        raise JournalUnusableError(f"{journal} tells no limits: no gateway of this version has started on it.")
    return ShownLimits(policy_id=newest.subject, since_ms=newest.at_ms, body=newest.body)


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_told(item) for item in value) or "none"
    return "none" if value is None else str(value)
