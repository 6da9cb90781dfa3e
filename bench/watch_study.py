"""How fast the calibration watch sees a broken promise, and how often it sees one that is not there.

python -m bench.watch_study [--seeds 200]   prints the tables of docs/watching.md

Simulated hourly bars of three symbols, judged by the momentum rule of the simulator itself: P(up) = 0.5 + EDGE * shrink
* tanh(mom_20 / scale). With `shrink` 1 it says just what is true as long as the market is as it was, the hardest case
for false alarms; with 0.8 it promises a little less, as a model with a temperature below 1 does. Nothing of gateway,
journal or model service runs: the pure watch is driven with the outcomes that they would record.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

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
    """It moved before the market did; nothing else is measured of it then."""
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
    watch = Watch(alarm_at=ALARM_AT)
    for number, bar in enumerate(market(seed, shrink, [(broken_at, edge)], HEALTHY_BARS + BROKEN_BARS_MAX)):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of break, over many markets."""

    name: str
    shrink: float
    edge: float


SCENARIOS = tuple(
    Scenario(name=name, shrink=shrink, edge=edge)
    for shrink in (1.0, 0.8)
    for name, edge in (("reversed", -EDGE), ("gone", 0.0), ("halved", EDGE / 2))
)


def healthy_alarms(seed: int, *, shrink: float, bars: int) -> int:
    """Moves of the watch in a market that stays as it is."""
    watch, made = Watch(alarm_at=ALARM_AT), 0
    for bar in market(seed, shrink, (), bars):
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
    print("| edge | shrink | warned | raised | abstaining | back at ok | false alarms before |")
    print("|---|---|---|---|---|---|---|")
    longest: dict[float, int] = {}
    with ProcessPoolExecutor() as pool:
        for scenario in SCENARIOS:
            run = partial(course, shrink=scenario.shrink, edge=scenario.edge)
            courses = list(pool.map(run, seeds))
            longest[scenario.shrink] = max(longest.get(scenario.shrink, 0), longest_bars(courses))
            sound = [one for one in courses if not one.false_alarm]
            columns = [
                cell([getattr(one, name) for one in sound]) for name in ("warned", "raised", "abstained", "recovered")
            ]
            alarms = len(courses) - len(sound)
            print(f"| {scenario.name} | {scenario.shrink:g} | {' | '.join(columns)} | {alarms} |", flush=True)
        for shrink, bars in longest.items():
            alarms = sum(made > 0 for made in pool.map(partial(healthy_alarms, shrink=shrink, bars=bars), seeds))
            bound = min(1.0, bars / ALARM_AT)
            print(
                f"healthy, shrink {shrink:g}, {bars} bars: {alarms} of {len(seeds)} with an alarm (bound {bound:.1%})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
