"""The evidence for a promotion: every criterion, computed from a history, by pure functions.

A criterion passes only when what it asks is shown: where a figure is an estimate, its whole interval must lie within
the limit. It fails when the opposite is shown. In between there is not enough evidence, and the criterion says how much
more it takes. docs/stages.md lists them; the order here is the one in which they are told.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.core.criterion import Criterion, Finding, below, counted, held, more_for_share, more_for_width, unmeasured
from gateway.core.evidence_calibration import calibration_criteria
from gateway.core.evidence_statistics import Scored, mean_interval, quantile
from gateway.core.figures import wilson
from gateway.core.history import History
from gateway.core.model import WatchState
from gateway.core.promotion import (
    DRAWDOWN_SHARE_MAX,
    ERROR_RATE_MAX,
    PAPER_BIAS_BPS_MAX,
    RESPONSE_MS_MAX,
    Asks,
    Stage,
    asks_of,
)

ORDERS_JUDGED_MIN: Final = 100
"""With fewer orders no share of them is told: one mishap would be all of it."""

DAY_MS: Final = 86_400_000
EARNED_LIVE: Final = frozenset({Stage.LIVE_SCALED, Stage.LIVE})
"""Stages that are entered from live trading."""
REGIME_DAYS_MIN: Final = 2
REGIME_RATIO_MIN: Final = 1.5
"""The wildest third of days is so many times as volatile as the calmest, or volatility does not tell days apart."""

CRITERIA: Final[Mapping[str, str]] = {
    "model_unchanged": "the served model is the one that the present stage was earned with",
    "real_market": "prices were those of a real market; asked for the live stages alone",
    "decisions": "enough scored decisions of the served model",
    "outcomes": "enough matured decisions of the served model",
    "orders": "enough orders that ended at the present stage",
    "days": "enough days at the present stage",
    "market_regimes": "enough market regimes: thirds of days by realised volatility, times the sign of the trend",
    "error_rate": "orders that ended rejected or expired, of those approved: below 1 %",
    "response_p99": "from judgement to the record of the end: 99 % of orders below 500 ms",
    "response_mean": "the mean of the same: below 500 ms",
    "calibration_gap": "mean confidence less hit rate: within 5 points either way",
    "calibration_buckets": "the same in up to five buckets of equal mass with 600 outcomes or more each",
    "calibration_slope": "what happened on the log odds that were stated: 0.8 to 1.2",
    "resolution": "a better Brier score than that of one who always states the same",
    "calibration_watch": "the calibration watch raised nothing and abstained from nothing",
    "no_limit_breached": "the gateway never had to lock or halt trading itself",
    "slippage": "the mean fill against the mid price that the order was judged at",
    "paper_bias_bps": "live orders against their paper twins, price and fee: less than 5 bps worse in the mean; for"
    " LIVE_SCALED and LIVE alone",
    "drawdown": "the largest drawdown seen: below half of the one that locks",
    "no_unresolved_order": "no order without a known end for more than a minute",
    "reconciliation": "the account was never found to differ from the journal",
}
"""Every criterion and what it asks, in the order in which they are told."""

STANDING: Final = frozenset({"model_unchanged", "real_market"})
"""Asked of a promotion, never a ground for a demotion."""


def evaluate(history: History, stage: Stage, seed: int) -> tuple[Criterion, ...]:
    """Every criterion for entering a stage, in the order of CRITERIA."""
    asks = asks_of(stage)
    return (
        _model_unchanged(history),
        *((_real_market(history),) if stage.is_live else ()),
        counted("decisions", "scored decisions", have=history.decisions, asked=asks.decisions),
        counted("outcomes", "matured decisions", have=len(history.outcomes), asked=asks.outcomes),
        counted("orders", "orders at this stage", have=len(history.orders), asked=asks.orders),
        counted("days", "days at this stage", have=history.days, asked=asks.days),
        counted("market_regimes", "market regimes", have=len(regimes(history.outcomes)), asked=asks.regimes),
        *_of_orders(history),
        *calibration_criteria(history.outcomes, seed),
        _watch(history),
        _breaches(history),
        _slippage(history, asks),
        *((_paper_bias(history),) if stage in EARNED_LIVE else ()),
        _drawdown(history),
        _unresolved(history),
        _reconciliation(history),
    )


def passes(criteria: Sequence[Criterion]) -> bool:
    """Whether every criterion passes."""
    return all(criterion.finding is Finding.PASS for criterion in criteria)


def obstacle(criteria: Sequence[Criterion]) -> Criterion | None:
    """What stands in the way: the first that fails, else the first without enough evidence; None when all pass."""
    failed = (criterion for criterion in criteria if criterion.finding is Finding.FAIL)
    lacking = (criterion for criterion in criteria if criterion.finding is Finding.NOT_ENOUGH)
    return next(failed, None) or next(lacking, None)


def demoting(criteria: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """The criteria that fail and so take a stage away."""
    return tuple(
        criterion for criterion in criteria if criterion.finding is Finding.FAIL and criterion.name not in STANDING
    )


def regimes(outcomes: Sequence[Scored]) -> frozenset[tuple[int, bool]]:
    """The market regimes seen on REGIME_DAYS_MIN days or more: a third by volatility, and whether the trend was up.

    A day's volatility and trend are the means over its outcomes. Where the wildest third of days is not
    REGIME_RATIO_MIN times as volatile as the calmest, all days are of one third.
    """
    days = _days(outcomes)
    ranked = sorted(days, key=lambda day: day[0])
    third = max(1, len(ranked) // 3)
    calm, wild = (sum(day[0] for day in part) / third for part in (ranked[:third], ranked[-third:]))
    alike = not ranked or wild < REGIME_RATIO_MIN * calm
    seen: dict[tuple[int, bool], int] = {}
    for place, (_, trend) in enumerate(ranked):
        regime = (0 if alike else 3 * place // len(ranked), trend > 0.0)
        seen[regime] = seen.get(regime, 0) + 1
    return frozenset(regime for regime, count in seen.items() if count >= REGIME_DAYS_MIN)


def _days(outcomes: Sequence[Scored]) -> list[tuple[float, float]]:
    """Mean volatility and mean trend of each day whose outcomes had both."""
    by_day: dict[int, list[tuple[float, float]]] = {}
    for outcome in outcomes:
        if outcome.volatility is not None and outcome.trend is not None:
            by_day.setdefault(outcome.at_ms // DAY_MS, []).append((outcome.volatility, outcome.trend))
    return [
        (sum(pair[0] for pair in pairs) / len(pairs), sum(pair[1] for pair in pairs) / len(pairs))
        for pairs in by_day.values()
    ]


def _model_unchanged(history: History) -> Criterion:
    served, earned = history.model_version, history.promoted_version
    kept = bool(served) and earned in {"", served}
    sentence = f"The served model is {served}."
    if not served:
        sentence = "No model is known to be served."
    elif not kept:
        sentence = f"The served model is {served}, but the present stage was earned with {earned}."
    return held("model_unchanged", kept=kept, value=float(kept), limit=1.0, n=1, sentence=sentence)


def _real_market(history: History) -> Criterion:
    real = history.real_market
    sentence = (
        "Prices were those of a real market."
        if real
        else "Prices were those of a simulated market, which is no evidence for live."
    )
    return held("real_market", kept=real, value=float(real), limit=1.0, n=1, sentence=sentence)


def _of_orders(history: History) -> tuple[Criterion, ...]:
    n = len(history.orders)
    if n < ORDERS_JUDGED_MIN:
        missing = ORDERS_JUDGED_MIN - n
        sentence = f"{n} orders say too little: {missing} more are needed."
        limits = {"error_rate": ERROR_RATE_MAX, "response_p99": RESPONSE_MS_MAX, "response_mean": RESPONSE_MS_MAX}
        return tuple(
            unmeasured(name, limit=limit, n=n, needed_more=missing, sentence=sentence) for name, limit in limits.items()
        )
    return (_error_rate(history, n), _response_p99(history, n), _response_mean(history, n))


def _error_rate(history: History, n: int) -> Criterion:
    errors = sum(order.is_error for order in history.orders)
    return below(
        "error_rate",
        wilson(errors, n),
        limit=ERROR_RATE_MAX,
        n=n,
        needed_more=more_for_share(errors, n, ERROR_RATE_MAX),
        sentence=f"{errors} of {n} approved orders ended as an error, {errors / n:.2%};"
        f" below {ERROR_RATE_MAX:.0%} is asked.",
    )


def _response_p99(history: History, n: int) -> Criterion:
    """By the share of orders that took longer: the 99th percentile is below the limit when fewer than 1 % did."""
    slow = sum(order.response_ms >= RESPONSE_MS_MAX for order in history.orders)
    p99 = quantile([float(order.response_ms) for order in history.orders], 0.99)
    share = below(
        "response_p99",
        wilson(slow, n),
        limit=0.01,
        n=n,
        needed_more=more_for_share(slow, n, 0.01),
        sentence=f"99 % of {n} orders took {p99:.0f} ms or less, and {slow} took {RESPONSE_MS_MAX:.0f} ms or more;"
        f" fewer than 1 % may.",
    )
    return Criterion(
        name=share.name,
        finding=share.finding,
        value=p99,
        limit=RESPONSE_MS_MAX,
        interval=None,
        n=n,
        needed_more=share.needed_more,
        sentence=share.sentence,
    )


def _response_mean(history: History, n: int) -> Criterion:
    found = mean_interval([float(order.response_ms) for order in history.orders])
    return below(
        "response_mean",
        found,
        limit=RESPONSE_MS_MAX,
        n=n,
        needed_more=more_for_width(n, half=found.high - found.value, room=RESPONSE_MS_MAX - found.value),
        sentence=f"{n} orders took {found.value:.0f} ms in the mean; below {RESPONSE_MS_MAX:.0f} ms is asked.",
    )


def _watch(history: History) -> Criterion:
    loud = {WatchState.RAISED.value, WatchState.ABSTAINING.value}
    kept = history.watch_state not in loud
    return held(
        "calibration_watch",
        kept=kept,
        value=float(not kept),
        limit=0.0,
        n=len(history.outcomes),
        sentence=f"The calibration watch has stood at {history.watch_state}"
        f"{'.' if kept else '; ok or warned is allowed.'}",
    )


def _breaches(history: History) -> Criterion:
    count = len(history.breaches)
    sentence = "The gateway never had to lock or halt trading."
    if count:
        sentence = f"The gateway had to lock or halt trading {count} times, the last: {history.breaches[-1]}."
    return held("no_limit_breached", kept=not count, value=float(count), limit=0.0, n=count, sentence=sentence)


def _slippage(history: History, asks: Asks) -> Criterion:
    values = [order.slippage_bps for order in history.orders if order.slippage_bps is not None]
    return _worse_by(
        "slippage", values, asks.slippage_bps_max, few="filled orders", were="orders were filled", than="the mid price"
    )


def _paper_bias(history: History) -> Criterion:
    return _worse_by(
        "paper_bias_bps",
        history.paper_bias_bps,
        PAPER_BIAS_BPS_MAX,
        few="live orders with a paper twin",
        were="live orders were",
        than="their paper twins",
    )


def _worse_by(name: str, values: Sequence[float], limit: float, *, few: str, were: str, than: str) -> Criterion:
    """By how many basis points orders were worse than something in the mean; below `limit` is asked."""
    n = len(values)
    if n < ORDERS_JUDGED_MIN:
        missing = ORDERS_JUDGED_MIN - n
        sentence = f"{n} {few} say too little: {missing} more are needed."
        return unmeasured(name, limit=limit, n=n, needed_more=missing, sentence=sentence)
    found = mean_interval(values)
    return below(
        name,
        found,
        limit=limit,
        n=n,
        needed_more=more_for_width(n, half=found.high - found.value, room=limit - found.value),
        sentence=f"{n} {were} {found.value:.2f} basis points worse than {than} in the mean; below {limit:g} is asked.",
    )


def _drawdown(history: History) -> Criterion:
    limit = DRAWDOWN_SHARE_MAX * history.drawdown_max
    seen = history.drawdown
    if seen is None:
        sentence = "The drawdown cannot be told at this moment: a held symbol has no fresh price."
        return unmeasured("drawdown", limit=limit, n=0, needed_more=1, sentence=sentence)
    return held(
        "drawdown",
        kept=seen < limit,
        value=seen,
        limit=limit,
        n=1,
        sentence=f"The largest drawdown was {seen:.2%}; below {limit:.2%} is asked, which is half of what locks.",
    )


def _unresolved(history: History) -> Criterion:
    count = history.unresolved
    sentence = "Every order has a known end."
    if count:
        sentence = f"{count} orders have had no known end for more than a minute; none may."
    return held("no_unresolved_order", kept=not count, value=float(count), limit=0.0, n=count, sentence=sentence)


def _reconciliation(history: History) -> Criterion:
    count = len(history.differences)
    sentence = "The account is the journal's."
    if count:
        sentence = f"The account differed from the journal {count} times, the last: {history.differences[-1]}."
    elif not history.reconciled:
        sentence = "The account is not known to be the journal's at this moment."
    kept = not count and history.reconciled
    return held("reconciliation", kept=kept, value=float(count), limit=0.0, n=count, sentence=sentence)
