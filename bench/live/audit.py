"""Holds a gateway to its promises, against the truth of the exchange; nothing of what the gateway believes is taken on
trust.

As it happens
  - An order leaves the gateway only when its record is durable, while it is open there, and never during a halt.
  - It leaves a second time only when the first can no longer be taken.
  - No order is approved that could take the exposure beyond the cap, at the price of its approval, with everything open
    or unknown counted as if it filled whole, and everything settled as the exchange has it.
After every step
  - The exchange never got an order again that it had.
  - Every order that has ended in the journal did so on evidence, and ended so at the exchange, to the last digit.
  - What has ended never changes. No order of the exchange is unknown to the journal.
When all is quiet
  - The ledger is the account: positions, fees, profit and the wallet, to the last digit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from bench.live.journal import WrongMoveError, check_move
from bench.live.life import CREATE, KEY, UID, Life, Watcher
from bench.live.world import World
from gateway.core.ledger import Ledger
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import ZERO, Evidence, OrderLinkId, OrderRecord, OrderState, RiskState, Side, Symbol
from simulator.market import Market
from simulator.trading.contract import ExecutionView, OrderView

ROUNDING = Decimal("0.0000000001")
"""A hundredth of the last digit that the exchange keeps of money; the ledger's entry prices have 28 digits."""
DUPLICATE = 110072
LEVELS_SEEN = 5
SLOT_MS = 250
"""The market's prices move so often."""
FALSE_ALARMS = ("the account differs", "an order at Bybit is not the one")
"""How it is journaled that somebody else acts on the account; nobody does."""


class Audit(Watcher):
    """One story's books."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        """Every promise that was broken."""
        self.sent = 0
        """Orders that left the gateway."""
        self.unknown_ms: dict[str, int] = {}
        """Since when an order is UNKNOWN, by its key."""
        self.resolved_ms: list[int] = []
        """How long each took that was UNKNOWN and is not any more."""
        self._approved_ms: dict[str, int] = {}
        self._last_sent_ms: dict[str, int] = {}
        self._records = self._requests = self._risk = 0
        """So many have been looked at."""
        self._ended: dict[str, OrderRecord] = {}
        self._executions: defaultdict[str, list[ExecutionView]] = defaultdict(list)
        self._executed = 0

    def watch(self, world: World) -> None:
        """What is audited."""
        self._world = world
        live = world.settings.live
        self._dead_after_ms = 0 if live is None else live.recv_window_ms

    def stages(self, life: Life, record: OrderRecord) -> None:
        """A record is about to be journaled."""
        try:
            check_move(life.journal.find(record.order.key), record)
        except WrongMoveError as fault:
            self.broken.append(str(fault))
        if record.state is OrderState.PENDING:
            self._approves(life, record)
        self._time_unknown(record)

    def sends(self, life: Life, link: str) -> None:
        """An order leaves the gateway."""
        now_ms, record = self._world.time.now_ms(), life.journal.find_link(link)
        earlier_ms = self._last_sent_ms.get(link)
        self._expect(record is not None, f"{link} was sent before its record was durable")
        self._expect(record is None or record.state in OPEN_STATES, f"{link} was sent after its end: {record}")
        self._expect(not self._halted(life), f"{link} was sent while trading was halted")
        self._expect(
            earlier_ms is None or now_ms - earlier_ms > self._dead_after_ms,
            f"{link} was sent again while the first could still be taken",
        )
        self._last_sent_ms[link] = now_ms
        self.sent += 1

    def failed(self, what: str) -> None:
        """Something in the gateway raised what nobody took."""
        self.broken.append(what)

    def look(self) -> None:
        """After a step."""
        self._look_at_requests()
        fresh = self._world.disk.records[self._records :]
        self._records += len(fresh)
        for record in fresh:
            key = record.order.key
            self._expect(key not in self._ended, f"{key} had ended, and changed: {record}")
            if record.state not in OPEN_STATES:
                self._ended[key] = record
        self.compare([record for record in fresh if record.state not in OPEN_STATES])
        for change in self._world.disk.risk[self._risk :]:
            self._risk += 1
            self._expect(not change.reason.startswith(FALSE_ALARMS), f"a false alarm: {change.reason}")

    def compare(self, records: Sequence[OrderRecord]) -> None:
        """Hold ended orders against the exchange."""
        executions = self._made()
        for record in records:
            order = self._world.local.engine.find_order(UID, record.order_link_id)
            fault = difference(record, order, executions[record.order_link_id])
            self._expect(not fault, f"{record.order.key} {fault}: {record}; the exchange has {order}")

    def close(self) -> None:
        """When all is quiet: everything once more, and the ledger."""
        self.look()
        self.compare(list(self._ended.values()))
        disk = self._world.disk
        for order in self._world.local.engine.all_orders(UID):
            key = disk.links.get(OrderLinkId(order.order_link_id))
            self._expect(key is not None, f"the journal does not know {order}")
            if key is not None and not order.reduce_only:
                self._expect_size(disk.newest[key], order)
        left = [record.order.key for record in disk.newest.values() if record.state in OPEN_STATES]
        self._expect(not left, f"nobody knows what became of {left}")
        self._close_books()

    def _close_books(self) -> None:
        ledger, life = ledger_of(self._world.disk.filled()), self._world.life
        view = self._world.local.engine.account_view(UID)
        held = {symbol: position.qty for symbol, position in view.positions.items()}
        booked = {str(symbol): position.qty for symbol, position in ledger.positions.items()}
        self._expect(held == booked, f"the venue holds {held}, the journal {booked}")
        self._expect(ledger.fees_usd == view.fees, f"fees are {view.fees}, and {ledger.fees_usd} in the journal")
        in_memory = life.account.ledger if life else None
        self._expect(in_memory == ledger, f"the ledger in memory is {in_memory}, the journal's {ledger}")
        # Which part of the profit is realised and which is open depends on the order of the fills; the sum does not.
        in_journal = ledger.realised_usd - sum(
            (each.qty * each.entry_price for each in ledger.positions.values()), ZERO
        )
        at_venue = view.realised - sum((each.cost for each in view.positions.values()), ZERO)
        off = abs(in_journal - at_venue)
        self._expect(off < ROUNDING, f"profit is {at_venue} with what is open at cost, and {in_journal} in the journal")
        balance = self._world.start_usd + view.realised - view.fees - view.funding
        self._expect(view.balances["USDT"] == balance, f"the wallet is {view.balances}, and should be {balance}")

    def _approves(self, life: Life, record: OrderRecord) -> None:
        """Whether this order, with all that is open, keeps within the cap."""
        self._approved_ms[record.order_link_id] = self._world.time.now_ms()
        self._expect(not self._halted(life), f"{record.order.key} was approved while trading was halted")
        if record.order.reduce_only or record.mid_price is None:
            return
        symbol, side = record.order.symbol, record.order.side
        still_open = [each for each in life.account.open_orders() if each.order.symbol == symbol]
        settled = self._position(symbol, {each.order_link_id for each in still_open})
        pending = sum((each.approved_usd for each in still_open if each.order.side is side), ZERO)
        exposure = settled * side.sign * record.mid_price + pending + record.approved_usd
        cap = self._world.settings.per_symbol_usd_cap
        self._expect(exposure <= cap, f"{record.order.key} may take the exposure to {exposure}, beyond {cap}")

    def _position(self, symbol: Symbol, without: set[str]) -> Decimal:
        """What the exchange holds of a symbol, but for what these orders did."""
        position = self._world.local.engine.account_view(UID).positions.get(symbol)
        held = position.qty if position else ZERO
        return held - self._filled(without) if without else held

    def _filled(self, links: set[str]) -> Decimal:
        mine = [each for link in links for each in self._made()[link]]
        return sum((each.qty if each.side == "Buy" else -each.qty for each in mine), ZERO)

    def _expect_size(self, record: OrderRecord, order: OrderView) -> None:
        """What was ordered is worth no more than what was approved, at the mid price of some moment of its sending."""
        market = self._world.local.exchange.markets[order.symbol]
        moments = range(self._approved_ms[record.order_link_id], order.created_ms + SLOT_MS, SLOT_MS)
        lowest = min(_mid(market, at_ms) for at_ms in moments)
        self._expect(order.qty * lowest <= record.approved_usd, f"{record.order.key} is more than approved: {order}")

    def _look_at_requests(self) -> None:
        log = self._world.local.log
        for entry in log.after(self._requests):
            self._requests = entry.number
            twice = entry.path == CREATE and entry.key == KEY and (entry.code, entry.fault) == (DUPLICATE, None)
            self._expect(not twice, f"{entry.link_id} was sent again though the exchange had it")

    def _time_unknown(self, record: OrderRecord) -> None:
        key, now_ms = str(record.order.key), self._world.time.now_ms()
        if record.state is OrderState.UNKNOWN:
            self.unknown_ms.setdefault(key, now_ms)
        elif key in self.unknown_ms and record.state not in OPEN_STATES:
            self.resolved_ms.append(now_ms - self.unknown_ms.pop(key))

    def _made(self) -> Mapping[str, list[ExecutionView]]:
        """Every execution of the exchange, by its order's id."""
        for execution in self._world.local.engine.all_executions(UID, after=self._executed):
            self._executions[execution.order_link_id].append(execution)
            self._executed += 1
        return self._executions

    def _halted(self, life: Life) -> bool:
        return life.guard.standing().state is RiskState.HALTED

    def _expect(self, true: bool, what: str) -> None:
        if not true:
            self.broken.append(what)


def _mid(market: Market, at_ms: int) -> Decimal:
    """The middle of the undisturbed book, whose levels lie on a grid around the price."""
    book = market.book(at_ms, LEVELS_SEEN)
    best = (next(iter(side.levels), repr(market.price(at_ms))) for side in (book.bids, book.asks))
    return sum((Decimal(price) for price in best), ZERO) / 2


def ledger_of(filled: Sequence[OrderRecord]) -> Ledger:
    """What the journal's fills come to."""
    ledger = Ledger(start_usd=ZERO)
    for record in filled:
        ledger = ledger.applied(record.order.symbol, record.order.side, record.fills)
    return ledger


def difference(record: OrderRecord, order: OrderView | None, executions: Sequence[ExecutionView]) -> str:
    """In what an ended order is not as the exchange has it; empty when it is."""
    told = {(fill.exec_id, fill.price, fill.qty, fill.fee_usd) for fill in record.fills}
    made = {(each.exec_id, each.price, each.qty, each.fee) for each in executions}
    if told != made:
        return "has other fills"
    if not _ended_so(record, order):
        return "has another end"
    if order is None:
        return ""
    asked = (record.order.symbol, record.order.side is Side.BUY, record.order.reduce_only)
    if asked != (order.symbol, order.side == "Buy", order.reduce_only):
        return "is another order"
    return "has another id" if record.venue_order_id not in {"", order.order_id} else ""


def _ended_so(record: OrderRecord, order: OrderView | None) -> bool:
    """Whether the exchange has the order, or has it not, as its state and evidence say."""
    match record.state:
        case OrderState.FILLED:
            return order is not None and order.status == "Filled" and order.filled_qty == order.qty
        case OrderState.PARTIALLY_FILLED:
            return order is not None and order.status == "Cancelled" and ZERO < order.filled_qty < order.qty
        case OrderState.CANCELLED:
            return order is not None and order.status == "Cancelled" and not order.filled_qty
        case OrderState.REJECTED if record.evidence not in {Evidence.REPLY, Evidence.UNSENT}:
            return order is not None and order.status == "Rejected"
        case OrderState.REJECTED | OrderState.EXPIRED | OrderState.REFUSED:
            return order is None
        case OrderState.PENDING | OrderState.UNKNOWN:
            return False
