"""A market of bars and a model that labels them, for tests that let decisions mature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from builders import BAR_MS, BTC, a_decision
from fakes import FakeClock

from gateway.calibration import Calibration
from gateway.core.drift import FeatureReference
from gateway.core.model import (
    Bar,
    BarLabel,
    BarSeries,
    Book,
    Decision,
    DecisionId,
    Instrument,
    Prediction,
    Signal,
    Symbol,
)
from gateway.outcomes import Maturing
from gateway.ports import ModelUnavailableError, NotOfferedError

HOUR_MS = 3_600_000
ETH = Symbol("ETHUSDT")
VERSION = "20261123_000000"


def hour_ms(number: int) -> int:
    """When the hour `number` opens."""
    return BAR_MS + number * HOUR_MS


@dataclass
class BarMarket:
    """Hourly closes by symbol; the newest 1,000 are known."""

    closes: dict[Symbol, dict[int, float]] = field(default_factory=dict)
    known: int = 1000
    source: str = "fake"

    def put(self, symbol: Symbol, number: int, close: float) -> None:
        self.closes.setdefault(symbol, {})[number] = close

    def bars(self, symbol: Symbol) -> BarSeries | None:
        if symbol not in self.closes:
            return None
        newest = sorted(self.closes[symbol].items())[-self.known :]
        return BarSeries(
            bar_seconds=3600,
            bars=[
                Bar(open_time_ms=hour_ms(number), open=close, high=close, low=close, close=close, volume=1.0)
                for number, close in newest
            ],
        )

    def book(self, symbol: Symbol) -> Book | None:
        return None

    def instrument(self, symbol: Symbol) -> Instrument | None:
        return None


@dataclass
class LabellingModel:
    """Says `label` of every bar, or does not offer labels; `asked` are the bars that it was asked about."""

    label_is: BarLabel | None = None
    down: bool = False
    references: tuple[FeatureReference, ...] = ()
    asked: list[int] = field(default_factory=list)

    async def label(self, bars: BarSeries, open_time_ms: int, model_version: str) -> BarLabel:
        self.asked.append(open_time_ms)
        if self.down:
            raise ModelUnavailableError("down")
        if self.label_is is None:
            raise NotOfferedError
        return self.label_is

    async def reference(self, model_version: str) -> Sequence[FeatureReference]:
        if self.down:
            raise ModelUnavailableError("down")
        return self.references

    async def ready(self) -> str | None:
        return None if self.down else VERSION

    async def feature_names(self) -> Sequence[str]:
        return ("mom_20",)

    async def predict_many(self, rows: Sequence[Sequence[float]]) -> Sequence[Prediction]:
        raise ModelUnavailableError("not asked in these tests")

    async def features(self, bars: BarSeries) -> Mapping[str, float]:
        raise NotOfferedError


class Life:
    """Calibration over a journal, with a market and a clock; it can be restarted."""

    def __init__(self, journal, **settings):
        self.journal = journal
        self.clock = FakeClock(hour_ms(0))
        self.market = BarMarket()
        self.model = LabellingModel()
        self.settings = {"threshold": 0.6, "alarm_at": 100.0, "raise_by": 0.05, "window": 160, "recalibrate": False}
        self.settings |= settings
        self.restart()

    def restart(self):
        """A new process over the same journal."""
        self.calibration = Calibration(journal=self.journal, clock=self.clock, **self.settings)
        self.maturing = Maturing(calibration=self.calibration, market=self.market, model=self.model, clock=self.clock)

    async def decide(self, number: int, *, symbol=BTC, **changes) -> Decision:
        """Decide in the hour after bar `number` has closed, as the decision path does."""
        self.clock.at_ms = max(self.clock.at_ms, hour_ms(number + 1) + 60_000)
        version = changes.get("model_version", VERSION)
        values = {
            "decision_id": DecisionId(f"{symbol}-{number}-{version}-{self.clock.at_ms}"),
            "symbol": symbol,
            "signal": Signal.LONG,
            "bar_open_ms": hour_ms(number),
            "scored": self.calibration.claim(symbol, hour_ms(number), version),
            "at_ms": self.clock.at_ms,
        }
        decision = a_decision(**values | changes)
        await self.journal.append_decisions([decision])
        self.calibration.recorded([decision])
        return decision

    async def pass_hour(self, number: int, closes: Mapping[Symbol, float]) -> None:
        """The bar `number` closes, and what can mature does."""
        for symbol, close in closes.items():
            self.market.put(symbol, number, close)
        self.clock.at_ms = hour_ms(number + 1) + 1000
        await self.maturing.run()

    async def live(self, first: int, rights: Sequence[bool], *, symbols=(BTC,), confidence: float = 0.65) -> None:
        """Hour by hour: decide long for each symbol, then the next bar closes higher or lower."""
        for number, right in enumerate(rights, first):
            closes = {symbol: self._close(symbol, number) for symbol in symbols}
            for symbol in symbols:
                self.market.put(symbol, number, closes[symbol])
                await self.decide(number, symbol=symbol, confidence=confidence, model_confidence=confidence)
            await self.pass_hour(
                number + 1, {symbol: close * (1.01 if right else 0.99) for symbol, close in closes.items()}
            )

    def _close(self, symbol: Symbol, number: int) -> float:
        return self.market.closes.get(symbol, {}).get(number, 100.0)

    def moves(self):
        """The recorded moves, oldest first, as (from, to)."""
        return [(move.from_state, move.to_state) for move in reversed(self.journal.watch_moves(100))]
