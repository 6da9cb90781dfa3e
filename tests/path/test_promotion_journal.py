"""From records to a promotion: weeks of decisions and orders in one SQLite journal, made in a moment."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import NOW_MS, VERSION, a_decision, a_policy, a_prediction, an_outcome
from evidence_kit import outcomes
from fakes import FakeClock, FakeModel
from journal_kit import FILL, a_filled, a_record, keep, running

from gateway.account import Account
from gateway.core.ledger import Ledger
from gateway.core.model import DecisionId, Failure, OrderLinkId, Signal, Verdict
from gateway.core.promotion import Stage
from gateway.core.promotion_records import limits_of
from gateway.equity import PaperEquity
from gateway.guard import RiskGuard
from gateway.historian import Historian
from gateway.promotion import Promotion

ORDERS = 420
OUTCOMES = 1_600
HOUR_MS = 3_600_000


def decision_of(number, one):
    return a_decision(
        decision_id=DecisionId(f"d{number}"),
        scored=True,
        bar_open_ms=one.at_ms,
        confidence=round(one.confidence, 6),
        features={"mom_20": one.trend, "rv_5": one.volatility, "rsi_14": 50.0},
    )


def outcome_of(number, one):
    return an_outcome(
        decision_id=DecisionId(f"d{number}"),
        bar_open_ms=one.at_ms,
        signal=Signal.LONG if one.is_long else Signal.SHORT,
        confidence=round(one.confidence, 6),
        verdict=Verdict.RIGHT if one.right else Verdict.WRONG,
    )


def order_of(number):
    at_ms = NOW_MS - (ORDERS - number) * HOUR_MS
    return f"key-{number}", {"order_link_id": OrderLinkId(f"link-{number}"), "created_ms": at_ms}


@pytest.fixture
async def journal(tmp_path):
    """Seventeen days of orders and three weeks of decisions, all well."""
    async with running(tmp_path / "journal.sqlite3") as kept:
        told = list(enumerate(outcomes(OUTCOMES)))
        await kept.append_decisions([decision_of(number, one) for number, one in told])
        await kept.append_matured([outcome_of(number, one) for number, one in told])
        for number in range(ORDERS):
            key, changes = order_of(number)
            at_ms = changes["created_ms"]
            fill = replace(FILL, price=Decimal(60_006))
            await keep(kept, a_record(key, updated_ms=at_ms, **changes))
            await keep(kept, a_filled(key, fills=(fill,), updated_ms=at_ms + 30 + number % 20, **changes))
        yield kept


def promotion_over(journal, *, stuck=()):
    clock = FakeClock(NOW_MS)
    account = Account("paper", Ledger(start_usd=Decimal(100_000)))
    account.load((), stuck)
    equity = PaperEquity(account=account, market=None, clock=clock, price_age_ms_max=5000)
    guard = RiskGuard(account=account, journal=journal, equity=equity, clock=clock, drawdown_max=Decimal("0.15"))
    historian = Historian(
        journal=journal, account=account, guard=guard, clock=clock, drawdown_max=Decimal("0.15"), real_market=False
    )
    return Promotion(
        journal=journal,
        historian=historian,
        model=FakeModel(a_prediction(model_version=VERSION)),
        served=lambda: VERSION,
        clock=clock,
        limits=limits_of(a_policy()),
        real_market=False,
        key=b"k" * 32,
        gate=None,
    )


async def test_what_the_journal_shows_earns_the_first_stage_and_not_yet_the_second(journal):
    promotion = promotion_over(journal)
    await promotion.load()
    moved = await promotion.promote(Stage.PAPER_TINY, "ann", "reviewed")
    assert not isinstance(moved, Failure), moved
    told = {criterion.name: criterion.value for criterion in moved.criteria}
    assert (told["orders"], told["outcomes"], told["error_rate"]) == (ORDERS, OUTCOMES, 0.0)
    assert told["slippage"] == pytest.approx(1.0)
    refusal = await promotion.promote(Stage.PAPER_SCALED_500, "ann", "at once")
    assert (refusal.metadata["criterion"], refusal.metadata["needed_more"]) == ("decisions", "400")
    again = promotion_over(journal)
    await again.load()
    assert again.standing().stage is Stage.PAPER_TINY


async def test_the_same_journal_with_one_order_without_an_end_earns_nothing(journal):
    stuck = a_record("stuck", created_ms=NOW_MS - HOUR_MS, updated_ms=NOW_MS - HOUR_MS)
    promotion = promotion_over(journal, stuck=(stuck,))
    await promotion.load()
    refusal = await promotion.promote(Stage.PAPER_TINY, "ann", "reviewed")
    assert refusal.metadata["criterion"] == "no_unresolved_order"
