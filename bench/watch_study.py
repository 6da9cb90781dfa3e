"""How fast the calibration watch sees a broken promise, and how often it sees one that is not there.

python -m bench.watch_study [--seeds 200]   prints the tables of docs/watching.md

Simulated hourly bars of three symbols, judged by the shipped demonstration model on its own features, and by the
momentum rule of the simulator itself: P(up) = 0.5 + EDGE * shrink * tanh(mom_20 / scale). With `shrink` 1 the rule says
just what is true as long as the market is as it was, the hardest case for false alarms; with 0.8 it promises a little
less, as a model with a temperature below 1 does. Nothing of gateway, journal or model service runs: the pure watch is
driven with the outcomes that they would record.
"""

import argparse
import itertools
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from gateway.core.model import BarLabel, DecisionId, Matured, Signal, Symbol, Verdict, WatchState
from gateway.core.watch import Watch, after_bar
from inference.adapters.model_onnx import OnnxEnsemble, load_ensemble
from inference.core.bars import Bars
from inference.core.features import HISTORY_BARS_MIN, feature_matrix
from simulator.bars import BARS_ORIGIN_MS
from simulator.process import EDGE, HOUR_MS, MOMENTUM_BARS, MOMENTUM_SCALE_PERCENT, MarketProcess
from simulator.symbols import INSTRUMENTS

ALARM_AT = 20_000.0
HEALTHY_BARS = 1000
BROKEN_BARS_MAX = 6000
RECOVERY_BARS_MAX = 6000
VERSION = "20260101_000000"
CHUNK_BARS = 500
"""Bars that the model is asked about at once: a course often ends long before its last bar."""
MODELS = Path(__file__).resolve().parent.parent / "inference" / "models"

Changes = Sequence[tuple[int, float]]
Speaker = Callable[[MarketProcess, int], Iterator[tuple[bool, float]]]
"""Says of each hour from one on whether it favours a rise, and how sure it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """Who promises."""

    name: str
    first_hour: int
    """The first hour of a market of which it can speak."""
    speak: Speaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What the watch made of one market: matured decisions until each move, None where it never came."""

    false_alarm: bool
    """It moved before the market did; nothing else is measured of it then."""
    warned: int | None
    raised: int | None
    abstained: int | None
    recovered: int | None


def rule(shrink: float) -> Predictor:
    """The simulator's own rule, stating `shrink` of its true edge."""
    return Predictor(
        name=f"the rule, shrink {shrink:g}", first_hour=MOMENTUM_BARS, speak=partial(_rule_speaks, shrink=shrink)
    )


def shipped_model() -> Predictor:
    """The demonstration model, on features of the market's bars."""
    return Predictor(name="the shipped model", first_hour=HISTORY_BARS_MIN, speak=_model_speaks)


def _rule_speaks(process: MarketProcess, first_hour: int, *, shrink: float) -> Iterator[tuple[bool, float]]:
    for hour in itertools.count(first_hour):
        momentum = 100.0 * (process.hour(hour).close / process.hour(hour - MOMENTUM_BARS).close - 1.0)
        lean = EDGE * shrink * math.tanh(momentum / MOMENTUM_SCALE_PERCENT)
        yield lean > 0, 0.5 + abs(lean)


def _model_speaks(process: MarketProcess, first_hour: int) -> Iterator[tuple[bool, float]]:
    ensemble = _ensemble()
    for start in itertools.count(first_hour, CHUNK_BARS):
        bars = _bars(process, start - HISTORY_BARS_MIN, start + CHUNK_BARS)
        features = feature_matrix(bars, ensemble.card.feature_names)[HISTORY_BARS_MIN:]
        scores = ensemble.score(features.astype(np.float32))
        yield from zip((scores.prob_long[:, 0] > 0.5).tolist(), scores.confidence[:, 0].tolist(), strict=True)


@cache
def _ensemble() -> OnnxEnsemble:
    return load_ensemble(MODELS, "consensus", None)


def _bars(process: MarketProcess, first: int, stop: int) -> Bars:
    rows = [process.bar(hour) for hour in range(first, stop)]
    columns = {
        name: np.array([getattr(row, name) for row in rows]) for name in ("open", "high", "low", "close", "volume")
    }
    return Bars(bar_seconds=HOUR_MS // 1000, open_time_ms=np.array([row.open_time_ms for row in rows]), **columns)


def outcomes(process: MarketProcess, predictor: Predictor, bars: int) -> Iterator[Matured]:
    """One outcome an hour, from the first hour of which the predictor can speak."""
    symbol, first = Symbol(process.instrument.symbol), predictor.first_hour
    for hour, (rise, confidence) in zip(range(first, first + bars), predictor.speak(process, first), strict=False):
        rose = process.hour(hour + 1).close > process.hour(hour).close
        at_ms = process.origin_ms + hour * HOUR_MS
        yield Matured(
            decision_id=DecisionId(f"{symbol}-{hour}"),
            symbol=symbol,
            model_version=VERSION,
            bar_open_ms=at_ms,
            horizon_seconds=HOUR_MS // 1000,
            signal=Signal.LONG if rise else Signal.SHORT,
            confidence=confidence,
            model_confidence=confidence,
            label=BarLabel.UP if rose else BarLabel.DOWN,
            verdict=Verdict.RIGHT if rose is rise else Verdict.WRONG,
            shadow=None,
            at_ms=at_ms + 2 * HOUR_MS,
        )


def market(seed: int, predictor: Predictor, changes: Changes, bars: int) -> Iterator[tuple[Matured, ...]]:
    """The outcomes of three symbols, bar by bar."""
    processes = [
        MarketProcess(instrument=instrument, seed=seed, origin_ms=BARS_ORIGIN_MS, edge_changes=changes)
        for instrument in INSTRUMENTS.values()
    ]
    return zip(*(outcomes(process, predictor, bars) for process in processes), strict=True)


def course(seed: int, *, predictor: Predictor, edge: float) -> Course:
    """Healthy for HEALTHY_BARS, then `edge` until the watch abstains, then healthy until it is well again."""
    broken_at = predictor.first_hour + HEALTHY_BARS + 1
    first: dict[WatchState, int] = {}
    watch = Watch(alarm_at=ALARM_AT)
    for number, bar in enumerate(market(seed, predictor, [(broken_at, edge)], HEALTHY_BARS + BROKEN_BARS_MAX)):
        watch, moves = after_bar(watch, bar)
        if moves and number < HEALTHY_BARS:
            return Course(false_alarm=True, warned=None, raised=None, abstained=None, recovered=None)
        for move in moves:
            first.setdefault(move.to_state, (number + 1 - HEALTHY_BARS) * len(bar))
        if watch.state is WatchState.ABSTAINING:
            break
    abstained = first.get(WatchState.ABSTAINING)
    return Course(
        false_alarm=False,
        warned=first.get(WatchState.WARNED),
        raised=first.get(WatchState.RAISED),
        abstained=abstained,
        recovered=None if abstained is None else _recovery(seed, predictor, edge, abstained),
    )


def _recovery(seed: int, predictor: Predictor, edge: float, abstained: int) -> int | None:
    """Matured decisions from the market's recovery, right after the watch abstains, until it is back at ok."""
    bars_until = HEALTHY_BARS + abstained // len(INSTRUMENTS)
    broken_at, mended_at = (predictor.first_hour + bars + 1 for bars in (HEALTHY_BARS, bars_until))
    changes = [(broken_at, edge), (mended_at, EDGE)]
    watch = Watch(alarm_at=ALARM_AT)
    for number, bar in enumerate(market(seed, predictor, changes, bars_until + RECOVERY_BARS_MAX)):
        watch, _ = after_bar(watch, bar)
        if number >= bars_until and watch.state is WatchState.OK:
            return (number + 1 - bars_until) * len(bar)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of break, over many markets."""

    name: str
    predictor: Predictor
    edge: float


SCENARIOS = tuple(
    Scenario(name=name, predictor=predictor, edge=edge)
    for predictor in (shipped_model(), rule(1.0), rule(0.8))
    for name, edge in (("reversed", -EDGE), ("gone", 0.0), ("halved", EDGE / 2))
)


def healthy_alarms(seed: int, *, predictor: Predictor, bars: int) -> int:
    """Moves of the watch in a market that stays as it is."""
    watch, made = Watch(alarm_at=ALARM_AT), 0
    for bar in market(seed, predictor, (), bars):
        watch, moves = after_bar(watch, bar)
        made += len(moves)
    return made


def longest_bars(courses: Sequence[Course]) -> int:
    """The bars of the longest course, so that healthy runs can be as long."""
    totals = ((one.abstained or 0) + (one.recovered or 0) for one in courses)
    return HEALTHY_BARS + max(totals) // len(INSTRUMENTS)


def cell(values: Sequence[int | None]) -> str:
    """Median and 95th percentile of what came, and how often it did not."""
    came = sorted(value for value in values if value is not None)
    if not came:
        return "never"
    high = came[math.ceil(0.95 * len(came)) - 1]
    missing = f", {len(values) - len(came)} never" if len(came) < len(values) else ""
    return f"{statistics.median(came):.0f} ({high}{missing})"


def main() -> int:
    """Run all scenarios, and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="markets of each scenario [%(default)s]")
    seeds = range(parser.parse_args().seeds)
    print("| edge | promised by | warned | raised | abstaining | back at ok | false alarms before |")
    print("|---|---|---|---|---|---|---|")
    longest: dict[str, tuple[Predictor, int]] = {}
    with ProcessPoolExecutor() as pool:
        for scenario in SCENARIOS:
            predictor = scenario.predictor
            courses = list(pool.map(partial(course, predictor=predictor, edge=scenario.edge), seeds))
            _, bars = longest.get(predictor.name, (predictor, 0))
            longest[predictor.name] = predictor, max(bars, longest_bars(courses))
            sound = [one for one in courses if not one.false_alarm]
            columns = [
                cell([getattr(one, name) for one in sound]) for name in ("warned", "raised", "abstained", "recovered")
            ]
            alarms = len(courses) - len(sound)
            print(f"| {scenario.name} | {predictor.name} | {' | '.join(columns)} | {alarms} |", flush=True)
        for predictor, bars in longest.values():
            run = partial(healthy_alarms, predictor=predictor, bars=bars)
            alarms = sum(made > 0 for made in pool.map(run, seeds))
            bound = min(1.0, bars / ALARM_AT)
            print(f"healthy, {predictor.name}, {bars} bars: {alarms} of {len(seeds)} with an alarm (bound {bound:.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
