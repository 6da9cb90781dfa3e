"""Which forms of classifier skl2onnx converts truly, measured: `python -m inference.train parity FILE`.

Every form is fitted on the older part of the rows, converted, and compared with scikit-learn on all of them.

- TRUE forms must be accepted by `convert_checked`.
- WRONG forms convert without an error and say something else: they must be refused. The table says so when one passes,
  since then the converter was mended.
- ROWS_DECIDE: trees behind a scaler. The graph scales in float32, scikit-learn in double precision, and a feature close
  to a threshold may take another branch. Most rows agree to 1e-7, a few in ten thousand may not: the gate decides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from inference.core.consensus import Rows
from inference.train.calibrate import fit_calibration
from inference.train.convert import ConversionRefusedError, Parity, convert_checked, parity_of
from inference.train.dissimilarity import fit_dissimilarity
from inference.train.ensemble import Ensemble
from inference.train.examples import Examples
from inference.train.export import build_graph
from inference.train.members import fit_members
from inference.train.prove import parity_with
from inference.train.recipe import MemberSpec, Method

_FITTED_SHARE = 0.6
_SPLITS = 2
"""Of the calibrated forms, in the order of time."""


class Known(Enum):
    """What is known of a form's conversion."""

    TRUE = auto()
    WRONG = auto()
    ROWS_DECIDE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A form of classifier, and whether the converter does it right."""

    name: str
    known: Known
    make: Callable[[], ClassifierMixin]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One form's figures."""

    name: str
    known: Known
    parity: Parity
    accepted: bool
    """Whether the gate let it pass."""

    @property
    def as_expected(self) -> bool:
        """Whether a true form was accepted, and a wrong one refused."""
        return self.known is Known.ROWS_DECIDE or self.accepted == (self.known is Known.TRUE)


def parity_rows(examples: Examples, names: tuple[str, ...], *, seed: int) -> Iterator[Row]:
    """Every form, one after the other as it is measured."""
    fitted = int(len(examples) * _FITTED_SHARE)
    older = examples.take(np.arange(fitted))
    for form in forms(seed):
        with threadpool_limits(limits=1):  # many small fits: threads would only wait for each other
            row = _row(form, form.make().fit(older.X, older.up), examples.X)
        yield row
    methods: tuple[Method, ...] = ("temperature", "sigmoid")
    for method in methods:
        yield _fused_row(method, older, examples.X, names, seed)


def forms(seed: int) -> tuple[Form, ...]:
    """Every form that is measured, the served graph aside."""

    def form(name: str, make: Callable[[], ClassifierMixin], known: Known = Known.TRUE) -> Form:
        return Form(name=name, known=known, make=make)

    def trees() -> tuple[ClassifierMixin, ClassifierMixin]:
        return _boosting(seed), _forest(seed)

    return (
        form("scaler and logistic regression", _scaled_logistic),
        form("random forest", lambda: _forest(seed)),
        form("extra trees", lambda: ExtraTreesClassifier(30, max_depth=7, random_state=seed)),
        form("gradient boosting", lambda: GradientBoostingClassifier(n_estimators=40, random_state=seed)),
        form("histogram gradient boosting", lambda: _boosting(seed)),
        form("soft voting, flatten_transform=False", lambda: _voting(_scaled_logistic(), *trees())),
        form("sigmoid of boosting", lambda: _calibrated(_boosting(seed), "sigmoid")),
        form("sigmoid of forest", lambda: _calibrated(_forest(seed), "sigmoid")),
        form("scaler outside, sigmoid of logistic", lambda: make_pipeline(StandardScaler(), _sigmoid_logistic())),
        form(
            "scaler outside, sigmoid of voting",
            lambda: make_pipeline(StandardScaler(), _calibrated(_voting(_logistic(), *trees()), "sigmoid")),
            Known.ROWS_DECIDE,
        ),
        form("sigmoid of scaler and logistic", lambda: _calibrated(_scaled_logistic(), "sigmoid"), Known.WRONG),
        form(
            "voting of calibrated members, scaler inside",
            lambda: _voting(*(_calibrated(one, "sigmoid") for one in (_scaled_logistic(), *trees()))),
            Known.WRONG,
        ),
        form("isotonic of boosting", lambda: _calibrated(_boosting(seed), "isotonic"), Known.WRONG),
    )


def _row(form: Form, estimator: ClassifierMixin, X: Rows) -> Row:
    try:
        parity, accepted = parity_of(estimator, convert_checked(estimator, X), X), True
    except ConversionRefusedError as refused:
        parity, accepted = refused.parity, False
    return Row(name=form.name, known=form.known, parity=parity, accepted=accepted)


def _fused_row(method: Method, older: Examples, X: Rows, names: tuple[str, ...], seed: int) -> Row:
    """The served graph, calibrated on the rows that fitted it: here only its conversion is looked at."""
    members = fit_members(older.X, older.up, MemberSpec(), seed=seed)
    consensus = members.probabilities(older.X).mean(axis=1)
    ensemble = Ensemble(
        members=members,
        calibration=fit_calibration(consensus, older.up, method, shrink=0.8),
        dissimilarity=fit_dissimilarity(older.X),
    )
    parity = parity_with(build_graph(ensemble, names), ensemble, X)
    return Row(name=f"the served graph, {method}", known=Known.TRUE, parity=parity, accepted=parity.passed)


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=0.1)


def _scaled_logistic() -> ClassifierMixin:
    return make_pipeline(StandardScaler(), _logistic())


def _sigmoid_logistic() -> ClassifierMixin:
    return _calibrated(_logistic(), "sigmoid")


def _boosting(seed: int) -> ClassifierMixin:
    return HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, min_samples_leaf=100, random_state=seed)


def _forest(seed: int) -> ClassifierMixin:
    return RandomForestClassifier(30, max_depth=7, min_samples_leaf=50, random_state=seed)


def _voting(*members: ClassifierMixin) -> ClassifierMixin:
    named = [(f"member_{number}", member) for number, member in enumerate(members)]
    return VotingClassifier(named, voting="soft", flatten_transform=False)


def _calibrated(inner: ClassifierMixin, method: str) -> ClassifierMixin:
    return CalibratedClassifierCV(inner, method=method, cv=TimeSeriesSplit(_SPLITS))
