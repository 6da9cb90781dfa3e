"""Sizing steps against hand-worked figures, and what holds of them for any numbers."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import a_policy, a_quote, a_standing, an_order, the_facts
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core.facts import Permission, VolatilityFacts
from gateway.core.model import Adjustment, Failure, OrderLinkId, Side
from gateway.core.reasons import Reason
from gateway.core.risk import Approved, approve
from gateway.core.size import MONEY_STEP, clipped, kelly_usd, room_usd, scaled_by_confidence, step, volatility_room_usd

LINK = OrderLinkId("tglink")
DEEP = a_quote(depth_usd=Decimal(10**9))


def verdict(order, facts, policy):
    return approve(order, LINK, facts, policy)


def test_kelly_at_even_odds_is_the_edge_over_a_coin_times_the_equity():
    """60 percent is an edge of 20; a half of that of 100,000 dollars is 10,000."""
    bet = kelly_usd(equity_usd=Decimal(100_000), confidence=Decimal("0.6"), fraction=Decimal("0.5"))
    assert bet == 10_000
    for confidence, equity in (("0.5", 100_000), ("0.4", 100_000), ("0.6", 0), ("0.6", -5)):
        assert kelly_usd(equity_usd=Decimal(equity), confidence=Decimal(confidence), fraction=Decimal(1)) == 0


def test_kelly_clips_after_the_confidence_and_says_so():
    """2,000 x 0.9 = 1,800; 0.01 x 0.8 x 100,000 = 800."""
    result = verdict(an_order(), the_facts(), a_policy(kelly_fraction=Decimal("0.01")))
    assert [change.step for change in result.adjustments] == ["confidence", "kelly"]
    assert result.adjustments[1] == Adjustment(
        step="kelly", from_usd=Decimal(1800), to_usd=Decimal(800), limit=Decimal(800)
    )


def test_a_coin_is_worth_no_bet():
    policy = a_policy(kelly_fraction=Decimal(1), confidence_threshold=Decimal("0.5"))
    facts = the_facts(calibration=a_standing(threshold=0.5))
    refusal = verdict(an_order(confidence=Decimal("0.5")), facts, policy)
    assert isinstance(refusal, Failure)
    assert (refusal.reason, refusal.metadata["step"]) == (Reason.MIN_NOTIONAL, "kelly")


ALONE = VolatilityFacts(symbol=0.5, portfolio_usd=0.0, shared_usd=0.0)


def room(volatility, side=Side.BUY, equity=100_000, target="0.1"):
    return volatility_room_usd(volatility, side=side, equity_usd=Decimal(equity), target=Decimal(target))


def test_alone_a_symbol_has_the_targets_share_of_its_volatility():
    """10 percent of 100,000 dollars are borne by 20,000 of what moves by 50 percent."""
    for side in Side:
        assert room(ALONE, side) == 20_000


def test_what_is_held_of_the_same_symbol_counts_whole():
    """15,000 are held: 5,000 more, or 35,000 against it."""
    held = VolatilityFacts(symbol=0.5, portfolio_usd=7500.0, shared_usd=15_000 * 0.25)
    assert (room(held), room(held, Side.SELL)) == (5000, 35_000)


def test_what_is_held_of_another_symbol_counts_by_its_covariance():
    """Without any: x^2 0.25 + 6,000^2 = 10,000^2, x = 16,000."""
    unrelated = VolatilityFacts(symbol=0.5, portfolio_usd=6000.0, shared_usd=0.0)
    assert room(unrelated) == 16_000


@pytest.mark.parametrize(
    ("volatility", "equity"),
    [
        (VolatilityFacts(symbol=0.5, portfolio_usd=10_000.0, shared_usd=5000.0), 100_000),
        (VolatilityFacts(symbol=0.5, portfolio_usd=12_000.0, shared_usd=6000.0), 100_000),
        (VolatilityFacts(symbol=0.5, portfolio_usd=90_000.0, shared_usd=-100.0), 100_000),
        (ALONE, 0),
        (ALONE, -100),
        (VolatilityFacts(symbol=1e-300, portfolio_usd=0.0, shared_usd=0.0), 100_000),
        (VolatilityFacts(symbol=0.5, portfolio_usd=0.0, shared_usd=float("nan")), 100_000),
        (VolatilityFacts(symbol=0.5, portfolio_usd=0.0, shared_usd=-1e200), 100_000),
    ],
)
def test_at_the_target_beyond_it_or_in_ruin_there_is_no_room(volatility, equity):
    assert room(volatility, equity=equity) == 0


def test_the_volatility_target_clips_after_kelly_and_before_the_caps():
    facts = the_facts(volatility=ALONE, quote=DEEP)
    policy = a_policy(target_ann_vol=Decimal("0.005"), kelly_fraction=Decimal("0.02"), symbol_cap_usd=Decimal(900))
    result = verdict(an_order(), facts, policy)
    told = [(change.step, change.from_usd, change.to_usd, change.limit) for change in result.adjustments]
    assert told == [
        ("confidence", 2000, 1800, Decimal("0.9")),
        ("kelly", 1800, 1600, 1600),
        ("volatility", 1600, 1000, 1000),
        ("symbol_cap", 1000, 900, 900),
    ]


def test_no_room_under_the_target_is_told_as_too_little_left():
    facts = the_facts(volatility=replace(ALONE, portfolio_usd=1e9))
    refusal = verdict(an_order(), facts, a_policy(target_ann_vol=Decimal("0.1")))
    assert isinstance(refusal, Failure)
    assert (refusal.reason, refusal.metadata["step"], refusal.metadata["qty_usd"]) == (
        Reason.MIN_NOTIONAL,
        "volatility",
        "0",
    )


def test_every_limit_is_named_in_its_order():
    stage = Permission(stage="T", refusal="", cap_usd=Decimal(1200))
    policy = a_policy(
        symbol_cap_usd=Decimal(1300),
        gross_cap_usd=Decimal(1100),
        net_cap_usd=Decimal(1000),
        leverage_max=Decimal("0.009"),
    )
    result = verdict(an_order(), the_facts(permission=stage), policy)
    assert [change.step for change in result.adjustments] == [
        "confidence",
        "symbol_cap",
        "stage_cap",
        "gross_cap",
        "net_cap",
        "leverage",
    ]
    assert result.adjustments[-1].limit == 900
    assert result.qty_usd == 900


def test_amounts_are_cut_down_to_a_hundred_millionth_of_a_dollar_and_never_up():
    assert scaled_by_confidence(Decimal("0.00000003"), Decimal("0.99")) == Decimal("0.00000002")
    assert clipped(Decimal(5), Decimal("4.999999999")) == Decimal("4.99999999")
    assert clipped(Decimal(5), Decimal(5)) == 5
    assert clipped(Decimal(5), Decimal("1e25")) == 5
    assert Decimal("0.00000001") == MONEY_STEP


def test_amounts_are_written_in_plain_digits():
    assert str(scaled_by_confidence(Decimal(2000), Decimal("0.50"))) == "1000"
    assert str(clipped(Decimal(5000), Decimal("1.2E+3"))) == "1200"


def test_the_smallest_account_has_room_too():
    """5 cents at 10 percent over 50 percent."""
    assert float(room(ALONE, equity=Decimal("0.05"))) == pytest.approx(0.01)


def test_a_step_that_changes_nothing_is_not_named():
    assert step("symbol_cap", Decimal(5), Decimal(5), Decimal(9)) == ()


def test_room_is_what_the_cap_leaves_on_the_side():
    def of(side, position):
        return room_usd(cap_usd=Decimal(100), side=side, position_usd=Decimal(position), pending_usd=Decimal(10))

    assert (of(Side.BUY, 30), of(Side.SELL, 30), of(Side.BUY, -30), of(Side.BUY, 95)) == (60, 120, 120, 0)


amounts = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10**9), places=8)
confidences = st.decimals(min_value=0, max_value=1, places=6)
volatilities = st.builds(
    VolatilityFacts,
    symbol=st.floats(1e-6, 20),
    portfolio_usd=st.floats(0, 1e7),
    shared_usd=st.floats(-1e8, 1e8),
)
policies = st.builds(
    a_policy,
    confidence_threshold=st.just(Decimal("0.5")),
    kelly_fraction=st.decimals(min_value=0, max_value=1, places=3),
    target_ann_vol=st.one_of(st.none(), st.decimals(min_value=Decimal("0.001"), max_value=10, places=3)),
    symbol_cap_usd=amounts,
    gross_cap_usd=amounts,
    net_cap_usd=amounts,
    leverage_max=st.decimals(min_value=Decimal("0.01"), max_value=100, places=2),
)
facts_of = st.builds(
    the_facts,
    quote=st.just(DEEP),
    volatility=volatilities,
    equity_usd=st.decimals(min_value=0, max_value=10**7, places=2),
    position_qty=st.decimals(min_value=-1, max_value=1, places=3),
)


@given(requested=amounts, confidence=confidences, facts=facts_of, policy=policies, side=st.sampled_from(Side))
def test_sizing_never_increases_a_request(requested, confidence, facts, policy, side):
    result = verdict(an_order(requested_usd=requested, confidence=confidence, side=side), facts, policy)
    if isinstance(result, Approved):
        assert 0 < result.qty_usd <= requested * confidence
        amounts_told = [result.order.requested_usd, *(change.to_usd for change in result.adjustments)]
        assert amounts_told == sorted(amounts_told, reverse=True)
        assert [change.from_usd for change in result.adjustments] == amounts_told[:-1]
        assert result.qty_usd == amounts_told[-1]


@given(
    requested=amounts,
    pair=st.tuples(confidences, confidences),
    facts=facts_of,
    policy=policies,
    side=st.sampled_from(Side),
)
def test_sizing_is_monotone_in_the_confidence(requested, pair, facts, policy, side):
    low, high = (
        verdict(an_order(requested_usd=requested, confidence=confidence, side=side), facts, policy)
        for confidence in sorted(pair)
    )
    if isinstance(low, Approved):
        assert isinstance(high, Approved)
        assert low.qty_usd <= high.qty_usd


@given(requested=amounts, confidence=confidences, facts=facts_of, policy=policies)
def test_sizing_is_nothing_when_the_risk_is_unknown(requested, confidence, facts, policy):
    policy = replace(policy, target_ann_vol=Decimal("0.5"))
    order = an_order(requested_usd=requested, confidence=confidence)
    for unknown in ({"volatility": None}, {"equity_usd": None}, {"others": None}, {"drawdown": None}):
        assert isinstance(verdict(order, replace(facts, **unknown), policy), Failure)


@given(
    volatility=volatilities,
    equity=st.integers(1, 10**7),
    target=st.floats(0.001, 10),
    side=st.sampled_from(Side),
)
def test_the_whole_room_keeps_the_account_at_its_target_and_no_less(volatility, equity, target, side):
    """Only covariances that there can be: |c| <= v p."""
    v, p = volatility.symbol, volatility.portfolio_usd
    c = math.copysign(min(abs(volatility.shared_usd), v * p), volatility.shared_usd)
    volatility = replace(volatility, shared_usd=c)
    x = float(room(volatility, side, equity, str(target)))
    limit = target * equity
    assume(x > 0)
    parts = ((x * v) ** 2, 2 * x * c * side.sign, p**2)
    assert sum(parts) == pytest.approx(limit**2, rel=1e-9, abs=1e-9 * sum(map(abs, parts)))
