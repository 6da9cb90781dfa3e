"""The report's plots over time: what acting on the signal would have added up to, and how the features drifted."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from inference.core.bars import Series
from inference.core.card import Card
from inference.train.predictions import Predictions
from inference.train.report_series import Equity, equity_of, stability_index, stability_noise
from inference.train.report_svg import BLUE, GREY, ORANGE, THOUSANDS, WIDTH_INCHES, Drawing, Plot, plot_of, say
from inference.train.report_words import bps, count, percent

FOLDS_NARROW_MAX = 8
"""With more folds the heat map takes the whole width."""
FOLDS_WRITTEN_MAX = 20
"""With more folds a cell is too narrow for its number."""
_PSI_SHOWN_MAX = 0.5
_LONG_MS = 200 * 86_400_000
"""Longer stretches are dated by their months."""
_LUMINANCE_OF_WHITE_LETTERS = 0.179
"""At most this, white letters stand out more than black ones; either do by 4.5 to 1."""
_SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#9ecae1", "#2171b5", "#08306b"])


def equity(card: Card, predictions: Predictions) -> Plot:
    """What acting on it would have brought, before and after costs."""
    figures = card.validation.figures
    found = equity_of(predictions, threshold=figures.threshold, fee_bps=figures.fee_bps)
    if found is None:
        told = f"No trade: no row reached the confidence of {percent(figures.threshold)}"
    else:
        told = (
            f"{count(found.trades)} trades at a confidence of at least {percent(figures.threshold)}: gross "
            f"{bps(found.gross_bps[-1])}, net of two fees of {figures.fee_bps:g} bps each {bps(found.net_bps[-1])}, "
            f"deepest fall of the net sum {bps(found.drawdown_bps)}"
        )
    return plot_of(
        Drawing(
            name="equity",
            alt=f"Sum of the returns of the thresholded signal over time. {told}.",
            height_inches=4.0,
            draw=partial(_draw_equity, found=found),
        ),
        title="Sum of the thresholded signal's returns",
        caption=f"{told}. One equal stake a trade, never compounded, returns in the signal's direction to the end "
        "of the label, drawn at the moment of the signal; no spread, slippage or funding.",
    )


def _draw_equity(figure: Figure, *, found: Equity | None) -> None:
    axes = figure.add_axes((0.18, 0.14, 0.76, 0.82))
    axes.set(xlabel="signal's time, UTC", ylabel="sum, basis points of the stake")
    if found is None:
        say(axes, "no trade at this threshold")
        axes.set(xticks=[], yticks=[])
        return
    moments = found.closed_ms.astype("datetime64[ms]")
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    axes.plot(moments, found.gross_bps, color=BLUE, drawstyle="steps-post", label="gross")
    axes.plot(moments, found.net_bps, color=ORANGE, linestyle="--", drawstyle="steps-post", label="net of fees")
    axes.locator_params(axis="y", nbins=6)
    axes.yaxis.set_major_formatter(THOUSANDS)
    long = np.ptp(found.closed_ms) > _LONG_MS
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=5 if long else 4))  # type: ignore[no-untyped-call] # matplotlib.dates is untyped
    axes.xaxis.set_major_formatter(DateFormatter("%Y-%m" if long else "%Y-%m-%d"))  # type: ignore[no-untyped-call] # the same
    axes.legend(loc="best")


def drift(card: Card, predictions: Predictions, *, values: NDArray[np.float32], deciles: Series) -> Plot:
    """How far each feature's rows of each fold lie from the training deciles."""
    index, noise = _stability(card, predictions, values, deciles)
    feature, fold = (int(place) for place in np.unravel_index(int(index.argmax()), index.shape))
    beyond = int((index > noise).sum())
    told = (
        f"The largest is {index[feature, fold]:.2f}, of {card.feature_names[feature]} in fold {fold + 1}; {beyond} of "
        f"{index.size} cells are beyond what chance does in 95 of 100 cases"
    )
    near = " The newest folds overlap those rows." if card.validation.folds[-1].end > card.training.start else ""
    many = index.shape[1] > FOLDS_NARROW_MAX
    return plot_of(
        Drawing(
            name="drift",
            alt=f"Heat map of the stability index, {len(card.features)} features by {index.shape[1]} folds. {told}.",
            height_inches=0.9 + 0.25 * index.shape[0],
            width_inches=1.75 * WIDTH_INCHES if many else WIDTH_INCHES,
            draw=partial(_draw_drift, card=card, index=index, noise=noise),
        ),
        title="Feature drift: population stability index by fold",
        caption=(
            f"Against the deciles of the training rows; 0 is no drift, 0.1 some, 0.25 much.{near} {told}, given the "
            "fold's rows and the feature's autocorrelation; these are framed."
        ),
    )


def _stability(
    card: Card, predictions: Predictions, values: NDArray[np.float32], deciles: Series
) -> tuple[Series, Series]:
    """The index and what chance makes of it, each of the shape [features, folds]."""
    count_folds = len(card.validation.folds)
    index, noise = np.zeros((2, len(card.features), count_folds))
    for fold in range(count_folds):
        rows = values[predictions.fold == fold]
        for place, feature in enumerate(card.features):
            index[place, fold] = stability_index(rows[:, place], deciles[place])
            noise[place, fold] = stability_noise(rows.shape[0], feature.autocorrelation_bars)
    return index, noise


def _draw_drift(figure: Figure, *, card: Card, index: Series, noise: Series) -> None:
    features, folds = index.shape
    width, height = figure.get_size_inches()
    axes = figure.add_axes((1.3 / width, 0.6 / height, 1.0 - 1.4 / width, 1.0 - 0.7 / height))
    axes.pcolormesh(index, cmap=_SHADES, vmin=0.0, vmax=_PSI_SHOWN_MAX, edgecolors="white", linewidth=0.5)
    axes.set(xlim=(0, folds), ylim=(features, 0), xlabel="fold")
    for place in range(features):
        for fold in range(folds):
            _mark_cell(axes, place, fold, value=index[place, fold], beyond=index[place, fold] > noise[place, fold])
    axes.set_yticks(np.arange(features) + 0.5, card.feature_names)
    axes.set_xticks(np.arange(folds) + 0.5, [str(fold + 1) for fold in range(folds)])
    axes.tick_params(length=0)
    axes.grid(visible=False)


def _mark_cell(axes: Axes, place: int, fold: int, *, value: float, beyond: bool) -> None:
    colour = "#000000" if _luminance(_SHADES(value / _PSI_SHOWN_MAX)) > _LUMINANCE_OF_WHITE_LETTERS else "white"
    if axes.get_xlim()[1] <= FOLDS_WRITTEN_MAX:
        axes.text(fold + 0.5, place + 0.52, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    if beyond:
        axes.add_patch(Rectangle((fold + 0.05, place + 0.08), 0.9, 0.84, fill=False, edgecolor=ORANGE, linewidth=1.2))


def _luminance(colour: Sequence[float]) -> float:
    """The relative luminance of WCAG 2 of red, green and blue from 0 to 1."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]  # noqa: PLR2004 - sRGB
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
