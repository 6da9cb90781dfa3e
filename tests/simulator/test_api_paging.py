"""Pages and cursors, and pybit walking through them over HTTP."""

import asyncio

import pytest
from pybit.unified_trading import HTTP
from simulated_exchange import KEY, SECRET, Bench, resting, told

from simulator.api.limits import LimitConfig
from simulator.api.paging import Paging, page
from simulator.server import ServerConfig, running
from simulator.trading.contract import Lags, TradeError

PAGING = Paging(default=2, most=5, time_field="createdTime", id_fields=("orderId",))
NO_LAGS = Lags(apply_ms=(0, 0), visible_ms=(0, 0), history_ms=(0, 0), push_ms=(0, 0))
NO_LIMITS = LimitConfig(enabled=False)


def rows(*names):
    """Newest first; the time is the number in the name."""
    return [{"orderId": name, "createdTime": name[1:]} for name in names]


def names(found):
    return [row["orderId"] for row in found.rows]


def decoded(cursor):
    """What a client's query becomes at the exchange: decoded once."""
    return cursor.replace("%3D", "=").replace("%26", "&").replace("%3A", ":")


def test_a_cursor_leads_through_the_whole_listing_without_gap_or_repetition():
    listing, seen, cursor = rows("o5", "o4", "o3", "o2", "o1"), [], ""
    for _ in range(3):
        found = page(listing, PAGING, {"cursor": decoded(cursor)}, listing="a")
        seen += names(found)
        cursor = found.cursor
    assert seen == ["o5", "o4", "o3", "o2", "o1"]
    assert cursor == ""


def test_a_cursor_is_percent_encoded():
    found = page(rows("o2", "o1", "o0"), PAGING, {}, listing="a")
    assert found.cursor.startswith("page_token%3D1%3Ao1%26q%3D")
    assert found.cursor.endswith("%26")


def test_new_rows_do_not_shift_the_pages_behind_a_cursor():
    first = page(rows("o3", "o2", "o1"), PAGING, {}, listing="a")
    second = page(rows("o9", "o3", "o2", "o1"), PAGING, {"cursor": decoded(first.cursor)}, listing="a")
    assert (names(first), names(second)) == (["o3", "o2"], ["o1"])


def test_where_the_last_row_has_gone_no_row_is_skipped():
    first = page(rows("o5", "o4", "o3", "o2"), PAGING, {}, listing="a")
    second = page(rows("o5", "o3", "o2"), PAGING, {"cursor": decoded(first.cursor)}, listing="a")
    assert names(second) == ["o3", "o2"]


@pytest.mark.parametrize(
    "cursor", ["x", "page_token=1", "page_token%3D4%3Ao4%26q%3D", "page_token=4:o4&q=000000000000&"]
)
def test_a_made_up_cursor_is_refused(cursor):
    with pytest.raises(TradeError, match="cursor") as refused:
        page(rows("o5", "o4", "o3"), PAGING, {"cursor": cursor}, listing="a")
    assert refused.value.code == 10001


@pytest.mark.parametrize(("query", "listing"), [({"symbol": "ETHUSDT"}, "a"), ({"symbol": "BTCUSDT"}, "b"), ({}, "a")])
def test_a_cursor_of_another_listing_is_refused(query, listing):
    first = page(rows("o3", "o2", "o1"), PAGING, {"symbol": "BTCUSDT"}, listing="a")
    with pytest.raises(TradeError, match="cursor"):
        page(rows("o3", "o2", "o1"), PAGING, {**query, "cursor": decoded(first.cursor)}, listing=listing)
    again = {"symbol": "BTCUSDT", "limit": "1", "cursor": decoded(first.cursor)}
    assert names(page(rows("o3", "o2", "o1"), PAGING, again, listing="a")) == ["o1"]


@pytest.mark.parametrize(
    ("path", "most"),
    [("/v5/order/realtime", 50), ("/v5/order/history", 50), ("/v5/execution/list", 100), ("/v5/position/list", 200)],
)
@pytest.mark.parametrize("offset", [0, 1])
def test_every_listing_has_its_largest_page(path, most, offset):
    query = f"category=linear&symbol=BTCUSDT&limit={most + offset}"
    assert told(Bench().get(path, query))["retCode"] == (10001 if offset else 0)


@pytest.mark.parametrize("limit", ["0", "-1", "ten", "1.5", "", "99999999"])
def test_a_limit_that_is_none_is_refused(limit):
    assert told(Bench().get("/v5/order/realtime", f"category=linear&symbol=BTCUSDT&limit={limit}"))["retCode"] == 10001


def test_a_usual_page_of_orders_is_twenty_newest_first():
    bench = Bench(limits=NO_LIMITS)
    for n in range(23):
        assert told(bench.post("/v5/order/create", resting(f"r{n}")))["retCode"] == 0
        bench.scheduler.advance(50)
    found = told(bench.get("/v5/order/realtime", "category=linear&symbol=BTCUSDT"))["result"]
    assert (len(found["list"]), found["list"][0]["orderLinkId"], found["category"]) == (20, "r22", "linear")
    rest = told(bench.get("/v5/order/realtime", f"category=linear&symbol=BTCUSDT&cursor={found['nextPageCursor']}"))[
        "result"
    ]
    assert [row["orderLinkId"] for row in rest["list"]] == ["r2", "r1", "r0"]
    assert rest["nextPageCursor"] == ""


def test_orders_of_one_millisecond_come_newest_first_and_page_by_page():
    bench, seen, cursor = Bench(), [], ""
    for n in range(5):
        bench.post("/v5/order/create", resting(f"r{n}"))
    bench.scheduler.advance(50)
    for _ in range(3):
        query = f"category=linear&symbol=BTCUSDT&limit=2&cursor={cursor}"
        found = told(bench.get("/v5/order/realtime", query))["result"]
        seen += [row["orderLinkId"] for row in found["list"]]
        cursor = found["nextPageCursor"]
    assert (seen, cursor) == (["r4", "r3", "r2", "r1", "r0"], "")


def walk(port):
    session = HTTP(api_key=KEY, api_secret=SECRET)
    session.endpoint = f"http://127.0.0.1:{port}"
    session.client.trust_env = False
    with session.client:
        for n in range(7):
            session.place_order(**resting(f"w{n}"))
        pages, cursor = [], None
        while cursor != "":
            result = session.get_open_orders(category="linear", symbol="BTCUSDT", limit=3, cursor=cursor)["result"]
            pages.append([row["orderLinkId"] for row in result["list"]])
            cursor = result["nextPageCursor"]
        return pages


async def test_pybit_passes_a_cursor_back_as_it_came_and_its_signature_holds():
    async with running(ServerConfig(seed=7, symbols=["BTCUSDT"], lags=NO_LAGS)) as port:
        pages = await asyncio.to_thread(walk, port)
    assert pages == [["w6", "w5", "w4"], ["w3", "w2", "w1"], ["w0"]]
