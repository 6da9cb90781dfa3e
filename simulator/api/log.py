"""The numbered log of requests: what was asked, what was done, what was answered. Bounded; for tests."""

from collections import deque
from dataclasses import dataclass
from itertools import islice

from simulator.shapes import Json

ENTRIES_MAX = 50_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """One request."""

    number: int
    """From 1, without gaps."""
    at_ms: int
    """When it reached the exchange, by the exchange's own clock."""
    method: str
    path: str
    link_id: str | None
    key: str
    """The API key it named; never a secret."""
    status: int | None = None
    """None: it got no answer."""
    code: int | None = None
    """retCode; None where the answer had no envelope."""
    fault: str | None = None
    accepted: bool = False
    """Whether the exchange did what was asked, whatever was answered."""
    answered_ms: int | None = None
    """When the first byte of the answer left, or was to leave."""

    def as_json(self) -> Json:
        """As the control API shows it."""
        return {
            "number": self.number,
            "time": self.at_ms,
            "method": self.method,
            "path": self.path,
            "orderLinkId": self.link_id,
            "apiKey": self.key,
            "status": self.status,
            "retCode": self.code,
            "fault": self.fault,
            "accepted": self.accepted,
            "answered_ms": self.answered_ms,
        }


class RequestLog:
    """The newest ENTRIES_MAX requests."""

    def __init__(self, most: int = ENTRIES_MAX) -> None:
        self._entries: deque[Entry] = deque(maxlen=most)
        self.total = 0
        """All requests so far."""

    def open(self, *, at_ms: int, method: str, path: str, link_id: str | None, key: str) -> Entry:
        """A new entry, to be completed by who answers."""
        self.total += 1
        entry = Entry(number=self.total, at_ms=at_ms, method=method, path=path[:200], link_id=link_id, key=key)
        self._entries.append(entry)
        return entry

    def after(self, number: int, most: int = ENTRIES_MAX) -> list[Entry]:
        """The entries behind this number, oldest first."""
        first = self.total - len(self._entries)
        skipped = max(0, number - first)
        return list(islice(self._entries, skipped, skipped + most))
