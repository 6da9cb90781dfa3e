"""Who may ask: signatures over the bytes received, the time window, keys and what they may do."""

import json
from dataclasses import replace

import pytest
from simulated_exchange import LINEAR, START_MS, Bench, order, resting, sign, told

from simulator.api.auth import authenticate
from simulator.api.keys import ApiKey, KeyRing, signature
from simulator.api.messages import Request

HUSH = "S"
VECTOR_PROOF = "TESTSECRET0001"
VECTOR_KEY = ApiKey(key="TESTKEY0001", secret=VECTOR_PROOF, uid=1)
VECTOR_MS = 1_700_000_000_000
VECTOR_BODY = (
    b'{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", '
    b'"qty": "0.001", "orderLinkId": "vec-1"}'
)


def vector(method, payload, sign):
    get = method == "GET"
    return Request(
        method=method,
        path="/v5/order/realtime",
        raw_query=payload if get else b"",
        body=b"" if get else payload,
        remote="127.0.0.1",
        headers={
            "x-bapi-api-key": "TESTKEY0001",
            "x-bapi-timestamp": str(VECTOR_MS),
            "x-bapi-recv-window": "5000",
            "x-bapi-sign": sign,
        },
    )


@pytest.mark.parametrize(
    ("method", "payload", "sign"),
    [
        ("GET", b"category=linear&symbol=BTCUSDT", "01d815f1e23d1deca8771d2ff41424ba721353cac43b375fae6c01fc31c6495e"),
        ("POST", VECTOR_BODY, "8edc7a0f1504ee830ff1f177ff06fed820d40c0227821b71b2d952c85266086d"),
    ],
)
def test_the_published_signatures_are_accepted(method, payload, sign):
    keys = KeyRing([VECTOR_KEY])
    assert authenticate(vector(method, payload, sign), keys, env="simulator", now_ms=VECTOR_MS) == VECTOR_KEY


def test_the_published_signature_of_a_stream_is_made():
    expected = "df20a5ac96ee0e3f0a135860c59cfdc62df1dfd2c2781cca77ee88dfbb6985cc"
    assert signature(VECTOR_PROOF, b"GET/realtime1700000001000") == expected


@pytest.fixture
def bench():
    return Bench()


def balance(bench, **signing):
    answer = told(bench.get("/v5/account/wallet-balance", "accountType=UNIFIED", **signing))
    return answer["retCode"], answer["retMsg"]


def test_a_signed_request_is_answered(bench):
    assert balance(bench) == (0, "OK")


def test_the_signature_covers_the_bytes_and_not_their_meaning(bench):
    signed = sign(b"category=linear&symbol=BTCUSDT", START_MS)
    swapped = told(bench.get("/v5/order/realtime", "symbol=BTCUSDT&category=linear", headers=signed))
    assert swapped["retCode"] == 10004
    body = json.dumps(order("a"))
    other_spaces = json.dumps(order("a"), separators=(",", ":")).encode()
    assert told(bench.post("/v5/order/create", other_spaces, headers=sign(body.encode(), START_MS)))["retCode"] == 10004
    assert bench.local.engine.all_orders(1) == []


def test_a_wrong_signature_repeats_what_should_have_been_signed(bench):
    code, text = balance(bench, secret=HUSH)
    assert code == 10004
    assert text == f"error sign! origin_string[{START_MS}SIMKEY00015000accountType=UNIFIED]"


@pytest.mark.parametrize("missing", ["x-bapi-api-key", "x-bapi-timestamp", "x-bapi-sign"])
def test_a_missing_header_is_10001_with_the_documented_text(bench, missing):
    headers = sign(b"accountType=UNIFIED", START_MS)
    del headers[missing]
    code, text = balance(bench, headers=headers)
    assert code == 10001
    assert text == (
        f"empty value: apiTimestamp[{headers.get('x-bapi-timestamp', '')}] "
        f"apiKey[{headers.get('x-bapi-api-key', '')}] "
        f"apiSignature[{headers.get('x-bapi-sign', '')}]: openapi sign params error!"
    )


def test_a_request_without_a_window_has_five_seconds(bench):
    headers = sign(b"accountType=UNIFIED", START_MS - 5000, window="")
    del headers["x-bapi-recv-window"]
    assert balance(bench, headers=headers) == (0, "OK")
    headers = sign(b"accountType=UNIFIED", START_MS - 5001, window="")
    del headers["x-bapi-recv-window"]
    assert balance(bench, headers=headers)[0] == 10002


@pytest.mark.parametrize(
    ("offset_ms", "code"),
    [(0, 0), (-5000, 0), (-5001, 10002), (999, 0), (1000, 10002)],
)
def test_the_time_window_is_closed_behind_and_open_ahead(bench, offset_ms, code):
    assert balance(bench, offset_ms=offset_ms)[0] == code


def test_a_wider_window_reaches_further_back(bench):
    assert balance(bench, offset_ms=-7500, window="7500")[0] == 0
    assert balance(bench, offset_ms=-7501, window="7500")[0] == 10002


def test_the_text_of_a_missed_window_is_the_recorded_one(bench):
    _, text = balance(bench, offset_ms=-6000)
    assert text == (
        "invalid request, please check your server timestamp or recv_window param. "
        f"req_timestamp[{START_MS - 6000}],server_timestamp[{START_MS}],recv_window[5000]"
    )


@pytest.mark.parametrize("stamp", ["soon", "-5", "1e12", "9" * 40])
def test_a_timestamp_that_is_no_time_misses_the_window(bench, stamp):
    headers = sign(b"accountType=UNIFIED", START_MS) | {"x-bapi-timestamp": stamp}
    assert balance(bench, headers=headers)[0] == 10002


def test_a_skewed_server_clock_moves_the_window_and_what_the_server_tells(bench):
    bench.local.clock.skew_ms = 6_000
    assert balance(bench)[0] == 10002
    assert balance(bench, offset_ms=6_000)[0] == 0
    time = told(bench.get("/v5/market/time"))
    assert (time["time"], time["result"]["timeSecond"]) == (START_MS + 6_000, str(START_MS // 1000 + 6))


OTHER = ApiKey(key="OTHER", secret=HUSH, uid=1)


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (OTHER, 0),
        (replace(OTHER, env="mainnet"), 10003),
        (replace(OTHER, expires_ms=START_MS), 33004),
        (replace(OTHER, expires_ms=START_MS + 1), 0),
        (replace(OTHER, ips=("10.0.0.7",)), 10010),
        (replace(OTHER, ips=("*",)), 0),
    ],
)
def test_a_key_counts_in_its_environment_until_it_expires_from_its_address(bench, key, code):
    bench.local.keys.add(key)
    assert balance(bench, key="OTHER", secret=HUSH)[0] == code


def test_an_unknown_key_is_10003(bench):
    assert balance(bench, key="NOBODY") == (10003, "API key is invalid.")


@pytest.mark.parametrize(
    ("key", "path", "body", "code"),
    [
        (replace(OTHER, read_only=True), "/v5/order/create", order("a"), 10005),
        (replace(OTHER, permissions={"Spot": ["SpotTrade"]}), "/v5/order/create", order("a"), 10005),
        (replace(OTHER, permissions={"ContractTrade": ["Order"]}), "/v5/order/create", order("a"), 0),
        (replace(OTHER, permissions={"ContractTrade": ["Position"]}), "/v5/order/create", order("a"), 10005),
        (
            replace(OTHER, permissions={"ContractTrade": ["Order"]}),
            "/v5/position/set-leverage",
            {**LINEAR, "buyLeverage": "5", "sellLeverage": "5"},
            10005,
        ),
    ],
)
def test_a_key_may_do_what_it_was_given(bench, key, path, body, code):
    bench.local.keys.add(key)
    assert told(bench.post(path, body, key="OTHER", secret=HUSH))["retCode"] == code
    assert len(bench.local.engine.all_orders(1)) == (code == 0)


def test_a_key_for_spot_alone_does_not_see_contracts(bench):
    bench.local.keys.add(replace(OTHER, permissions={"Spot": ["SpotTrade"]}))
    as_other = {"key": "OTHER", "secret": HUSH}
    assert told(bench.get("/v5/position/list", "category=linear&symbol=BTCUSDT", **as_other))["retCode"] == 10005
    assert told(bench.get("/v5/order/realtime", "category=spot", **as_other))["retCode"] == 0


def test_a_read_only_key_reads(bench):
    bench.local.keys.add(replace(OTHER, read_only=True))
    assert balance(bench, key="OTHER", secret=HUSH)[0] == 0


def test_a_get_with_an_empty_json_body_is_403(bench):
    reply = bench.send("GET", "/v5/account/info", b"", b"{}")
    assert reply.status == 403
    assert b"too frequent" not in reply.body


def test_an_unknown_path_is_404_and_a_wrong_method_405(bench):
    assert bench.get("/v5/order/nothing").status == 404
    assert bench.get("/v5/order/create").status == 405


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b"[" * 60_000])
def test_a_body_that_is_no_object_is_a_parameter_error(bench, body):
    assert told(bench.post("/v5/order/create", body))["retCode"] == 10001


def test_refusals_wear_the_envelope_and_the_headers(bench):
    reply = bench.post("/v5/order/create", resting("a", price="0"))
    answer = told(reply)
    assert list(answer) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
    assert (answer["result"], answer["time"]) == ({}, START_MS)
    assert reply.headers["Ret_code"] == str(answer["retCode"]) != "0"
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Timenow"] == str(START_MS)
    assert len(reply.headers["Traceid"]) == 32
    assert reply.headers["X-Bapi-Limit"] == "10"


def test_a_key_prints_without_its_secret():
    assert VECTOR_PROOF not in repr(VECTOR_KEY)
