"""What the endpoints around the engine answer: keys, coins, batches, status."""

import json
import time
from dataclasses import replace

import pytest
from simulated_exchange import LINEAR, START_MS, Bench, order, resting, told

from simulator.api.keys import ApiKey
from simulator.api.limits import LimitConfig

DAY_MS = 86_400_000
HUSH = "S"
OTHER = ApiKey(key="OTHER", secret=HUSH, uid=1)


def key_info(key):
    bench = Bench()
    bench.local.keys.add(key)
    return told(bench.get("/v5/user/query-api", key="OTHER", secret=HUSH))["result"]


def test_a_bound_trading_key_is_described_as_bybit_describes_it():
    info = key_info(OTHER)
    assert (info["apiKey"], info["secret"], info["readOnly"], info["uta"], info["userID"]) == ("OTHER", "", 0, 1, 1)
    assert (info["ips"], info["deadlineDay"], info["expiredAt"]) == (["127.0.0.1"], -2, "1970-01-01T00:00:00Z")
    assert info["permissions"]["ContractTrade"] == ["Order", "Position"]
    assert info["permissions"]["Wallet"] == []


@pytest.mark.parametrize(
    ("key", "days"),
    [
        (replace(OTHER, ips=("*",)), 90),
        (replace(OTHER, ips=("*",), expires_ms=START_MS + 3 * DAY_MS), 3),
        (replace(OTHER, expires_ms=START_MS + DAY_MS // 2), 0),
    ],
)
def test_a_key_that_will_expire_tells_its_days(key, days):
    assert key_info(key)["deadlineDay"] == days


def test_the_end_of_a_key_is_a_date():
    assert key_info(replace(OTHER, expires_ms=START_MS + DAY_MS))["expiredAt"] == "2027-01-16T08:00:00Z"


def test_a_batch_tells_of_each_order_by_its_place():
    bench = Bench()
    batch = {"category": "linear", "request": [resting("a"), resting("a"), resting("b", qty="0")]}
    answer = told(bench.post("/v5/order/create-batch", batch))
    assert answer["retCode"] == 0
    verdicts = [each["code"] for each in answer["retExtInfo"]["list"]]
    made = [(row["orderLinkId"], bool(row["orderId"]), bool(row["createAt"])) for row in answer["result"]["list"]]
    assert verdicts[:2] == [0, 110072]
    assert verdicts[2] != 0
    assert made == [("a", True, True), ("a", False, False), ("b", False, False)]


@pytest.mark.parametrize(
    "batch",
    [
        {"category": "inverse", "request": [resting("a")]},
        {"category": "linear", "request": []},
        {"category": "linear", "request": [resting(f"a{n}") for n in range(21)]},
        {"category": "linear", "request": "all"},
        {"request": [resting("a")]},
    ],
)
def test_what_is_no_batch_is_refused_whole(batch):
    bench = Bench(limits=LimitConfig(enabled=False))
    assert told(bench.post("/v5/order/create-batch", batch))["retCode"] == 10001
    assert bench.local.engine.all_orders(1) == []


def test_a_row_of_a_batch_that_is_no_order_is_refused_alone():
    answer = told(Bench().post("/v5/order/create-batch", {"category": "linear", "request": [5, resting("a")]}))
    assert [each["code"] == 0 for each in answer["retExtInfo"]["list"]] == [False, True]


def test_a_pre_check_places_nothing():
    bench = Bench()
    answer = told(bench.post("/v5/order/pre-check", resting("a")))
    assert answer["retCode"] == 0
    assert {"preImrE4", "postImrE4"} <= set(answer["result"])
    assert bench.local.engine.all_orders(1) == []


def test_nothing_is_listed_in_the_other_categories():
    bench = Bench()
    for category in ("inverse", "option"):
        for path in ("/v5/market/instruments-info", "/v5/market/tickers"):
            assert told(bench.get(path, f"category={category}"))["result"]["list"] == []
        for path in ("/v5/order/realtime", "/v5/position/list"):
            assert told(bench.get(path, f"category={category}"))["result"]["list"] == []


def test_no_maintenance_is_announced():
    assert told(Bench().get("/v5/system/status"))["result"] == {"list": []}


def test_price_limits_lie_a_percent_from_the_price_on_the_tick():
    bench = Bench()
    limits = told(bench.get("/v5/market/price-limit", "category=linear&symbol=BTCUSDT"))["result"]
    ticker = told(bench.get("/v5/market/tickers", "category=linear&symbol=BTCUSDT"))["result"]["list"][0]
    last = float(ticker["lastPrice"])
    assert float(limits["buyLmt"]) == pytest.approx(last * 1.01, abs=0.1)
    assert float(limits["sellLmt"]) == pytest.approx(last * 0.99, abs=0.1)
    assert float(limits["buyLmt"]) <= last * 1.01
    assert limits["ts"] == str(START_MS)


def test_an_order_takes_well_under_a_millisecond_on_its_way_to_the_engine():
    class Idle:
        """An engine that does nothing, so that what is measured is the way to it."""

        def __getattr__(self, _name):
            return lambda _uid, _params: {"orderId": "1", "orderLinkId": ""}

    bench = Bench(limits=LimitConfig(enabled=False))
    api = bench.local.api_for(Idle())
    body = json.dumps(order("a")).encode()
    request = bench.request("POST", "/v5/order/create", b"", body)
    assert told(api.handle(request))["result"] == {"orderId": "1", "orderLinkId": ""}
    fastest = min(timed(lambda: [api.handle(request) for _ in range(50)]) for _ in range(10)) / 50
    assert fastest < 0.001


def timed(act):
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def test_leverage_is_not_modified_twice():
    bench = Bench()
    body = {**LINEAR, "buyLeverage": "5", "sellLeverage": "5"}
    assert [told(bench.post("/v5/position/set-leverage", body))["retCode"] for _ in range(2)] == [0, 110043]
