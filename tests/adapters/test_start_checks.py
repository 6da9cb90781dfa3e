"""What keeps live trading from starting: one test for each fault, and for each setting that accepts it."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest
from fake_reads import FakeReads, page
from fakes import FakeClock

from gateway.adapters.venue_bybit.api_key import KeyFacts, read_key
from gateway.adapters.venue_bybit.checks import (
    ACCEPTANCES,
    StartFacts,
    accepted_in,
    gather_start_facts,
    owner_of,
    start_faults,
)
from gateway.adapters.venue_bybit.codes import CodeKind
from gateway.adapters.venue_bybit.faults import NoAnswerError, Refusal
from gateway.adapters.venue_bybit.session import Reply
from gateway.adapters.venue_bybit.skew import Skew, measure_skew, skew_fault
from gateway.core.model import Symbol
from gateway.ports import VenueUnavailableError

BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
NOTHING: frozenset[str] = frozenset()


def key_answer(**changes: Any) -> dict[str, Any]:
    """A key as it should be: trades contracts, from one address."""
    return {
        "apiKey": "KEY",
        "readOnly": 0,
        "permissions": {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Wallet": []},
        "ips": ["203.0.113.7"],
        "deadlineDay": -2,
        "expiredAt": "1970-01-01T00:00:00Z",
        "uta": 1,
        **changes,
    }


def rights(**changes: Any) -> dict[str, Any]:
    return key_answer(permissions={"ContractTrade": ["Order", "Position"], "Wallet": []} | changes)


def a_key(**changes: Any) -> KeyFacts:
    return read_key(key_answer(**changes), NOW_MS)


def facts(key: KeyFacts | None = None, **changes: Any) -> StartFacts:
    good = StartFacts(
        now_ms=NOW_MS,
        skew=Skew(ms=3, round_trip_ms=20),
        key=key or a_key(),
        hedged=(),
        margin_mode="REGULAR_MARGIN",
    )
    return dataclasses.replace(good, **changes)


def faults(of: StartFacts, accepted: frozenset[str] = NOTHING) -> tuple[str, ...]:
    return start_faults(of, accepted=accepted, clock_skew_ms_max=500)


def test_a_key_as_it_should_be_on_a_good_account_has_no_fault() -> None:
    assert faults(facts()) == ()


def ends(days: float) -> str:
    return datetime.fromtimestamp((NOW_MS + days * DAY_MS) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


ACCEPTABLE = [
    ("ACCEPT_KEY_WITHDRAW", rights(Wallet=["Withdraw"]), "the API key may withdraw coins"),
    ("ACCEPT_KEY_WITHDRAW", rights(Wallet=["withdrawWhitelist"]), "the API key may withdraw coins"),
    ("ACCEPT_KEY_TRANSFER", rights(Wallet=["AccountTransfer"]), "the API key may transfer coins"),
    ("ACCEPT_KEY_TRANSFER", rights(Wallet=["SubMemberTransfer"]), "the API key may transfer coins"),
    ("ACCEPT_KEY_TRANSFER", rights(Wallet=["SomethingNew"]), "the API key may transfer coins"),
    ("ACCEPT_KEY_READ_ONLY", key_answer(readOnly=1), "the API key may only read"),
    ("ACCEPT_KEY_READ_ONLY", key_answer(readOnly=None), "does not say whether the API key may only read"),
    ("ACCEPT_KEY_READ_ONLY", key_answer(readOnly="0"), "does not say whether the API key may only read"),
    ("ACCEPT_KEY_READ_ONLY", key_answer(readOnly=False), "does not say whether the API key may only read"),
    ("ACCEPT_KEY_UNBOUND", key_answer(ips=["*"], deadlineDay=80), "works from every address"),
    ("ACCEPT_KEY_UNBOUND", key_answer(ips=["203.0.113.7", "*"], deadlineDay=80), "works from every address"),
    ("ACCEPT_KEY_UNBOUND", key_answer(ips=[], deadlineDay=80), "works from every address"),
    ("ACCEPT_KEY_UNBOUND", key_answer(ips=None, deadlineDay=80), "which addresses"),
    ("ACCEPT_KEY_UNBOUND", key_answer(ips="203.0.113.7", deadlineDay=80), "which addresses"),
    ("ACCEPT_KEY_UNBOUND", key_answer(ips=[7], deadlineDay=80), "which addresses"),
    ("ACCEPT_KEY_EXPIRING", key_answer(deadlineDay=6), "expires in 6 days, fewer than 7"),
    ("ACCEPT_KEY_EXPIRING", key_answer(deadlineDay=0), "expires in 0 days"),
    ("ACCEPT_KEY_EXPIRING", key_answer(expiredAt=ends(6.9)), "expires in 6 days"),
    ("ACCEPT_KEY_EXPIRING", key_answer(deadlineDay=80, expiredAt=ends(1)), "expires in 1 days"),
]


@pytest.mark.parametrize(("setting", "answer", "sentence"), ACCEPTABLE)
def test_a_fault_of_the_key_is_told_with_the_setting_that_accepts_it(
    setting: str, answer: dict[str, Any], sentence: str
) -> None:
    known = facts(read_key(answer, NOW_MS))
    told = faults(known)
    assert len(told) == 1
    assert sentence in told[0]
    assert f"{setting}=on" in told[0]
    assert faults(known, frozenset({setting})) == ()
    assert faults(known, ACCEPTANCES - {setting}) == told


def test_a_key_without_an_address_and_without_an_end_is_two_faults() -> None:
    told = faults(facts(a_key(ips=["*"])))
    assert ["ACCEPT_KEY_UNBOUND" in told[0], "ACCEPT_KEY_EXPIRING" in told[1], len(told)] == [True, True, 2]


def test_rights_that_are_not_told_are_a_fault_each() -> None:
    told = faults(facts(a_key(permissions=None)))
    assert [sentence.partition(":")[0] for sentence in told] == [
        "Bybit does not say whether the API key may withdraw coins",
        "Bybit does not say whether the API key may transfer coins",
        "Bybit does not say whether the API key may trade contracts",
    ]


@pytest.mark.parametrize("days", [7, 89])
def test_a_key_that_ends_in_a_week_or_later_is_no_fault(days: int) -> None:
    assert faults(facts(a_key(deadlineDay=days, expiredAt=ends(days)))) == ()


@pytest.mark.parametrize("date", [None, "soon", 7, "0001-01-01T00:00:00", "9" * 40])
def test_a_date_that_cannot_be_read_is_no_end(date: Any) -> None:
    assert a_key(expiredAt=date).expires_ms is None


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (rights(ContractTrade=["Order"]), "lacks the contract rights Position"),
        (rights(ContractTrade=["Position"]), "lacks the contract rights Order"),
        (rights(ContractTrade=[]), "lacks the contract rights Order, Position"),
        (rights(ContractTrade=None), "does not say whether the API key may trade contracts"),
        (key_answer(uta=0), "unified trading account"),
        (key_answer(uta=None), "unified trading account"),
        (key_answer(uta=True), "unified trading account"),
    ],
)
def test_a_key_that_cannot_trade_is_a_fault_that_nothing_accepts(answer: dict[str, Any], sentence: str) -> None:
    told = faults(facts(read_key(answer, NOW_MS)), ACCEPTANCES)
    assert len(told) == 1
    assert sentence in told[0]


def test_hedge_mode_is_a_fault_that_nothing_accepts() -> None:
    told = faults(facts(hedged=(BTC, ETH)), ACCEPTANCES)
    assert len(told) == 1
    assert "BTCUSDT, ETHUSDT is in hedge mode" in told[0]


@pytest.mark.parametrize("mode", ["ISOLATED_MARGIN", "PORTFOLIO_MARGIN", "SOMETHING_NEW"])
def test_any_margin_mode_but_cross_is_a_fault_that_nothing_accepts(mode: str) -> None:
    told = faults(facts(margin_mode=mode), ACCEPTANCES)
    assert len(told) == 1
    assert f"margin mode is {mode}" in told[0]


@pytest.mark.parametrize(
    ("ms", "sentence"),
    [(501, "501 ms behind Bybit's"), (-501, "501 ms ahead of Bybit's"), (90_000, "90000 ms behind")],
)
def test_a_clock_that_is_off_is_a_fault_that_nothing_accepts(ms: int, sentence: str) -> None:
    told = faults(facts(skew=Skew(ms=ms, round_trip_ms=20)), ACCEPTANCES)
    assert len(told) == 1
    assert sentence in told[0]
    assert "CLOCK_SKEW_MS_MAX" in told[0]


def test_a_clock_within_the_limit_is_none_and_one_that_cannot_be_told_is() -> None:
    assert [skew_fault(Skew(ms=ms, round_trip_ms=20), 500) for ms in (500, -500, 0)] == [None, None, None]
    assert skew_fault(Skew(ms=0, round_trip_ms=1000), 500) is None
    slow = skew_fault(Skew(ms=0, round_trip_ms=1001), 500)
    assert slow is not None
    assert "1001 ms to arrive" in slow


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("skew", "Bybit does not tell Bybit's time"),
        ("hedged", "Bybit does not tell the position mode"),
        ("margin_mode", "Bybit does not tell the margin mode"),
    ],
)
def test_what_cannot_be_learned_of_the_account_is_a_fault_that_nothing_accepts(missing: str, sentence: str) -> None:
    told = faults(facts(**{missing: None}), ACCEPTANCES)
    assert len(told) == 1
    assert sentence in told[0]


def test_a_key_of_which_nothing_is_told_is_a_fault_until_everything_is_accepted() -> None:
    unknown = dataclasses.replace(facts(), key=None)
    for setting in ACCEPTANCES:
        told = faults(unknown, ACCEPTANCES - {setting})
        assert len(told) == 1
        assert setting in told[0]
    assert faults(unknown, ACCEPTANCES) == ()


def test_all_faults_are_told_together() -> None:
    known = facts(
        a_key(readOnly=1, ips=[]),
        skew=None,
        hedged=(BTC,),
        margin_mode=None,
        unlearned=("get_account_info: 10005: denied",),
    )
    told = faults(known)
    assert len(told) == 6
    assert any("(get_account_info: 10005: denied)" in sentence for sentence in told)


def server_time(at_ms: int) -> dict[str, str]:
    return {"timeSecond": str(at_ms // 1000), "timeNano": str(at_ms * 1_000_000 + 999_999)}


def some_reads(**changes: Any) -> FakeReads:
    answers = {
        "get_server_time": server_time(NOW_MS),
        "get_api_key_information": key_answer(),
        "get_positions": lambda query: page({"symbol": query["symbol"], "positionIdx": 0, "size": "0"}),
        "get_account_info": {"marginMode": "REGULAR_MARGIN", "unifiedMarginStatus": 5},
    }
    reads = FakeReads(**(answers | changes))
    reads.signed_ms, reads.elapsed_ms = NOW_MS - 13, 20
    return reads


async def gathered(reads: FakeReads) -> StartFacts:
    return await gather_start_facts(reads, FakeClock(NOW_MS), [BTC, ETH])


async def test_the_facts_are_what_bybit_answers() -> None:
    reads = some_reads()
    assert await gathered(reads) == facts()
    assert reads.queries("get_positions") == [
        {"category": "linear", "symbol": "BTCUSDT"},
        {"category": "linear", "symbol": "ETHUSDT"},
    ]


@pytest.mark.parametrize(
    ("method", "missing"),
    [
        ("get_server_time", "skew"),
        ("get_api_key_information", "key"),
        ("get_positions", "hedged"),
        ("get_account_info", "margin_mode"),
    ],
)
@pytest.mark.parametrize("fault", [NoAnswerError("HTTP 502"), Refusal(10005, CodeKind.AUTH, "denied")])
async def test_an_answer_that_is_lost_leaves_its_fact_out_and_no_other(
    method: str, missing: str, fault: Exception
) -> None:
    known = await gathered(some_reads(**{method: fault}))
    left_out = [name for name in ("skew", "key", "hedged", "margin_mode") if getattr(known, name) is None]
    assert left_out == [missing]
    assert known.unlearned == (f"{method}: {fault}",)
    told = faults(known)
    assert len(told) == 1
    assert known.unlearned[0] in told[0]


@pytest.mark.parametrize(
    ("rows", "hedged"),
    [
        ([{"symbol": "BTCUSDT", "positionIdx": 1}, {"symbol": "BTCUSDT", "positionIdx": 2}], (BTC,)),
        ([{"symbol": "BTCUSDT", "positionIdx": 0}, {"symbol": "ETHUSDT", "positionIdx": 1}], ()),
        ([], None),
        ([{"symbol": "ETHUSDT", "positionIdx": 0}], None),
        ([{"symbol": "BTCUSDT"}], None),
        ([{"symbol": "BTCUSDT", "positionIdx": "0"}], None),
        ([7], None),
    ],
)
async def test_the_position_mode_is_read_from_the_symbols_own_rows(rows: list[Any], hedged: Any) -> None:
    reads = some_reads(get_positions={"list": rows})
    assert (await gather_start_facts(reads, FakeClock(NOW_MS), [BTC])).hedged == hedged


@pytest.mark.parametrize("mode", [None, 7, "", "REGULAR MARGIN; or not", "\u0661"])
async def test_a_margin_mode_that_is_no_word_is_not_told(mode: Any) -> None:
    assert (await gathered(some_reads(get_account_info={"marginMode": mode}))).margin_mode is None


async def test_the_skew_is_taken_from_the_quickest_answer_less_half_its_way() -> None:
    answers = iter([(300, 90), (40, 120), (100, 20)])

    def answer(_: Any) -> Reply:
        elapsed_ms, ahead_ms = next(answers)
        told = server_time(NOW_MS + elapsed_ms // 2 + ahead_ms)
        return Reply(result=told, signed_ms=NOW_MS, elapsed_ms=elapsed_ms)

    assert await measure_skew(FakeReads(get_server_time=answer)) == Skew(ms=120, round_trip_ms=40)


@pytest.mark.parametrize("nanoseconds", [None, 1_700_000_000, "", "-5", "1.5", "\u0661", "9" * 21])
async def test_a_time_that_cannot_be_read_is_no_time(nanoseconds: Any) -> None:
    with pytest.raises(VenueUnavailableError):
        await measure_skew(FakeReads(get_server_time={"timeNano": nanoseconds}))


def test_demo_trading_starts_although_it_tells_nothing_of_its_keys() -> None:
    unasked = dataclasses.replace(facts(), key=None, unlearned=("get_api_key_information: 10032",))
    assert faults(unasked, accepted_in("demo", None, NOTHING)) == ()
    assert faults(unasked, accepted_in("mainnet", None, NOTHING)) != ()


def test_what_demo_trading_does_tell_of_a_key_is_judged_as_elsewhere() -> None:
    key = read_key(rights(Wallet=["Withdraw"]), NOW_MS)
    assert faults(facts(key), accepted_in("demo", key, NOTHING)) != ()


def test_an_account_is_told_from_others_by_its_user_and_on_demo_by_the_key() -> None:
    key = a_key(userID=4711)
    assert owner_of("mainnet", key, "KEY0000001") == "4711"
    assert owner_of("mainnet", None, "KEY0000001") == ""
    assert owner_of("demo", key, "KEY0000001") == owner_of("demo", None, "KEY0000001")
    assert owner_of("demo", None, "KEY0000001") != owner_of("demo", None, "KEY0000002")
    assert "KEY0000001" not in owner_of("demo", None, "KEY0000001")
