"""Histories for the evidence, time compressed: what months of trading would leave, made in milliseconds from a seed."""

import random
from dataclasses import replace
from typing import Any

from builders import HOUR_MS, NOW_MS, VERSION

from gateway.core.evidence_statistics import Scored
from gateway.core.history import EndedOrder, History

OUTCOMES = 6_000
ORDERS = 600
SYMBOLS = 3


def outcomes(
    count: int = OUTCOMES, *, seed: int = 1, off: float = 0.0, spread: float = 0.12, constant: float | None = None
) -> tuple[Scored, ...]:
    """Hourly outcomes of three symbols by a model whose confidence is `off` above the truth."""
    chance = random.Random(seed)  # noqa: S311 - outcomes, not secrets
    return tuple(_outcome(chance, place, count, off=off, spread=spread, constant=constant) for place in range(count))


def _outcome(
    chance: random.Random, place: int, count: int, *, off: float, spread: float, constant: float | None
) -> Scored:
    stated = chance.gauss(0.5, spread) if constant is None else constant
    stated = min(max(stated, 0.1), 0.9)
    confidence = max(stated, 1 - stated)
    hours = (count - place) // SYMBOLS + 2
    day = hours // 24
    return Scored(
        at_ms=NOW_MS - hours * HOUR_MS,
        horizon_ms=HOUR_MS,
        confidence=confidence,
        is_long=stated >= 0.5,
        right=chance.random() < confidence - off,
        volatility=(0.5, 1.0, 2.0)[day % 3],
        trend=1.0 if day // 3 % 2 else -1.0,
    )


def ended_orders(
    count: int = ORDERS, *, seed: int = 1, response_ms: float = 40.0, errors: float = 0.0, slippage: float = 1.5
) -> tuple[EndedOrder, ...]:
    """Orders over the last twenty-five days."""
    chance = random.Random(seed)  # noqa: S311 - outcomes, not secrets
    return tuple(
        EndedOrder(
            at_ms=NOW_MS - (count - place) * 25 * 24 * HOUR_MS // count,
            response_ms=round(response_ms * chance.uniform(0.5, 1.5)),
            is_error=place < errors * count,
            slippage_bps=slippage + chance.gauss(0, 2),
        )
        for place in range(count)
    )


def a_history(**changes: Any) -> History:
    """A healthy history, long enough for every stage."""
    values: dict[str, Any] = {
        "from_ms": NOW_MS - 90 * 24 * HOUR_MS,
        "to_ms": NOW_MS,
        "model_version": VERSION,
        "promoted_version": VERSION,
        "outcomes": HEALTHY_OUTCOMES,
        "decisions": len(HEALTHY_OUTCOMES) + 3,
        "orders": HEALTHY_ORDERS,
        "days": 25,
        "unresolved": 0,
        "breaches": (),
        "differences": (),
        "reconciled": True,
        "watch_state": "ok",
        "drawdown": 0.02,
        "drawdown_max": 0.15,
        "real_market": True,
        "paper_bias_bps": tuple(0.5 + 0.01 * (place % 100) for place in range(200)),
    }
    return History(**values | changes)


def shortened(history: History, count: int) -> History:
    """The same with the newest outcomes only."""
    return replace(history, outcomes=history.outcomes[-count:], decisions=count)


HEALTHY_OUTCOMES = outcomes()
HEALTHY_ORDERS = ended_orders()
