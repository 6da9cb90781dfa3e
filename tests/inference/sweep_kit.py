"""What a sweep runs in its tests; in a module of its own, so that workers can import it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from inference.train.sweep import Cell, Figures


def score(cell: Cell) -> Figures:
    """Figures that depend on the settings alone; it fails where the horizon is 13."""
    settings = dict(cell.settings)
    if settings["horizon"] == 13:
        raise ValueError("13 brings bad luck")
    horizon = int(settings["horizon"])
    return {
        "auc": 0.5 + 1.0 / (horizon + 3) / 7,
        "kind": str(settings["label"]),
        "hit_rate": None if horizon > 3 else 0.5,
    }


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Leaves a file for each run, with the process that ran it."""

    folder: Path

    def __call__(self, cell: Cell) -> Figures:
        (self.folder / cell.key).write_text(str(os.getpid()))
        time.sleep(0.05)
        return score(cell)


@dataclass(frozen=True, kw_only=True)
class Mistaken:
    """A mistake in the program."""

    def __call__(self, cell: Cell) -> Figures:
        return {"auc": 1 + cell}  # type: ignore[operator] # the mistake


@dataclass(frozen=True, kw_only=True)
class Dying:
    """Takes its worker with it."""

    def __call__(self, cell: Cell) -> Figures:
        os._exit(3)
