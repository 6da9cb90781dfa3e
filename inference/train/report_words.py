"""Figures in words: how the report writes numbers, and what it says of them."""

from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

from inference.core.card import Card, Interval
from inference.core.gates import AUC_MAX, ECE_MAX, NEVER_OVERRIDDEN, SLOPE_MIN, faults_of, gates
from inference.train.metrics import wilson

ABSENT = "not measured"
_GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit."""
COIN_LOG_LOSS = log(2.0)
_ECE_BUCKETS = 15
_HIGH_HIT, _HIGH_COVERAGE = 0.62, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """What careful work finds of the direction of liquid markets, over a horizon up to so many seconds."""

    seconds_max: int
    auc_low: float
    auc_high: float


HONEST = (
    Honest(seconds_max=3600, auc_low=0.53, auc_high=AUC_MAX),
    Honest(seconds_max=14_400, auc_low=0.52, auc_high=0.57),
)
"""From walk-forwards over years of hourly and five-minute bars of liquid markets. Longer horizons: nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A key figure beside what it is to be compared with."""

    name: str
    value: str
    compared: str
    reading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the model may be served, in one line, and what it comes to in a few."""

    standing: Literal["served", "overridden", "held"]
    line: str
    sentences: tuple[str, ...]
    """The last one speaks of costs."""


def percent(share: float, digits: int = 1) -> str:
    """A share as percent."""
    return f"{100.0 * share:.{digits}f}{_GAP}%"


def percent_interval(interval: Interval) -> str:
    """A share and its interval as percent."""
    return f"{percent(interval.value)} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def interval_text(interval: Interval, digits: int = 3) -> str:
    """A figure and its interval."""
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f} to {interval.high:.{digits}f})"


def bps(value: float) -> str:
    """Basis points, with a sign when negative."""
    return f"{value:,.1f}{_GAP}bps" if abs(value) < 1000 else f"{value:,.0f}{_GAP}bps"  # noqa: PLR2004 - four digits need no tenth


def bps_interval(interval: Interval | None) -> str:
    """Basis points and their interval, or that there are none."""
    return ABSENT if interval is None else f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f}){_GAP}bps"


def count(number: int) -> str:
    """A number of things."""
    return f"{number:,}"


def moment(text: str) -> str:
    """A moment of the card, to the minute."""
    return f"{text[:10]} {text[11:16]} UTC"


def duration(seconds: int) -> str:
    """A length of time in its largest whole unit."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds % length == 0 and (unit != "days" or seconds > length):
            return f"{seconds // length}{_GAP}{unit}"
    return f"{seconds}{_GAP}s"


def verdict_of(card: Card) -> Verdict:
    """What the card comes to."""
    every = gates(card)
    held = faults_of(card)
    passed_over = [gate for gate in every if not gate.passed and gate.overridden]
    about = (_skill(card), _promise(card), _threshold(card), _costs(card))
    let = tuple(f"A person let it pass the gate {gate.name}: {gate.overridden}" for gate in passed_over)
    if held:
        line = f"Not to be served: held back by {len(held)} of {len(every)} gates."
        return Verdict(standing="held", line=line, sentences=(*(f"Held by {fault}." for fault in held), *let, *about))
    if let:
        line = f"May be served, because a person let it pass {len(let)} of {len(every)} gates."
        return Verdict(standing="overridden", line=line, sentences=(*let, *about))
    return Verdict(standing="served", line=f"May be served: it passes all {len(every)} gates.", sentences=about)


def honest_of(card: Card) -> Honest | None:
    """The honest range for the card's market and horizon; None when there is none."""
    if card.market != "real":
        return None
    return next((one for one in HONEST if card.horizon_seconds <= one.seconds_max), None)


def _skill(card: Card) -> str:
    auc, honest = card.validation.figures.auc, honest_of(card)
    told = f"AUC {interval_text(auc)}, where a coin has 0.5"
    if auc.low <= 0.5:  # noqa: PLR2004 - a coin
        return f"It cannot be told from a coin: {told}."
    if card.market == "simulated":
        return (
            f"It tells rises from falls: {told}. The simulated market can be forecast by design, a real one far less."
        )
    if honest is None:
        return f"It tells rises from falls: {told}. No honest range is known for this horizon."
    if auc.value > honest.auc_high:
        return f"It looks too good: {told}. Above {honest.auc_high} this is a leak until shown otherwise."
    where = "inside" if auc.value >= honest.auc_low else "below"
    return (
        f"It tells rises from falls a little better than a coin: {told}. That is {where} the honest range of "
        f"{honest.auc_low} to {honest.auc_high}."
    )


def _promise(card: Card) -> str:
    figures = card.validation.figures
    slope = figures.calibration_slope
    if slope.high < 1.0:
        meaning = "it promises too much"
    elif slope.low > 1.0:
        meaning = "it is too modest, which is safe"
    else:
        meaning = "it cannot be told from a promise kept"
    return (
        f"Its stated confidence is off by {100 * figures.ece.value:.1f} points on average; the calibration slope is "
        f"{interval_text(slope, 2)}, so {meaning}."
    )


def _threshold(card: Card) -> str:
    figures = card.validation.figures
    if figures.hit_rate_at_threshold is None or figures.mean_confidence_at_threshold is None:
        return f"No row reached the confidence of {percent(figures.threshold)}, so it would never have acted."
    return (
        f"A confidence of {percent(figures.threshold)} or more was stated in {percent(figures.coverage, 2)} of rows, "
        f"{percent(figures.mean_confidence_at_threshold)} on average; {percent(figures.hit_rate_at_threshold)} of them "
        "were right."
    )


def _costs(card: Card) -> str:
    figures = card.validation.figures
    net = figures.net_edge_bps
    if net is None:
        return "Without a trade nothing can be said of what is left after costs."
    told = f"{bps_interval(net)} a trade after two taker fees of {figures.fee_bps:g} bps"
    if net.high <= 0.0:
        return f"Acting on it loses money: {told}. The edge is smaller than its costs."
    if net.value <= 0.0:
        return f"Acting on it lost money: {told}. The edge was smaller than its costs, though chance alone might do it."
    if net.low <= 0.0:
        return f"That acting on it earns anything cannot be told: {told}, an interval that holds zero."
    if card.market == "simulated":
        return f"On the simulated market acting on it earned {told}, which says nothing of a real one."
    return f"On past data acting on it earned {told}, before spread, slippage and funding."


def figures_of(card: Card) -> tuple[Figure, ...]:
    """The key figures."""
    figures = card.validation.figures
    commoner = max(figures.base_rate, 1.0 - figures.base_rate)
    return (
        Figure(name="AUC", value=interval_text(figures.auc), compared="coin 0.5", reading=_auc_reading(card)),
        Figure(
            name="Log loss",
            value=f"{figures.log_loss:.4f}",
            compared=f"base rate {figures.log_loss_base:.4f}, coin {COIN_LOG_LOSS:.4f}",
            reading=_against(figures.log_loss_base - figures.log_loss, "the base rate"),
        ),
        Figure(
            name="Brier score",
            value=f"{figures.brier:.4f}",
            compared=f"base rate {figures.brier_uncertainty:.4f}, coin 0.2500",
            reading=f"{figures.brier_reliability:.4f} reliability - {figures.brier_resolution:.4f} resolution "
            f"+ {figures.brier_uncertainty:.4f} uncertainty",
        ),
        Figure(
            name="ECE, 15 buckets of equal mass",
            value=interval_text(figures.ece),
            compared=f"0.02 is honest; limit of the upper end {ECE_MAX}",
            reading=f"a perfect promise shows about {_ece_floor(figures.rows):.3f} with as many rows",
        ),
        Figure(
            name="Calibration slope",
            value=interval_text(figures.calibration_slope, 2),
            compared=f"perfect 1; limit of the lower end {SLOPE_MIN}",
            reading="below 1 it promises too much, above 1 too little",
        ),
        Figure(
            name="Hit rate, all rows",
            value=percent_interval(wilson(figures.hit_rate, figures.rows / card.label.horizon_bars)),
            compared=f"always the commoner side {percent(commoner)}",
            reading=f"base rate of a rise {percent(figures.base_rate)}",
        ),
        *_threshold_figures(card),
    )


def _auc_reading(card: Card) -> str:
    auc, honest = card.validation.figures.auc.value, honest_of(card)
    if honest is None:
        return "no honest range: " + ("a simulated market" if card.market == "simulated" else "a longer horizon")
    told = f"honest at this horizon: {honest.auc_low} to {honest.auc_high}"
    return f"{told}; above is a leak until shown otherwise" if auc > honest.auc_high else told


def _against(better: float, what: str) -> str:
    return f"{abs(better):.4f} {'better' if better > 0 else 'worse'} than {what}"


def _ece_floor(rows: int) -> float:
    """The mean ECE of a perfectly calibrated model near one half: that of `_ECE_BUCKETS` half-normal errors."""
    return 0.399 * sqrt(_ECE_BUCKETS / rows)


def _threshold_figures(card: Card) -> tuple[Figure, ...]:
    figures = card.validation.figures
    hit, stated = figures.hit_rate_at_threshold, figures.mean_confidence_at_threshold
    at = f"at a confidence of {percent(figures.threshold)} or more"
    trades = round(figures.coverage * figures.rows)
    found = "no row" if hit is None or trades == 0 else percent_interval(wilson(hit, trades / card.label.horizon_bars))
    suspicious = (
        hit is not None and hit > _HIGH_HIT and figures.coverage > _HIGH_COVERAGE and honest_of(card) is not None
    )
    return (
        Figure(
            name=f"Coverage {at}",
            value=percent(figures.coverage, 2),
            compared=f"1 to 9{_GAP}% is usual at 60{_GAP}%" if honest_of(card) else "-",
            reading=f"{count(trades)} of {count(figures.rows)} rows",
        ),
        Figure(
            name=f"Hit rate {at}",
            value=found,
            compared="stated: none" if stated is None else f"stated {percent(stated)}",
            reading="too good: a leak until shown otherwise" if suspicious else "the promise that orders rely on",
        ),
        Figure(
            name="Gross edge of a trade",
            value=bps_interval(figures.gross_edge_bps),
            compared=f"1 to 3{_GAP}bps is usual of an hour" if honest_of(card) else "-",
            reading="mean return in the signal's direction",
        ),
        Figure(
            name="Net edge of a trade",
            value=bps_interval(figures.net_edge_bps),
            compared=f"costs {2 * figures.fee_bps:g} bps",
            reading=_net_reading(figures.net_edge_bps),
        ),
    )


def _net_reading(net: Interval | None) -> str:
    if net is None:
        return "there was no trade"
    if net.value <= 0.0:
        return "the edge is smaller than its costs" + ("" if net.high <= 0.0 else "; the interval holds zero")
    return "the interval holds zero" if net.low <= 0.0 else "left after fees; spread, slippage and funding come on top"


def override_effect(card: Card, gate: str) -> str:
    """What a person's word for a gate comes to."""
    if gate in NEVER_OVERRIDDEN:
        return "no effect: this gate cannot be overridden"
    found = next((one for one in gates(card) if one.name == gate), None)
    if found is None:
        return "no effect: there is no such gate"
    return "no effect: the gate passes by itself" if found.passed else "lets the model pass"
