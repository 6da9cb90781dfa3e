"""The only import of pybit: one HTTP session with Bybit, on one thread, that sends every call once.

pybit by itself repeats requests, sleeps, follows redirects into false answers, prints its secret and puts the request
into its exceptions. So it is built in one way only, for the one version that this was read for, and none of its
exceptions leaves this file: they become values first, and a new error is raised where the old one is gone.

A call waits for its turn, and is judged by the budget when that comes: what the call before it has learned counts.

A call has a time limit of its own. When that passes before the thread came to it, it is never made. When it passes
later, what became of the request is not known; an answer that comes shortly after still teaches the budget, and then
the connection is cut so that the thread is free again.
"""

import asyncio
import contextlib
import hmac
import io
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests
import urllib3
from pybit import VERSION
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP
from requests.adapters import BaseAdapter

from gateway.adapters.venue_bybit.budget import CREATE, Budget, Heard
from gateway.adapters.venue_bybit.codes import NOT_DONE, CodeKind, kind_of, kind_of_status
from gateway.adapters.venue_bybit.endpoint import Endpoint, checked_endpoint
from gateway.adapters.venue_bybit.faults import NoAnswerError, NotSentError, Refusal, VenueFault, scrubbed
from gateway.adapters.venue_bybit.lines import ShownLines, cut
from gateway.adapters.venue_bybit.runner import Runner, ThreadRunner
from gateway.adapters.venue_bybit.turns import TooManyWaitError, Turns
from gateway.core.credentials import Credentials
from gateway.core.model import OrderLinkId
from gateway.ports import Clock, StartError

__all__ = [
    "BybitSession",
    "Endpoint",
    "NoAnswerError",
    "NotSentError",
    "Refusal",
    "Reply",
    "Runner",
    "ThreadRunner",
    "VenueFault",
    "checked_endpoint",
]

PYBIT_VERSION = "5.17.0"
"""What follows rests on inner names of this version."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
"""The longest silence that is waited through; Bybit answers within half a second."""
LATE_SECONDS = 1.0
"""So long an answer may still come in after its caller has given up on it."""
CALL_MS = 8000
"""The time limit of a call that names none."""
ANSWER_BYTES_MAX = 1 << 20
"""A page of 100 executions is 60 KB."""
SIGNED_MAX = 1000
SIGNED_KEPT_MS = 3_600_000
"""When an order was signed is remembered at least so long: far beyond the moment at which its absence is proven.
At ten orders a second that is 36,000 orders; when there are fewer than SIGNED_MAX, they are kept for longer."""

_TOO_LATE = "its time was over before its turn came"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer with retCode 0."""

    result: Mapping[str, object] = field(repr=False)
    """As it came, unchecked; it may name the key."""
    signed_ms: int
    """When the request was signed, by the gateway's clock: the venue takes it up to recv_window after that."""
    elapsed_ms: int
    """Between the request's leaving and the answer's head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """How a call ended, as a value: an exception of pybit's would carry the request along."""

    outcome: Reply | VenueFault
    heard: Heard | None
    """None when nothing was sent."""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One call, seen by the thread that makes it and by the loop that may give up on it first."""

    deadline_ms: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    signed_ms: int | None = None
    given_up: bool = False
    cut_off: bool = False
    line: socket.socket | None = None
    """What the answer is waited for on."""

    def begin(self, now_ms: int) -> bool:
        """The thread has come to it; False when it must not be made any more."""
        with self.lock:
            if not self.given_up and now_ms <= self.deadline_ms:
                self.signed_ms = now_ms
            return self.signed_ms is not None

    def give_up(self) -> bool:
        """The loop waits no longer. Whether the call was begun; if not, it never will be."""
        with self.lock:
            self.given_up = True
            return self.signed_ms is not None

    def cut(self) -> None:
        """End the wait for the answer."""
        with self.lock:
            self.cut_off = True
            if self.line is not None:
                with contextlib.suppress(OSError):
                    cut(self.line)

    def waits(self, line: socket.socket) -> bool:
        """The thread begins to wait for the answer; False when it may not."""
        with self.lock:
            self.line = line
            return not self.cut_off

    def end(self) -> None:
        """The thread is through: there is nothing left to cut."""
        with self.lock:
            self.line = None


class _Http(HTTP):  # type: ignore[misc] # pybit has no types
    """The client of pybit without key and secret, which it would print; it signs here, with the call's own time."""

    credentials: Credentials | None = None
    signed_ms: int = 0

    def __repr__(self) -> str:
        return "<pybit HTTP>"

    def _prepare_headers(
        self, payload: str, recv_window: int, content_type: str = "application/json"
    ) -> dict[str, str]:
        if self.credentials is None:
            raise PermissionError("nothing to sign with")
        key = self.credentials.key
        signed = f"{self.signed_ms}{key}{recv_window}{payload}".encode()
        return {
            "Content-Type": content_type,
            "X-BAPI-API-KEY": key,
            "X-BAPI-SIGN": hmac.new(self.credentials.secret.reveal().encode(), signed, "sha256").hexdigest(),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": str(self.signed_ms),
            "X-BAPI-RECV-WINDOW": str(recv_window),
        }


class BybitSession:
    """Calls Bybit's REST interface as one account; close it once."""

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        credentials: Credentials,
        recv_window_ms: int,
        clock: Clock,
        budget: Budget,
        name: str,
        run: Runner,
        transport: BaseAdapter | None = None,
    ) -> None:
        self.budget = budget
        self._name = name
        self._clock = clock
        self._run = run
        self._turns = Turns()
        self._credentials = credentials
        self._http = _client(endpoint, credentials, recv_window_ms, transport or ShownLines(self._waits))
        self._http.client.hooks["response"].append(self._take_body)
        self._attempt: _Attempt | None = None
        self._status_text = ""
        self._signed: OrderedDict[OrderLinkId, int] = OrderedDict()
        self._closed = False

    def __repr__(self) -> str:
        return f"<BybitSession {self._name}>"

    def signed_ms(self, order_link_id: OrderLinkId) -> int | None:
        """When this session last signed an order of that id; None when it did not, or long ago."""
        return self._signed.get(order_link_id)

    async def call(self, method: str, *, within_ms: int = CALL_MS, **params: object) -> Reply:
        """Make one call by pybit's name of it, once.

        Raises Refusal for a retCode other than 0, NotSentError when nothing was sent, NoAnswerError when what became of
        the request is not known; nothing of pybit's own. Raises KeyError for a call that is not on the budget's list.
        """
        deadline = asyncio.get_running_loop().time() + within_ms / 1000
        await self._turn(deadline)
        try:
            attempt, calling = self._begun(method, params, deadline)
        except BaseException:
            self._turns.give()
            raise
        begun = True
        try:
            await asyncio.wait({calling}, timeout=deadline - asyncio.get_running_loop().time())
        finally:
            if not calling.done():
                begun = attempt.give_up()
                asyncio.get_running_loop().call_later(LATE_SECONDS, attempt.cut)
        if not calling.done():
            raise NoAnswerError(f"no answer within {within_ms} ms") if begun else NotSentError(_TOO_LATE)
        outcome = calling.result().outcome
        if isinstance(outcome, VenueFault):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Make no more calls, end the thread, and close the connections."""
        self._closed = True
        if isinstance(self._run, ThreadRunner):
            await self._run.close()
        self._http.client.close()

    async def _turn(self, deadline: float) -> None:
        """Wait for the thread. Raises NotSentError when there is none to be had in time."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.take()
        except TimeoutError:
            raise NotSentError(_TOO_LATE) from None
        except TooManyWaitError:
            raise NotSentError("too many calls are waiting") from None

    def _begun(
        self, method: str, params: Mapping[str, object], deadline: float
    ) -> "tuple[_Attempt, asyncio.Future[_Told]]":
        """The call on its way to the thread; it gives the turn on when it ends. Raises NotSentError, KeyError."""
        if self._closed:
            raise NotSentError("the session is closed")
        reducing = params.get("reduceOnly") is True
        block = self.budget.take(method, reducing=reducing)
        if block:
            raise NotSentError(block.what)
        left_ms = (deadline - asyncio.get_running_loop().time()) * 1000
        attempt = _Attempt(deadline_ms=self._clock.now_ms() + int(left_ms))
        calling = asyncio.ensure_future(self._run(lambda: self._make(attempt, method, params)))
        calling.add_done_callback(lambda done: self._learn(method, done, reducing=reducing))
        return attempt, calling

    def _learn(self, method: str, calling: "asyncio.Future[_Told]", *, reducing: bool) -> None:
        """Give the budget what came back, also when it came too late for the caller; then give the turn on."""
        try:
            if not calling.cancelled() and calling.exception() is None:
                told = calling.result()
                if told.heard is not None:
                    self.budget.heard(method, told.heard)
                if method == CREATE:
                    self._count(told.outcome, reducing=reducing)
        finally:
            self._turns.give()

    def _count(self, outcome: Reply | VenueFault, *, reducing: bool) -> None:
        """Tell the breaker of an order, before the next one has its turn."""
        if isinstance(outcome, Reply):
            self.budget.passed(reduce_only=reducing)
        elif isinstance(outcome, Refusal) and outcome.kind in NOT_DONE:
            self.budget.refused(outcome.code, reduce_only=reducing)

    def _make(self, attempt: _Attempt, method: str, params: Mapping[str, object]) -> _Told:
        """On the session's thread: make the call, and put its end into a value."""
        now_ms = self._clock.now_ms()
        if self._closed or not attempt.begin(now_ms):
            return _Told(outcome=NotSentError(_TOO_LATE), heard=None)
        if method == CREATE:
            self._remember(OrderLinkId(str(params["orderLinkId"])), now_ms)
        self._attempt, self._status_text = attempt, ""
        left_seconds = max(0.001, (attempt.deadline_ms - now_ms) / 1000)
        self._http.signed_ms = now_ms
        self._http.timeout = (min(CONNECT_SECONDS, left_seconds), min(READ_SECONDS, left_seconds))
        try:
            answer, elapsed, headers = getattr(self._http, method)(**params)
            return _reply(answer, headers, now_ms, round(elapsed.total_seconds() * 1000))
        except InvalidRequestError as fault:
            return self._refused(fault.status_code, fault.message, fault.resp_headers or {})
        except FailedRequestError as fault:
            return self._failed(fault.status_code, fault.resp_headers)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the request may have been sent: there is no answer
            return _lost(f"no answer: {type(fault).__name__}")
        finally:
            self._attempt = None
            attempt.end()

    def _remember(self, order_link_id: OrderLinkId, now_ms: int) -> None:
        self._signed[order_link_id] = now_ms
        self._signed.move_to_end(order_link_id)
        while len(self._signed) > SIGNED_MAX and next(iter(self._signed.values())) < now_ms - SIGNED_KEPT_MS:
            self._signed.popitem(last=False)

    def _refused(self, code: object, message: object, headers: Mapping[str, str]) -> _Told:
        if type(code) is not int:
            return _lost("the answer has no readable retCode")
        refusal = Refusal(
            code, kind_of(code), scrubbed(message, (self._credentials.secret.reveal(), self._credentials.key))
        )
        heard = Heard(headers=headers, answered=True, kind=refusal.kind, text=str(refusal))
        return _Told(outcome=refusal, heard=heard)

    def _failed(self, status: object, headers: Mapping[str, str] | None) -> _Told:
        """An HTTP status other than 200; pybit gives 409 to what is no JSON."""
        kind = kind_of_status(status, self._status_text) if isinstance(status, int) else CodeKind.UNKNOWN
        text = f"HTTP {status}"
        return _Told(
            outcome=NoAnswerError(text), heard=Heard(headers=headers or {}, answered=False, kind=kind, text=text)
        )

    def _waits(self, line: socket.socket) -> None:
        if self._attempt is not None and not self._attempt.waits(line):
            raise requests.exceptions.ReadTimeout("nobody waits for it any more")

    def _take_body(self, response: requests.Response, **_: object) -> None:
        """Read the body within its bounds, before pybit reads all of it."""
        raw = response.raw
        if isinstance(raw, urllib3.BaseHTTPResponse):
            body = bytearray()
            for piece in raw.stream(65_536, decode_content=True):
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raw.close()
                    raise requests.exceptions.ContentDecodingError("the answer is too long")
            response.raw = io.BytesIO(body)
        if response.status_code != requests.codes.ok:
            self._status_text = response.text[:1000]


def _client(endpoint: Endpoint, credentials: Credentials, recv_window_ms: int, transport: BaseAdapter) -> _Http:
    """The client of pybit in the one safe construction. Raises StartError for another version of pybit."""
    if VERSION != PYBIT_VERSION:
        raise StartError(f"pybit is version {VERSION}, and live orders were written for {PYBIT_VERSION}: install that.")
    http = _Http(
        testnet=endpoint.env == "testnet",
        demo=endpoint.env == "demo",
        timeout=(CONNECT_SECONDS, READ_SECONDS),
        recv_window=recv_window_ms,
        force_retry=False,
        max_retries=1,  # attempts in all
        retry_codes={-999},  # no code of Bybit's; an empty set would bring pybit's own back
        return_response_headers=True,
        log_requests=False,
    )
    http.credentials = credentials
    http.endpoint = endpoint.rest_url
    http.client.trust_env = False  # no proxy and no .netrc of the environment
    http.client.max_redirects = 0  # a redirect is followed as GET, and would look like success
    # It could only write bodies, and says nothing that is not told here.
    logging.getLogger("pybit._http_manager").disabled = True
    http.client.mount("https://", transport)
    http.client.mount("http://", transport)
    return http


def _reply(answer: object, headers: Mapping[str, str], signed_ms: int, elapsed_ms: int) -> _Told:
    """An answer that pybit found no fault with, checked: anything without a retCode looks like success to it."""
    if not isinstance(answer, Mapping) or type(answer.get("retCode")) is not int or answer["retCode"] != 0:
        return _lost("the answer has no readable retCode")
    result = answer.get("result")
    if result is not None and not isinstance(result, Mapping):
        return _lost("the answer's result is no object")
    reply = Reply(result=result or {}, signed_ms=signed_ms, elapsed_ms=elapsed_ms)
    return _Told(outcome=reply, heard=Heard(headers=headers, answered=True, kind=None, text=""))


def _lost(text: str) -> _Told:
    return _Told(outcome=NoAnswerError(text), heard=Heard(headers={}, answered=False, kind=None, text=text))
