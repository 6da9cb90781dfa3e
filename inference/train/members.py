"""The members of the ensemble: three different kinds of model of the same rows, each with the recipe's seed.

logistic_regression  on standardised features, clipped when the recipe says so
hist_gradient_boosting, random_forest  on the features as they are

Fitting is done on one thread of linear algebra and of histograms: a sum that is split among threads differs in its
last digits from run to run. The forest may use several threads, since each tree has a seed of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from inference.core.bars import Series
from inference.core.consensus import Rows
from inference.train.recipe import MemberSpec

MEMBER_NAMES = ("logistic_regression", "hist_gradient_boosting", "random_forest")
BOOSTING = MEMBER_NAMES.index("hist_gradient_boosting")
_LOGISTIC_STEPS_MAX = 1000

Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """A logistic regression of standardised features."""

    scaler: StandardScaler
    model: LogisticRegression
    clip_sigmas: float | None

    def rise(self, X: Rows) -> Series:
        """The probability of a rise, shape [rows]."""
        found: Series = self.model.predict_proba(self.standardised(X))[:, 1]
        return found

    def standardised(self, X: Rows) -> Series:
        """The features as the regression takes them."""
        scaled: Series = self.scaler.transform(X.astype(np.float64))
        return scaled if self.clip_sigmas is None else np.clip(scaled, -self.clip_sigmas, self.clip_sigmas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The fitted members."""

    logistic: Logistic
    boosting: HistGradientBoostingClassifier
    forest: RandomForestClassifier

    def probabilities(self, X: Rows) -> Series:
        """Each member's probability of a rise, shape [rows, members], in the order of `MEMBER_NAMES`."""
        with threadpool_limits(limits=1):
            return np.column_stack([self.logistic.rise(X), rise_of(self.boosting, X), rise_of(self.forest, X)])


def fit_members(X: Rows, up: Labels, spec: MemberSpec, *, seed: int, jobs: int = 1) -> Members:
    """The members, fitted to the rows. `jobs` threads grow the forest; the members are the same whatever it is."""
    with threadpool_limits(limits=1):
        return Members(
            logistic=_fit_logistic(X, up, spec),
            boosting=fit_boosting(X, up, spec, seed=seed),
            forest=_fit_forest(X, up, spec, seed=seed, jobs=jobs),
        )


def rise_of(model: ClassifierMixin, X: Rows) -> Series:
    """The probability of a rise by a classifier of two classes, shape [rows]."""
    found: Series = model.predict_proba(X)[:, 1]
    return found


def fit_boosting(X: Rows, up: Labels, spec: MemberSpec, *, seed: int) -> HistGradientBoostingClassifier:
    """The boosting member alone, which the canaries use as well."""
    with threadpool_limits(limits=1):
        return HistGradientBoostingClassifier(
            max_iter=spec.boosting_rounds,
            max_leaf_nodes=spec.boosting_leaves,
            min_samples_leaf=spec.boosting_leaf_rows,
            early_stopping=False,  # it would hold out rows at random, and so across time
            random_state=seed,
        ).fit(X, up)


def _fit_logistic(X: Rows, up: Labels, spec: MemberSpec) -> Logistic:
    scaler = StandardScaler().fit(X.astype(np.float64))
    logistic = Logistic(
        scaler=scaler,
        model=LogisticRegression(C=spec.logistic_penalty, max_iter=_LOGISTIC_STEPS_MAX),
        clip_sigmas=spec.logistic_clip_sigmas,
    )
    logistic.model.fit(logistic.standardised(X), up)
    return logistic


def _fit_forest(X: Rows, up: Labels, spec: MemberSpec, *, seed: int, jobs: int) -> RandomForestClassifier:
    forest = RandomForestClassifier(
        n_estimators=spec.forest_trees,
        max_depth=spec.forest_depth,
        min_samples_leaf=spec.forest_leaf_rows,
        random_state=seed,
        n_jobs=jobs,
    ).fit(X, up)
    forest.n_jobs = 1  # predicting on several threads adds the trees in any order
    return forest


FitOne = Callable[[Rows, Labels], ClassifierMixin]
"""Rows and labels to one fitted classifier: what a canary trains."""
