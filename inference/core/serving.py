"""What answers at one moment: the active model and the shadow beside it, as one value that is exchanged whole.

A call takes the value once and works with it to its end, so that a change of the active version never
mixes two versions in one answer. The shadow sees the same rows; what it says, or that it fails, changes nothing of
the active version's answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.core.consensus import Ensemble, Rows, Scores, ScoringFailedError
from inference.core.refusal import Reason, Refused, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A model that sees every row of the active one and answers nobody."""

    ensemble: Ensemble
    columns: NDArray[np.intp] | None
    """Where its features stand among the active model's; None when both take the same in the same order."""

    @property
    def version(self) -> str:
        """Its version."""
        return self.ensemble.card.version


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The models that serve."""

    ensemble: Ensemble
    """The active one."""
    feature_names: tuple[str, ...]
    """The features that the active one takes, in its order."""
    shadow: Shadow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the models say of some rows."""

    scores: Scores
    shadow: Scores | None
    """None when there is no shadow, or when it failed."""
    shadow_fault: str
    """Why the shadow failed; empty when it did not."""


def serving_of(active: Ensemble, shadow: Ensemble | None) -> Serving:
    """The two side by side; every feature of the shadow must be one of the active model's."""
    names = active.card.feature_names
    return Serving(
        ensemble=active,
        feature_names=names,
        shadow=None if shadow is None else Shadow(ensemble=shadow, columns=_columns(shadow.card.feature_names, names)),
    )


def _columns(wanted: Sequence[str], given: Sequence[str]) -> NDArray[np.intp] | None:
    return None if wanted == given else np.array([given.index(name) for name in wanted], dtype=np.intp)


def score_both(serving: Serving, rows: Rows) -> Scored:
    """What both say of the rows. Raises ScoringFailedError when the active one fails."""
    scores = serving.ensemble.score(rows)
    shadow = serving.shadow
    if shadow is None:
        return Scored(scores=scores, shadow=None, shadow_fault="")
    seen = rows if shadow.columns is None else np.ascontiguousarray(rows[:, shadow.columns])
    try:
        said = shadow.ensemble.score(seen)
    except ScoringFailedError as fault:
        return Scored(scores=scores, shadow=None, shadow_fault=str(fault))
    if not (are_probabilities(said.prob_long) and are_probabilities(said.confidence)):
        return Scored(scores=scores, shadow=None, shadow_fault="it gave a number that is no probability")
    return Scored(scores=scores, shadow=said, shadow_fault="")


def are_probabilities(values: NDArray[np.float32]) -> bool:
    """Whether every value is from 0 to 1; one that is not a number is not."""
    return bool(((values >= 0.0) & (values <= 1.0)).all())


def not_active(serving: Serving, name: str, version: str = "") -> Refused | None:
    """Why the model of that name and version is not the active one; an empty version is any."""
    card = serving.ensemble.card
    if name == card.name and version in ("", card.version):
        return None
    return Refused(
        reason=Reason.MODEL_NOT_FOUND,
        message=f"Nothing was predicted: the model {shown(name)} {shown(version)} is not served. "
        f"The active one is {card.name} {card.version}; ask for that, or for no version.",
        metadata={"model": card.name, "version": card.version},
    )
