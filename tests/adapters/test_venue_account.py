"""The account by REST: all of it in one piece, or none of it."""

from decimal import Decimal
from typing import Any

import pytest
from fake_reads import FakeReads, page
from fakes import FakeClock

from gateway.adapters.venue_bybit.account import BybitAccount
from gateway.adapters.venue_bybit.codes import CodeKind
from gateway.adapters.venue_bybit.faults import NoAnswerError, Refusal
from gateway.core.model import OrderLinkId, Side, Symbol
from gateway.core.venue import AccountSnapshot, Execution, ExecutionKind, VenueOrder, VenuePosition, VenueStatus, Wallet
from gateway.ports import VenueUnavailableError

BTC = Symbol("BTCUSDT")
NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def order(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": f"o-{number}",
        "orderLinkId": f"link-{number}",
        "side": "Sell",
        "orderStatus": "New",
        "qty": "0.2",
        "cumExecQty": "0",
        "reduceOnly": True,
        "updatedTime": str(NOW_MS - 5),
        **changes,
    }


def execution(number: int = 1, at_ms: int = NOW_MS - 10, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "execId": f"e-{number}",
        "orderId": "o-1",
        "orderLinkId": "link-1",
        "side": "Buy",
        "execPrice": "50000",
        "execQty": "0.1",
        "execFee": "2.75",
        "execType": "Trade",
        "execTime": str(at_ms),
        **changes,
    }


def position(**changes: Any) -> dict[str, Any]:
    row = {"symbol": "BTCUSDT", "positionIdx": 0, "side": "Buy", "size": "0.1", "avgPrice": "50000"}
    return row | changes


def a_wallet(**changes: Any) -> dict[str, Any]:
    return {"accountType": "UNIFIED", "totalWalletBalance": "900", "totalEquity": "1000"} | changes


def some_reads(**answers: Any) -> FakeReads:
    laid_out = {
        "get_open_orders": page(),
        "get_executions": page(),
        "get_positions": page(),
        "get_wallet_balance": {"list": [a_wallet()]},
    }
    return FakeReads(**(laid_out | answers))


def an_account(reads: FakeReads) -> BybitAccount:
    return BybitAccount(reads=reads, clock=FakeClock(NOW_MS))


async def snapshot(reads: FakeReads, since_ms: int = NOW_MS - DAY_MS) -> AccountSnapshot:
    return await an_account(reads).snapshot(since_ms)


async def test_the_whole_account_is_told() -> None:
    flat = position(symbol="ETHUSDT", side="", size="0", avgPrice="0")
    reads = some_reads(
        get_open_orders=page(order(), order(2, orderStatus="Filled")),
        get_executions=page(execution()),
        get_positions=page(position(side="Sell"), flat),
    )
    assert await snapshot(reads) == AccountSnapshot(
        begun_ms=NOW_MS,
        ended_ms=NOW_MS,
        open_orders=(
            VenueOrder(
                venue_order_id="o-1",
                order_link_id=OrderLinkId("link-1"),
                symbol=BTC,
                side=Side.SELL,
                qty=Decimal("0.2"),
                filled_qty=Decimal(0),
                status=VenueStatus.OPEN,
                reduce_only=True,
                detail="",
                updated_ms=NOW_MS - 5,
            ),
        ),
        executions=(
            Execution(
                exec_id="e-1",
                venue_order_id="o-1",
                order_link_id=OrderLinkId("link-1"),
                symbol=BTC,
                side=Side.BUY,
                price=Decimal(50_000),
                qty=Decimal("0.1"),
                fee_usd=Decimal("2.75"),
                kind=ExecutionKind.TRADE,
                at_ms=NOW_MS - 10,
            ),
        ),
        positions=(VenuePosition(symbol=BTC, qty=Decimal("-0.1"), entry_price=Decimal(50_000)),),
        wallet=Wallet(balance_usd=Decimal(900), equity_usd=Decimal(1000), at_ms=NOW_MS),
    )


async def test_bybit_is_asked_for_what_is_traded_here() -> None:
    reads = some_reads()
    await snapshot(reads)
    assert reads.asked == [
        ("get_open_orders", {"category": "linear", "settleCoin": "USDT", "openOnly": 0, "limit": 50}),
        ("get_positions", {"category": "linear", "settleCoin": "USDT", "limit": 200}),
        ("get_wallet_balance", {"accountType": "UNIFIED"}),
        ("get_executions", {"category": "linear", "limit": 100, "startTime": NOW_MS - DAY_MS}),
    ]


async def test_pages_are_followed_by_the_cursor_as_it_came() -> None:
    cursor = "a%3D1%2C%26b"
    pages = {None: page(order(1), following=cursor), cursor: page(order(2), following="last"), "last": page()}
    reads = some_reads(get_open_orders=lambda query: pages[query.get("cursor")])
    told = await snapshot(reads)
    assert [known.venue_order_id for known in told.open_orders] == ["o-1", "o-2"]
    assert [query.get("cursor") for query in reads.queries("get_open_orders")] == [None, cursor, "last"]


async def test_executions_of_all_pages_come_once_and_oldest_first() -> None:
    newest_first = [execution(number, NOW_MS - 1000 + number // 2) for number in range(9, -1, -1)]
    pages = {None: page(*newest_first[:6], following="next"), "next": page(*newest_first[4:])}
    reads = some_reads(get_executions=lambda query: pages[query.get("cursor")])
    told = await snapshot(reads)
    assert [known.exec_id for known in told.executions] == [f"e-{number}" for number in range(10)]


async def test_a_long_time_is_asked_for_in_weeks_and_no_moment_is_left_out() -> None:
    since_ms = NOW_MS - 15 * DAY_MS
    executions = [execution(number, since_ms + number * DAY_MS // 2) for number in range(30)]

    def answer(query: dict[str, Any]) -> dict[str, Any]:
        begin, end = query["startTime"], query.get("endTime", query["startTime"] + 7 * DAY_MS)
        assert end - begin <= 7 * DAY_MS
        return page(*[row for row in reversed(executions) if begin <= int(row["execTime"]) <= end])

    reads = some_reads(get_executions=answer)
    told = await snapshot(reads, since_ms)
    assert [known.exec_id for known in told.executions] == [f"e-{number}" for number in range(30)]
    asked = [(query["startTime"], query.get("endTime")) for query in reads.queries("get_executions")]
    assert asked == [
        (since_ms, since_ms + 7 * DAY_MS),
        (since_ms + 7 * DAY_MS, since_ms + 14 * DAY_MS),
        (since_ms + 14 * DAY_MS, None),
    ]


async def test_executions_that_bybit_no_longer_keeps_are_not_taken_for_none() -> None:
    with pytest.raises(VenueUnavailableError, match="does not keep"):
        await snapshot(some_reads(), since_ms=0)


async def test_funding_and_liquidation_are_told_apart_from_trades() -> None:
    rows = [execution(1), execution(2, execType="Funding", orderLinkId=""), execution(3, execType="BustTrade")]
    told = await snapshot(some_reads(get_executions=page(*rows)))
    kinds = {known.exec_id: known.kind for known in told.executions}
    assert kinds == {"e-1": ExecutionKind.TRADE, "e-2": ExecutionKind.FUNDING, "e-3": ExecutionKind.VENUE}


async def test_the_same_id_for_two_executions_is_no_answer() -> None:
    with pytest.raises(VenueUnavailableError, match="two executions"):
        await snapshot(some_reads(get_executions=page(execution(1), execution(1, execQty="0.2"))))


LISTS = ["get_open_orders", "get_executions", "get_positions"]
ROWS = {"get_open_orders": order(), "get_executions": execution(), "get_positions": position()}


@pytest.mark.parametrize("method", LISTS)
async def test_more_pages_than_are_read_are_no_answer(method: str) -> None:
    numbers = iter(range(10_000))
    reads = some_reads(**{method: lambda _: page(ROWS[method], following=f"c{next(numbers)}")})
    with pytest.raises(VenueUnavailableError, match="more than"):
        await snapshot(reads)


@pytest.mark.parametrize("method", LISTS)
async def test_a_page_that_names_itself_is_no_answer(method: str) -> None:
    reads = some_reads(**{method: page(ROWS[method], following="again")})
    with pytest.raises(VenueUnavailableError, match="itself"):
        await snapshot(reads)
    assert len(reads.queries(method)) == 2


@pytest.mark.parametrize("method", [*LISTS, "get_wallet_balance"])
@pytest.mark.parametrize(
    "answer",
    [
        NoAnswerError("no answer: ReadTimeout"),
        Refusal(10016, CodeKind.UNKNOWN, "Server error"),
        {},
        {"list": None, "nextPageCursor": ""},
        {"list": {}, "nextPageCursor": ""},
        {"list": [7], "nextPageCursor": ""},
    ],
)
async def test_a_part_that_is_missing_makes_the_whole_unavailable(method: str, answer: Any) -> None:
    with pytest.raises(VenueUnavailableError, match=method):
        await snapshot(some_reads(**{method: answer}))


@pytest.mark.parametrize("method", LISTS)
@pytest.mark.parametrize("cursor", [None, 7, "x" * 1001])
async def test_a_list_that_does_not_say_where_it_ends_is_no_answer(method: str, cursor: Any) -> None:
    with pytest.raises(VenueUnavailableError, match="another page"):
        await snapshot(some_reads(**{method: page(ROWS[method], following=cursor)}))


@pytest.mark.parametrize(
    ("method", "bad"),
    [
        ("get_open_orders", order(2, side="Up")),
        ("get_open_orders", order(2, orderId="")),
        ("get_open_orders", order(2, qty=None)),
        ("get_open_orders", order(2, orderStatus="Filled", qty="NaN")),
        ("get_executions", execution(2, execPrice="")),
        ("get_executions", execution(2, execId=None)),
        ("get_executions", execution(2, execTime="soon")),
        ("get_positions", position(symbol="ETHUSDT", size="")),
        ("get_positions", position(symbol="ETHUSDT", size=None)),
        ("get_positions", position(symbol="ETHUSDT", side="")),
        ("get_positions", position(symbol="ETHUSDT", avgPrice="")),
        ("get_positions", position(symbol="ETHUSDT", positionIdx=1)),
        ("get_positions", position(symbol="ETHUSDT", positionIdx=None)),
        ("get_positions", position(symbol="ETHUSDT", positionIdx=False)),
        ("get_positions", position()),
    ],
)
async def test_a_row_that_cannot_be_read_is_not_left_out(method: str, bad: dict[str, Any]) -> None:
    with pytest.raises(VenueUnavailableError, match=method):
        await snapshot(some_reads(**{method: page(ROWS[method], bad)}))


@pytest.mark.parametrize(
    "rows", [[], [a_wallet(), a_wallet()], [a_wallet(accountType="CONTRACT")], [a_wallet(totalEquity="")]]
)
async def test_a_wallet_that_is_not_there_once_is_no_wallet(rows: list[Any]) -> None:
    reads = some_reads(get_wallet_balance={"list": rows})
    account = an_account(reads)
    with pytest.raises(VenueUnavailableError, match="get_wallet_balance"):
        await account.snapshot(NOW_MS)
    assert account.wallet() is None


async def test_the_newest_wallet_is_kept_wherever_it_came_from() -> None:
    clock = FakeClock(NOW_MS)
    account = BybitAccount(reads=some_reads(), clock=clock)
    assert account.wallet() is None
    told = (await account.snapshot(NOW_MS)).wallet
    assert account.wallet() == told
    newer, older = (Wallet(balance_usd=Decimal(1), equity_usd=Decimal(1), at_ms=NOW_MS + step) for step in (1, -1))
    account.took_wallet(newer)
    account.took_wallet(older)
    assert account.wallet() == newer
    clock.at_ms += 1000
    asked_again = (await account.snapshot(NOW_MS)).wallet
    assert account.wallet() == asked_again != newer


async def test_what_the_stream_says_while_rest_is_asked_is_the_newer_word() -> None:
    clock = FakeClock(NOW_MS)
    streamed = Wallet(balance_usd=Decimal(1), equity_usd=Decimal(2), at_ms=NOW_MS + 50)

    def answer(_: Any) -> dict[str, Any]:
        clock.at_ms += 50
        account.took_wallet(streamed)
        clock.at_ms += 50
        return {"list": [a_wallet()]}

    account = BybitAccount(reads=some_reads(get_wallet_balance=answer), clock=clock)
    await account.snapshot(NOW_MS)
    assert account.wallet() == streamed


async def test_an_entry_price_is_told_of_the_very_position_that_is_asked_for() -> None:
    account = BybitAccount(reads=some_reads(get_positions=page(position())), clock=FakeClock(NOW_MS))
    held = Decimal("0.1")
    assert account.entry_price(BTC, held) is None
    await account.snapshot(NOW_MS)
    assert (account.entry_price(BTC, held), account.entry_price(BTC, held * 2)) == (50_000, None)
    account.took_position(BTC, VenuePosition(symbol=BTC, qty=held * 2, entry_price=Decimal(51_000)))
    assert (account.entry_price(BTC, held), account.entry_price(BTC, held * 2)) == (None, 51_000)
    account.took_position(BTC, None)
    assert account.entry_price(BTC, held * 2) is None
