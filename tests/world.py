"""An order path over fakes, which can be restarted over the same journal and venue."""

from decimal import Decimal

from builders import BTC, NOW_MS, a_book, a_policy, an_instrument
from fakes import (
    FakeCalibration,
    FakeClock,
    FakeJournal,
    FakeMarket,
    FakeTracer,
    FakeVenue,
    FakeVenueAccount,
)
from venue_kit import a_snapshot

from gateway.account import Account
from gateway.account_watch import AccountWatch
from gateway.adapters.facts import LocalFacts
from gateway.core.facts import UNRESTRICTED
from gateway.core.ledger import Ledger
from gateway.decision_path import DecisionPath
from gateway.equity import LiveEquity, PaperEquity
from gateway.guard import RiskGuard
from gateway.kill_switch import KillSwitch
from gateway.live_features import LiveFeatures
from gateway.order_path import OrderPath
from gateway.reconcile import Reconciler

INTERVAL_SECONDS = 30.0
COMPARISON_AGE_MS_MAX = 90_000


class World:
    """An order path over fakes; a live one has an account at a venue, which it compares with its journal."""

    def __init__(self, *, live=False, **policy):
        self.live = live
        self.clock = FakeClock(NOW_MS)
        self.journal = FakeJournal()
        self.market = FakeMarket(books={BTC: a_book()}, instruments={BTC: an_instrument()})
        self.venue = FakeVenue(dry_run=not live)
        self.venue_account = FakeVenueAccount(account=a_snapshot())
        self.calibration = FakeCalibration()
        self.tracer = FakeTracer()
        self.policy = a_policy(**policy)
        self.permission = UNRESTRICTED
        self.restart()

    def restart(self):
        """A new process over the same journal and venue."""
        self.account = self.new_account()
        self.account.load(self.journal.filled_orders(), self.journal.open_orders())
        self.guard = RiskGuard(
            account=self.account,
            journal=self.journal,
            equity=self.equity(),
            clock=self.clock,
            drawdown_max=self.policy.drawdown_max,
        )
        self.guard.load()
        facts = LocalFacts(
            account=self.account,
            guard=self.guard,
            venue=self.venue,
            market=self.market,
            calibration=self.calibration,
            journal=self.journal,
            clock=self.clock,
            policy=self.policy,
            permission=lambda: self.permission,
        )
        self.path = OrderPath(
            account=self.account,
            policy=self.policy,
            facts=facts,
            journal=self.journal,
            venue=self.venue,
            clock=self.clock,
            tracer=self.tracer,
            held_back=self.guard.holds_back,
        )
        self.kill_switch = KillSwitch(
            account=self.account,
            path=self.path,
            guard=self.guard,
            venue=self.venue,
            market=self.market,
            clock=self.clock,
            venue_account=self.venue_account if self.live else None,
            pause_seconds=0.01,
        )
        self.reconciler = Reconciler(
            account=self.account,
            path=self.path,
            guard=self.guard,
            journal=self.journal,
            venue=self.venue,
            market=self.market,
            clock=self.clock,
            interval_seconds=5.0,
            order_age_ms_max=15_000,
            decision_age_ms_max=self.policy.decision_age_ms_max,
        )

        self.account_watch = AccountWatch(
            account=self.account,
            guard=self.guard,
            journal=self.journal,
            venue=self.venue_account,
            clock=self.clock,
            interval_seconds=INTERVAL_SECONDS,
            lag_ms_max=10_000,
        )

    def new_account(self):
        if not self.live:
            return Account("paper", Ledger(start_usd=Decimal(100_000)))
        return Account("live-simulator", Ledger(start_usd=Decimal(0)), comparison_age_ms_max=COMPARISON_AGE_MS_MAX)

    def equity(self):
        if self.live:
            return LiveEquity(
                account=self.account,
                venue=self.venue_account,
                market=self.market,
                clock=self.clock,
                wallet_age_ms_max=COMPARISON_AGE_MS_MAX,
            )
        return PaperEquity(
            account=self.account,
            market=self.market,
            clock=self.clock,
            price_age_ms_max=self.policy.price_age_ms_max,
        )

    def decisions(self, model):
        """A decision path beside the order path."""
        return DecisionPath(
            policy=self.policy,
            model=model,
            live=LiveFeatures(market=self.market, model=model, clock=self.clock),
            guard=self.guard,
            calibration=self.calibration,
            journal=self.journal,
            clock=self.clock,
            bar_seconds=3600,
        )

    def states(self):
        return [record.state for record in self.journal.records]
