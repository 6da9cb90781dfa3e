"""The stages of promotion: what each lets an account do, and what must be shown before it is entered.

PAPER -> PAPER_TINY -> PAPER_SCALED_500 -> _1000 -> _2000 -> LIVE_TINY -> LIVE_SCALED -> LIVE

A stage is entered one after the other, by a person who asks for it and evidence that passes (core/evidence.py). It is
left downwards one at a time, by a person or by a criterion that fails. docs/stages.md is generated from STAGES.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

WINDOW_DAYS: Final = 180
"""Older decisions, orders and risk changes are no evidence: the market was another one."""

ERROR_RATE_MAX: Final = 0.01
RESPONSE_MS_MAX: Final = 500.0
"""Of the 99th percentile and of the mean."""
CALIBRATION_GAP_MAX: Final = 0.05
"""Five points between what was promised and what came true."""
SLOPE_MIN: Final = 0.8
SLOPE_MAX: Final = 1.2
DRAWDOWN_SHARE_MAX: Final = 0.5
"""Of MAX_DRAWDOWN_PCT: whoever comes nearer to the lock is not ready for more."""
PAPER_BIAS_BPS_MAX: Final = 5.0
"""What live may be worse than paper in the mean, price and fee together: a paper venue that flatters more than this has
shown nothing."""


class Stage(StrEnum):
    """What an account has earned, in rising order."""

    PAPER = "PAPER"
    PAPER_TINY = "PAPER_TINY"
    PAPER_SCALED_500 = "PAPER_SCALED_500"
    PAPER_SCALED_1000 = "PAPER_SCALED_1000"
    PAPER_SCALED_2000 = "PAPER_SCALED_2000"
    LIVE_TINY = "LIVE_TINY"
    LIVE_SCALED = "LIVE_SCALED"
    LIVE = "LIVE"

    @property
    def is_live(self) -> bool:
        """Whether real orders may leave at this stage."""
        return self in _LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """What must have been seen before a stage is entered, and how good it must have been."""

    outcomes: int
    """Matured decisions of the served model that came out right or wrong, within WINDOW_DAYS."""
    decisions: int
    """Scored decisions, within WINDOW_DAYS."""
    orders: int
    """Orders that ended, at the stage before."""
    days: int
    """Days of UTC with an order or an outcome, at the stage before."""
    regimes: int
    """Market regimes with REGIME_DAYS_MIN days of outcomes each, within WINDOW_DAYS."""
    slippage_bps_max: float
    """Of the mean fill against the mid price that the order was judged at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage."""

    cap_usd: Decimal | None
    """The most notional of one order and of one symbol's exposure, US dollars; None: the settings alone."""
    asks: Asks | None
    """None for the first stage, where everybody begins."""
    meaning: str


def _asks(outcomes: int, orders: int, days: int, regimes: int, slippage_bps_max: float = 10.0) -> Asks:
    return Asks(
        outcomes=outcomes,
        decisions=outcomes,
        orders=orders,
        days=days,
        regimes=regimes,
        slippage_bps_max=slippage_bps_max,
    )


STAGES: Final[Mapping[Stage, StageRow]] = {
    Stage.PAPER: StageRow(cap_usd=None, asks=None, meaning="Where everybody begins: paper, by the settings alone."),
    Stage.PAPER_TINY: StageRow(
        cap_usd=Decimal(100), asks=_asks(1_500, 400, 5, 2), meaning="Paper, at the size that live begins with."
    ),
    Stage.PAPER_SCALED_500: StageRow(cap_usd=Decimal(500), asks=_asks(2_000, 400, 5, 3), meaning="Paper, scaled."),
    Stage.PAPER_SCALED_1000: StageRow(cap_usd=Decimal(1_000), asks=_asks(2_500, 400, 5, 3), meaning="Paper, scaled."),
    Stage.PAPER_SCALED_2000: StageRow(cap_usd=Decimal(2_000), asks=_asks(3_000, 400, 5, 4), meaning="Paper, scaled."),
    Stage.LIVE_TINY: StageRow(
        cap_usd=Decimal(100), asks=_asks(4_000, 400, 5, 4), meaning="Real orders, at the smallest size."
    ),
    Stage.LIVE_SCALED: StageRow(
        cap_usd=Decimal(1_000), asks=_asks(5_000, 400, 10, 4), meaning="Real orders, scaled; earned live."
    ),
    Stage.LIVE: StageRow(
        cap_usd=None, asks=_asks(6_000, 500, 20, 4), meaning="Real orders, by the settings alone; earned live."
    ),
}
"""Every stage, in rising order."""

_ORDER: Final = tuple(Stage)
_LIVE: Final = frozenset({Stage.LIVE_TINY, Stage.LIVE_SCALED, Stage.LIVE})


def next_stage(stage: Stage) -> Stage | None:
    """The stage above; None for the highest."""
    place = _ORDER.index(stage) + 1
    return _ORDER[place] if place < len(_ORDER) else None


def previous_stage(stage: Stage) -> Stage | None:
    """The stage below; None for the lowest."""
    place = _ORDER.index(stage)
    return _ORDER[place - 1] if place else None


def asks_of(stage: Stage) -> Asks:
    """What entering this stage asks for; the first asks for nothing, and is measured as the second is."""
    asks = STAGES[stage].asks
    return asks if asks is not None else asks_of(Stage.PAPER_TINY)
