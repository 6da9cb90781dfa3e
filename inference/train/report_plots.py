"""The report's plots of calibration and skill: figures with their intervals, on axes that show the whole."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from inference.core.card import Bucket, Card, Interval
from inference.train.metrics import wilson
from inference.train.predictions import Predictions
from inference.train.report_series import Curve, auc_interval, roc_of
from inference.train.report_svg import BLUE, GREY, INK, ORANGE, PALE, THOUSANDS, Drawing, Plot, plot_of, say
from inference.train.report_words import count, interval_text, percent, percent_interval

BUCKET_ROWS_MIN = 400
"""With fewer rows even a perfect model's bucket strays by more than 5 points in one case of twenty (385 rows)."""
TOLERANCE = 0.05
"""The promise: stated and observed within 5 points."""
_GRID = 0.05
_SCORE_BINS = 50
_PLOT_INCHES = 4.1
"""The width of the axes in a plot of the usual width and margins."""


def plots_of(card: Card, predictions: Predictions) -> tuple[Plot, ...]:
    """The plots of calibration and of skill, in the order in which they are read."""
    return (
        reliability(card, predictions),
        gaps(card),
        roc(card, predictions),
        scores(predictions),
        folds(card, predictions),
        errors(card),
    )


def reliability(card: Card, predictions: Predictions) -> Plot:
    """Stated confidence against what happened, and below it how often each was stated."""
    left, bottom = _corner(card, predictions)
    told = "; ".join(
        f"stated {percent(bucket.mean_confidence)}, right {percent_interval(bucket.hit_rate)} of {count(bucket.count)}"
        for bucket in card.validation.reliability
    )
    return plot_of(
        Drawing(
            name="reliability",
            alt=f"Reliability diagram with a histogram of the stated confidences. {told}.",
            height_inches=2.05 + _PLOT_INCHES * (1.0 - bottom) / (1.0 - left),
            draw=partial(_draw_reliability, card=card, predictions=predictions),
        ),
        title="Reliability: stated confidence against hit rate",
        caption=(
            "On the diagonal a promise is kept; below it too much is promised. The band is 5 points to either side. "
            f"Bars: Wilson's intervals of 95 %. Hollow: fewer than {BUCKET_ROWS_MIN} rows, too few to judge; "
            "what leaves the drawing, a triangle at its edge, is of such a bucket, and the table has it whole. Below: "
            "how often each confidence was stated."
        ),
    )


def _draw_reliability(figure: Figure, *, card: Card, predictions: Predictions) -> None:
    low, bottom = _corner(card, predictions)
    height, top_inches = figure.get_figheight(), _PLOT_INCHES * (1.0 - bottom) / (1.0 - low)
    top = figure.add_axes((0.14, 1.95 / height, 0.82, top_inches / height))
    ends = np.array([low, 1.0])
    top.fill_between(
        ends, ends - TOLERANCE, ends + TOLERANCE, color=PALE, alpha=0.6, linewidth=0, label="within 5 points"
    )
    top.plot(ends, ends, color=GREY, linewidth=1.0, linestyle="--", label="promise kept")
    buckets = card.validation.reliability
    top.set(xlim=(low, 1.0), ylim=(bottom, 1.0), ylabel="hit rate")
    _bucket_marks(top, buckets, [bucket.hit_rate for bucket in buckets])
    below = figure.add_axes((0.14, 0.55 / height, 0.82, 1.0 / height))
    edges = np.arange(low, 1.0 + 0.005, 0.01)
    below.stairs(np.histogram(predictions.confidence, edges)[0], edges, fill=True, color=BLUE)
    below.set(xlim=(low, 1.0), xlabel="stated confidence", ylabel="rows")
    below.locator_params(axis="y", nbins=3)
    below.yaxis.set_major_formatter(THOUSANDS)
    for axes in (top, below):
        axes.axvline(card.validation.figures.threshold, color=ORANGE, linewidth=1.2, linestyle=":", label="threshold")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    top.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    top.legend(loc="upper left")


def _corner(card: Card, predictions: Predictions) -> tuple[float, float]:
    """Where the axes of confidence and of hit rate begin: at one half, or lower where something would be cut.

    The intervals of buckets too small to be judged do not count: they may reach from end to end.
    """
    buckets = card.validation.reliability
    judged = [bucket.hit_rate.low for bucket in buckets if bucket.count >= BUCKET_ROWS_MIN]
    low = min(0.5, float(predictions.confidence.min()), *(bucket.mean_confidence for bucket in buckets))
    left = float(np.floor(low / _GRID + 1e-6) * _GRID)
    return left, min(left, float(np.floor(min([left, *judged]) / _GRID + 1e-6) * _GRID))


def _bucket_marks(axes: Axes, buckets: Sequence[Bucket], heights: Sequence[Interval]) -> None:
    """A mark and its interval for each bucket, on axes whose limits are set; a triangle at the edge for one beyond."""
    bottom, top = axes.get_ylim()
    for bucket, height in zip(buckets, heights, strict=True):
        enough = bucket.count >= BUCKET_ROWS_MIN
        axes.vlines(bucket.mean_confidence, height.low, height.high, color=BLUE, linewidth=1.2)
        axes.plot(
            bucket.mean_confidence,
            min(max(height.value, bottom), top),
            "v" if height.value < bottom else "^" if height.value > top else "o",
            color=BLUE,
            markersize=5,
            markerfacecolor=BLUE if enough else "white",
            clip_on=False,
            zorder=3,
        )


def gaps(card: Card) -> Plot:
    """How far each bucket is off, close enough to be seen."""
    buckets = card.validation.reliability
    judged = [bucket for bucket in buckets if bucket.count >= BUCKET_ROWS_MIN]
    kept = sum(abs(bucket.hit_rate.value - bucket.mean_confidence) <= TOLERANCE for bucket in judged)
    verdict = f"{kept} of the {len(judged)} buckets with at least {BUCKET_ROWS_MIN} rows are within 5 points"
    return plot_of(
        Drawing(
            name="gaps",
            alt=f"Hit rate less stated confidence of each bucket, in points: {verdict}.",
            height_inches=4.0,
            draw=partial(_draw_gaps, buckets=buckets),
        ),
        title="The same, close up: hit rate less stated confidence",
        caption=f"Above zero it was too modest, below it promised too much: {verdict}. Drawn as beside.",
    )


def _draw_gaps(figure: Figure, *, buckets: Sequence[Bucket]) -> None:
    axes = figure.add_axes((0.17, 0.14, 0.79, 0.82))
    axes.axhspan(-100 * TOLERANCE, 100 * TOLERANCE, color=PALE, alpha=0.6, linewidth=0)
    axes.axhline(0.0, color=GREY, linewidth=1.0, linestyle="--")
    off = [
        Interval(
            value=100 * (bucket.hit_rate.value - bucket.mean_confidence),
            low=100 * (bucket.hit_rate.low - bucket.mean_confidence),
            high=100 * (bucket.hit_rate.high - bucket.mean_confidence),
        )
        for bucket in buckets
    ]
    judged = [gap for gap, bucket in zip(off, buckets, strict=True) if bucket.count >= BUCKET_ROWS_MIN]
    furthest = max([10.0, *(1.05 * max(-gap.low, gap.high) for gap in judged)])
    axes.set(ylim=(-furthest, furthest), xlabel="stated confidence", ylabel="hit rate less confidence, points")
    _bucket_marks(axes, buckets, off)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.locator_params(axis="x", nbins=6)


def roc(card: Card, predictions: Predictions) -> Plot:
    """Whether a higher score means a rise more often."""
    found = interval_text(card.validation.figures.auc)
    return plot_of(
        Drawing(
            name="roc",
            alt=f"ROC curve of prob_long over all folds: the area under it is {found}; a coin has 0.5.",
            height_inches=5.0,
            draw=partial(_draw_roc, curve=roc_of(predictions)),
        ),
        title="ROC curve",
        caption=f"Area under the curve {found}, interval of 95 % by block bootstrap. The dashed diagonal is a coin.",
    )


def _draw_roc(figure: Figure, *, curve: Curve | None) -> None:
    axes = figure.add_axes((0.14, 0.14, 0.82, 0.82))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.0, linestyle="--", label="coin")
    if curve is None:
        say(axes, "only one outcome occurred")
    else:
        axes.plot(curve.x, curve.y, color=BLUE, label="consensus")
        axes.legend(loc="lower right")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="share of falls called rises", ylabel="share of rises called rises")


def scores(predictions: Predictions) -> Plot:
    """What the consensus said before rises and before falls."""
    rises, falls = predictions.prob_long[predictions.up], predictions.prob_long[~predictions.up]
    means = " and ".join(
        f"{part.mean():.3f} before {count(part.size)} {name}"
        if part.size
        else f"nothing before {name}, as there were none"
        for part, name in ((rises, "rises"), (falls, "falls"))
    )
    spread = float(predictions.prob_long.std())
    return plot_of(
        Drawing(
            name="scores",
            alt=f"Histogram of prob_long by outcome: on average {means}; standard deviation {spread:.3f}.",
            height_inches=4.0,
            draw=partial(_draw_scores, predictions=predictions),
        ),
        title="What the consensus said, by outcome",
        caption=f"prob_long was on average {means}; its standard deviation is {spread:.3f}. The nearer the two lie, "
        "the less it knows.",
    )


def _draw_scores(figure: Figure, *, predictions: Predictions) -> None:
    axes = figure.add_axes((0.17, 0.14, 0.79, 0.82))
    low = np.floor(predictions.prob_long.min() / _GRID) * _GRID
    high = max(low + _GRID, np.ceil(predictions.prob_long.max() / _GRID) * _GRID)
    edges = np.linspace(low, high, _SCORE_BINS + 1)
    for wanted, name, colour, dashes in ((True, "rises", BLUE, "-"), (False, "falls", ORANGE, "--")):
        part = predictions.prob_long[predictions.up == wanted]
        shares = np.histogram(part, edges)[0] / max(1, part.size)
        axes.stairs(
            shares, edges, color=colour, linestyle=dashes, linewidth=1.5, label=f"before {count(part.size)} {name}"
        )
    axes.axvline(0.5, color=GREY, linewidth=1.0, linestyle=":")
    axes.set(xlim=(low, high), xlabel="prob_long", ylabel="share of the outcome's rows")
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    axes.legend(loc="upper right", ncols=2)


def folds(card: Card, predictions: Predictions) -> Plot:
    """Whether it held in every stretch of time."""
    values = [fold.auc for fold in card.validation.folds]
    pooled = interval_text(card.validation.figures.auc)
    return plot_of(
        Drawing(
            name="folds",
            alt=f"AUC of {len(values)} folds: from {min(values):.3f} to {max(values):.3f}; all together {pooled}.",
            height_inches=1.6 + 0.3 * len(values),
            draw=partial(_draw_folds, card=card, predictions=predictions),
        ),
        title="Walk-forward AUC by fold",
        caption=(
            "Each fold was measured on a stretch that came after all that was fitted. Bars: intervals of 95 % by "
            f"Hanley and McNeil. Solid line and band: all folds together, {pooled} by block bootstrap. Dotted: a coin."
        ),
    )


def _draw_folds(figure: Figure, *, card: Card, predictions: Predictions) -> None:
    measured, pooled = card.validation.folds, card.validation.figures.auc
    height = figure.get_figheight()
    axes = figure.add_axes((0.37, 0.62 / height, 0.59, 1.0 - 0.75 / height))
    axes.axvspan(pooled.low, pooled.high, color=BLUE, alpha=0.15, linewidth=0)
    axes.axvline(pooled.value, color=BLUE, linewidth=1.2)
    axes.axvline(0.5, color=INK, linewidth=1.2, linestyle=":")
    shown = [pooled.low, pooled.high, 0.45, 0.6]
    for place, fold in enumerate(measured):
        up = predictions.up[predictions.fold == place]
        found = auc_interval(fold.auc, up, horizon_bars=card.label.horizon_bars)
        wings = [[found.value - found.low], [found.high - found.value]]
        axes.errorbar(found.value, place, xerr=wings, fmt="o", color=ORANGE, markersize=5, elinewidth=1.4)
        shown += [found.low, found.high]
    axes.set_yticks(
        range(len(measured)),
        [f"{place}: {fold.start[:7]} to {fold.end[:7]}" for place, fold in enumerate(measured, start=1)],
    )
    axes.set(xlim=(min(shown) - 0.005, max(shown) + 0.005), ylim=(len(measured) - 0.4, -0.6), xlabel="AUC")
    axes.locator_params(axis="x", nbins=6)


def errors(card: Card) -> Plot:
    """Whether it errs more where its members disagree, and where the input is strange."""
    figures = card.validation.figures
    parts = (("disagreement", figures.error_by_disagreement), ("dissimilarity", figures.error_by_dissimilarity))
    told = "; ".join(
        f"by {name} from {percent(shares[0])} in the lowest to {percent(shares[-1])} in the highest part"
        if shares
        else f"by {name}: not measured"
        for name, shares in parts
    )
    return plot_of(
        Drawing(
            name="errors",
            alt=f"Share of wrong signals in ten parts of rising disagreement and dissimilarity: {told}.",
            height_inches=5.0,
            draw=partial(_draw_errors, parts=parts, rows=figures.rows, overall=1.0 - figures.hit_rate),
        ),
        title="Errors by disagreement and by dissimilarity",
        caption=f"Share of wrong signals {told}. Dashed: all rows. Bars: Wilson's intervals of 95 %. "
        "A measure of doubt that is worth something rises to the right.",
    )


def _draw_errors(figure: Figure, *, parts: Sequence[tuple[str, Sequence[float]]], rows: int, overall: float) -> None:
    ends = [overall]
    both = [figure.add_axes((0.14, 0.60 - 0.49 * place, 0.82, 0.36)) for place in range(len(parts))]
    for axes, (name, shares) in zip(both, parts, strict=True):
        axes.set_xlabel(f"tenth of the rows, by rising {name}")
        axes.set_ylabel("wrong")
        if not shares:
            say(axes, "not measured")
            axes.set(xticks=[], yticks=[])
            continue
        axes.axhline(overall, color=GREY, linewidth=1.0, linestyle="--")
        for tenth, share in enumerate(shares, start=1):
            found = wilson(share, rows / len(shares))
            wings = [[share - found.low], [found.high - share]]
            axes.errorbar(tenth, share, yerr=wings, fmt="o", color=BLUE, markersize=5, elinewidth=1.2)
            ends += [found.low, found.high]
        axes.set_xticks(range(1, len(shares) + 1))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in both:
        axes.set_ylim(min(ends) - 0.01, max(ends) + 0.01)
