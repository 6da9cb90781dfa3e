"""Live calibration: what recorded decisions promised, what came of them, and what the watch therefore asks for.

The journal is the record; this is its fold, kept in memory for each model version and rebuilt when a version is met.
The gateway counts the first decision of each symbol, bar and version ("scored"): all others of that bar repeat it. What
is dear to compute is computed off the event loop, when it has changed; requests read what is there.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from gateway.core.drift import FeatureReference, Row
from gateway.core.facts import CalibrationStanding
from gateway.core.model import (
    Decision,
    DecisionId,
    Matured,
    Symbol,
    Verdict,
    WatchMove,
    WatchState,
)
from gateway.core.recalibrate import recalibration_slope
from gateway.core.summary import Summary, summarised
from gateway.core.watch import Watch, after_all
from gateway.ports import Clock, Journal, JournalUnavailableError

FOLD_OUTCOMES_MAX: Final = 20_000
"""Outcomes that a rebuilt watch goes through, the newest: nine months of three symbols by the hour, half a second."""

MOVES_READ_MAX: Final = 1000
"""Moves of the watch, of all versions, that a rebuilding looks at."""

MOVES_TOLD: Final = 20
"""The contract of GetCalibration names this number."""

WAITING_MAX: Final = 20_000
"""Scored decisions that may wait for their outcome; beyond it none is scored, so that the journal's are as few."""

VERSIONS_MAX: Final = 32
"""Model versions kept in memory; the one that was met first is forgotten, and rebuilt when it is met again."""

CLAIMS_MAX: Final = 4096
"""Pairs of symbol and version whose newest scored bar is remembered."""

THRESHOLD_MAX: Final = 0.99
"""A raised threshold ends here: above it no confidence would ever do, and the watch has a state for that."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """Live calibration of one version, as it is told."""

    model_version: str
    """Empty when no version is known."""
    standing: CalibrationStanding
    matured: int
    """Scored decisions that came out right or wrong."""
    window: int
    """How many of the newest of them the summary is made of."""
    evidence: float
    alarm_at: float
    summary: Summary
    moves: tuple[WatchMove, ...]
    """Of all versions, newest first."""


@dataclass(slots=True, kw_only=True)
class _Version:
    """One model version as it is known now; of the event loop alone."""

    watch: Watch
    judged: deque[Matured]
    """The newest that came out right or wrong, oldest first."""
    rows: deque[Row]
    matured: int = 0
    slope: float = 1.0
    references: tuple[FeatureReference, ...] | None = None
    """None until the model service was asked; empty when nobody tells."""
    summary: Summary = field(default_factory=Summary)
    changed: bool = True
    """Whether the summary is older than what it is made of."""


class Calibration:
    """Keeps the state of the watch, and counts decisions and outcomes; changed only on the event loop."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        threshold: float,
        alarm_at: float,
        raise_by: float,
        window: int,
        recalibrate: bool,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._threshold = threshold
        self._raised = max(threshold, min(THRESHOLD_MAX, threshold + raise_by))
        self._alarm_at = alarm_at
        self._window = window
        self._recalibrate = recalibrate
        self._served: str | None = None
        self._told: str | None = None
        """The version that reports are about: the served one, or the one that moved last while none is known."""
        self._versions: dict[str, _Version] = {}
        self._waiting: dict[DecisionId, Decision] | None = None
        self._claims: dict[tuple[Symbol, str], int] = {}
        self._owed: list[WatchMove] = []
        self._recording = asyncio.Lock()
        self._moves: tuple[WatchMove, ...] = ()

    # What decisions and orders ask

    def load(self, model_version: str) -> None:
        """Take a version as the served one, rebuilt from the journal when it is new. Raises JournalUnavailableError."""
        self._version(model_version)
        self._served = self._told = model_version

    def standing(self, model_version: str | None = None) -> CalibrationStanding:
        """What the watch over a version, or the served one, asks for. Raises JournalUnavailableError.

        While no version is known to be served, it is the one that moved last: a restart without a model lifts nothing.
        """
        name = model_version or self._served_or_last()
        if name is None:
            return self._standing(self._new_version())
        return self._standing(self._version(name))

    def claim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> bool:
        """True for the first decision of its symbol, bar and version: it is scored. Raises JournalUnavailableError."""
        if len(self._pending()) >= WAITING_MAX or self._claims.get((symbol, model_version), -1) >= bar_open_ms:
            return False
        self._note_claim(symbol, bar_open_ms, model_version)
        return True

    def unclaim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> None:
        """Leave the claim to another, since the decision could not be recorded."""
        if self._claims.get((symbol, model_version)) == bar_open_ms:
            del self._claims[symbol, model_version]

    def recorded(self, decisions: Sequence[Decision]) -> None:
        """Take up the scored ones among decisions that are durable now. Raises JournalUnavailableError."""
        for decision in decisions:
            if decision.scored and decision.decision_id not in self._pending():
                version = self._version(decision.model_version)
                self._pending()[decision.decision_id] = decision
                version.rows.append(_row(decision))
                version.changed = True

    # What maturing asks

    def waiting(self) -> Sequence[Decision]:
        """Scored decisions without an outcome, oldest first. Raises JournalUnavailableError."""
        return tuple(self._pending().values())

    async def mature(self, outcomes: Sequence[Matured]) -> None:
        """Record outcomes, take them up, and record the moves that they make the watch take.

        Raises JournalUnavailableError: no outcome was kept. A move that could not be recorded is in force and owed.
        """
        by_version: dict[str, list[Matured]] = {}
        for outcome in outcomes:
            by_version.setdefault(outcome.model_version, []).append(outcome)
        versions = {
            name: self._version(name) for name in by_version
        }  # before: a later rebuilding would have them twice
        await self._journal.append_matured(outcomes)
        for outcome in outcomes:
            self._pending().pop(outcome.decision_id, None)
        for name, version in versions.items():
            self._take(version, by_version[name])
        await self.record_owed()

    async def record_owed(self) -> None:
        """Journal the moves that are in force but not recorded, oldest first; what cannot be kept stays owed."""
        async with self._recording:
            while self._owed:
                try:
                    await self._journal.append_watch(self._owed[0])
                except JournalUnavailableError:
                    log.error("calibration_move_not_recorded", owed=len(self._owed))  # noqa: TRY400 - expected, no traceback
                    return
                self._owed.pop(0)

    def compares(self, model_version: str) -> bool:
        """Whether it has been asked how a version's features were distributed. Raises JournalUnavailableError."""
        return self._version(model_version).references is not None

    def compare(self, model_version: str, references: Sequence[FeatureReference]) -> None:
        """Take how a version's features were distributed in training. Raises JournalUnavailableError."""
        version = self._version(model_version)
        version.references, version.changed = tuple(references), True

    # What is told

    async def refresh(self) -> None:
        """Compute anew what has changed of the served version, off the event loop. Raises JournalUnavailableError."""
        self._moves = tuple(self._journal.watch_moves(MOVES_TOLD))
        name = self._told = self._served_or_last()
        version = None if name is None else self._version(name)
        if version is None or not version.changed:
            return
        version.changed = False
        before = version.summary.drifted
        version.summary = await asyncio.to_thread(
            summarised, tuple(version.judged), tuple(version.rows), version.references or (), self._threshold
        )
        version.slope = version.summary.slope if self._recalibrate else 1.0
        _log_drift(str(name), before, version.summary.drifted)

    def report(self) -> CalibrationReport:
        """Live calibration of the served version, its summary as of the newest refresh; of none in a new journal."""
        version = self._versions.get(self._told or "") or self._new_version()
        return CalibrationReport(
            model_version=self._told or "",
            standing=self._standing(version),
            matured=version.matured,
            window=len(version.judged),
            evidence=version.watch.evidence,
            alarm_at=self._alarm_at,
            summary=version.summary,
            moves=self._moves,
        )

    # The fold

    def _standing(self, version: _Version) -> CalibrationStanding:
        lifted = version.watch.state in {WatchState.RAISED, WatchState.ABSTAINING}
        return CalibrationStanding(
            state=version.watch.state, threshold=self._raised if lifted else self._threshold, slope=version.slope
        )

    def _served_or_last(self) -> str | None:
        if self._served is not None:
            return self._served
        return next((move.model_version for move in self._journal.watch_moves(1)), None)

    def _pending(self) -> dict[DecisionId, Decision]:
        """The decisions that wait, read from the journal at the first look, with the claims that they are."""
        if self._waiting is None:
            self._waiting = {}
            for decision in self._journal.unmatured_decisions():
                self._waiting[decision.decision_id] = decision
                self._note_claim(decision.symbol, decision.bar_open_ms or 0, decision.model_version)
        return self._waiting

    def _note_claim(self, symbol: Symbol, bar_open_ms: int, model_version: str) -> None:
        newest = max(bar_open_ms, self._claims.pop((symbol, model_version), -1))
        self._claims[symbol, model_version] = newest
        if len(self._claims) > CLAIMS_MAX:
            del self._claims[next(iter(self._claims))]

    def _version(self, name: str) -> _Version:
        """A version's state, rebuilt when it is not in memory. Raises JournalUnavailableError."""
        known = self._versions.get(name)
        if known is not None:
            return known
        version = self._rebuilt(name)
        forgotten = next((old for old in self._versions if old not in {self._served, self._told}), None)
        if len(self._versions) >= VERSIONS_MAX and forgotten is not None and not self._owed:
            del self._versions[forgotten]
        self._versions[name] = version
        return version

    def _new_version(self) -> _Version:
        watch = Watch(alarm_at=self._alarm_at)
        return _Version(watch=watch, judged=deque(maxlen=self._window), rows=deque(maxlen=self._window))

    def _rebuilt(self, name: str) -> _Version:
        outcomes = self._journal.matured_decisions(name, FOLD_OUTCOMES_MAX)
        moves = [move for move in self._journal.watch_moves(MOVES_READ_MAX) if move.model_version == name]
        version = self._new_version()
        version.watch = replace(version.watch, state=_state_before(outcomes, moves))
        version.watch, made = after_all(version.watch, outcomes)
        self._count(version, outcomes)
        self._owe(name, stood=moves[0].to_state if moves else WatchState.OK, version=version, made=made)
        decided = (self._journal.find_decision(outcome.decision_id) for outcome in outcomes[-self._window :])
        waiting = (decision for decision in self._pending().values() if decision.model_version == name)
        version.rows.extend(_row(decision) for decision in (*decided, *waiting) if decision is not None)
        if self._recalibrate:
            version.slope = recalibration_slope(tuple(version.judged))
        return version

    def _owe(self, name: str, *, stood: WatchState, version: _Version, made: Sequence[WatchMove]) -> None:
        """Owe the moves by which a rebuilt watch has left the state that the journal has for it.

        They are those of its last outcomes when the gateway ended before it could record them. Another difference comes
        of a changed setting, and is told as such.
        """
        if version.watch.state is stood:
            return
        place = next((n for n in reversed(range(len(made))) if made[n].from_state is stood), None)
        lacking = made[place:] if place is not None else (self._rebuilt_move(name, stood, version),)
        self._owed.extend(lacking)
        for move in lacking:
            _log_move(move)

    def _rebuilt_move(self, name: str, stood: WatchState, version: _Version) -> WatchMove:
        return WatchMove(
            from_state=stood,
            to_state=version.watch.state,
            model_version=name,
            reason=f"rebuilt from {version.matured} outcomes with CALIBRATION_ALARM_AT={self._alarm_at:g}",
            evidence=version.watch.evidence,
            at_ms=self._clock.now_ms(),
        )

    def _take(self, version: _Version, outcomes: Sequence[Matured]) -> None:
        version.watch, moves = after_all(version.watch, outcomes)
        self._count(version, outcomes)
        self._owed.extend(moves)
        for move in moves:
            _log_move(move)

    def _count(self, version: _Version, outcomes: Sequence[Matured]) -> None:
        judged = [outcome for outcome in outcomes if outcome.verdict is not Verdict.NONE]
        version.judged.extend(judged)
        version.matured += len(judged)
        version.changed = True


def _state_before(outcomes: Sequence[Matured], moves: Sequence[WatchMove]) -> WatchState:
    """Where the watch stood before the first of these outcomes, by its moves, newest first."""
    if len(outcomes) < FOLD_OUTCOMES_MAX:
        return WatchState.OK
    return next((move.to_state for move in moves if move.at_ms < outcomes[0].at_ms), WatchState.OK)


def _row(decision: Decision) -> Row:
    return Row(bar_open_ms=decision.bar_open_ms or 0, values=dict(decision.features))


def _log_move(move: WatchMove) -> None:
    facts: Mapping[str, object] = {
        "from_state": move.from_state.value,
        "to_state": move.to_state.value,
        "model_version": move.model_version,
        "evidence": move.evidence,
        "reason": move.reason,
    }
    log.warning("calibration_moved", **facts)


def _log_drift(model_version: str, before: Sequence[str], now: Sequence[str]) -> None:
    """One line when a feature leaves the training set, and one when it is back."""
    began, ended = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    if began:
        log.warning("feature_drift_began", model_version=model_version, features=began)
    if ended:
        log.info("feature_drift_ended", model_version=model_version, features=ended)
