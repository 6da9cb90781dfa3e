"""The calibration watch: evidence, from what came of decisions, that the stated confidence promises too much.

The promise is that a signal stated with confidence c is right with at least that probability, given all that was known
when it was stated. Against it stand alternatives s: the log odds that hold are only s times those that were stated,

    q = sigmoid(s * logit(c))     s = 0.5 half of the promise, 0 a coin, -0.5 and -1 the signal is reversed
    L = q / c when the signal was right, (1 - q) / (1 - c) when it was wrong

While the promise is kept the mean of L is at most 1, whatever the model, the market and the past: L is an e-value.
Outcomes of several symbols in one bar depend on each other, so a bar counts once, with their mean (a mean of e-values
is one). Labels whose horizons overlap share bars, so each goes into the first lane whose newest horizon had ended by
then; within a lane every outcome is known before the next decision is made. In each lane

    M = max(M, 1) * L             for each alternative
    evidence = the mean of M over the alternatives, at its highest over the lanes

The mean of M in a lane is an e-detector of CUSUM form: J. Shin, A. Ramdas and A. Rinaldo, "E-detectors: a nonparametric
framework for sequential change detection", New England Journal of Statistics in Data Science 2 (2024), section 2.
From it follows, for every model that keeps its promise: the chance that the evidence reaches A within n bars is at most
n / A, and with one lane (a horizon of one bar) the mean number of bars until it does is at least A (A / 2 with more).

The watch warns at `alarm_at`, raises the threshold at 10 times and abstains at 100 times that. M is capped where one
alternative alone would make it abstain, which can only lower the evidence. The way back is a detector of the same form,

    K = max(K, 1) / L with s = 0.5, the mean of 1 / L over the symbols of a bar

which speaks against "at most half of the promise is kept": at RECOVERY_AT the watch takes one step back, and M and K
begin anew. As long as at most half is kept, a false step back takes at least RECOVERY_AT bars in the mean (half of that
with several lanes).

A confidence of one half or less promises nothing, and adds nothing. What can never be known adds nothing. An outcome
that comes after one of a later bar is left out here, since others may have told of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from gateway.core.logistic import log_odds, sigmoid
from gateway.core.model import Matured, Verdict, WatchMove, WatchState

ALTERNATIVES: Final = (0.5, 0.0, -0.5, -1.0)
"""What share of the stated log odds may hold instead of all; the first is the one that the way back speaks against."""

CONFIDENCE_MAX: Final = 0.999
"""A higher confidence counts as this: else one wrong signal could be all the evidence in the world."""

RAISE_FACTOR: Final = 10.0
ABSTAIN_FACTOR: Final = 100.0
RECOVERY_AT: Final = 100.0

LANES_MAX: Final = 512
"""Horizons that may overlap: eight hours of one-minute bars. What would need another lane is left out."""

_ORDER: Final = tuple(WatchState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Outcomes in a row: how many, what they promised and what came true."""

    outcomes: int = 0
    promised: float = 0.0
    right: int = 0

    def plus(self, outcomes: Sequence[Matured]) -> "Tally":
        """With these outcomes."""
        return Tally(
            outcomes=self.outcomes + len(outcomes),
            promised=self.promised + sum(outcome.confidence for outcome in outcomes),
            right=self.right + sum(outcome.verdict is Verdict.RIGHT for outcome in outcomes),
        )

    def __str__(self) -> str:
        share = max(self.outcomes, 1)
        return f"over {self.outcomes} outcomes {self.promised / share:.3f} was promised, {self.right / share:.3f} right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Bars whose horizons do not overlap."""

    free_ms: int
    """From when on a bar may open that belongs here: the newest one's horizon has ended."""
    against: tuple[float, ...] = (1.0,) * len(ALTERNATIVES)
    """M for each alternative."""
    kept: float = 1.0
    """K."""

    @property
    def evidence(self) -> float:
        """The mean of M."""
        return sum(self.against) / len(self.against)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Where the watch over one model version stands."""

    alarm_at: float
    state: WatchState = WatchState.OK
    lanes: tuple[Lane, ...] = ()
    newest_bar_ms: int = -1
    doubts: Tally = Tally()
    """Since there last was no evidence against the promise."""
    hopes: Tally = Tally()
    """Since there last was none for it."""

    @property
    def evidence(self) -> float:
        """The likelihood ratio against the promise, at its highest over the lanes; 1 when there is none."""
        return max((lane.evidence for lane in self.lanes), default=1.0)

    @property
    def kept(self) -> float:
        """The likelihood ratio for the promise against half of it, at its highest over the lanes."""
        return max((lane.kept for lane in self.lanes), default=1.0)


def bars_of(outcomes: Iterable[Matured]) -> Iterator[Sequence[Matured]]:
    """Outcomes as the journal has them, gathered by the bar that was judged and the moment at which it was."""
    for _, bar in groupby(outcomes, key=lambda outcome: (outcome.bar_open_ms, outcome.at_ms)):
        yield tuple(bar)


def after_all(watch: Watch, outcomes: Iterable[Matured]) -> tuple[Watch, tuple[WatchMove, ...]]:
    """The watch after outcomes in the journal's order, and its moves."""
    moves: list[WatchMove] = []
    for bar in bars_of(outcomes):
        watch, made = after_bar(watch, bar)
        moves.extend(made)
    return watch, tuple(moves)


def after_bar(watch: Watch, bar: Sequence[Matured]) -> tuple[Watch, tuple[WatchMove, ...]]:
    """The watch after the outcomes of one bar, all of one model version, and the moves that it made."""
    judged = [outcome for outcome in bar if outcome.verdict is not Verdict.NONE]
    opened_ms = bar[0].bar_open_ms
    if not judged or opened_ms <= watch.newest_bar_ms:
        return watch, ()
    place = next((n for n, lane in enumerate(watch.lanes) if lane.free_ms <= opened_ms), len(watch.lanes))
    if place == LANES_MAX:
        return watch, ()
    lane = watch.lanes[place] if place < len(watch.lanes) else Lane(free_ms=opened_ms)
    lane = _stepped(lane, judged, watch)
    watch = replace(
        watch,
        lanes=(*watch.lanes[:place], lane, *watch.lanes[place + 1 :]),
        newest_bar_ms=opened_ms,
        doubts=watch.doubts.plus(judged),
        hopes=watch.hopes.plus(judged),
    )
    moved, moves = _moved(watch, judged[-1])
    return _forgotten(moved), moves


def _stepped(lane: Lane, judged: Sequence[Matured], watch: Watch) -> Lane:
    """The lane after one bar."""
    ratios = [_ratios(outcome) for outcome in judged]
    means = [sum(column) / len(ratios) for column in zip(*ratios, strict=True)]
    ceiling = watch.alarm_at * ABSTAIN_FACTOR * len(ALTERNATIVES)
    restored = sum(1.0 / ratio[0] for ratio in ratios) / len(ratios)
    return Lane(
        free_ms=judged[0].bar_open_ms + 1000 * max(outcome.horizon_seconds for outcome in judged),
        against=tuple(min(max(m, 1.0) * mean, ceiling) for m, mean in zip(lane.against, means, strict=True)),
        kept=1.0 if watch.state is WatchState.OK else max(lane.kept, 1.0) * restored,
    )


def _ratios(outcome: Matured) -> tuple[float, ...]:
    """L for each alternative."""
    stated = min(outcome.confidence, CONFIDENCE_MAX)
    if stated <= 0.5:  # noqa: PLR2004 - it promises no more than a coin
        return (1.0,) * len(ALTERNATIVES)
    promised = log_odds(stated)
    holds = [sigmoid(share * promised) for share in ALTERNATIVES]
    if outcome.verdict is Verdict.RIGHT:
        return tuple(hold / stated for hold in holds)
    return tuple((1.0 - hold) / (1.0 - stated) for hold in holds)


def _moved(watch: Watch, last: Matured) -> tuple[Watch, tuple[WatchMove, ...]]:
    """Up by as many steps as the evidence asks for, each a move of its own, else back by one when K allows it."""
    evidence = watch.evidence
    asked = _asked(evidence, watch.alarm_at)
    steps = _ORDER[_ORDER.index(watch.state) : _ORDER.index(asked) + 1]
    moves = tuple(
        _move(was, becomes, last, f"{watch.doubts}: too much by {evidence:.4g} to 1", evidence)
        for was, becomes in pairwise(steps)
    )
    if moves:
        return replace(watch, state=asked, lanes=tuple(replace(lane, kept=1.0) for lane in watch.lanes)), moves
    if watch.state is WatchState.OK or watch.kept < RECOVERY_AT:
        return watch, ()
    below = _ORDER[_ORDER.index(watch.state) - 1]
    move = _move(watch.state, below, last, f"{watch.hopes}: kept by {watch.kept:.4g} to 1 against half of it", evidence)
    lanes = tuple(Lane(free_ms=lane.free_ms) for lane in watch.lanes)
    return replace(watch, state=below, lanes=lanes, doubts=Tally(), hopes=Tally()), (move,)


def _asked(evidence: float, alarm_at: float) -> WatchState:
    """The state that the evidence alone asks for."""
    if evidence >= alarm_at * ABSTAIN_FACTOR:
        return WatchState.ABSTAINING
    if evidence >= alarm_at * RAISE_FACTOR:
        return WatchState.RAISED
    return WatchState.WARNED if evidence >= alarm_at else WatchState.OK


def _move(was: WatchState, becomes: WatchState, last: Matured, reason: str, evidence: float) -> WatchMove:
    return WatchMove(
        from_state=was,
        to_state=becomes,
        model_version=last.model_version,
        reason=reason,
        evidence=evidence,
        at_ms=last.at_ms,
    )


def _forgotten(watch: Watch) -> Watch:
    """Begin a tally anew when there is no evidence that it could explain."""
    return replace(
        watch,
        doubts=Tally() if watch.evidence <= 1.0 else watch.doubts,
        hopes=Tally() if watch.kept <= 1.0 else watch.hopes,
    )
