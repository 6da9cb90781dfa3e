"""Half an hour of live trading in virtual time, with faults of every kind: what was lost, and how long it took to know.

    python -m bench.soak --minutes 30 --rate 20 --seed 1

The exit code is 1 when any promise of bench/live/audit.py was broken, or an order's end stayed unknown.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from bench.live.audit import Audit
from bench.live.faults import CREATE, FAULTS
from bench.live.life import UID
from bench.live.operator import Operator
from bench.live.world import World
from gateway.core.model import Order, OrderKey, OrderState, Side, Symbol
from gateway.ports import Venue
from simulator.api.limits import LimitConfig
from simulator.outages import Part

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TICK_MS = 50
LIMITS = LimitConfig(
    per_second=dict.fromkeys((CREATE, "/v5/order/realtime", "/v5/order/history", "/v5/execution/list"), 200),
    address_requests=100_000,
)
"""The account of a large client: the headers tell the gateway."""
FAULT_EVERY_MS = 5_000
KILL_EVERY_MS = 120_000
OUTAGE_EVERY_MS = 180_000
OPERATOR_EVERY_MS = 2_000
LOOK_EVERY_MS = 30_000
START_USD = Decimal(10_000_000)
"""So much that the fees of half an hour are no drawdown."""
CAP_USD = "20000"
REDUCTIONS = 0.2
"""So many of the orders may only reduce a position."""
ASKED_PER_TICK_MAX = 5
"""Five times the usual rate: what could not be sent in an outage is made up for."""


@dataclass(kw_only=True)
class Soak:
    """One run."""

    minutes: float
    rate: float
    seed: int
    venue_of: Callable[[Venue], Venue] = lambda venue: venue
    """Puts another venue in the place of the gateway's, to see that it is found."""
    audit: Audit = field(default_factory=Audit)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        self.world = World(
            seed=self.seed,
            symbols=SYMBOLS,
            limits=LIMITS,
            watcher=self.audit,
            venue_of=self.venue_of,
            start_usd=START_USD,
            PER_SYMBOL_USD_CAP=CAP_USD,
            VENUE_BAN_SECONDS="10",
        )
        self.audit.watch(self.world)
        self.operator = Operator(self.world)
        self.asked = self.unserved = 0

    def run(self) -> dict[str, object]:
        """Trade, end the faults, close every position, and tell."""
        begun = time.perf_counter()
        try:
            self.world.until(lambda: self.world.gateway, within_ms=10_000)
            self._trade()
            self.operator.end_faults()
            settled = self.operator.settle()
            flat = self._flatten()
            self.audit.close()
            return self._told(time.perf_counter() - begun, settled=settled, flat=flat)
        finally:
            self.world.close()

    def _trade(self) -> None:
        world, start_ms = self.world, self.world.time.now_ms()
        due = {
            self._fault: FAULT_EVERY_MS,
            self._kill: KILL_EVERY_MS,
            self._outage: OUTAGE_EVERY_MS,
            self.operator.look: OPERATOR_EVERY_MS,
            self.audit.look: LOOK_EVERY_MS,
        }
        end_ms = start_ms + int(self.minutes * 60_000)
        for at_ms in range(start_ms, end_ms, TICK_MS):
            world.pass_ms(max(0, at_ms - world.time.now_ms()))
            self._ask(wanted=self.rate * (at_ms - start_ms) / 1000)
            for act, every_ms in due.items():
                if self.chance.random() < TICK_MS / every_ms:
                    act()

    def _ask(self, wanted: float) -> None:
        """Ask for orders until as many have left as are wanted by now, those that cannot leave now among them."""
        missing = min(math.ceil(wanted - self.audit.sent), ASKED_PER_TICK_MAX)
        for _ in range(missing):
            self.asked += 1
            symbol, reduce_only = Symbol(self.chance.choice(SYMBOLS)), self.chance.random() < REDUCTIONS
            side, usd = self.chance.choice(list(Side)), self.chance.uniform(20, 4_000)
            self._send(symbol, side, usd, reduce_only=reduce_only)

    def _send(self, symbol: Symbol, side: Side, usd: float, *, reduce_only: bool) -> None:
        order = Order(
            key=OrderKey(f"soak-{self.asked}-{self.world.time.now_ms()}-{symbol}"),
            symbol=symbol,
            side=side,
            requested_usd=Decimal(f"{usd:.2f}"),
            confidence=None if reduce_only else Decimal("0.9"),
            decision_id=None,
            reduce_only=reduce_only,
        )
        if self.world.begin(order) is None:
            self.unserved += 1

    def _fault(self) -> None:
        self.world.local.faults.add(self.chance.choice(FAULTS[self.chance.choice(list(FAULTS))]))

    def _kill(self) -> None:
        self.world.kill()

    def _outage(self) -> None:
        self.world.local.outages.begin(self.chance.choice(list(Part)), self.chance.choice([1, 3]))

    def _flatten(self) -> bool:
        """Close every position by orders that only reduce."""
        for _ in range(20):
            positions = self.world.local.engine.account_view(UID).positions
            if not positions:
                return True
            for symbol, position in positions.items():
                side = Side.SELL if position.qty > 0 else Side.BUY
                self._send(Symbol(symbol), side, 1_000_000, reduce_only=True)
            self.world.pass_ms(1_000)
            self.operator.settle()
        return False

    def _told(self, seconds: float, *, settled: bool, flat: bool) -> dict[str, object]:
        states = Counter(record.state for record in self.world.disk.newest.values())
        waits = self.audit.resolved_ms
        injected = self.world.local.faults.injected
        return {
            "seed": self.seed,
            "virtual_minutes": self.minutes,
            "seconds": round(seconds, 1),
            "orders_asked": self.asked,
            "orders_unserved": self.unserved,
            "orders_sent": self.audit.sent,
            "orders_by_state": {state.value: count for state, count in sorted(states.items())},
            "gateways": self.world.lives,
            "operator_resumed": self.operator.resumed,
            "operator_restarted": self.operator.restarted,
            "faults": injected.total(),
            "faults_by_kind": dict(sorted(injected.items())),
            "unknown_raised": len(waits) + len(self.audit.unknown_ms),
            "unknown_resolved": len(waits),
            "unknown_left": states[OrderState.UNKNOWN] + states[OrderState.PENDING],
            "resolve_ms_median": round(statistics.median(waits)) if waits else None,
            "resolve_ms_longest": max(waits, default=None),
            "settled": settled,
            "flat": flat,
            "broken": self.audit.broken[:10],
        }


def main() -> int:
    """Run, print what happened as JSON, and say by the exit code whether all promises held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=20.0, help="orders sent in a virtual second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    told = Soak(minutes=given.minutes, rate=given.rate, seed=given.seed).run()
    print(json.dumps(told, indent=2))
    return 0 if told["settled"] and told["flat"] and not told["broken"] else 1


if __name__ == "__main__":
    sys.exit(main())
