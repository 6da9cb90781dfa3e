"""`tollgate doctor`: audits the journal, beside a running gateway or without one, and tells what it found."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.journal_sqlite.inspection import back_up, inspect
from gateway.adapters.journal_sqlite.schema import JournalUnusableError
from gateway.core.audit import AuditReport, Fault

__all__ = ["Diagnosis", "JournalUnusableError", "Verification", "copy", "diagnose", "verify"]

Progress = Callable[[int, int], None]
"""Told how many of how many records are read."""

OPEN_SHOWN = 20
"""Open orders listed to a person; JSON has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is to be told of a journal."""

    journal: Path
    found: AuditReport | Fault
    """A Fault when the file is too damaged to be read through."""

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return isinstance(self.found, AuditReport) and self.found.ok

    def text(self) -> str:
        """For a person."""
        if isinstance(self.found, Fault):
            return f"journal  {self.journal}\nBROKEN   {self.found.problem}"
        return "\n".join([f"journal  {self.journal}", *_summary(self.found), *_verdict(self.found)])

    def json(self) -> str:
        """For a program; money as decimal text."""
        shape: dict[str, object] = {"ok": self.ok, "journal": str(self.journal)}
        if isinstance(self.found, Fault):
            return json.dumps(shape | {"faults": [_fault_object(self.found)]}, indent=2)
        return json.dumps(shape | _report_object(self.found), indent=2)


def diagnose(journal: Path, progress: Progress | None = None) -> Diagnosis:
    """Audit a journal. Raises JournalUnusableError when there is none."""
    return Diagnosis(journal=journal, found=inspect(journal, progress))


def copy(journal: Path, target: Path) -> Diagnosis:
    """Copy a journal into a new file, and audit the copy. Raises JournalUnusableError: there is no copy then."""
    return Diagnosis(journal=target, found=back_up(journal, target))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Whether a journal's digest chain is whole, and where it breaks."""

    diagnosis: Diagnosis

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return self.diagnosis.ok

    def text(self) -> str:
        """For a person."""
        found = self.diagnosis.found
        if isinstance(found, Fault) or not found.ok:
            return self.diagnosis.text() if isinstance(found, Fault) else "\n".join(_verdict(found))
        return f"OK       {found.records} records, each follows from the one before; head {found.head_digest.hex()}"

    def json(self) -> str:
        """For a program."""
        found = self.diagnosis.found
        shape: dict[str, object] = {"ok": self.ok, "journal": str(self.diagnosis.journal)}
        if isinstance(found, Fault):
            return json.dumps(shape | {"faults": [_fault_object(found)]}, indent=2)
        faults = [_fault_object(fault) for fault in found.faults]
        head = {"records": found.records, "head_digest": found.head_digest.hex()}
        return json.dumps(shape | head | {"faults": faults}, indent=2)


def verify(journal: Path, progress: Progress | None = None) -> Verification:
    """Audit a journal, to tell of its chain alone. Raises JournalUnusableError when there is none."""
    return Verification(diagnosis=diagnose(journal, progress))


def _summary(report: AuditReport) -> list[str]:
    ledger = report.ledger
    money = f"realised {ledger.realised_usd:f} USD, fees {ledger.fees_usd:f} USD"
    lines = [
        f"account  {report.account or 'none yet'}",
        f"records  {report.records} ({_counts(report.kinds)}), head {report.head_digest.hex()}",
        f"orders   {sum(report.states.values())} ({_counts(report.states)})",
        f"ledger   {money}, equity is the start and {ledger.earned_usd:+f} USD, open positions aside",
        f"risk     {report.risk_state.value}",
        f"watch    {_watch(report)}, {report.unmatured} decisions wait for their outcome",
    ]
    for symbol, position in sorted(ledger.positions.items()):
        lines.append(f"position {symbol} {position.qty:+f} at {position.entry_price:f}")
    lines.extend(
        f"open     {record.order.key} {record.order.symbol} {record.state.value}"
        for record in report.open_orders[:OPEN_SHOWN]
    )
    if len(report.open_orders) > OPEN_SHOWN:
        lines.append(f"open     and {len(report.open_orders) - OPEN_SHOWN} more")
    return lines


def _verdict(report: AuditReport) -> list[str]:
    if report.ok:
        return ["OK       the chain is whole, the orders follow from it, and every move is allowed"]
    return [f"BROKEN   {_where(fault)}{fault.problem}" for fault in report.faults]


def _where(fault: Fault) -> str:
    return "" if fault.seq is None else f"record {fault.seq}: "


def _watch(report: AuditReport) -> str:
    """Where the calibration watch stands, by model version."""
    stands = ", ".join(f"{version} {state}" for version, state in sorted(report.watch_states.items()))
    return stands or "never moved"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _fault_object(fault: Fault) -> dict[str, object]:
    return {"seq": fault.seq, "problem": fault.problem}


def _report_object(report: AuditReport) -> dict[str, object]:
    ledger = report.ledger
    return {
        "faults": [_fault_object(fault) for fault in report.faults],
        "account": report.account,
        "records": report.records,
        "kinds": dict(report.kinds),
        "states": dict(report.states),
        "last_seq": report.last_seq,
        "head_digest": report.head_digest.hex(),
        "risk_state": report.risk_state.value,
        "watch_states": dict(report.watch_states),
        "unmatured": report.unmatured,
        "realised_usd": format(ledger.realised_usd, "f"),
        "fees_usd": format(ledger.fees_usd, "f"),
        "earned_usd": format(ledger.earned_usd, "f"),
        "positions": {
            symbol: {"qty": format(position.qty, "f"), "entry_price": format(position.entry_price, "f")}
            for symbol, position in sorted(ledger.positions.items())
        },
        "open_orders": [
            {"key": record.order.key, "symbol": record.order.symbol, "state": record.state.value}
            for record in report.open_orders
        ],
    }
