"""TradeService: convert, call the order path, convert."""

import uuid
from decimal import Decimal

import structlog
from trading.v1 import trade_pb2 as pb
from trading.v1 import trade_pb2_grpc as pb_grpc

from gateway.account import Account
from gateway.core.model import Failure, OrderKey, OrderRecord, OrderState, Symbol
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.guard import RiskGuard
from gateway.order_path import OrderPath
from gateway.ports import Journal, JournalUnavailableError, MarketData
from gateway.rpc.calls import Call, Context, RateLimit
from gateway.rpc.convert import execute_message, order_message, order_of, positions_message
from gateway.rpc.errors import Boundary

PAGE_SIZE = 50
"""Orders of a page when the caller does not say."""

HTTP_ACCEPTED = 202

KEY_HEADER = "idempotency-key"

log = structlog.get_logger()


class TradeServicer(pb_grpc.TradeServiceServicer):
    """Takes orders, and tells what became of them."""

    def __init__(
        self,
        *,
        boundary: Boundary,
        path: OrderPath,
        journal: Journal,
        account: Account,
        guard: RiskGuard,
        market: MarketData,
        rate_limit: RateLimit,
        dry_run: bool,
    ) -> None:
        self._boundary = boundary
        self._path = path
        self._journal = journal
        self._account = account
        self._guard = guard
        self._market = market
        self._rate_limit = rate_limit
        self._dry_run = dry_run
        self._draining = False

    def drain(self) -> None:
        """Take no further orders."""
        self._draining = True

    async def Execute(self, request: pb.ExecuteRequest, context: Context) -> pb.ExecuteResponse:
        """Take one order."""
        return await self._boundary.unary(request, context, self.execute)

    async def ListOrders(self, request: pb.ListOrdersRequest, context: Context) -> pb.ListOrdersResponse:
        """A page of orders."""
        return await self._boundary.unary(request, context, self.list_orders)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        """One order."""
        return await self._boundary.unary(request, context, self.get_order)

    async def ListPositions(self, request: pb.ListPositionsRequest, context: Context) -> pb.ListPositionsResponse:
        """The positions and the account."""
        return await self._boundary.unary(request, context, self.list_positions)

    async def execute(self, request: pb.ExecuteRequest, call: Call) -> pb.ExecuteResponse | Failure:
        """Take one order."""
        refused = await self._not_now(call) or self._take_key_header(request, call)
        if refused:
            return refused
        key = OrderKey(request.idempotency_key or f"srv-{uuid.uuid4().hex}")
        call.log_fields["key"] = key
        order = order_of(request, key)
        if isinstance(order, Failure):
            return order
        answer = await self._path.execute(order, call.client)
        if isinstance(answer, Failure):
            return answer
        _log_execution(answer, call, dry_run=self._dry_run)
        if answer.record.state in {OrderState.UNKNOWN, OrderState.PENDING}:
            call.http_status = HTTP_ACCEPTED
        return execute_message(answer, dry_run=self._dry_run)

    async def list_orders(self, request: pb.ListOrdersRequest, call: Call) -> pb.ListOrdersResponse | Failure:
        """A page of orders, newest first."""
        size = request.page_size or PAGE_SIZE
        try:
            found = self._journal.list_orders(
                limit=size,
                before=int(request.page_token) if request.page_token else None,
                symbol=Symbol(request.symbol) if request.symbol else None,
            )
        except JournalUnavailableError:
            return _unreadable()
        last = str(found[-1][0]) if len(found) == size else ""
        return pb.ListOrdersResponse(orders=[order_message(record) for _, record in found], next_page_token=last)

    async def get_order(self, request: pb.GetOrderRequest, call: Call) -> pb.GetOrderResponse | Failure:
        """One order by its key."""
        try:
            record = self._journal.find_order(OrderKey(request.idempotency_key))
        except JournalUnavailableError:
            return _unreadable()
        if record is None:
            return Failure(
                reason=Reason.ORDER_NOT_FOUND,
                message="No order has this key. Check the key; an order refused for bad input is not kept.",
                metadata={"idempotencyKey": request.idempotency_key},
                field_name="idempotencyKey",
            )
        return pb.GetOrderResponse(order=order_message(record))

    async def list_positions(self, request: pb.ListPositionsRequest, call: Call) -> pb.ListPositionsResponse | Failure:
        """The positions at the newest prices, and the equity that the drawdown is reckoned from."""
        ledger = self._account.ledger
        told = ((symbol, self._price(symbol)) for symbol in ledger.positions)
        prices = {symbol: price for symbol, price in told if price is not None}
        equity_usd = None if self._dry_run else self._guard.standing().last_equity_usd
        return positions_message(ledger, prices, equity_usd)

    def _price(self, symbol: Symbol) -> Decimal | None:
        """The mid price; in live trading the mark price, where it is known."""
        mark = None if self._dry_run else self._market.mark_price(symbol)
        book = self._market.book(symbol)
        return mark or (book.mid if book else None)

    async def _not_now(self, call: Call) -> Failure | None:
        if self._draining:
            return Failure(
                reason=Reason.GATEWAY_UNAVAILABLE,
                message="No order was sent: the gateway is shutting down. Retry with the same key.",
            )
        return await self._rate_limit.take(call.client)

    def _take_key_header(self, request: pb.ExecuteRequest, call: Call) -> Failure | None:
        """Let the header Idempotency-Key stand for the field; a Failure when the two disagree or it breaks the rule."""
        header = call.metadata.get(KEY_HEADER)
        if header is None:
            return None
        key = header.removeprefix('"').removesuffix('"')
        if request.HasField("idempotency_key") and request.idempotency_key != key:
            return Failure(
                reason=Reason.INVALID_FIELD,
                message="No order was sent: the header Idempotency-Key and idempotencyKey differ. Send one of them.",
                metadata={"field": "idempotencyKey"},
                field_name="idempotencyKey",
            )
        request.idempotency_key = key
        return self._boundary.violation(request)


def _unreadable() -> Failure:
    return Failure(
        reason=Reason.JOURNAL_UNAVAILABLE, message="Nothing was read: the journal cannot be read. Retry in a second."
    )


def _log_execution(answer: Answer, call: Call, *, dry_run: bool) -> None:
    record: OrderRecord = answer.record
    log.info(
        "trade_execution",
        key=record.order.key,
        symbol=record.order.symbol,
        side=record.order.side.value,
        requested_usd=format(record.order.requested_usd, "f"),
        qty_usd=format(record.approved_usd, "f"),
        filled_usd=format(record.filled_usd, "f"),
        state=record.state.value,
        dry_run=dry_run,
        replayed=answer.replayed,
        client=call.client,
        request_id=call.request_id,
    )
