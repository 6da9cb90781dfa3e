"""The report of a model version: its card and its walk-forward as one page for a person.

report.html stands beside card.json and needs nothing else: no script, no network, no font of its own. The same inputs
give the same bytes. Modules: report_words says the figures, report_series computes what is drawn, report_plots and
report_plots_time draw it, report_svg fits it into the page, report.html.jinja is the page.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from inference.core.bars import Series
from inference.core.card import Card, Interval
from inference.core.gates import EXPORT_DIFFERENCE_MAX, EXPORT_ROWS_MIN, gates
from inference.train import report_words
from inference.train.predictions import Predictions
from inference.train.report_plots import plots_of
from inference.train.report_plots_time import drift, equity
from inference.train.report_series import auc_of
from inference.train.report_svg import Plot

_TEMPLATE = "report.html.jinja"
_STYLE = "report.css"


class ReportFaultError(ValueError):
    """A card, predictions and rows that do not belong together; says where they part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureRows:
    """The features behind the predictions, for their drift."""

    deciles: Series
    """The nine inner deciles of the training rows, shape [features, 9], in the card's order of features."""
    closed_ms: NDArray[np.int64]
    """When each row's bar closed: row by row that of the predictions."""
    values: NDArray[np.float32]
    """Shape [rows, features]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member's skill beside that of the consensus."""

    name: str
    auc: str


def write_report(path: Path, *, card: Card, predictions: Predictions, feature_rows: FeatureRows) -> None:
    """Write the page. Raises ReportFaultError when the predictions or the rows are not those of the card."""
    path.write_text(report_html(card=card, predictions=predictions, feature_rows=feature_rows), encoding="utf8")


def report_html(*, card: Card, predictions: Predictions, feature_rows: FeatureRows) -> str:
    """The page. Raises as `write_report`."""
    _check(card, predictions, feature_rows)
    folder = Path(__file__).parent
    style = (folder / _STYLE).read_text(encoding="utf8")
    pages = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return pages.get_template(_TEMPLATE).render(
        card=card,
        words=report_words,
        verdict=report_words.verdict_of(card),
        gates=gates(card),
        plots=_plots(card, predictions, feature_rows),
        members=_members(card, predictions),
        export_difference_max=EXPORT_DIFFERENCE_MAX,
        export_rows_min=EXPORT_ROWS_MIN,
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def _plots(card: Card, predictions: Predictions, rows: FeatureRows) -> dict[str, Plot]:
    every = (
        *plots_of(card, predictions),
        equity(card, predictions),
        drift(card, predictions, values=rows.values, deciles=rows.deciles),
    )
    return {plot.name: plot for plot in every}


def _members(card: Card, predictions: Predictions) -> tuple[Member, ...]:
    def skill(name: str, scores: Series) -> Member:
        found: Interval | None = auc_of(scores, predictions.up, horizon_bars=card.label.horizon_bars)
        return Member(name=name, auc=report_words.ABSENT if found is None else report_words.interval_text(found))

    each = (skill(name, predictions.members[:, place]) for place, name in enumerate(card.members))
    return (*each, skill("consensus, their mean", predictions.prob_long))


def _check(card: Card, predictions: Predictions, rows: FeatureRows) -> None:
    measured = np.bincount(predictions.fold, minlength=len(card.validation.folds)).tolist()
    expected = (
        ("rows", len(predictions), card.validation.figures.rows),
        ("rows of each fold", measured, [fold.rows for fold in card.validation.folds]),
        ("members", predictions.members.shape, (len(predictions), len(card.members))),
        ("shape of the features", rows.values.shape, (len(predictions), len(card.features))),
        ("shape of the deciles", rows.deciles.shape, (len(card.features), 9)),
    )
    faults = [f"{what}: {is_} where {should} belong to the card" for what, is_, should in expected if is_ != should]
    if not faults and not np.array_equal(rows.closed_ms, predictions.closed_ms):
        faults = ["the rows of features are not those of the predictions"]
    if faults:
        raise ReportFaultError("no report: " + "; ".join(faults))
