"""`tollgate decisions`: the newest decisions of a journal's file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.adapters.journal_sqlite.reading import snapshot
from gateway.adapters.journal_sqlite.schema import JournalUnusableError
from gateway.core.json_fields import RecordFormatError
from gateway.core.model import Decision
from gateway.core.records import decision_from, decision_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDecisions:
    """Decisions, newest first."""

    decisions: Sequence[Decision]

    ok = True

    def text(self) -> str:
        """For a person."""
        return "\n".join(_line(decision) for decision in self.decisions) or "no decisions"

    def json(self) -> str:
        """For a program: the records."""
        return json.dumps([json.loads(decision_text(decision)) for decision in self.decisions], indent=2)


def shown_decisions(journal: Path, limit: int) -> ShownDecisions:
    """The newest decisions. Raises JournalUnusableError."""
    try:
        with snapshot(journal) as at_once:
            found = [decision_from(record.body) for record in at_once.newest("decision", limit)]
    except RecordFormatError as fault:
        raise JournalUnusableError(f"{journal} is damaged: {fault}. Run tollgate doctor.") from fault
    return ShownDecisions(decisions=found)


def _line(decision: Decision) -> str:
    when = datetime.fromtimestamp(decision.at_ms / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    verdict = "allowed" if decision.allow else f"forbidden: {', '.join(decision.reasons)}"
    return (
        f"{when}  {decision.decision_id}  {decision.signal.value:<5} {decision.symbol}  confidence"
        f" {decision.confidence:.3f} of {decision.threshold:.3f}  {verdict}"
    )
