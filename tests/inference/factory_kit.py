"""Synthetic markets and small recipes, so that a training takes a second; and pipelines that leak on purpose."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from inference.core.bars import Bars, Series
from inference.core.features import DOCUMENTED, feature_matrix
from inference.core.labels import LabelSpec
from inference.train.bars import Market
from inference.train.cards import Origin
from inference.train.examples import Examples
from inference.train.recipe import MemberSpec, Recipe, WalkSpec
from inference.train.walk import Cut, FoldRows

HOUR = 3600
ORIGIN_MS = 1_600_000_000_000 // 3_600_000 * 3_600_000
ORIGIN = Origin(
    version="20260101_000000", created="2026-01-01T00:00:00Z", git_commit="unknown", libraries={"numpy": "2"}
)
SMALL = MemberSpec(
    logistic_clip_sigmas=0.3,
    boosting_rounds=15,
    boosting_leaves=6,
    boosting_leaf_rows=100,
    forest_trees=12,
    forest_depth=4,
    forest_leaf_rows=100,
)
LONG_WALK = WalkSpec(train_bars=5000, test_bars=3000)
"""With 12,000 bars: enough rows for the gates on calibration."""


def bars_of(closes: Series, *, bar_seconds: int = HOUR, seed: int = 4) -> Bars:
    """Bars that close there, with made-up highs, lows and volumes."""
    generator = np.random.default_rng(seed)
    opens = np.concatenate(([closes[0]], closes[:-1]))
    room = 1.0 + np.abs(generator.normal(0.0, 0.001, (2, closes.size)))
    return Bars(
        bar_seconds=bar_seconds,
        open_time_ms=ORIGIN_MS + np.arange(closes.size) * bar_seconds * 1000,
        open=opens,
        high=np.maximum(opens, closes) * room[0],
        low=np.minimum(opens, closes) / room[1],
        close=closes,
        volume=generator.lognormal(0.0, 0.5, closes.size),
    )


def trending(count: int, *, seed: int = 3, edge: float = 0.2, symbol: str = "BTCUSDT", **more: int) -> Market:
    """A price that tends to go on as it went over 20 bars; an edge of 0 is a random walk."""
    generator = np.random.default_rng(seed)
    steps, draws = np.abs(generator.normal(0.0, 0.005, count)), generator.random(count)
    closes = [100.0]
    for step, draw in zip(steps[1:], draws[1:], strict=True):
        momentum = closes[-1] / closes[max(0, len(closes) - 21)] - 1.0
        rises = draw < 0.5 + edge * np.tanh(momentum / 0.004)
        closes.append(closes[-1] * np.exp(step if rises else -step))
    return Market(symbol=symbol, source="a test", bars=bars_of(np.array(closes), **more), simulated=True)


def recipe(**changes: object) -> Recipe:
    """A small recipe for the simulated market."""
    small = Recipe(
        description="A test.",
        market="simulated",
        feature_names=DOCUMENTED,
        label=LabelSpec(kind="direction", horizon_bars=1),
        walk=WalkSpec(train_bars=2500, test_bars=1200),
        members=SMALL,
        shrink=1.0,
        max_age_days=None,
    )
    return replace(small, **changes)  # type: ignore[arg-type]


def written(models: Path) -> list[str]:
    """What a folder of models holds, hidden files included."""
    return sorted(path.relative_to(models).as_posix() for path in models.rglob("*"))


def shuffled_k_fold(examples: Examples, walk: WalkSpec) -> tuple[FoldRows, ...]:
    """The classic leak: rows of all times on both sides of the split."""
    folds = []
    for fitted, measured in KFold(4, shuffle=True, random_state=3).split(examples.X):
        joint = int(fitted.size * (1.0 - walk.calibrate_share))
        folds.append(FoldRows(cut=Cut(members=fitted[:joint], calibrator=fitted[joint:]), test=measured))
    return tuple(folds)


def one_bar_ahead(bars: Bars, names: Sequence[str]) -> Series:
    """The other classic leak: a bar that has only opened is taken for closed."""
    matrix = feature_matrix(bars, names)
    return np.vstack([matrix[1:], np.full((1, matrix.shape[1]), np.nan)])


def scaled_over_all_time(bars: Bars, names: Sequence[str]) -> Series:
    """Features standardised over all rows, the later ones included."""
    matrix = feature_matrix(bars, names)
    return (matrix - np.nanmean(matrix, axis=0)) / np.nanstd(matrix, axis=0)
