"""The order path: the one way in which an order reaches a venue.

request -> idempotency -> facts -> plan (decide, size, risk) -> journal -> venue -> journal -> answer

An order is durable before the venue can know of it. It runs as a task of the
server, so that a caller who hangs up cannot leave it half done. Copies of a
running order join it; a finished one is replayed from the journal.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as changed

import structlog

from gateway.account import Account
from gateway.core.fact_records import policy_id
from gateway.core.facts import OrderFacts, Policy
from gateway.core.model import Evidence, Failure, Order, OrderKey, OrderRecord, OrderState, Outcome
from gateway.core.plan import intent_record, plan_order, refusal_record
from gateway.core.reasons import CODES, Reason
from gateway.core.report import Answer, answer_of, with_outcome
from gateway.core.risk import Approved
from gateway.ports import Clock, FactSource, Journal, JournalUnavailableError, Step, Ticket, Tracer, Venue

log = structlog.get_logger()

_HALTED = Outcome(state=OrderState.EXPIRED, detail="trading was halted before it was sent", evidence=Evidence.UNSENT)
"""The end of an order that a halt overtook between its verdict and its sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    order: Order
    task: asyncio.Task[Answer | Failure]


class OrderPath:
    """Takes orders, once each."""

    def __init__(
        self,
        *,
        account: Account,
        policy: Policy,
        facts: FactSource,
        journal: Journal,
        venue: Venue,
        clock: Clock,
        tracer: Tracer,
        held_back: Callable[[Order], bool],
    ) -> None:
        """`held_back`: whether an approved order must not be sent any more, since trading was halted meanwhile."""
        self._account = account
        self._policy = policy
        self._policy_id = policy_id(policy, account.name)
        self._facts = facts
        self._journal = journal
        self._venue = venue
        self._clock = clock
        self._tracer = tracer
        self._held_back = held_back
        self._running: dict[OrderKey, _Running] = {}
        self._settling: dict[OrderKey, Ticket] = {}
        """Outcomes on their way to the disk."""

    async def execute(self, order: Order, client: str = "") -> Answer | Failure:
        """Run a client's order to its end, join the one that runs under its key, or replay the one that ran."""
        running = self._running.get(order.key)
        if running is None:
            running = _Running(order=order, task=asyncio.create_task(self._run(order, client)))
            self._running[order.key] = running
            running.task.add_done_callback(lambda _: self._running.pop(order.key, None))
        elif running.order != order:
            return _key_reused(order)
        return await asyncio.shield(running.task)

    def is_running(self, key: OrderKey) -> bool:
        """Whether an order is on its way through this path right now."""
        return key in self._running

    async def drain(self) -> None:
        """Wait until every running order has ended."""
        while self._running:
            await asyncio.gather(*(running.task for running in self._running.values()), return_exceptions=True)

    async def resume(self, approved: Approved, intent: OrderRecord) -> OrderRecord:
        """Send a recorded order that is proven never to have been sent; for reconciliation."""
        return await self._send(approved, intent)

    async def _run(self, order: Order, client: str) -> Answer | Failure:
        self._tracer.reached(Step.RECEIVED, order.key)
        try:
            return await self._take(order, client)
        except JournalUnavailableError:
            return Failure(
                reason=Reason.JOURNAL_UNAVAILABLE,
                message="No order was sent: the journal cannot be written. Retry with the same key.",
            )

    async def _take(self, order: Order, client: str) -> Answer | Failure:
        async with self._journal.exclusive(self._account.name) as entry:
            if earlier := entry.find(order.key):
                return await self._replayed(earlier) if earlier.order == order else _key_reused(order)
            facts = await self._facts.gather(order, client)
            self._tracer.reached(Step.GATHERED, order.key)
            verdict = plan_order(order, self._account.name, facts, self._policy)
            self._tracer.reached(Step.PLANNED, order.key)
            if isinstance(verdict, Failure) and not CODES[verdict.reason].stored:
                return verdict
            record = self._record(order, verdict, facts)
            ticket = entry.stage(record)
            record = changed(record, facts=None)  # the journal has them; an order that stays open need not
            if isinstance(verdict, Approved):
                self._account.reserve(record, client)
        self._tracer.reached(Step.STAGED, order.key)
        try:
            await ticket.durable()
        except JournalUnavailableError:
            self._account.release(record)
            raise
        self._tracer.reached(Step.JOURNALED, order.key)
        if isinstance(verdict, Failure):
            return verdict
        return answer_of(await self._send(verdict, record), replayed=False)

    async def _replayed(self, earlier: OrderRecord) -> Answer | Failure:
        """The answer that was kept: what reconciliation records at this moment is told once no crash can take it back.

        Raises JournalUnavailableError.
        """
        settling = self._settling.get(earlier.order.key)
        if settling is not None:
            with contextlib.suppress(JournalUnavailableError):
                await settling.durable()
            earlier = self._journal.find_order(earlier.order.key) or earlier
        return answer_of(earlier, replayed=True)

    async def _send(self, approved: Approved, intent: OrderRecord) -> OrderRecord:
        """Submit, and record what became of it: the only caller of Venue.submit."""
        self._tracer.reached(Step.SENDING, intent.order.key)
        if self._held_back(intent.order):
            return await self.settle(intent, _HALTED)
        outcome = await self._venue.submit(approved)
        self._tracer.reached(Step.SUBMITTED, intent.order.key)
        return await self.settle(intent, outcome)

    async def settle(self, intent: OrderRecord, outcome: Outcome) -> OrderRecord:
        """Record what became of an order; when that cannot be kept, the order stays UNKNOWN and goes on counting."""
        if outcome.state is intent.state:
            return intent
        record = with_outcome(intent, outcome, self._clock.now_ms())
        try:
            ticket = self._settling[intent.order.key] = self._journal.stage(record)
            self._tracer.reached(Step.OUTCOME_STAGED, intent.order.key)
            await ticket.durable()
        except JournalUnavailableError:
            log.error("outcome_not_recorded", key=intent.order.key, state=record.state)  # noqa: TRY400 - expected
            lost = changed(intent, state=OrderState.UNKNOWN, updated_ms=self._clock.now_ms())
            self._account.settle(lost)
            return lost
        finally:
            self._settling.pop(intent.order.key, None)
        self._account.settle(record)
        self._tracer.reached(Step.RECORDED, intent.order.key)
        return record

    def _record(self, order: Order, verdict: Approved | Failure, facts: OrderFacts) -> OrderRecord:
        if isinstance(verdict, Approved):
            return intent_record(verdict, facts, self._policy_id)
        return refusal_record(order, self._account.name, verdict, facts, self._policy_id)


def _key_reused(order: Order) -> Failure:
    return Failure(
        reason=Reason.IDEMPOTENCY_KEY_REUSED,
        message="No order was sent: this key was used for an order with other content. Take a new key for a new order.",
        metadata={"idempotencyKey": order.key},
        field_name="idempotencyKey",
    )
