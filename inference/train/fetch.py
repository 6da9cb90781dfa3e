"""Klines over Bybit's public v5 REST, through pybit: the only file that imports it.

One call of `Klines.between` is one page, asked for again while the exchange or the way to it fails:

answer                                     what is done
HTTP 403                                   stop at once: Bybit bans the address for ten minutes, and longer if asked on
retCode 10006 and its like                 wait until the time that the headers name, else back off; ask again
HTTP 429, 5xx, no JSON, time-outs          back off; ask again
rows that are no klines, contradict each   back off; ask again: such an answer is broken on the way, not a market
other or were not asked for
any other retCode or HTTP status           stop: asking again would change nothing
a redirect                                 stop: pybit would take what stands there for the exchange's answer

pybit's own retries are off (it hides the code, sends again at once, and sleeps negative times); a market without a key
needs no account, so none is ever given.
"""

import ipaddress
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import requests
from pybit.exceptions import FailedRequestError, InvalidRequestError
from pybit.unified_trading import HTTP

from inference.core.bars import MS

_Read = TypeVar("_Read")

MAINNET = "https://api.bybit.com"
_HOST = re.compile(r"api\.(bybit\.(com|nl|kz|eu|ae|id)|bybit-tr\.com|bybitgeorgia\.ge|bytick\.com)")

CATEGORIES = ("linear", "spot")
"""Those whose volume is in base currency; inverse contracts count it in quote currency."""
INTERVAL_SECONDS: Mapping[str, int] = MappingProxyType(
    {name: 60 * int(name) for name in ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720")} | {"D": 86_400}
)
"""By Bybit's names; weeks and months begin on no multiple of their length."""
PAGE_ROWS = 1_000
"""The most that one answer holds."""
CLOSE_MARGIN_MS = 2_000
"""A bar is taken so long after it closed: its last trades may reach the exchange's own history late."""

ATTEMPTS_MAX = 6
_BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each further attempt: half a minute together, longer than a restart of the exchange's gateway."""
_PACE_SECONDS = 0.05
"""Between two requests: 100 in five seconds, a sixth of what bans an address, so that a gateway beside it is safe."""
_HEADROOM = 3
"""With fewer requests left than this in the exchange's window, the next one waits for a new window."""
_RESET_SECONDS_MAX = 10.0
"""Windows last a second; a header that names a later time is not believed beyond this."""
_TIMEOUT_SECONDS = (3.05, 10.0)
"""To connect, and between two parts of an answer."""

_BANNED = 403
_AGAIN_STATUS = frozenset({409, 429, *range(500, 600)})
"""409 is pybit's invention for an answer that is no JSON."""
_LIMITED = frozenset({10006, 10429, 10403, 20003})
_AGAIN_CODES = _LIMITED | {10000, 10016, 10018, 10019, 500000}
_FIELDS = ("open", "high", "low", "close", "volume")


class FetchFaultError(Exception):
    """Klines cannot be fetched; says why, and what to do."""


class BannedError(FetchFaultError):
    """The exchange refuses this address: nothing more may be asked of it before the ban ends."""


class _BrokenAnswerError(Exception):
    """An answer that is not what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Which klines: a symbol of a category in an interval, by Bybit's names."""

    symbol: str
    category: str = "linear"
    interval: str = "60"

    def __post_init__(self) -> None:
        # pybit writes them into the address as they are.
        if not re.fullmatch(r"[A-Z0-9]{2,24}", self.symbol):
            raise FetchFaultError(f"{self.symbol!r} is no symbol: capital letters and digits, such as BTCUSDT")
        if self.category not in CATEGORIES:
            raise FetchFaultError(f"category {self.category!r} is none of {', '.join(CATEGORIES)}")
        if self.interval not in INTERVAL_SECONDS:
            raise FetchFaultError(f"interval {self.interval!r} is none of {', '.join(INTERVAL_SECONDS)}")

    @property
    def step_ms(self) -> int:
        """The length of a bar."""
        return INTERVAL_SECONDS[self.interval] * MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where klines are asked for: an exchange over https, or a simulator on this machine."""

    url: str = MAINNET

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        plain = parts.path in {"", "/"} and not (parts.query or parts.fragment or parts.username)
        exchange = parts.scheme == "https" and _HOST.fullmatch(parts.hostname or "") and parts.netloc == parts.hostname
        if not plain or not (exchange or (parts.scheme == "http" and self.on_this_machine)):
            raise FetchFaultError(
                f"{self.url!r} is neither Bybit's mainnet over https nor http on a loopback address such as "
                "http://127.0.0.1:50050"
            )

    @property
    def on_this_machine(self) -> bool:
        """Whether it is a loopback address, and so no real market."""
        try:
            return ipaddress.ip_address(urlsplit(self.url).hostname or "").is_loopback
        except ValueError:
            return False


class Klines:
    """A patient client of one endpoint. Not for use from several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        sleep: Callable[[float], None] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._sleep, self._wall = sleep, wall
        self._session = HTTP(
            timeout=_TIMEOUT_SECONDS,
            force_retry=False,
            max_retries=1,
            retry_codes={-999},  # a sentinel: an empty set would restore pybit's own
            return_response_headers=True,
            log_requests=False,
        )
        self._session.client.trust_env = False
        self._session.client.max_redirects = 0
        self._session.endpoint = endpoint.url.rstrip("/")

    def server_ms(self) -> int:
        """What the exchange's clock says, Unix milliseconds. Raises FetchFaultError."""
        return self._asked(self._session.get_server_time, _answered_ms)

    def between(self, series: Series, first_ms: int, last_ms: int) -> pa.Table:
        """The closed bars that opened from `first_ms` to `last_ms`, oldest first, as columns; there may be none.

        At most `PAGE_ROWS` fit: a longer span would be cut by the exchange. Raises FetchFaultError.
        """
        if (last_ms - first_ms) // series.step_ms >= PAGE_ROWS:
            raise FetchFaultError(f"more than {PAGE_ROWS} bars were asked for at once")

        def ask() -> Any:  # noqa: ANN401 # pybit has no types
            return self._kline(series, start=first_ms, end=last_ms, limit=PAGE_ROWS)

        return self._asked(ask, lambda answer: _table(answer, series, first_ms, last_ms))

    def newest_until(self, series: Series, last_ms: int) -> int | None:
        """When the newest bar opened that opened at `last_ms` or before; None when there is none."""

        def ask() -> Any:  # noqa: ANN401 # pybit has no types
            return self._kline(series, end=last_ms, limit=1)

        found = self._asked(ask, lambda answer: _table(answer, series, 0, last_ms))
        return int(found.column("open_time_ms")[0].as_py()) if found.num_rows else None

    def _kline(self, series: Series, **span: int) -> Any:  # noqa: ANN401 # pybit has no types
        return self._session.get_kline(category=series.category, symbol=series.symbol, interval=series.interval, **span)

    def _asked(self, ask: Callable[[], Any], read: Callable[[Mapping[str, Any]], _Read]) -> _Read:
        """The answer as read, after as many attempts as it takes; raises FetchFaultError after the last."""
        fault = ""
        for attempt in range(ATTEMPTS_MAX):
            self._sleep(_PACE_SECONDS if attempt == 0 else _BACK_OFF_SECONDS[attempt - 1])
            try:
                answer, _, headers = ask()
                found = read(answer)
            except InvalidRequestError as refused:
                fault = _refused(refused)
                self._sleep(self._seconds_to_reset(refused.resp_headers))
            except FailedRequestError as failed:
                fault = _failed(failed)
            except requests.exceptions.TooManyRedirects as redirect:
                raise FetchFaultError("the endpoint answers with a redirect: it is not the exchange") from redirect
            except requests.exceptions.RequestException as broken:
                fault = f"the exchange did not answer ({type(broken).__name__})"
            except (_BrokenAnswerError, AttributeError, KeyError, TypeError, ValueError) as broken:
                # The last four are what pybit and `read` raise for JSON of another shape.
                fault = f"the answer is not what was asked for ({type(broken).__name__}: {broken})"
            else:
                self._keep_headroom(headers)
                return found
        raise FetchFaultError(f"no good answer in {ATTEMPTS_MAX} attempts; the last: {fault}. Run it again later")

    def _keep_headroom(self, headers: Mapping[str, str] | None) -> None:
        left = (headers or {}).get("X-Bapi-Limit-Status", "")
        if left.isascii() and left.isdecimal() and int(left) < _HEADROOM:
            self._sleep(self._seconds_to_reset(headers))

    def _seconds_to_reset(self, headers: Mapping[str, str] | None) -> float:
        """How long until the window of requests that the headers name begins anew; 0 when they do not say."""
        reset = (headers or {}).get("X-Bapi-Limit-Reset-Timestamp", "")
        if not (reset.isascii() and reset.isdecimal()):
            return 0.0
        return min(max(0.0, int(reset) / MS - self._wall()), _RESET_SECONDS_MAX)


def _refused(refused: InvalidRequestError) -> str:
    """Why the exchange refused, when asking again may help; raises FetchFaultError when it cannot."""
    if refused.status_code in _AGAIN_CODES:
        return f"retCode {refused.status_code}"
    raise FetchFaultError(f"the exchange refuses the request: retCode {refused.status_code}, {refused.message}")


def _failed(failed: FailedRequestError) -> str:
    if failed.status_code == _BANNED:
        raise BannedError(
            "HTTP 403: the exchange refuses this address. After too many requests it lifts the ban by itself: stop "
            "every client on this address and wait ten minutes. If it comes at once, the region is not served"
        )
    if failed.status_code in _AGAIN_STATUS:
        return f"HTTP {failed.status_code}"
    raise FetchFaultError(f"the exchange answers HTTP {failed.status_code}")


def _answered_ms(answer: Mapping[str, Any]) -> int:
    """The exchange's time in an answer."""
    moment = answer["time"]
    if not isinstance(moment, int) or moment <= 0:
        raise _BrokenAnswerError(f"its time is {moment!r}")
    return moment


def _table(answer: Mapping[str, Any], series: Series, first_ms: int, last_ms: int) -> pa.Table:
    """The rows of an answer, oldest first, each once, without the bar that is still open."""
    result, closed_ms = answer["result"], _answered_ms(answer) - CLOSE_MARGIN_MS
    if result["list"] and result["symbol"] != series.symbol:
        raise _BrokenAnswerError(f"it is about {result['symbol']!r}")
    rows: dict[int, tuple[float, ...]] = {}
    for time_text, *values in result["list"]:
        opened_ms, numbers = int(time_text), tuple(map(float, values[: len(_FIELDS)]))
        if opened_ms + series.step_ms > closed_ms:
            continue
        if len(numbers) < len(_FIELDS) or not np.isfinite(numbers).all():
            raise _BrokenAnswerError(f"its row of {opened_ms} is {values!r}")
        if not first_ms <= opened_ms <= last_ms:
            raise _BrokenAnswerError(f"{opened_ms} lies outside {first_ms} to {last_ms}")
        if rows.setdefault(opened_ms, numbers) != numbers:
            raise _BrokenAnswerError(f"it contradicts itself on {opened_ms}")
    return klines_table(sorted((opened_ms, *numbers) for opened_ms, numbers in rows.items()))


def klines_table(rows: Sequence[tuple[float, ...]]) -> pa.Table:
    """Columns of rows: open_time_ms, open, high, low, close, volume."""
    columns = list(zip(*rows, strict=True)) or [()] * (1 + len(_FIELDS))
    types = (pa.int64(), *[pa.float64()] * len(_FIELDS))
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=("open_time_ms", *_FIELDS))
