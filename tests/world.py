"""An order path over fakes, which can be restarted over the same journal and venue."""

from decimal import Decimal

from builders import BTC, NOW_MS, a_book, a_policy, an_instrument
from fakes import FakeCalibration, FakeClock, FakeJournal, FakeMarket, FakeTracer, FakeVenue

from gateway.account import Account
from gateway.adapters.facts import LocalFacts
from gateway.core.ledger import Ledger
from gateway.decision_path import DecisionPath
from gateway.equity import PaperEquity
from gateway.guard import RiskGuard
from gateway.live_features import LiveFeatures
from gateway.order_path import OrderPath
from gateway.reconcile import Reconciler


class World:
    """An order path over fakes."""

    def __init__(self, **policy):
        self.clock = FakeClock(NOW_MS)
        self.journal = FakeJournal()
        self.market = FakeMarket(books={BTC: a_book()}, instruments={BTC: an_instrument()})
        self.venue = FakeVenue()
        self.calibration = FakeCalibration()
        self.tracer = FakeTracer()
        self.policy = a_policy(**policy)
        self.restart()

    def restart(self):
        """A new process over the same journal and venue."""
        self.account = Account("paper", Ledger(start_usd=Decimal(100_000)))
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
        )
        self.path = OrderPath(
            account=self.account,
            policy=self.policy,
            facts=facts,
            journal=self.journal,
            venue=self.venue,
            clock=self.clock,
            tracer=self.tracer,
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

    def equity(self):
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
