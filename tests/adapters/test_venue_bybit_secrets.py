"""A canary secret goes through every kind of fault, and shows itself nowhere."""

import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import structlog
from bybit_exchange import CREATE, KEY, LISTS, SECRET, Act
from live_kit import CREDENTIALS, Live, a_record, approved

from gateway.adapters.venue_bybit.session import VenueFault
from gateway.ports import VenueUnavailableError

ECHO = f"error sign! origin_string[1700000000000{KEY}5000] {SECRET} {KEY}"
ACTS = {
    "sign": Act(taken=False, code=10004, message=ECHO),
    "reject": Act(taken=False, code=110007, message=ECHO),
    "unknown": Act(taken=False, code=10016, message=ECHO),
    "html": Act(taken=False, status=502, body=ECHO),
    "policy": Act(taken=False, status=403, body=ECHO),
    "banned": Act(taken=False, status=403, body=f"access too frequent {ECHO}"),
    "no json": Act(taken=False, body=ECHO),
    "no envelope": Act(taken=False, body=f'["{ECHO}"]'),
    "redirect": Act(taken=False, status=302, headers={"Location": f"http://127.0.0.1:15050/{KEY}"}),
    "dropped": Act(taken=False, raises=lambda: requests.exceptions.ConnectionError(ECHO)),
    "slow": Act(taken=False, delay_ms=60_000),
    "rows": Act(result={"list": [{"orderLinkId": "tg1", "side": ECHO, "orderId": SECRET}]}),
    "not ours": Act(result={"list": [{"orderLinkId": ECHO}]}),
}


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line of our own log."""
    kept: list[str] = []

    def keep(_: Any, __: str, event: structlog.types.EventDict) -> str:
        kept.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[keep])
    yield kept
    structlog.configure(**before)


def with_locals(fault: BaseException) -> str:
    """A traceback as detailed as any tool prints it."""
    return "".join(traceback.TracebackException.from_exception(fault, capture_locals=True).format())


def everything(live: Live) -> list[str]:
    """All that the live venue is made of, as a debugger would show it."""
    parts = (live.venue, live.openings, live.reductions, live.reads, live.budget, live.events)
    return [repr(part) for part in parts] + [repr(vars(part)) for part in parts]


@pytest.mark.parametrize("name", ACTS)
def test_no_fault_shows_the_key_or_the_secret(
    name: str, lines: list[str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    live = Live()
    shown: list[str] = []
    for path in (CREATE, *LISTS):
        live.exchange.next(path, *(Act(**vars(ACTS[name])) for _ in range(9)))
    for call in (
        lambda: live.venue.submit(approved()),
        lambda: live.venue.find(a_record()),
        lambda: live.reads.call("get_open_orders", category="linear", orderLinkId="tg1"),
    ):
        try:
            shown.append(repr(live.run(call())))
        except (VenueFault, VenueUnavailableError) as fault:
            shown += [str(fault), repr(fault), with_locals(fault)]
        live.restart()
    shown += [*everything(live), *map(repr, live.alarms), *lines, caplog.text, *capfd.readouterr()]
    for text in shown:
        assert SECRET not in text
        assert KEY not in text
    assert live.exchange.seen[0].headers["X-BAPI-API-KEY"] == KEY, "the canary was there to be seen"


def test_the_canary_would_be_seen_by_this_test() -> None:
    with pytest.raises(VenueFault) as caught:
        raise VenueFault(ECHO)
    assert SECRET in with_locals(caught.value)


def test_credentials_and_sessions_show_no_secret() -> None:
    live = Live()
    assert all(SECRET not in text and KEY not in text for text in [*everything(live), repr(CREDENTIALS)])
