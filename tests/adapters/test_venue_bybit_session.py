"""One call, one request, one honest end: pybit in the construction that cannot do more."""

import logging
from typing import Any

import pytest
import requests
from bybit_exchange import CREATE, KEY, REALTIME, SECRET, Act
from live_kit import Live, a_session

from gateway.adapters.venue_bybit.alarms import AlarmKind
from gateway.adapters.venue_bybit.codes import CodeKind
from gateway.adapters.venue_bybit.faults import TEXT_MAX, scrubbed
from gateway.adapters.venue_bybit.session import (
    SIGNED_KEPT_MS,
    SIGNED_MAX,
    NoAnswerError,
    NotSentError,
    Refusal,
    Reply,
    VenueFault,
)
from gateway.core.credentials import Credentials, Secret

ORDER = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "side": "Buy",
    "orderType": "Market",
    "qty": "0.010",
    "orderLinkId": "vec-1",
}
QUERY = {"category": "linear", "orderLinkId": "vec-1"}


@pytest.fixture
def live() -> Live:
    return Live()


def post(live: Live, **more: Any) -> Reply | VenueFault:
    """One order; its reply, or the fault that it raised."""

    async def main() -> Reply | VenueFault:
        try:
            return await live.openings.call("place_order", **ORDER | more)
        except VenueFault as fault:
            return fault

    told = live.run(main())
    if isinstance(told, VenueFault):
        assert (told.__context__, told.__cause__) == (None, None), "an exception of pybit's holds the request"
    return told


def test_an_answer_gives_its_result_and_when_it_was_signed(live: Live) -> None:
    live.time.advance(250)
    live.exchange.next(CREATE, Act(delay_ms=80))
    reply = post(live)
    assert isinstance(reply, Reply)
    assert reply.result == {"orderId": "venue-vec-1", "orderLinkId": "vec-1"}
    assert reply.signed_ms == live.time.now_ms() - 80 == live.openings.signed_ms("vec-1")


def test_the_request_is_signed_with_the_gateways_clock_and_its_window(live: Live) -> None:
    """The scripted exchange refuses any other signature; this says over what it was made."""
    post(live)
    [seen] = live.exchange.seen
    assert (seen.method, seen.path, seen.fields) == ("POST", CREATE, ORDER)
    assert seen.headers["X-BAPI-TIMESTAMP"] == str(live.time.now_ms())
    assert seen.headers["X-BAPI-RECV-WINDOW"] == "5000"
    assert seen.headers["X-BAPI-API-KEY"] == KEY


def test_requests_are_signed_as_the_published_vectors_are(live: Live) -> None:
    """Key, secret and time stamp are the vectors' own; the time of these tests is theirs as well."""
    keys = Credentials(key="TESTKEY0001", secret=Secret("TESTSECRET0001"))
    session = a_session(live.time, live.exchange, live.budget, credentials=keys)

    async def main() -> None:
        for method, params in (
            ("place_order", ORDER | {"qty": "0.001"}),
            ("get_positions", {"category": "linear", "symbol": "BTCUSDT"}),
        ):
            with pytest.raises(Refusal):
                await session.call(method, **params)

    live.run(main())
    assert [seen.headers["X-BAPI-SIGN"] for seen in live.exchange.seen] == [
        "8edc7a0f1504ee830ff1f177ff06fed820d40c0227821b71b2d952c85266086d",
        "01d815f1e23d1deca8771d2ff41424ba721353cac43b375fae6c01fc31c6495e",
    ]


@pytest.mark.parametrize("code", [10002, 10006, 30034, 30035, 130035, 130150, 110007, 10016, 99999, -999 + 10**6])
def test_every_retcode_surfaces_after_one_request(live: Live, code: int) -> None:
    """The codes that pybit repeats by itself are among them."""
    live.exchange.next(CREATE, Act(taken=False, code=code, message="told"))
    refusal = post(live)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.text) == (code, f"{code}: told")
    assert live.exchange.asked(CREATE) == 1


def test_10006_with_a_reset_in_the_past_neither_sleeps_nor_breaks(live: Live) -> None:
    reset = {"X-Bapi-Limit-Reset-Timestamp": str(live.time.now_ms() - 5000)}
    live.exchange.next(CREATE, Act(taken=False, code=10006, message="Too many visits!", headers=reset))
    refusal = post(live)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is CodeKind.RATE


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (Act(delay_ms=60_000), "ReadTimeout"),
        (Act(raises=lambda: requests.exceptions.ReadTimeout("slow")), "ReadTimeout"),
        (Act(raises=lambda: requests.exceptions.ConnectTimeout("slow")), "ConnectTimeout"),
        (Act(raises=lambda: requests.exceptions.ConnectionError("dropped")), "ConnectionError"),
        (Act(raises=lambda: requests.exceptions.SSLError("broken")), "SSLError"),
        (Act(raises=lambda: requests.exceptions.ChunkedEncodingError("cut")), "ChunkedEncodingError"),
        (Act(raises=lambda: OSError("broken pipe")), "OSError"),
        (Act(body="<html>maintenance</html>"), "HTTP 409"),
        (Act(body='{"retCode": 0, "result": {"orderId": "x"'), "HTTP 409"),
        (Act(body=""), "HTTP 409"),
        (Act(body="[" * 100_000), "RecursionError"),
        (Act(status=302, headers={"Location": "http://127.0.0.1:15050/elsewhere"}), "TooManyRedirects"),
        (Act(status=307, headers={"Location": "http://127.0.0.1:15050/v5/order/create"}), "TooManyRedirects"),
        (Act(status=400), "HTTP 400"),
        (Act(status=401), "HTTP 401"),
        (Act(status=403, body="access too frequent"), "HTTP 403"),
        (Act(status=404), "HTTP 404"),
        (Act(status=429), "HTTP 429"),
        (Act(status=500), "HTTP 500"),
        (Act(status=502, body="<html>Bad Gateway</html>"), "HTTP 502"),
        (Act(status=504), "HTTP 504"),
        (Act(status=201), "HTTP 201"),
        (Act(body="[]"), "AttributeError"),
        (Act(body="7"), "TypeError"),
        (Act(body="null"), "TypeError"),
        (Act(body="{}"), "no readable retCode"),
        (Act(body='{"result": {"orderId": "x", "orderLinkId": "vec-1"}}'), "no readable retCode"),
        (Act(body='{"retCode": "0", "retMsg": "OK", "result": {}}'), "no readable retCode"),
        (Act(body='{"retCode": null, "retMsg": "OK", "result": {}}'), "no readable retCode"),
        (Act(body='{"retCode": false, "retMsg": "OK", "result": {}}'), "no readable retCode"),
        (Act(body='{"retCode": true, "retMsg": "OK", "result": {}}'), "no readable retCode"),
        (Act(body='{"retCode": 0.0, "retMsg": "OK", "result": {}}'), "no readable retCode"),
        (Act(body='{"retCode": "110007", "retMsg": "no", "result": {}}'), "no readable retCode"),
        (Act(body='{"retCode": 110007}'), "KeyError"),
        (Act(body='{"retCode": 0, "retMsg": "OK", "result": []}'), "no object"),
        (Act(body='{"retCode": ' + "9" * 5000 + "}"), "ValueError"),
        (Act(body=" " * (1 << 20) + "{}"), "ContentDecodingError"),
    ],
)
def test_whatever_is_no_answer_is_told_as_such_after_one_request(live: Live, act: Act, words: str) -> None:
    live.exchange.next(CREATE, act)
    fault = post(live)
    assert isinstance(fault, NoAnswerError)
    assert not isinstance(fault, NotSentError)
    assert words in fault.text
    assert live.exchange.asked(CREATE) == 1
    assert len(live.exchange.seen) == 1


def test_an_empty_or_missing_result_is_no_fault_of_a_good_code(live: Live) -> None:
    live.exchange.next(REALTIME, Act(body='{"retCode": 0, "retMsg": "", "result": null}'), Act(body='{"retCode": 0}'))

    async def main() -> list[Reply]:
        return [await live.reads.call("get_open_orders", **QUERY) for _ in range(2)]

    assert [reply.result for reply in live.run(main())] == [{}, {}]


def test_a_slow_answer_is_waited_for_no_longer_than_the_call_allows(live: Live) -> None:
    live.exchange.next(CREATE, Act(delay_ms=60_000))
    begun_ms = live.time.now_ms()
    fault = post(live, within_ms=1500)
    assert isinstance(fault, NoAnswerError)
    assert live.time.now_ms() - begun_ms == 1500


def test_a_call_whose_time_is_over_before_it_begins_is_not_sent(live: Live) -> None:
    fault = post(live, within_ms=-1)
    assert isinstance(fault, NotSentError)
    assert live.exchange.seen == []
    assert live.openings.signed_ms("vec-1") is None


def test_what_the_budget_forbids_is_not_sent(live: Live) -> None:
    live.exchange.next(CREATE, Act(status=403, body="access too frequent"))
    post(live)
    fault = post(live)
    assert isinstance(fault, NotSentError)
    assert "shut out" in fault.text
    assert live.exchange.asked(CREATE) == 1


def test_a_closed_session_sends_nothing(live: Live) -> None:
    live.run(live.openings.close())
    assert isinstance(post(live), NotSentError)
    assert live.exchange.seen == []


def test_a_403_of_another_kind_stops_orders_with_an_alarm(live: Live) -> None:
    live.exchange.next(CREATE, Act(status=403, body="not available in your region"))
    post(live)
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.AUTH]
    assert isinstance(post(live, reduceOnly=True), NotSentError)


def test_a_call_that_is_not_on_the_list_is_never_made(live: Live) -> None:
    with pytest.raises(KeyError):
        live.run(live.openings.call("withdraw", coin="USDT"))
    assert live.exchange.seen == []


@pytest.mark.parametrize(("every_ms", "kept"), [(150, SIGNED_MAX + 20), (4000, SIGNED_MAX)])
def test_when_an_order_was_signed_is_remembered_while_it_can_matter(live: Live, every_ms: int, kept: int) -> None:
    """Memory is bounded by what is too old to matter, never by what may still arrive."""
    links = [f"n{number}" for number in range(SIGNED_MAX + 20)]

    async def main() -> None:
        for link in links:
            live.time.advance(every_ms)
            await live.openings.call("place_order", **ORDER | {"orderLinkId": link})

    live.run(main())
    remembered = [link for link in links if live.openings.signed_ms(link) is not None]
    assert remembered == links[-kept:]
    assert kept * every_ms >= SIGNED_KEPT_MS or kept == len(links)


def test_the_echoed_key_of_10004_is_scrubbed(live: Live) -> None:
    echo = f"error sign! origin_string[1700000000000{KEY}5000category=linear]"
    live.exchange.next(CREATE, Act(taken=False, code=10004, message=echo))
    refusal = post(live)
    assert str(refusal) == "10004: error sign! origin_string[...]"
    assert all(KEY not in alarm.text for alarm in live.alarms)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"key {KEY.lower()} and {SECRET}!", "key *** and ***!", id="both"),
        ("req_timestamp[1700000000000],recv_window[5000]", "req_timestamp[1700000000000],recv_window[5000]"),
        ("never closed [17000abc", "never closed [...]"),
        ("x" * 110 + KEY, "x" * 110 + "***"),
        ("x" * 500, "x" * TEXT_MAX),
        ("tab\tnew\nline\x1b[31m \u20ac", "tab?new?line?[...]"),
        (None, ""),
        (7, ""),
    ],
)
def test_texts_of_the_venue_are_scrubbed_before_they_are_cut(text: object, shown: str) -> None:
    assert scrubbed(text, (KEY, SECRET)) == shown


def test_nothing_that_pybit_would_log_is_logged(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    live.exchange.next(CREATE, Act(status=502, body=f"echo of {KEY}"))
    post(live)
    assert KEY not in caplog.text


def test_pybit_is_built_in_the_one_safe_way(live: Live) -> None:
    """Each of these alone keeps it from sending twice, sleeping or printing; no two of them are taken for enough."""
    pybit = vars(live.openings)["_http"]
    assert (pybit.force_retry, pybit.max_retries, pybit.retry_codes, pybit.ignore_codes) == (False, 1, {-999}, set())
    assert (pybit.log_requests, pybit.return_response_headers) == (False, True)
    assert (pybit.client.trust_env, pybit.client.max_redirects) == (False, 0)
    assert all(adapter.max_retries.total in {0, None} for adapter in pybit.client.adapters.values())


def test_a_session_shows_itself_by_its_name(live: Live) -> None:
    assert repr(live.openings) == "<BybitSession openings>"
