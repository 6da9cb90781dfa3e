"""What a sweep over recipes measures: one walk-forward for each cell, by the same code that makes a card.

A cell names every choice of its recipe, those that do not vary among them, so that a row of the table can be followed
by itself. Columns:

bars, bars_sha256     the markets, and the hash of their own hashes: other bars are another cell
features ... seed     the recipe; names as in inference/train/recipe.py
figures               of inference/core/card.py; an interval is three columns: auc, auc_low, auc_high
canaries_fired        how many leak canaries fired; a row where it is not 0 says nothing
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from inference.core.card import Canary, Figures
from inference.core.labels import LabelSpec
from inference.train.bars import Market
from inference.train.evaluate import evaluate
from inference.train.recipe import FEATURE_SETS, MemberSpec, Recipe, default_walk, feature_set
from inference.train.sweep import Cell, Setting, SweepFaultError

_MEMBER_NAMES = tuple(field.name for field in fields(MemberSpec))
_WALK_NAMES = ("train_bars", "calibrate_share", "test_bars", "embargo_bars")
_OWN_NAMES = ("calibration", "shrink", "threshold", "fee_bps", "seed")
_LABEL_NAMES = ("kind", "horizon_bars", "barrier_sigmas")
_NAME_PARTS = "+"
"""Between the names of features, and of markets, in one setting."""

Pools = Mapping[str, tuple[Market, ...]]
"""The markets of a cell by the name that its setting `bars` has."""


def usual_settings(markets: Sequence[Market]) -> dict[str, Setting]:
    """The settings of a cell in which nothing varies, by name. A choice that is None ("none") is told as text."""
    recipe = Recipe(walk=default_walk(markets[0].bars.bar_seconds))
    own = {name: getattr(recipe, name) for name in _OWN_NAMES}
    walk = {name: getattr(recipe.walk, name) for name in _WALK_NAMES}
    label = {name: getattr(recipe.label, name) for name in _LABEL_NAMES}
    members = {name: "none" if value is None else value for name, value in asdict(recipe.members).items()}
    return {"features": _set_name(recipe.feature_names), **label, **walk, **members, **own}


def pool_sha256(markets: Sequence[Market]) -> str:
    """One hash for several markets: of their own, one a line."""
    return hashlib.sha256("\n".join(market.sha256 for market in markets).encode("ascii")).hexdigest()


def recipe_of(settings: Mapping[str, Any], *, simulated: bool) -> Recipe:
    """The recipe of a cell. Raises RecipeFaultError (a ValueError) when it cannot be followed."""
    members: dict[str, Any] = {name: None if settings[name] == "none" else settings[name] for name in _MEMBER_NAMES}
    walk = replace(default_walk(1), **{name: settings[name] for name in _WALK_NAMES})
    return Recipe(
        market="simulated" if simulated else "real",
        feature_names=feature_set(str(settings["features"]).replace(_NAME_PARTS, ",")),
        label=LabelSpec(**{name: settings[name] for name in _LABEL_NAMES}),
        walk=walk,
        members=MemberSpec(**members),
        **{name: settings[name] for name in _OWN_NAMES},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateCell:
    """Runs cells; takes the markets along to wherever it is run."""

    pools: Pools

    def __call__(self, cell: Cell) -> dict[str, float | str | None]:
        """The figures of the cell's walk-forward."""
        settings = dict(cell.settings)
        markets = self.pools[str(settings["bars"])]
        recipe = recipe_of(settings, simulated=any(market.simulated for market in markets))
        measured = evaluate(markets, recipe, jobs=1)
        return columns_of(measured.figures, measured.canaries)


def columns_of(figures: Figures, canaries: Sequence[Canary]) -> dict[str, float | str | None]:
    """Figures as columns of numbers."""
    columns: dict[str, float | str | None] = {}
    for name, value in figures.model_dump().items():
        if isinstance(value, dict):
            columns |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        elif not isinstance(value, list | tuple) and name not in {"threshold", "fee_bps"}:
            columns[name] = value
    return columns | {"canaries_fired": sum(not canary.passed for canary in canaries)}


def read_axis(text: str, usual: Mapping[str, Setting]) -> tuple[str, tuple[Setting, ...]]:
    """NAME=V1,V2 as a name and its values, each of the kind of the usual one. Raises SweepFaultError."""
    name, parted, listed = text.partition("=")
    if not parted or name not in usual:
        raise SweepFaultError(f"{text!r} is not NAME=V1,V2 with a name of {', '.join(usual)}")
    return name, tuple(_value(part, name, usual[name]) for part in listed.split(","))


def _value(text: str, name: str, usual: Setting) -> Setting:
    if name in {"features", "kind", "calibration"} or text == "none":
        return text
    try:
        return int(text) if isinstance(usual, int) else float(text)
    except ValueError as fault:
        raise SweepFaultError(f"{name}: {text!r} is no number of its kind") from fault


def _set_name(names: tuple[str, ...]) -> str:
    return next((name for name, known in FEATURE_SETS.items() if known == names), _NAME_PARTS.join(names))
