"""From a scored decision and its bar's label to its outcome.

A long decision is right when the label is up, a short one when it is down. A flat one favoured no side, and a label
that can never be known judges nobody.
"""

from bisect import bisect_left

from gateway.core.model import BarLabel, BarSeries, Decision, Matured, Signal, Verdict


def direction(series: BarSeries, bar_open_ms: int, horizon_seconds: int) -> BarLabel:
    """Up when the close at the end of the horizon is above that of the bar, else down.

    NONE when the bar or one within the horizon is missing, OPEN while the bars do not reach to its end. The same
    definition as the label `direction` of the model service, for servers that cannot be asked.
    """
    bars, bar_ms = series.bars, series.bar_seconds * 1000
    ahead = -(-horizon_seconds // series.bar_seconds)
    if not bars or bars[-1].open_time_ms < bar_open_ms + ahead * bar_ms:
        return BarLabel.OPEN
    place = bisect_left(bars, bar_open_ms, key=lambda bar: bar.open_time_ms)
    end = place + ahead
    whole = bars[place].open_time_ms == bar_open_ms and end < len(bars)
    if not whole or bars[end].open_time_ms != bar_open_ms + ahead * bar_ms:
        return BarLabel.NONE
    return BarLabel.UP if bars[end].close > bars[place].close else BarLabel.DOWN


def verdict_of(signal: Signal, label: BarLabel) -> Verdict:
    """Whether a signal was right about a label."""
    if signal is Signal.FLAT or label not in {BarLabel.UP, BarLabel.DOWN}:
        return Verdict.NONE
    return Verdict.RIGHT if (signal is Signal.LONG) == (label is BarLabel.UP) else Verdict.WRONG


def matured_of(decision: Decision, label: BarLabel, at_ms: int) -> Matured:
    """The outcome of a scored decision, which has a bar, judged at `at_ms`. While its label is OPEN there is none."""
    return Matured(
        decision_id=decision.decision_id,
        symbol=decision.symbol,
        model_version=decision.model_version,
        bar_open_ms=decision.bar_open_ms or 0,
        horizon_seconds=decision.horizon_seconds,
        signal=decision.signal,
        confidence=decision.confidence,
        model_confidence=decision.model_confidence,
        label=label,
        verdict=verdict_of(decision.signal, label),
        shadow=decision.shadow,
        at_ms=at_ms,
    )
