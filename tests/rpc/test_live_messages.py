"""What a live gateway tells on the wire beside what every gateway does."""

from decimal import Decimal

from builders import BTC
from journal_kit import a_filled
from rpc_kit import a_venue_health

from gateway.core.ledger import Ledger
from gateway.core.model import Evidence, Fill, RiskState, Side
from gateway.guard import Standing
from gateway.rpc.convert import order_message, positions_message, risk_summary, venue_health

FILL = Fill(price=Decimal(60_000), qty=Decimal("0.5"), fee_usd=Decimal("16.5"), exec_id="e-1")


def test_an_order_tells_its_evidence_and_the_venues_ids():
    message = order_message(a_filled(fills=(FILL,), evidence=Evidence.HISTORY, venue_order_id="v-1"))
    assert (message.evidence, message.venue_order_id, message.fills[0].exec_id) == ("history", "v-1", "e-1")


def test_the_venue_tells_its_health():
    message = venue_health(a_venue_health(stream_age_ms=3, compared_age_ms=None, oldest_unknown_age_ms=2**40))
    assert (message.ok, message.env, message.stream_age_ms, message.compared_age_ms) == (False, "simulator", 3, -1)
    assert message.oldest_unknown_age_ms == 2**31 - 1
    assert venue_health(a_venue_health()).ok


def test_live_equity_is_the_venues_and_not_the_ledgers():
    ledger = Ledger(start_usd=Decimal(0)).applied(BTC, Side.BUY, (FILL,))
    message = positions_message(ledger, {BTC: Decimal(61_000)}, Decimal("100483.5"))
    assert (message.equity_usd, message.unrealised_pnl_usd, message.positions[0].mark_price) == (100_483.5, 500, 61_000)


def test_an_equity_that_was_never_told_is_no_drawdown():
    standing = Standing(
        state=RiskState.ACTIVE, equity_usd=None, last_equity_usd=Decimal(0), peak_equity_usd=Decimal(0), drawdown=None
    )
    message = risk_summary(standing, Decimal("0.15"))
    assert (message.drawdown, message.utilization) == (0, 0)
