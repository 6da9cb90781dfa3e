"""Matures recorded decisions: when the horizon of a scored one has ended, what became of it is recorded.

The model service says what became of the label, since it owns its definition; where the server speaks only the Open
Inference Protocol the direction of the gateway's own closes stands in. Bars are judged in order, all symbols of one
together, so that the watch counts them as one; a symbol whose bars are late holds the later ones up for HOLD_MS. What
waits is in the journal, and so outlives a restart.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from itertools import groupby
from typing import Final

import structlog

from gateway.calibration import Calibration
from gateway.core.maturing import direction, matured_of
from gateway.core.model import BarLabel, BarSeries, Decision, Matured
from gateway.ports import (
    Clock,
    JournalUnavailableError,
    MarketData,
    Model,
    ModelUnavailableError,
    NotOfferedError,
)

INTERVAL_SECONDS: Final = 5.0
"""How often a look is taken: an outcome is known so soon after its horizon, when all is well."""

ROUND_DECISIONS_MAX: Final = 256
"""A round that has asked the model service for so many labels begins no further bar; the rest comes with the next."""

HOLD_MS: Final = 10 * 60_000
"""How long what cannot be told yet is waited for, after its horizon or a start: ten times what a reconnect takes."""

AGE_MS_MAX: Final = 7 * 24 * 3_600_000
"""So long after its horizon what could not be told is given up: neither right nor wrong."""

log = structlog.get_logger()


class Maturing:
    """Judges recorded decisions on a timer."""

    def __init__(self, *, calibration: Calibration, market: MarketData, model: Model, clock: Clock) -> None:
        self._calibration = calibration
        self._market = market
        self._model = model
        self._clock = clock
        self._began_ms: int | None = None
        self._told = ""
        """The trouble that was logged last; empty when there is none."""

    async def watch(self) -> None:
        """Mature decisions for ever."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.run()

    async def run(self) -> None:
        """One round: what is owed is recorded, what has ended judged, what has changed summed up."""
        now_ms = self._clock.now_ms()
        self._began_ms = self._began_ms or now_ms
        try:
            await self._calibration.record_owed()
            outcomes, trouble = await self._judged(now_ms)
            if outcomes:
                await self._calibration.mature(outcomes)
                log.info("decisions_matured", count=len(outcomes), waiting=len(self._calibration.waiting()))
            await self._compare()
            await self._calibration.refresh()
        except JournalUnavailableError as fault:
            trouble = f"the journal: {fault}"
        if trouble and trouble != self._told:
            log.warning("maturing_waits", detail=trouble)
        self._told = trouble

    async def _judged(self, now_ms: int) -> tuple[list[Matured], str]:
        """What can be judged now, oldest first, and what kept the model service from telling more.

        A bar that must wait holds up the later ones of its version.
        """
        due = [decision for decision in self._calibration.waiting() if _ended_ms(decision) <= now_ms]
        due.sort(key=lambda one: (one.model_version, one.bar_open_ms or 0))
        outcomes: list[Matured] = []
        held = trouble = ""
        for (version, _), group in groupby(due, key=lambda one: (one.model_version, one.bar_open_ms)):
            if version == held:
                continue
            if len(outcomes) >= ROUND_DECISIONS_MAX:
                break
            bar = tuple(group)
            try:
                labels = await self._labels(bar, now_ms)
            except ModelUnavailableError as fault:
                labels, trouble = None, f"the model service: {fault}"
            if labels is None:
                held = version
                continue
            outcomes.extend(
                matured_of(decision, label, now_ms)
                for decision, label in zip(bar, labels, strict=True)
                if label is not BarLabel.OPEN
            )
        return outcomes, trouble

    async def _labels(self, bar: Sequence[Decision], now_ms: int) -> Sequence[BarLabel] | None:
        """What became of the decisions of one bar; None to wait for one of them. Raises ModelUnavailableError."""
        labels = [await self._label(decision, now_ms) for decision in bar]
        return None if BarLabel.OPEN in labels and now_ms < self._patient_until_ms(bar[0]) else labels

    async def _label(self, decision: Decision, now_ms: int) -> BarLabel:
        """What became of one decision's bar; OPEN when that cannot be told yet. Raises ModelUnavailableError."""
        series, opened_ms = self._market.bars(decision.symbol), decision.bar_open_ms or 0
        lost = BarLabel.NONE if now_ms > _ended_ms(decision) + AGE_MS_MAX else BarLabel.OPEN
        if series is None or not series.bars or not _reaches(series, opened_ms, decision.horizon_seconds):
            return lost
        if not _holds(series, opened_ms):
            return lost if now_ms < self._patient_until_ms(decision) else BarLabel.NONE
        try:
            label = await self._model.label(series, opened_ms, decision.model_version)
        except NotOfferedError:
            label = direction(series, opened_ms, decision.horizon_seconds)
        except ModelUnavailableError:
            if lost is BarLabel.OPEN:
                raise
            label = lost
        return lost if label is BarLabel.OPEN else label

    def _patient_until_ms(self, decision: Decision) -> int:
        """Until when a gap may be bars that are still on their way: after an outage of ours, counted from the start."""
        return max(_ended_ms(decision), self._began_ms or 0) + HOLD_MS

    async def _compare(self) -> None:
        """Learn once how the served version's features were distributed in training; later when that fails now."""
        name = self._calibration.report().model_version
        if not name or self._calibration.compares(name):
            return
        try:
            references = await self._model.reference(name)
        except ModelUnavailableError:
            return
        self._calibration.compare(name, references)


def _ended_ms(decision: Decision) -> int:
    """When the horizon had ended at the earliest: its bar had closed before the decision, and took some time itself."""
    return (decision.bar_open_ms or 0) + decision.horizon_seconds * 1000


def _reaches(series: BarSeries, opened_ms: int, horizon_seconds: int) -> bool:
    """Whether the bars reach to the end of the horizon."""
    return series.bars[-1].open_time_ms >= opened_ms + horizon_seconds * 1000


def _holds(series: BarSeries, opened_ms: int) -> bool:
    """Whether the bar itself is among the bars; what is gone, or was never kept, can no longer be judged."""
    place = bisect_left(series.bars, opened_ms, key=lambda bar: bar.open_time_ms)
    return place < len(series.bars) and series.bars[place].open_time_ms == opened_ms
