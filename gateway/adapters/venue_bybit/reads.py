"""Reads lists of Bybit's private REST interface whole, or not at all."""

from collections.abc import Mapping
from typing import Protocol

from gateway.adapters.venue_bybit.faults import VenueFault
from gateway.adapters.venue_bybit.messages import Row
from gateway.adapters.venue_bybit.session import CALL_MS, Reply
from gateway.ports import VenueUnavailableError

CATEGORY = "linear"
SETTLE_COIN = "USDT"
CURSOR_CHARS_MAX = 1_000


class Reads(Protocol):
    """What answers questions; a BybitSession is one."""

    async def call(self, method: str, *, within_ms: int = CALL_MS, **params: object) -> Reply:
        """Ask once. Raises VenueFault."""
        ...


async def asked(reads: Reads, method: str, **params: object) -> Reply:
    """One answer. Raises VenueUnavailableError."""
    try:
        return await reads.call(method, within_ms=CALL_MS, **params)
    except VenueFault as fault:
        raise VenueUnavailableError(f"{method}: {fault.text}") from None


async def all_rows(reads: Reads, method: str, *, pages_max: int, **params: object) -> list[Row]:
    """Every row of a list in the venue's order. Raises VenueUnavailableError, also when there are more pages."""
    rows: list[Row] = []
    cursor: dict[str, object] = {}
    for _ in range(pages_max):
        result = (await asked(reads, method, category=CATEGORY, **params, **cursor)).result
        page, following = rows_of(method, result), _cursor(method, result)
        rows += page
        if not page or not following:
            return rows
        if cursor == {"cursor": following}:
            raise VenueUnavailableError(f"{method}: a page names itself as the next one")
        cursor = {"cursor": following}  # as it came, percent signs and all: that is what is signed
    raise VenueUnavailableError(f"{method}: there are more than {pages_max} pages")


def rows_of(method: str, result: Mapping[str, object]) -> list[Row]:
    """The rows of one page. Raises VenueUnavailableError."""
    rows = result.get("list")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise VenueUnavailableError(f"{method}: the answer has no list of rows")
    return rows


def _cursor(method: str, result: Mapping[str, object]) -> str:
    cursor = result.get("nextPageCursor")
    if not isinstance(cursor, str) or len(cursor) > CURSOR_CHARS_MAX:
        raise VenueUnavailableError(f"{method}: the answer does not say whether there is another page")
    return cursor
