"""What a check of bars finds, and the error that refuses them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The bars are refused."""
    WARNING = "warning"
    """They are taken; a person should look."""
    NOTE = "note"
    """They are taken; it is worth knowing."""


class Repair(StrEnum):
    """A repair that a person may ask for; none is made unasked, and none fills a gap."""

    TIMESTAMPS = "timestamps"
    """Every open time is read by its magnitude: seconds, milliseconds, microseconds or nanoseconds."""
    SORT = "sort"
    """Rows are put in the order of time."""
    DUPLICATES = "duplicates"
    """Of rows that are the same bar, one is kept."""
    DROP_CONFLICTING = "drop_conflicting"
    """Rows that share their open time but not their values are dropped, all of them: nobody can tell which is right."""
    DROP_BROKEN = "drop_broken"
    """Rows that are no bar are dropped: no number, no price, a negative volume, open or close outside low and high."""
    DROP_SPIKES = "drop_spikes"
    """Bars with a price twice as far as it can be, gone with the next bar, are dropped."""
    DROP_STALE = "drop_stale"
    """Of bars that repeat the one before them to the last digit, the first is kept."""
    DROP_FLAT = "drop_flat"
    """Bars whose four prices are one price are dropped."""
    SWAPPED_VOLUME = "swapped_volume"
    """Base and quote volume are exchanged in the rows where they stand in each other's column."""


ROWS_SHOWN = 5
"""How many rows a finding names: enough to look at, few enough for one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found."""

    check: str
    severity: Severity
    count: int
    """How many rows it concerns; 0 when it concerns none in particular."""
    rows: tuple[int, ...]
    """The first of them, as they stand in the file; row 0 follows the header."""
    sentence: str
    """What it is."""
    repair: Repair | None = None
    """What would cure it, when it is asked for by name."""

    def line(self) -> str:
        """For people: everything in one line."""
        where = f" (rows {', '.join(map(str, self.rows))}{', ...' if self.count > len(self.rows) else ''})"
        cure = f" [--repair {self.repair.value}]" if self.repair else ""
        return f"{self.severity.value}: {self.check}: {self.sentence}{where if self.rows else ''}{cure}"


class DataFaultError(ValueError):
    """Bars that are refused; the text lists why, `findings` are the errors that were found, if a check found them."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)

    @classmethod
    def of(cls, path: Path | str, findings: Sequence[Finding]) -> "DataFaultError":
        """The refusal for what was found in a file."""
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        lines = [f"{path} is refused:", *(f"  {finding.line()}" for finding in errors)]
        return cls("\n".join(lines), errors)
