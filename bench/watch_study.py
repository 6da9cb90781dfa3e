"""How fast the calibration watch sees a broken promise, and how often it sees one that is not there.

python -m bench.watch_study [--seeds 200]   prints the tables of docs/watching.md

Simulated hourly bars of three symbols, judged by the momentum rule of the simulator itself: P(up) = 0.5 + EDGE * shrink *
tanh(mom_20 / scale). With `shrink` 1 it says exactly what is true as long as the market is as it was, the hardest case for
false alarms; with 0.8 it promises a little less, as a model with a temperature below 1 does. Nothing of gateway,
journal or model service runs: the pure watch is driven with the outcomes that they would record.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.core.model import BarLabel, DecisionId, Matured, Signal, Symbol, Verdict, WatchState
from gateway.core.watch import Watch, after_bar
from simulator.bars import BARS_ORIGIN_MS
from simulator.process import EDGE, HOUR_MS, MOMENTUM_BARS, MOMENTUM_SCALE_PERCENT, MarketProcess
from simulator.symbols import INSTRUMENTS

ALARM_AT = 20_000.0
HEALTHY_BARS = 1000
BROKEN_BARS_MAX = 6000
RECOVERY_BARS_MAX = 6000
VERSION = "20261123_000000"

Changes = Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What the watch made of one market: matured decisions until each move, None where it never came."""

    false_alarm: bool
    warned: int | None
    raised: int | None
    abstained: int | None
    recovered: int | None


def outcomes(process: MarketProcess, shrink: float, bars: int) -> Iterator[Matured]:
    """One outcome an hour from the first hour with a momentum on."""
    symbol = Symbol(process.instrument.symbol)
    for hour in range(MOMENTUM_BARS, MOMENTUM_BARS + bars):
        close = process.hour(hour).close
        momentum = 100.0 * (close / process.hour(hour - MOMENTUM_BARS).close - 1.0)
        lean = EDGE * shrink * math.tanh(momentum / MOMENTUM_SCALE_PERCENT)
        rose = process.hour(hour + 1).close > close
        at_ms = process.origin_ms + hour * HOUR_MS
        yield Matured(
            decision_id=DecisionId(f"{symbol}-{hour}"),
            symbol=symbol,
            model_version=VERSION,
            bar_open_ms=at_ms,
            horizon_seconds=HOUR_MS // 1000,
            signal=Signal.LONG if lean > 0 else Signal.SHORT,
            confidence=0.5 + abs(lean),
            model_confidence=0.5 + abs(lean),
            label=BarLabel.UP if rose else BarLabel.DOWN,
            verdict=Verdict.RIGHT if rose == (lean > 0) else Verdict.WRONG,
            shadow=None,
            at_ms=at_ms + 2 * HOUR_MS,
        )


def market(seed: int, shrink: float, changes: Changes, bars: int) -> Iterator[tuple[Matured, ...]]:
    """The outcomes of three symbols, bar by bar."""
    processes = [
        MarketProcess(instrument=instrument, seed=seed, origin_ms=BARS_ORIGIN_MS, edge_changes=changes)
        for instrument in INSTRUMENTS.values()
    ]
    return zip(*(outcomes(process, shrink, bars) for process in processes), strict=True)


def course(seed: int, *, shrink: float, edge: float) -> Course:
    """Healthy for HEALTHY_BARS, then `edge` until the watch abstains, then healthy until it is well again."""
    broken_at = MOMENTUM_BARS + HEALTHY_BARS + 1
    first: dict[WatchState, int] = {}
    watch, false_alarm = Watch(alarm_at=ALARM_AT), False
    for number, bar in enumerate(market(seed, shrink, [(broken_at, edge)], HEALTHY_BARS + BROKEN_BARS_MAX)):
        watch, moves = after_bar(watch, bar)
        false_alarm = false_alarm or (bool(moves) and number < HEALTHY_BARS)
        for move in moves:
            first.setdefault(move.to_state, (number + 1 - HEALTHY_BARS) * len(bar))
        if watch.state is WatchState.ABSTAINING:
            break
    abstained = first.get(WatchState.ABSTAINING)
    return Course(
        false_alarm=false_alarm,
        warned=first.get(WatchState.WARNED),
        raised=first.get(WatchState.RAISED),
        abstained=abstained,
        recovered=None if abstained is None else _recovery(seed, shrink, edge, broken_at, abstained),
    )


def _recovery(seed: int, shrink: float, edge: float, broken_at: int, abstained: int) -> int | None:
    """Matured decisions from the market's recovery, right after the watch abstains, until it is back at ok."""
    bars_until = HEALTHY_BARS + abstained // len(INSTRUMENTS)
    changes = [(broken_at, edge), (MOMENTUM_BARS + bars_until + 1, EDGE)]
    watch = Watch(alarm_at=ALARM_AT)
    for number, bar in enumerate(market(seed, shrink, changes, bars_until + RECOVERY_BARS_MAX)):
        watch, _ = after_bar(watch, bar)
        if number >= bars_until and watch.state is WatchState.OK:
            return (number + 1 - bars_until) * len(bar)
    return None
