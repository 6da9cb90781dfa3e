"""Features that the gateway has computed from its own bars, for whoever sends none.

The model service computes them, by the definition that the model was trained on. A bar is computed once, however
many ask for it at the same time and after.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.core.bars import HISTORY_BARS_MIN, is_fresh, last_closed_open_ms
from gateway.core.model import Bar, BarSeries, Failure, Symbol
from gateway.core.reasons import Reason
from gateway.ports import Clock, MarketData, Model, ModelChangedError, NotOfferedError

BARS_SENT = 2 * HISTORY_BARS_MIN
"""So many of the newest bars are sent: more history changes no feature by what a float32 holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFeatures:
    """The model's features of one closed bar."""

    features: Mapping[str, float]
    bar_open_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Computing:
    """One computation, under way or done, and what it is of; it is forgotten when it fails."""

    bar: Bar
    names: frozenset[str]
    model_version: str
    task: asyncio.Task[BarFeatures]


class LiveFeatures:
    """Computes the features of the newest bar of a symbol."""

    def __init__(self, *, market: MarketData, model: Model, clock: Clock) -> None:
        self._market = market
        self._model = model
        self._clock = clock
        self._newest: dict[Symbol, _Computing] = {}

    async def of(self, symbol: Symbol, names: Sequence[str], model_version: str) -> BarFeatures | Failure:
        """The named features of the newest bar. Raises ModelUnavailableError; ModelChangedError: no such features."""
        series = self._market.bars(symbol)
        if series is None or len(series.bars) < HISTORY_BARS_MIN or not is_fresh(series, self._clock.now_ms()):
            return self._stale(symbol, series)
        computing = self._computing(symbol, series, frozenset(names), model_version)
        try:
            found = await asyncio.shield(computing.task)
        except NotOfferedError:
            return _not_offered()
        if found.features.keys() != computing.names:
            self._forget(symbol, computing)
            raise ModelChangedError("the computed features are not those that the model takes")
        return found

    def _computing(self, symbol: Symbol, series: BarSeries, names: frozenset[str], model_version: str) -> _Computing:
        """The running or finished computation of the newest bar, begun when there is none of these features."""
        bar, newest = series.bars[-1], self._newest.get(symbol)
        if newest and (newest.bar, newest.names, newest.model_version) == (bar, names, model_version):
            return newest
        task = asyncio.create_task(self._compute(series))
        self._newest[symbol] = begun = _Computing(bar=bar, names=names, model_version=model_version, task=task)
        task.add_done_callback(lambda done: self._forget_failed(symbol, begun, done))
        return begun

    async def _compute(self, series: BarSeries) -> BarFeatures:
        sent = BarSeries(bar_seconds=series.bar_seconds, bars=series.bars[-BARS_SENT:])
        return BarFeatures(features=await self._model.features(sent), bar_open_ms=series.bars[-1].open_time_ms)

    def _forget_failed(self, symbol: Symbol, begun: _Computing, task: asyncio.Task[BarFeatures]) -> None:
        """Let the next question try again; reading the exception tells asyncio that somebody did."""
        if task.cancelled() or task.exception():
            self._forget(symbol, begun)

    def _forget(self, symbol: Symbol, computing: _Computing) -> None:
        if self._newest.get(symbol) is computing:
            del self._newest[symbol]

    def _stale(self, symbol: Symbol, series: BarSeries | None) -> Failure:
        bars = series.bars if series else ()
        due = {"due_open_ms": str(last_closed_open_ms(self._clock.now_ms(), series.bar_seconds))} if series else {}
        newest = {"newest_open_ms": str(bars[-1].open_time_ms)} if bars else {}
        return Failure(
            reason=Reason.MARKET_DATA_STALE,
            message=f"No decision was made: the bars of {symbol} are too few or too old to compute features from. "
            "Retry in a second, or send the features.",
            metadata={"symbol": symbol, "bars": str(len(bars)), "bars_min": str(HISTORY_BARS_MIN)} | newest | due,
        )


def _not_offered() -> Failure:
    return Failure(
        reason=Reason.MISSING_FEATURE,
        message="No decision was made: the server of this model cannot compute features. Send them and ask again.",
        metadata={"field": "features"},
        field_name="features",
    )
