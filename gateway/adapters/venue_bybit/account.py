"""The account as Bybit tells it: by REST as a whole, by the private stream as it changes.

All or nothing: a page that is missing or a row that cannot be read makes the whole snapshot unavailable. A list that is
shorter than the truth would look like an order that ended, an execution that never was, or a position that is flat.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from gateway.adapters.venue_bybit.messages import (
    BadRowError,
    Row,
    parse_execution,
    parse_order,
    parse_position,
    parse_wallet,
)
from gateway.adapters.venue_bybit.reads import SETTLE_COIN, Reads, all_rows, asked, rows_of
from gateway.core.model import Symbol
from gateway.core.venue import AccountSnapshot, Execution, VenueOrder, VenuePosition, VenueStatus, Wallet
from gateway.ports import Clock, VenueUnavailableError

ORDERS_PER_PAGE = 50
ORDER_PAGES_MAX = 40
"""2,000 open orders; Bybit allows 500 of a symbol."""
EXECUTIONS_PER_PAGE = 100
EXECUTION_PAGES_MAX = 200
"""20,000 executions within seven days."""
POSITIONS_PER_PAGE = 200
POSITION_PAGES_MAX = 10
SPAN_MS_MAX = 7 * 86_400_000
"""Bybit answers for seven days at once."""
SPANS_MAX = 105
"""Two years, which is how long Bybit keeps executions."""

_Value = TypeVar("_Value")


class BybitAccount:
    """One account; category linear, settled in USDT."""

    def __init__(self, *, reads: Reads, clock: Clock) -> None:
        self._reads = reads
        self._clock = clock
        self._wallet: Wallet | None = None
        self._held: dict[Symbol, VenuePosition] = {}

    def wallet(self) -> Wallet | None:
        """The newest wallet, from the private stream or a snapshot; None before the first."""
        return self._wallet

    def took_wallet(self, wallet: Wallet) -> None:
        """The private stream told of the wallet."""
        if self._wallet is None or wallet.at_ms >= self._wallet.at_ms:
            self._wallet = wallet

    def entry_price(self, symbol: Symbol, qty: Decimal) -> Decimal | None:
        """The venue's own entry price of a position; None when the newest that it told is another quantity."""
        held = self._held.get(symbol)
        return held.entry_price if held is not None and held.qty == qty else None

    def took_position(self, symbol: Symbol, position: VenuePosition | None) -> None:
        """The private stream told of a position, None when it is flat."""
        if position is None:
            self._held.pop(symbol, None)
        else:
            self._held[symbol] = position

    async def snapshot(self, since_ms: int) -> AccountSnapshot:
        """All of the account, with the executions since then. Raises VenueUnavailableError."""
        begun_ms = self._clock.now_ms()
        open_orders = await self._open_orders()
        positions = await self._positions()
        wallet = await self._read_wallet()
        executions = await self._executions(since_ms)
        self._held = {position.symbol: position for position in positions}
        return AccountSnapshot(
            begun_ms=begun_ms,
            ended_ms=self._clock.now_ms(),
            open_orders=tuple(open_orders),
            executions=tuple(executions),
            positions=tuple(positions),
            wallet=wallet,
        )

    async def _open_orders(self) -> list[VenueOrder]:
        rows = await all_rows(
            self._reads,
            "get_open_orders",
            pages_max=ORDER_PAGES_MAX,
            settleCoin=SETTLE_COIN,
            openOnly=0,
            limit=ORDERS_PER_PAGE,
        )
        # An order that moves while its list is read may stand on two pages.
        orders = {order.venue_order_id: order for order in _parsed("get_open_orders", parse_order, rows)}
        return [order for order in orders.values() if order.status is VenueStatus.OPEN]

    async def _positions(self) -> list[VenuePosition]:
        rows = await all_rows(
            self._reads,
            "get_positions",
            pages_max=POSITION_PAGES_MAX,
            settleCoin=SETTLE_COIN,
            limit=POSITIONS_PER_PAGE,
        )
        positions = [position for position in _parsed("get_positions", _netted, rows) if position is not None]
        if len({position.symbol for position in positions}) < len(positions):
            raise VenueUnavailableError("get_positions: a symbol stands there twice")
        return positions

    async def _read_wallet(self) -> Wallet:
        # Stamped before it is asked for: what the stream tells meanwhile is as new, or newer.
        at_ms = self._clock.now_ms()
        result = (await asked(self._reads, "get_wallet_balance", accountType="UNIFIED")).result
        rows = rows_of("get_wallet_balance", result)
        wallets = _parsed("get_wallet_balance", lambda row: parse_wallet(row, at_ms), rows)
        if len(wallets) != 1:
            raise VenueUnavailableError("get_wallet_balance: there is not one wallet")
        self.took_wallet(wallets[0])
        return wallets[0]

    async def _executions(self, since_ms: int) -> list[Execution]:
        """All executions since then, oldest first, each once."""
        rows: list[Row] = []
        spans = _spans(since_ms, self._clock.now_ms())
        for span in spans:
            newest_first = await all_rows(
                self._reads,
                "get_executions",
                pages_max=EXECUTION_PAGES_MAX,
                limit=EXECUTIONS_PER_PAGE,
                **span,
            )
            rows += reversed(newest_first)
        known: dict[tuple[Symbol, str], Execution] = {}
        for execution in _parsed("get_executions", parse_execution, rows):
            if known.setdefault((execution.symbol, execution.exec_id), execution) != execution:
                raise VenueUnavailableError("get_executions: one id stands for two executions")
        return sorted(known.values(), key=lambda execution: execution.at_ms)


def _spans(since_ms: int, now_ms: int) -> list[dict[str, int]]:
    """The times to ask for, of seven days each. The last has no end: this machine's clock may be slow.

    Raises VenueUnavailableError when they reach back further than Bybit does.
    """
    if now_ms - since_ms > SPANS_MAX * SPAN_MS_MAX:
        raise VenueUnavailableError("get_executions: Bybit does not keep them for so long")
    spans = []
    while since_ms + SPAN_MS_MAX <= now_ms:
        spans.append({"startTime": since_ms, "endTime": since_ms + SPAN_MS_MAX})
        since_ms += SPAN_MS_MAX
    return [*spans, {"startTime": since_ms}]


def _netted(row: Row) -> VenuePosition | None:
    """A position in one-way mode; in hedge mode a symbol has two, which do not add up to one. Raises BadRowError."""
    position = parse_position(row)
    if position is not None and (type(row.get("positionIdx")) is not int or row["positionIdx"] != 0):
        raise BadRowError("positionIdx is not 0: the position is held in hedge mode")
    return position


def _parsed(method: str, parse: Callable[[Row], _Value], rows: Sequence[Row]) -> list[_Value]:
    try:
        return [parse(row) for row in rows]
    except BadRowError as fault:
        raise VenueUnavailableError(f"{method}: {fault}") from None
