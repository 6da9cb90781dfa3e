"""The members of the demonstration ensemble: three different kinds of model, each with a fixed seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from inference.train.examples import Slice

MEMBER_NAMES = ("neural_network", "gradient_boosting", "random_forest")
_SEED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The fitted members."""

    network: Pipeline
    boosting: GradientBoostingClassifier
    forest: RandomForestClassifier

    @property
    def in_order(self) -> tuple[ClassifierMixin, ...]:
        """The members in the order of `MEMBER_NAMES`."""
        return (self.network, self.boosting, self.forest)

    def probabilities(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Each member's probability of a rise, shape [rows, 3], in the order of `MEMBER_NAMES`."""
        return np.column_stack([member.predict_proba(X)[:, 1] for member in self.in_order])


def fit_members(train: Slice) -> Members:
    """The members, fitted to the train slice.

    Sizes are chosen for a graph under 1 MB and a fit in seconds; large leaves keep the trees
    from learning single hours. They were chosen on other seeds of the market than the shipped model's.
    """
    return Members(
        network=make_pipeline(
            StandardScaler(),
            MLPClassifier((4,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=400, random_state=_SEED),
        ).fit(train.X.astype(np.float64), train.y),
        boosting=GradientBoostingClassifier(
            n_estimators=80, max_depth=3, learning_rate=0.08, min_samples_leaf=400, subsample=0.5, random_state=_SEED
        ).fit(train.X, train.y),
        forest=RandomForestClassifier(
            n_estimators=60, max_depth=5, min_samples_leaf=400, max_features=2, random_state=_SEED, n_jobs=1
        ).fit(train.X, train.y),
    )
