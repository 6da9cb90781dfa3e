"""Whatever holds the secret shows it in no way of printing, copying or storing, before and after failures."""

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
import pprint
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import requests
from bybit_exchange import CREATE, KEY, SECRET, Act
from canary import assert_secret_hidden, shows_a_secret
from live_kit import CREDENTIALS, Live, approved
from private_venue import Line, Listener, PrivateVenue, a_stream, played
from structlog.testing import capture_logs
from structlog.tracebacks import extract

from gateway.adapters.venue_bybit.session import VenueFault
from gateway.ports import VenueUnavailableError
from gateway.settings import load

LIVE_ON = {"TRADING_MODE": "live", "BYBIT_ENV": "simulator", "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET}


def stored(held: Any) -> bytes:
    """A pickle, or why there is none."""
    try:
        return pickle.dumps(held)
    except (TypeError, AttributeError, pickle.PicklingError) as refused:
        return repr(refused).encode()


def copied(held: Any) -> str:
    try:
        return repr(copy.deepcopy(held))
    except TypeError as refused:
        return repr(refused)


def as_fields(held: Any) -> str:
    try:
        return repr(dataclasses.asdict(held))
    except TypeError as refused:
        return repr(refused)


def in_a_traceback(held: Any) -> str:
    """Where a function fails that has it for a variable: as two tools print that with all variables."""
    try:
        int(repr(held))
    except ValueError as fault:
        plain = traceback.TracebackException.from_exception(fault, capture_locals=True)
        return "".join(plain.format()) + str(extract(type(fault), fault, fault.__traceback__, show_locals=True))


WAYS: dict[str, Callable[[Any], str | bytes]] = {
    "repr": repr,
    "str": str,
    "format": lambda held: f"{held} {held!r:>60} {[held]} { {'a': held} }",
    "log": lambda held: logging.makeLogRecord({"msg": "%s %r", "args": (held, held)}).getMessage(),
    "json": lambda held: json.dumps({"held": held}, default=repr),
    "pprint": lambda held: pprint.pformat({"held": held}),
    "pickle": stored,
    "copy": copied,
    "fields": as_fields,
    "traceback": in_a_traceback,
}


def failed_session() -> Any:
    """The session of openings after faults that name key and secret."""
    live = Live()
    echo = f"error sign! origin_string[1700000000000{KEY}5000] {SECRET}"
    live.exchange.next(
        CREATE,
        Act(taken=False, code=110007, message=echo),
        Act(taken=False, body=echo),
        Act(taken=False, raises=lambda: requests.exceptions.ConnectionError(echo)),
        Act(taken=False, code=10004, message=echo),
    )
    for number in range(4):
        try:
            live.run(live.venue.submit(approved(link=f"tg{number}")))
        except (VenueFault, VenueUnavailableError) as refused:
            assert_secret_hidden(refused)
    return live.openings


def failed_stream() -> Any:
    venue, listener = PrivateVenue(), Listener()
    venue.auth = "refused"
    stream = a_stream(venue, listener, credentials=CREDENTIALS)
    played(venue, stream, asyncio.sleep(60))
    assert listener.alarms
    return stream


HOLDERS: dict[str, Callable[[], Any]] = {
    "credentials": lambda: CREDENTIALS,
    "settings": lambda: load(LIVE_ON),
    "live settings": lambda: load(LIVE_ON).live,
    "session": lambda: Live().openings,
    "session after failures": failed_session,
    "client of pybit": lambda: vars(Live().openings)["_http"],
    "client of pybit after failures": lambda: vars(failed_session())["_http"],
    "stream": lambda: a_stream(PrivateVenue(), Listener(), credentials=CREDENTIALS),
    "stream after failures": failed_stream,
    "venue": lambda: Live().venue,
}


@pytest.fixture(scope="module", params=HOLDERS)
def holder(request: pytest.FixtureRequest) -> Any:
    return HOLDERS[request.param]()


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_showing_what_holds_the_secret_shows_it(holder: Any, way: str) -> None:
    assert_secret_hidden(WAYS[way](holder))


def test_a_client_of_pybit_by_itself_would_show_it() -> None:
    from pybit.unified_trading import HTTP

    bare = HTTP(api_key=KEY, api_secret=SECRET)
    bare.client.close()
    assert shows_a_secret(repr(bare))


def locals_of_callers() -> Iterator[dict[str, Any]]:
    """The variables of every function that is being carried out, from the inside out."""
    for frame, _ in traceback.walk_stack(None):
        if frame.f_code.co_filename.endswith(("session.py", "stream.py", "venue.py", "runner.py")):
            yield dict(frame.f_locals)
        if "pybit" in frame.f_code.co_filename:
            yield dict(frame.f_locals)


def test_no_variable_holds_the_secret_while_a_request_is_sent() -> None:
    live, seen = Live(), []

    def fails() -> Exception:
        seen.extend(locals_of_callers())
        return requests.exceptions.ConnectionError("cut")

    live.exchange.next(CREATE, Act(taken=False, raises=fails))
    live.run(live.venue.submit(approved()))
    assert len(seen) >= 4, "the functions of the session and of pybit"
    assert_secret_hidden(*seen)


def test_no_variable_holds_the_secret_while_the_stream_signs_in() -> None:
    venue, seen = PrivateVenue(), []

    class Failing(Line):
        async def send(self, text: str) -> None:
            del text
            seen.extend(locals_of_callers())
            raise ConnectionResetError("cut")

    @asynccontextmanager
    async def connect(_url: str) -> AsyncIterator[Line]:
        yield Failing(venue)

    stream = a_stream(venue, Listener(), credentials=CREDENTIALS, connect=connect)
    with capture_logs() as logs:
        played(venue, stream, asyncio.sleep(1))
    assert len(seen) >= 3, "the functions of the stream"
    assert_secret_hidden(*seen, logs)
