"""The exchange inside the caller's process, under the caller's clock: no socket, no thread, no waiting.

    scheduler = HandScheduler(start_ms)
    local = LocalExchange(ExchangeConfig(seed=7, symbols=["BTCUSDT"]), scheduler)
    session = requests.Session()                    # of pybit: HTTP(...).client
    session.mount("http://", LocalTransport(local, advance=scheduler.advance))

A request takes its time on the caller's clock: LocalTransport calls `advance(ms)` where a socket would wait, and what
is due meanwhile (the match, the push, the arrival of a request that was held up) runs at its time. With another clock,
give LocalExchange a Scheduler that is driven by it, and `advance` that moves it so far and runs what is due, in order.

Private streams: private_stream.private_hub(local) makes sessions that are fed and heard as texts.
"""

import io
from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from simulator.api.messages import PIECES, Reply, Request
from simulator.local import ExchangeConfig, LocalExchange
from simulator.outages import Part
from simulator.timetable import HandScheduler

__all__ = ["ExchangeConfig", "HandScheduler", "LocalExchange", "LocalTransport"]

LATENCY_MS = 2
"""From the client to the exchange and back, where nothing else delays."""
FOREVER_MS = 86_400_000
"""A request without a time limit gives up after a day: nothing waits for ever."""


class LocalTransport(BaseAdapter):
    """What a requests.Session sends through, in place of sockets.

    It raises what requests raises: ReadTimeout when the answer is later than the read timeout (the exchange may still
    get the request, and act), ConnectionError for a connection that ends without an answer, ChunkedEncodingError for
    one that ends in the middle of it.
    """

    def __init__(
        self,
        local: LocalExchange,
        advance: Callable[[int], None],
        *,
        latency_ms: int = LATENCY_MS,
        remote: str = "127.0.0.1",
    ) -> None:
        super().__init__()
        self._local, self._advance = local, advance
        self._there_ms = latency_ms // 2
        self._back_ms = latency_ms - self._there_ms
        self._remote = remote

    def send(  # noqa: PLR0917 - the signature is that of BaseAdapter
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request and let the time pass that it takes."""
        del stream, verify, cert, proxies
        begun_ms = self._now_ms()
        deadline_ms = begun_ms + _read_timeout_ms(timeout)
        if self._local.outages.down(Part.REST):
            self._advance(self._there_ms)
            raise requests.exceptions.ConnectionError("Connection refused", request=request)
        reply = self._arrive(request, deadline_ms)
        self._wait(reply.delay_ms + self._back_ms, deadline_ms, request)
        took_ms = self._now_ms() - begun_ms
        if reply.drop or self._local.outages.down(Part.REST):
            raise requests.exceptions.ConnectionError("Connection aborted", request=request)
        self._read_body(reply, request, _read_timeout_ms(timeout))
        return _response(reply, request, took_ms)

    def close(self) -> None:
        """Nothing is held."""

    def _arrive(self, request: requests.PreparedRequest, deadline_ms: int) -> Reply:
        """The exchange's reply; ReadTimeout when the request itself comes later than the client waits."""
        received, api = _request(request, self._remote), self._local.api
        replies: list[Reply] = []
        way_ms = self._there_ms + api.arrival_delay_ms(received)
        # An event of its own: a client that gives up earlier does not stop the request.
        self._local.scheduler.call_at(self._now_ms() + way_ms, lambda: replies.append(api.handle(received)))
        self._wait(way_ms, deadline_ms, request)
        if not replies:
            raise RuntimeError("`advance` did not run what was due: it must drive the exchange's Scheduler")
        return replies[0]

    def _wait(self, ms: int, deadline_ms: int, request: requests.PreparedRequest) -> None:
        left_ms = max(0, deadline_ms - self._now_ms())
        self._advance(min(ms, left_ms))
        if ms > left_ms:
            raise requests.exceptions.ReadTimeout("Read timed out.", request=request)

    def _read_body(self, reply: Reply, request: requests.PreparedRequest, pause_ms_max: int) -> None:
        """The read timeout is for each piece of a body, not for all of it."""
        for _ in range(PIECES - 1 if reply.trickle_ms else 0):
            self._advance(min(reply.trickle_ms, pause_ms_max))
            if reply.trickle_ms > pause_ms_max:
                raise requests.exceptions.ConnectionError("Read timed out.", request=request)
        if reply.cut:
            raise requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead", request=request)

    def _now_ms(self) -> int:
        return self._local.scheduler.now_ms()


def _request(prepared: requests.PreparedRequest, remote: str) -> Request:
    parts = urlsplit(prepared.url or "")
    body = prepared.body or b""
    return Request(
        method=prepared.method or "GET",
        path=parts.path,
        raw_query=parts.query.encode(),
        headers={name.lower(): str(value) for name, value in prepared.headers.items()},
        body=body.encode() if isinstance(body, str) else bytes(body),
        remote=remote,
    )


class _Response(requests.Response):
    """An answer whose `elapsed` is by the exchange's clock: requests would measure the time of this machine."""

    def __init__(self, took_ms: int) -> None:
        self._took = timedelta(milliseconds=took_ms)
        super().__init__()

    @property
    def elapsed(self) -> timedelta:
        """From the request's leaving to the answer's head."""
        return self._took

    @elapsed.setter
    def elapsed(self, measured: timedelta) -> None:
        """What requests has measured says nothing."""


def _response(reply: Reply, request: requests.PreparedRequest, took_ms: int) -> requests.Response:
    response = _Response(took_ms)
    response.status_code = reply.status
    response.headers = CaseInsensitiveDict(reply.headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = io.BytesIO(reply.body)
    response.url = request.url or ""
    response.request = request
    return response


def _read_timeout_ms(timeout: float | tuple[float, float] | tuple[float, None] | None) -> int:
    seconds = timeout[1] if isinstance(timeout, tuple) else timeout
    return FOREVER_MS if seconds is None else int(seconds * 1000)
