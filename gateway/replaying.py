"""`tollgate replay`: judges every order of a journal again, and tells what comes out otherwise."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gateway.adapters.journal_sqlite.reading import snapshot
from gateway.core.replay import Difference, Replay, ReplayReport

PROGRESS_EVERY: Final = 1000
"""Orders between two words of progress: some tens of milliseconds."""
NO_LIMIT: Final = -1

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What is to be told of a replay."""

    journal: Path
    found: ReplayReport

    @property
    def ok(self) -> bool:
        """True when no verdict differs."""
        return self.found.ok

    def text(self) -> str:
        """For a person."""
        found = self.found
        lines = [
            f"journal  {self.journal}",
            f"orders   {found.orders}, up to record {found.last_seq}",
            f"again    {found.identical} verdicts are identical, {found.different} differ",
            f"not      {found.not_recorded} tell no facts, {found.other_form} tell those of another version",
            *(f"DIFFERS  {_told(difference)}" for difference in found.differences),
        ]
        if found.different > len(found.differences):
            lines.append(f"DIFFERS  and {found.different - len(found.differences)} more")
        return "\n".join([*lines, *([f"OK       {self._verdict()}"] if self.ok else [])])

    def _verdict(self) -> str:
        if self.found.not_recorded or self.found.other_form:
            return f"{self.found.identical} verdicts follow from what was recorded; the others cannot be judged again"
        return "every verdict follows from what was recorded"

    def json(self) -> str:
        """For a program."""
        return json.dumps({"ok": self.ok, "journal": str(self.journal)} | asdict(self.found), indent=2)


def replay_journal(journal: Path, *, from_seq: int, limit: int | None, progress: Progress) -> Replayed:
    """Judge the orders again that began with the record of that number or later. Raises JournalUnusableError."""
    with snapshot(journal) as at_once:
        replay = Replay(policy_of=at_once.policy, decision_of=at_once.decision)
        total = at_once.orders(from_seq) if limit is None else min(limit, at_once.orders(from_seq))
        for done, first in enumerate(at_once.first_records(from_seq, NO_LIMIT if limit is None else limit), 1):
            replay.take(first)
            if done % PROGRESS_EVERY == 0 or done == total > PROGRESS_EVERY:
                progress(done, total)
    return Replayed(journal=journal, found=replay.report())


def _told(difference: Difference) -> str:
    where = f"record {difference.seq}, order {difference.key}"
    if not difference.field:
        return f"{where}: it cannot be judged again: {difference.derived}"
    return f"{where}: {difference.field} was recorded as {difference.recorded}, and comes out as {difference.derived}"
