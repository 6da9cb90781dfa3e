"""Pages of a listing, and the cursors between them.

A cursor is opaque, and comes percent-encoded already: it goes back into the query exactly as it was given. It names the
last row that was seen and the listing it belongs to; a cursor of another listing, or a mutilated one, is refused.
When that row has left the listing meanwhile, the page begins with the first row that is not newer: a row may come
twice, and none is skipped.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from simulator.shapes import Json
from simulator.trading.contract import TradeError

PARAMETER_ERROR = 10001
_CURSOR = re.compile(r"page_token=([0-9]{1,15}):([A-Za-z0-9_-]{1,64})&q=([0-9a-f]{12})&", re.ASCII)
_NOT_THE_LISTING = {"cursor", "limit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How one endpoint is paged."""

    default: int
    most: int
    time_field: str
    """Rows come newest first by this."""
    id_fields: Sequence[str]
    """What tells one row from every other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some rows, and the cursor of those behind them; empty at the end."""

    rows: Sequence[Json]
    cursor: str


def page(rows: Sequence[Json], paging: Paging, query: Mapping[str, object], *, listing: str) -> Page:
    """The page that the query's `limit` and `cursor` ask for; `listing` names endpoint and account.

    Raises TradeError (10001) for a limit out of range and for a wrong cursor.
    """
    limit = _limit(query, paging)
    digest = _digest(listing, query)
    first = _first(rows, paging, query.get("cursor"), digest)
    shown = rows[first : first + limit]
    if not shown or first + limit >= len(rows):
        return Page(rows=shown, cursor="")
    last = shown[-1]
    return Page(
        rows=shown, cursor=quote(f"page_token={_time(last, paging)}:{_name(last, paging)}&q={digest}&", safe="")
    )


def _limit(query: Mapping[str, object], paging: Paging) -> int:
    text = query.get("limit", str(paging.default))
    if not (isinstance(text, str) and re.fullmatch("[0-9]{1,6}", text) and 1 <= int(text) <= paging.most):
        raise TradeError(PARAMETER_ERROR, "params error: limit invalid")
    return int(text)


def _first(rows: Sequence[Json], paging: Paging, cursor: object, digest: str) -> int:
    """The place of the first row behind the cursor."""
    if cursor is None or cursor == "":
        return 0
    match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) else None
    if match is None or match[3] != digest:
        raise TradeError(PARAMETER_ERROR, "params error: cursor invalid")
    seen_ms, seen_name = int(match[1]), match[2]
    for place, row in enumerate(rows):
        if _name(row, paging) == seen_name:
            return place + 1
    return next((place for place, row in enumerate(rows) if _time(row, paging) <= seen_ms), len(rows))


def _digest(listing: str, query: Mapping[str, object]) -> str:
    fixed = sorted((name, str(value)) for name, value in query.items() if name not in _NOT_THE_LISTING)
    return hashlib.sha256(repr((listing, fixed)).encode("utf-8", "replace")).hexdigest()[:12]


def _time(row: Json, paging: Paging) -> int:
    return int(_text(row, paging.time_field) or 0)


def _name(row: Json, paging: Paging) -> str:
    return "-".join(_text(row, name) for name in paging.id_fields)


def _text(row: Json, name: str) -> str:
    return str(row.get(name, "")) if isinstance(row, Mapping) else ""
