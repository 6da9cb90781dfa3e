"""A journal in memory that outlives the gateways that write it, as strict as the one on disk.

A record is durable a moment after it was staged, in order; what was staged and not durable when a gateway was killed is
lost from some record on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from bench.live.relay import KilledError
from gateway.core.documents import Document, DocumentKind
from gateway.core.lifecycle import OPEN_STATES, ORDER_MOVES, RiskStatus
from gateway.core.model import (
    Decision,
    DecisionId,
    OrderKey,
    OrderLinkId,
    OrderRecord,
    OrderState,
    RiskChange,
)
from gateway.ports import StartError
from simulator.virtual import VirtualTime

COMMIT_MS = 1
"""From a record's staging to its being durable."""


class WrongMoveError(Exception):
    """A record that the journal must not hold: a move that the lifecycle does not know, or an end without evidence."""


@dataclass
class Disk:
    """What is durable."""

    records: list[OrderRecord] = field(default_factory=list)
    newest: dict[OrderKey, OrderRecord] = field(default_factory=dict)
    links: dict[OrderLinkId, OrderKey] = field(default_factory=dict)
    risk: list[RiskChange] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    peak_usd: Decimal | None = None
    owner: str = ""

    def keep(self, record: OrderRecord) -> None:
        """Make a record durable."""
        self.records.append(record)
        self.newest[record.order.key] = record
        self.links[record.order_link_id] = record.order.key

    def knows(self, link: str) -> bool:
        """Whether an order of that id is durable, as one that may be sent."""
        key = self.links.get(OrderLinkId(link))
        return key is not None and self.newest[key].state is not OrderState.REFUSED

    def filled(self) -> list[OrderRecord]:
        """The records that tell fills, in the order in which they were kept."""
        return [record for record in self.records if record.fills]


class MemoryJournal:
    """The journal of one life of a gateway over a disk."""

    def __init__(self, disk: Disk, time: VirtualTime, *, on_stage: Callable[[OrderRecord], None]) -> None:
        self._disk = disk
        self._time = time
        self._on_stage = on_stage
        self._staged: list[tuple[OrderRecord, asyncio.Future[None]]] = []
        self._latest: dict[OrderKey, OrderRecord] = {}
        """The newest record of each order of this life, durable or not."""
        self._entry = asyncio.Lock()
        self._closed = False

    def kill(self, chance: Random) -> None:
        """Keep some of what was staged, from the front, and write nothing more."""
        self._closed = True
        for record, _ in self._staged[: chance.randint(0, len(self._staged))]:
            self._disk.keep(record)
        self._staged.clear()

    async def claim(self, account_name: str) -> None:
        """Mark a new journal as this account's. Raises StartError when it is another's."""
        if self._disk.owner not in {"", account_name}:
            raise StartError(f"it is the journal of {self._disk.owner}")
        self._disk.owner = account_name

    @asynccontextmanager
    async def exclusive(self, account: str) -> AsyncIterator["MemoryJournal"]:  # noqa: ARG002 - there is one
        """One writer at a time."""
        async with self._entry:
            yield self

    def find(self, key: OrderKey) -> OrderRecord | None:
        """The newest record of an order."""
        return self._latest.get(key) or self._disk.newest.get(key)

    def stage(self, record: OrderRecord) -> "Ticket":
        """Queue a record. Raises WrongMoveError."""
        self._write()
        self._on_stage(record)
        check_move(self.find(record.order.key), record)
        self._latest[record.order.key] = record
        kept = asyncio.get_running_loop().create_future()
        self._staged.append((record, kept))
        self._time.call_at(self._time.now_ms() + COMMIT_MS, self._commit)
        return Ticket(kept)

    async def append_risk(self, change: RiskChange) -> None:
        """Keep a move of the risk state."""
        self._write()
        self._disk.risk.append(change)
        self._disk.peak_usd = change.peak_equity_usd

    async def append_document(self, document: Document) -> None:
        """Keep a document."""
        self._write()
        self._disk.documents.append(document)

    def documents(self, kind: DocumentKind, limit: int) -> Sequence[Document]:
        """The newest documents of a kind, newest first."""
        return [document for document in reversed(self._disk.documents) if document.kind is kind][:limit]

    def find_document(self, kind: DocumentKind, subject: str) -> Document | None:
        """The newest document of a kind and subject."""
        found = (document for document in self.documents(kind, len(self._disk.documents)))
        return next((document for document in found if document.subject == subject), None)

    def note_peak(self, peak_equity_usd: Decimal) -> None:
        """Remember a new peak."""
        if not self._closed:
            self._disk.peak_usd = peak_equity_usd

    def find_decision(self, decision_id: DecisionId) -> Decision | None:  # noqa: ARG002 - nobody decides here
        """There are no decisions."""
        return None

    def find_order(self, key: OrderKey) -> OrderRecord | None:
        """The newest durable record of an order."""
        return self._disk.newest.get(key)

    def find_link(self, order_link_id: OrderLinkId) -> OrderRecord | None:
        """The newest durable record of the order that a venue knows by this id."""
        key = self._disk.links.get(order_link_id)
        return None if key is None else self._disk.newest[key]

    def open_orders(self) -> Sequence[OrderRecord]:
        """Orders that are pending or unknown, oldest first."""
        return [record for record in self._disk.newest.values() if record.state in OPEN_STATES]

    def filled_orders(self) -> Sequence[OrderRecord]:
        """Orders with fills, in the order in which they were filled."""
        return self._disk.filled()

    def risk_status(self) -> RiskStatus | None:
        """The stored risk state; None in a new journal."""
        last, peak_usd = self._disk.risk[-1:], self._disk.peak_usd
        if peak_usd is None:
            return None
        return RiskStatus(
            halted=any(change.halted for change in last),
            locked=any(change.locked for change in last),
            reducing=any(change.reducing for change in last),
            peak_equity_usd=peak_usd,
        )

    def health(self) -> tuple[bool, int]:
        """It is always well, and has so many records."""
        return True, len(self._disk.records) + len(self._disk.risk)

    def _write(self) -> None:
        if self._closed:
            raise KilledError

    def _commit(self) -> None:
        if self._staged and not self._closed:
            record, kept = self._staged.pop(0)
            self._disk.keep(record)
            if not kept.done():
                kept.set_result(None)


@dataclass(frozen=True)
class Ticket:
    """A record on its way to the disk."""

    kept: asyncio.Future[None]

    async def durable(self) -> None:
        """Return once the record is durable."""
        await asyncio.shield(self.kept)


def check_move(earlier: OrderRecord | None, record: OrderRecord) -> None:
    """Raises WrongMoveError."""
    has_ended = record.state not in OPEN_STATES | {OrderState.REFUSED}
    if earlier is not None and record.state not in ORDER_MOVES[earlier.state]:
        raise WrongMoveError(f"{earlier} cannot become {record}")
    if earlier is not None and (earlier.order, earlier.order_link_id) != (record.order, record.order_link_id):
        raise WrongMoveError(f"{earlier} is not the order of {record}")
    if has_ended != (record.evidence is not None) or (record.fills and not has_ended):
        raise WrongMoveError(f"{record} has no evidence, or fills before its end")
