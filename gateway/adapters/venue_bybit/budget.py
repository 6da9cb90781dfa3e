"""How many calls Bybit still takes, kept from its own headers, and when none may be made at all.

1. HTTP 403 for too many requests: no HTTP to Bybit for the length of the ban, nor for orders that reduce. The ban is
   the address's: market data keeps to it as well, and may have met it first.
2. A key that is not accepted (a code, HTTP 401, or any other 403): no order until the process is restarted.
3. HTTP 429: nothing but orders that reduce, for a pause that doubles until Bybit answers a call of that kind again.
4. Code 10006: no call of that kind until its reset.
5. Each kind of call keeps to its rolling second, and all of them together to the limit of the address. Of both, a
   part is kept for orders that reduce a position.
6. The breaker holds back orders that open a position.

An order that was approved before a halt, and waits for its turn, is not sent after it; the reductions of a flatten are.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.adapters.ban import AddressBan
from gateway.adapters.pause import Pause
from gateway.adapters.venue_bybit.alarms import Alarm, AlarmKind
from gateway.adapters.venue_bybit.breaker import Breaker
from gateway.adapters.venue_bybit.codes import CodeKind
from gateway.core.venue import VenueBlock
from gateway.ports import Clock

CREATE = "place_order"
LIMITS: Mapping[str, int] = {
    CREATE: 10,
    "cancel_all_orders": 10,
    "get_open_orders": 50,
    "get_order_history": 50,
    "get_executions": 50,
    "get_positions": 50,
    "get_wallet_balance": 50,
    "get_account_info": 50,
    "get_transaction_log": 25,
    "get_api_key_information": 10,
    "get_fee_rates": 5,
    "get_server_time": 10,
    "get_system_status": 10,
}
"""Calls a second that Bybit takes, by pybit's name of them, before its headers tell better. No other call is made."""
SPAN_MS = 1000
HEADROOM = 3
"""Calls of every second's orders that only those which reduce a position may use: of 10 a second, three closings.
Never more than a third of a limit."""
ADDRESS_CALLS_MAX = 500
"""In ADDRESS_SPAN_MS. Bybit takes 600; the rest is for the market data of this address."""
ADDRESS_SPAN_MS = 5000
ADDRESS_HEADROOM = 50
"""Of these, so many are for orders that reduce a position."""
RESET_MS_MAX = 5000
"""The longest pause that a header may ask for: the limits are counted by the second."""
BUSY_MS = (1000, 60_000)
"""The first and the longest pause after HTTP 429; each doubles the one before."""
STOPPED_RETRY_SECONDS = 600
"""What a caller is told while only a restart helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back of one call."""

    headers: Mapping[str, str]
    """Any mapping that finds names in whatever case they are written."""
    answered: bool
    """With HTTP 200 and a retCode, 0 included."""
    kind: CodeKind | None
    """None for success, and when nothing came back."""
    text: str
    """For an alarm: scrubbed."""


class Budget:
    """The budget of one account and address; all sessions of a process share it, in one thread."""

    def __init__(
        self,
        *,
        clock: Clock,
        alarm: Callable[[Alarm], None],
        ban: AddressBan,
        halted: Callable[[bool], bool] = lambda _: False,
    ) -> None:
        """`halted`: whether an operator, or an alarm, has forbidden every order, told whether it only reduces."""
        self._clock = clock
        self._halted = halted
        self._alarm = alarm
        self._ban = ban
        self._windows = {method: _Window(limit, SPAN_MS) for method, limit in LIMITS.items()}
        self._address = _Window(ADDRESS_CALLS_MAX, ADDRESS_SPAN_MS)
        self._busy = Pause()
        self._busy_ms = BUSY_MS[0]
        self._busy_method = ""
        """What was last answered by 429."""
        self._stopped = ""
        self._breaker = Breaker()

    def block(self, *, reduce_only: bool) -> VenueBlock | None:
        """Why no such order may go out at this moment; None when it may."""
        now_ms = self._clock.now_ms()
        if self._halted(reduce_only):
            return _block("trading is halted", SPAN_MS)
        if self._stopped:
            return VenueBlock(what=self._stopped, retry_after_seconds=STOPPED_RETRY_SECONDS)
        shut_ms = 0 if reduce_only else self._breaker.shut_ms(now_ms)
        if shut_ms:
            return _block("Bybit refused several orders in a row for the same reason", shut_ms)
        return self._call_block(CREATE, now_ms, reducing=reduce_only)

    def take(self, method: str, *, reducing: bool = False) -> VenueBlock | None:
        """Count a call that is about to be made; or why it must not be made, and it is not counted.

        Raises KeyError for a call that this gateway has no use for.
        """
        now_ms = self._clock.now_ms()
        window = self._windows[method]
        block = self.block(reduce_only=reducing) if method == CREATE else self._call_block(method, now_ms)
        if block:
            return block
        if method == CREATE and not reducing:
            self._breaker.sending(now_ms)
        window.count(now_ms)
        self._address.count(now_ms)
        return None

    def heard(self, method: str, heard: Heard) -> None:
        """Learn from what came back of a call."""
        now_ms = self._clock.now_ms()
        self._windows[method].learn(heard, now_ms)
        if heard.answered and method == self._busy_method:
            self._busy_ms = BUSY_MS[0]
        match heard.kind:
            case CodeKind.BANNED:
                self._shut_out()
            case CodeKind.AUTH:
                self._stop(heard.text)
            case CodeKind.CLOCK:
                self._alarm(Alarm(kind=AlarmKind.CLOCK, text=f"Bybit refused a time stamp: {heard.text}"))
            case CodeKind.RATE if not heard.answered:
                self._busy.begin(now_ms, self._busy_ms)
                self._busy_ms = min(2 * self._busy_ms, BUSY_MS[1])
                self._busy_method = method
            case _:
                pass

    def passed(self, *, reduce_only: bool) -> None:
        """An order was not refused."""
        if not reduce_only:
            self._breaker.passed()

    def refused(self, code: int, *, reduce_only: bool) -> None:
        """An order was refused with a code."""
        if not reduce_only and self._breaker.refused(code, self._clock.now_ms()):
            self._alarm(Alarm(kind=AlarmKind.BREAKER, text=f"Bybit refused several orders in a row with code {code}"))

    def _call_block(self, method: str, now_ms: int, *, reducing: bool = False) -> VenueBlock | None:
        window = self._windows[method]
        ban_ms, busy_ms = self._ban.left_ms(), self._busy.left_ms(now_ms)
        if ban_ms:
            return _block("Bybit has shut out this address for too many requests", ban_ms)
        if busy_ms and not reducing:
            return _block("Bybit is overloaded and asked for a pause", busy_ms)
        if window.shut_ms(now_ms):
            return _block("Bybit's rate limit is used up", window.shut_ms(now_ms))
        if self._address.left(now_ms) <= (0 if reducing else ADDRESS_HEADROOM):
            return _block("this address has used up its requests", ADDRESS_SPAN_MS)
        if window.left(now_ms) <= (window.headroom if method == CREATE and not reducing else 0):
            return _block("Bybit's rate limit is used up", SPAN_MS)
        return None

    def _shut_out(self) -> None:
        if self._ban.begin():
            self._alarm(Alarm(kind=AlarmKind.BANNED, text="Bybit has shut out this address for too many requests"))

    def _stop(self, text: str) -> None:
        if self._stopped:
            return
        self._stopped = "Bybit does not accept this gateway's API key or address; mend that and restart the gateway"
        self._alarm(Alarm(kind=AlarmKind.AUTH, text=f"Bybit does not accept the API key or the address: {text}"))


class _Window:
    """One limit: what was sent within the span, what Bybit says is left, and a pause that it asked for."""

    def __init__(self, limit: int, span_ms: int) -> None:
        self._limit = limit
        self._span_ms = span_ms
        self._sent_ms: deque[int] = deque()
        self._told_left: int | None = None
        self._told_ms = 0
        self._shut = Pause()

    @property
    def headroom(self) -> int:
        return min(HEADROOM, self._limit // 3)

    def count(self, now_ms: int) -> None:
        self._sent_ms.append(now_ms)
        if self._told_left is not None:
            self._told_left -= 1

    def left(self, now_ms: int) -> int:
        """What may still be sent; what Bybit told counts as long as the span that it spoke of."""
        while self._sent_ms and not now_ms - self._span_ms < self._sent_ms[0] <= now_ms:
            self._sent_ms.popleft()  # passed, or of a clock that was set back
        own = self._limit - len(self._sent_ms)
        told_counts = self._told_left is not None and 0 <= now_ms - self._told_ms < self._span_ms
        return min(own, self._told_left) if told_counts and self._told_left is not None else own

    def shut_ms(self, now_ms: int) -> int:
        return self._shut.left_ms(now_ms)

    def learn(self, heard: Heard, now_ms: int) -> None:
        limit = _figure(heard.headers, "X-Bapi-Limit")
        if limit:
            self._limit = limit
        left = _figure(heard.headers, "X-Bapi-Limit-Status")
        if left is not None:
            self._told_left, self._told_ms = left, now_ms
        if heard.kind is CodeKind.RATE and heard.answered:
            reset_ms = (_figure(heard.headers, "X-Bapi-Limit-Reset-Timestamp") or now_ms) - now_ms
            self._shut.begin(now_ms, min(reset_ms, RESET_MS_MAX) if reset_ms > 0 else SPAN_MS)


def _block(what: str, wait_ms: int) -> VenueBlock:
    return VenueBlock(what=what, retry_after_seconds=math.ceil(wait_ms / 1000))


def _figure(headers: Mapping[str, str], name: str) -> int | None:
    """A header's whole number; None when there is none that can be used."""
    text = headers.get(name) or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None  # noqa: PLR2004 - as times
