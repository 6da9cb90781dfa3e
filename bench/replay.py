"""A journal of many orders, replayed: every verdict is identical, and one changed character is found and located.

python -m bench.replay [--orders 100000] [--seed 7]   about a minute for 100,000 orders; prints its figures

The orders take the gateway's own order path onto its own journal on the disk, with the paper venue and a market that
walks at random: without gRPC, without a model. About one in ten names a decision, one in three reduces, and some are
refused for each of several reasons.
"""

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

from gateway.adapters.facts import LocalFacts
from gateway.adapters.journal_sqlite import SqliteJournal
from gateway.core.fact_records import policy_document
from gateway.core.facts import UNRESTRICTED, CalibrationStanding
from gateway.core.model import (
    Book,
    Decision,
    DecisionId,
    Failure,
    Instrument,
    Level,
    Order,
    OrderKey,
    Side,
    Signal,
    Symbol,
    WatchState,
)
from gateway.core.reasons import CODES
from gateway.doctor import verify
from gateway.guard import RiskGuard
from gateway.order_path import OrderPath
from gateway.policies import keep_policy
from gateway.policy import policy_of
from gateway.ports import Step
from gateway.replaying import Replayed, replay_journal
from gateway.settings import Settings, load
from gateway.wiring import PaperSide

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
AT_ONCE = 64
"""Orders under way at the same time, so that many share one commit."""
ORDER_MS = 10
"""From one order to the next, by the bench's clock."""
LEVELS = 20


class Clock:
    """A clock that goes on with each order."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return self.ms


class Market:
    """Books that walk at random; now and then one grows old."""

    source = "simulated"

    def __init__(self, clock: Clock, chance: Random) -> None:
        self._clock, self._chance = clock, chance
        self._mids = {Symbol(name): Decimal(mid) for name, mid in zip(SYMBOLS, (60_000, 3_000, 150), strict=True)}
        self._books: dict[Symbol, Book] = {}
        self.move()

    def move(self) -> None:
        """Every price takes a step."""
        for symbol, mid in self._mids.items():
            self._mids[symbol] = (mid * Decimal(1 + self._chance.gauss(0, 0.0004))).quantize(Decimal("0.01"))
            self._books[symbol] = self._book(self._mids[symbol])

    def book(self, symbol: Symbol) -> Book | None:
        """The newest book."""
        return self._books.get(symbol)

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The same rules for all."""
        step = Decimal("0.001")
        return Instrument(
            symbol=symbol,
            qty_step=step,
            min_qty=step,
            max_market_qty=Decimal(500),
            min_notional_usd=Decimal(5),
            tick_size=Decimal("0.01"),
        )

    def bars(self, _symbol: Symbol) -> None:
        """Nobody decides here."""
        return

    def mark_price(self, symbol: Symbol) -> Decimal | None:
        """The mid price."""
        return self._mids.get(symbol)

    def _book(self, mid: Decimal) -> Book:
        tick = (mid / 20_000).quantize(Decimal("0.01")) or Decimal("0.01")
        size = (Decimal(20_000) / mid).quantize(Decimal("0.001"))
        return Book(
            bids=tuple(Level(price=mid - tick * (place + 1), qty=size) for place in range(LEVELS)),
            asks=tuple(Level(price=mid + tick * (place + 1), qty=size) for place in range(LEVELS)),
            received_ms=self._clock.now_ms() - (6_000 if self._chance.random() < 0.01 else 5),
        )


class Calibration:
    """The model is as good as it says."""

    def standing(self, _model_version: str | None = None) -> CalibrationStanding:
        """What is asked of an order."""
        return CalibrationStanding(state=WatchState.OK, threshold=0.6, slope=1.0)


class Untraced:
    """Traces nothing."""

    def reached(self, step: Step, key: OrderKey) -> None:
        """Any step of any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A journal that was made."""

    seconds: float
    verdicts: Counter[str]


class Maker:
    """Sends orders down the order path."""

    def __init__(self, settings: Settings, journal: SqliteJournal, chance: Random) -> None:
        self._chance, self._journal = chance, journal
        self._clock = Clock()
        self._market = Market(self._clock, chance)
        side = PaperSide(settings, self._market, self._clock)
        self._policy = policy_of(settings)
        self._account = side.account
        guard = RiskGuard(
            account=side.account,
            journal=journal,
            equity=side.equity,
            clock=self._clock,
            drawdown_max=settings.max_drawdown_pct,
        )
        guard.load()
        facts = LocalFacts(
            account=side.account,
            guard=guard,
            venue=side.venue,
            market=self._market,
            calibration=Calibration(),
            journal=journal,
            clock=self._clock,
            policy=self._policy,
            permission=lambda: UNRESTRICTED,
        )
        self._path = OrderPath(
            account=side.account,
            policy=self._policy,
            facts=facts,
            journal=journal,
            venue=side.venue,
            clock=self._clock,
            tracer=Untraced(),
            held_back=guard.holds_back,
        )
        self._decision: Decision | None = None

    async def run(self, orders: int) -> Made:
        """Send orders until so many are recorded: a refusal for a moment only is not."""
        began, verdicts, recorded = time.perf_counter(), Counter[str](), 0
        await keep_policy(self._journal, policy_document(self._policy, self._account.name, self._clock.now_ms()))
        while recorded < orders:
            self._market.move()
            await self._decide()
            tasks = [self._path.execute(order) for order in self._orders(verdicts.total(), orders - recorded)]
            for answer in await asyncio.gather(*tasks):
                verdicts[answer.reason.value if isinstance(answer, Failure) else answer.record.state.value] += 1
                recorded += not isinstance(answer, Failure) or CODES[answer.reason].stored
        return Made(seconds=time.perf_counter() - began, verdicts=verdicts)

    def _orders(self, first: int, wanted: int) -> Iterator[Order]:
        chance = self._chance
        for number in range(first, first + min(wanted, AT_ONCE)):
            self._clock.ms += ORDER_MS
            named = self._decision if chance.random() < 0.1 else None
            reduces = named is None and chance.random() < 0.33
            yield Order(
                key=OrderKey(f"replay-{number}"),
                symbol=named.symbol if named else Symbol(chance.choice(SYMBOLS)),
                side=Side.BUY if named else chance.choice((Side.BUY, Side.SELL)),
                requested_usd=Decimal(chance.randint(500, 300_000)) / 100,
                confidence=None if named or reduces else Decimal(chance.randint(5_500, 9_900)) / 10_000,
                decision_id=named.decision_id if named else None,
                reduce_only=reduces,
            )

    async def _decide(self) -> None:
        confidence = round(self._chance.uniform(0.55, 0.8), 6)
        self._decision = Decision(
            decision_id=DecisionId(f"decision-{self._clock.ms}"),
            symbol=Symbol(self._chance.choice(SYMBOLS)),
            signal=Signal.LONG,
            prob_long=confidence,
            prob_short=round(1 - confidence, 6),
            confidence=confidence,
            model_confidence=confidence,
            model_version="20261123_000000",
            horizon_seconds=3600,
            threshold=0.6,
            allow=True,
            reasons=(),
            features={"mom_20": 1.0},
            members=(),
            disagreement=None,
            dissimilarity=None,
            bar_open_ms=None,
            scored=False,
            shadow=None,
            at_ms=self._clock.ms,
        )
        await self._journal.append_decisions([self._decision])


async def make(path: Path, orders: int, seed: int) -> Made:
    """A journal of so many orders."""
    settings = load({"SYMBOLS": ",".join(SYMBOLS), "JOURNAL_PATH": str(path), "PAPER_EQUITY_USD": "10000000"})
    journal = SqliteJournal(path)
    await journal.start()
    try:
        await journal.claim("paper")
        return await Maker(settings, journal, Random(seed)).run(orders)
    finally:
        await journal.close()


def spoil(path: Path, seed: int) -> tuple[int, str]:
    """Change one character of one record of a random order; its number, and what was done."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        (count,) = connection.execute("SELECT max(seq) FROM records").fetchone()
        (seq,) = connection.execute(
            "SELECT seq FROM records WHERE kind = 'order' AND seq >= ? ORDER BY seq LIMIT 1",
            (Random(seed).randint(1, count * 9 // 10),),
        ).fetchone()
        (body,) = connection.execute("SELECT body FROM records WHERE seq = ?", (seq,)).fetchone()
        place = body.index('"key":"replay-') + len('"key":"replay-')
        changed = body[:place] + str((int(body[place]) + 1) % 10) + body[place + 1 :]
        connection.execute("DROP TRIGGER records_are_not_changed")
        connection.execute("UPDATE records SET body = ? WHERE seq = ?", (changed, seq))
    finally:
        connection.close()
    return seq, f"...{body[place - 7 : place + 2]}... became ...{changed[place - 7 : place + 2]}..."


def main() -> int:
    """Make, replay, spoil and verify; 0 when all came out as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return study(Path(folder) / "journal.sqlite3", options.orders, options.seed)


def study(path: Path, orders: int, seed: int) -> int:
    """The whole bench on one file; 0 when all came out as it must."""
    made = asyncio.run(make(path, orders, seed))
    verdicts = ", ".join(f"{count} {name}" for name, count in made.verdicts.most_common())
    print(f"made      {orders} recorded orders in {made.seconds:.1f} s: {verdicts}")
    found, seconds = timed_replay(path)
    rate = found.found.orders / seconds
    print(f"replayed  {found.found.orders} in {seconds:.1f} s, {rate:.0f}/s: {found.found.identical} identical")
    whole, seconds = timed_verify(path)
    print(f"verified  {path.stat().st_size / 1e6:.0f} MB in {seconds:.1f} s: {'whole' if whole is None else whole}")
    seq, what = spoil(path, seed)
    told, seconds = timed_verify(path)
    print(f"spoiled   record {seq}: {what}; found in {seconds:.1f} s at record {told}")
    good = found.found.identical == found.found.orders == orders and whole is None and told == seq
    print("OK" if good else "FAILED")
    return 0 if good else 1


def timed_replay(path: Path) -> tuple[Replayed, float]:
    """A replay of the whole journal, and its time."""
    began = time.perf_counter()
    found = replay_journal(path, from_seq=1, limit=None, progress=lambda done, total: None)  # noqa: ARG005
    return found, time.perf_counter() - began


def timed_verify(path: Path) -> tuple[int | None, float]:
    """The first record at fault, None when there is none, and the time of a verification."""
    began = time.perf_counter()
    faults = getattr(verify(path).diagnosis.found, "faults", [])
    return (faults[0].seq if faults else None), time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
