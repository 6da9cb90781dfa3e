"""How often one may ask: the rolling second of an account, the address, and what the answers say of it."""

import pytest
from simulated_exchange import START_MS, Bench, resting, told

from simulator.api.keys import ApiKey
from simulator.api.limits import AddressGuard, LimitConfig, RateLimits
from simulator.trading.contract import AccountConfig

HUSH = "S"
FEES = ("/v5/account/fee-rate", "category=linear&symbol=BTCUSDT")
LIMIT_HEADERS = ("X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp")


def limit_headers(reply):
    return tuple(reply.headers.get(name) for name in LIMIT_HEADERS)


def test_the_headers_count_down_and_the_one_too_many_is_10006():
    bench = Bench()
    seen = [limit_headers(bench.get(*FEES)) for _ in range(5)]
    assert seen == [("5", str(left), str(START_MS)) for left in (4, 3, 2, 1, 0)]
    over = bench.get(*FEES)
    assert told(over)["retCode"] == 10006
    assert limit_headers(over) == ("5", "0", str(START_MS + 1000))


def test_the_second_rolls_and_a_refused_request_does_not_count():
    bench = Bench()
    for _ in range(3):
        bench.get(*FEES)
    bench.scheduler.advance(400)
    codes = [told(bench.get(*FEES))["retCode"] for _ in range(5)]
    assert codes == [0, 0, 10006, 10006, 10006]
    bench.scheduler.advance(599)
    assert told(bench.get(*FEES))["retCode"] == 10006
    bench.scheduler.advance(1)
    assert [told(bench.get(*FEES))["retCode"] for _ in range(4)] == [0, 0, 0, 10006]


def test_orders_are_limited_by_category_and_a_batch_counts_its_orders():
    bench = Bench()
    path = "/v5/order/create"
    linear = [told(bench.post(path, resting(f"a{n}")))["retCode"] for n in range(11)]
    assert linear == [0] * 10 + [10006]
    spot = bench.post(path, {**resting("s"), "category": "spot"})
    assert limit_headers(spot)[:2] == ("20", "19")
    batch = {"category": "linear", "request": [resting(f"b{n}") for n in range(8)]}
    assert limit_headers(bench.post("/v5/order/create-batch", batch))[:2] == ("10", "2")
    assert told(bench.post("/v5/order/create-batch", batch))["retCode"] == 10006


def test_each_account_has_its_own_limit_and_all_keys_of_one_share_it():
    accounts = [AccountConfig(uid=uid, balances={}) for uid in (1, 2)]
    keys = [ApiKey(key=name, secret=HUSH, uid=uid) for name, uid in (("A", 1), ("B", 1), ("C", 2))]
    bench = Bench(accounts=accounts, keys=keys)
    left = [limit_headers(bench.get(*FEES, key=name, secret=HUSH))[1] for name in ("A", "B", "C", "A")]
    assert left == ["4", "3", "4", "2"]


def test_a_limit_of_the_whole_exchange_has_no_headers():
    bench = Bench(limits=LimitConfig(system_per_second=2))
    codes = [told(bench.get(*FEES))["retCode"] for _ in range(2)]
    over = bench.get(*FEES)
    assert (*codes, told(over)["retCode"]) == (0, 0, 10006)
    assert limit_headers(over) == (None, None, None)


def test_limits_can_be_set_and_switched_off():
    bench = Bench(limits=LimitConfig(per_second={FEES[0]: 1}))
    assert [told(bench.get(*FEES))["retCode"] for _ in range(2)] == [0, 10006]
    bench = Bench(limits=LimitConfig(enabled=False))
    assert {told(bench.get(*FEES))["retCode"] for _ in range(700)} == {0}


def test_an_address_that_asks_too_often_is_banned_and_pardoned_by_time():
    bench = Bench(limits=LimitConfig(address_requests=10, ban_ms=60_000))
    statuses = [bench.get("/v5/market/time").status for _ in range(11)]
    assert statuses == [200] * 10 + [403]
    assert b"access too frequent" in bench.get("/v5/market/time").body
    assert bench.get("/v5/market/time", remote="10.0.0.1").status == 200
    bench.scheduler.advance(59_999)
    assert bench.get("/v5/market/time").status == 403
    bench.scheduler.advance(1)
    assert bench.get("/v5/market/time").status == 200
    assert [entry.status for entry in bench.local.log.after(10)] == [403, 403, 200, 403, 200]


def test_the_limit_of_an_address_is_600_in_five_seconds_for_ten_minutes():
    guard = AddressGuard(LimitConfig())
    assert all(guard.admits("a", START_MS + n) for n in range(600))
    # Five seconds after the first, one more has room.
    assert guard.admits("a", START_MS + 5_000)
    assert not guard.admits("a", START_MS + 5_000)
    assert not guard.admits("a", START_MS + 604_999)
    assert guard.admits("a", START_MS + 605_000)


def test_who_goes_on_asking_as_often_stays_banned():
    guard = AddressGuard(LimitConfig(address_requests=10, ban_ms=60_000))
    assert not all(guard.admits("a", START_MS) for _ in range(11))
    assert not any(guard.admits("a", START_MS + 30_000) for _ in range(11))
    assert not guard.admits("a", START_MS + 60_000)
    assert guard.admits("a", START_MS + 90_000)


def test_a_ban_stops_an_order_before_the_exchange():
    bench = Bench(limits=LimitConfig(address_requests=1))
    bench.get("/v5/market/time")
    assert bench.post("/v5/order/create", resting("a")).status == 403
    assert bench.local.engine.all_orders(1) == []
    bench.local.api.addresses.pardon()
    assert told(bench.post("/v5/order/create", resting("a")))["retCode"] == 0


@pytest.mark.parametrize(("weight", "reset_ms"), [(1, 1_000), (2, 1_100), (3, 1_200)])
def test_the_reset_is_when_there_is_room_for_the_whole_request(weight, reset_ms):
    limits = RateLimits()
    for at_ms in (0, 100, 200):
        limits.take("bucket", 3, 1, at_ms)
    refused = limits.take("bucket", 3, weight, 300)
    assert (refused.allowed, refused.reset_ms) == (False, reset_ms)
    assert limits.take("bucket", 3, weight, reset_ms).allowed
