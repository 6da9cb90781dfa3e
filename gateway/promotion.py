"""Promotion: where the account stands between paper and live, and what moves it.

Up only by a person who asks for it and evidence that passes; down by a person, or by itself when a criterion fails,
one stage at a time. Every move is a signed document of the journal. What an order may do at its stage is `permission`,
which is asked for every order and so only compares what is in memory.

Live trading needs a stage that was earned for the served model under the limits of this process: from the journal, or,
for the first time, from the record that a paper gateway exported. A person may override that, with a reason, at a
start; the override is journaled and told for as long as the process runs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from gateway.core.criterion import Criterion
from gateway.core.documents import Document, DocumentKind
from gateway.core.evidence import demoting, evaluate, obstacle
from gateway.core.facts import UNRESTRICTED, Permission
from gateway.core.history import History
from gateway.core.json_fields import RecordFormatError
from gateway.core.model import Failure
from gateway.core.promotion import Stage, next_stage, previous_stage
from gateway.core.promotion_records import OVERRIDE_SUBJECT, Move, PromotionRecord, signed_text, verified
from gateway.core.promotion_rules import (
    Judgement,
    LiveGate,
    PromotionStanding,
    lacking,
    not_next,
    of_stage,
    other_limits,
    other_model,
    refused,
    unfit_for_live,
)
from gateway.guard import ACTOR
from gateway.ports import Clock, Journal, JournalUnavailableError, Model, ModelUnavailableError, StartError

WATCH_SECONDS: Final = 60.0
"""How often the criteria are looked at while serving."""

SEED: Final = 20_261_124
"""Of the bootstrap: the same history gives the same figures in every process."""

RECORDS_READ_MAX: Final = 1_000
"""Moves are few; so many of the newest are read for the one that stands, past the overrides of later starts."""

log = structlog.get_logger()


class Historian(Protocol):
    """Gathers the history of the account."""

    async def history(self, *, model_version: str, promoted_version: str, from_ms: int, whole: bool) -> History:
        """See historian.py. Raises JournalUnavailableError."""
        ...

    def note_drawdown(self) -> None:
        """Remember today's largest drawdown."""
        ...


class Promotion:
    """Keeps the stage; changed only on the event loop."""

    def __init__(
        self,
        *,
        journal: Journal,
        historian: Historian,
        model: Model,
        served: Callable[[], str | None],
        clock: Clock,
        limits: Mapping[str, str],
        real_market: bool,
        key: bytes,
        gate: LiveGate | None,
    ) -> None:
        """`served` tells the served model's version, None while it is not known; `gate` is None on paper."""
        self._journal = journal
        self._historian = historian
        self._model = model
        self._served = served
        self._clock = clock
        self._limits = dict(limits)
        self._real_market = real_market
        self._key = key
        self._gate = gate
        self._record: PromotionRecord | None = None
        self._override = ""
        self._version = ""
        """The newest version that was known to be served: a model that is down for a moment changes nothing."""
        self._digests: dict[str, str] = {}
        """SHA-256 of the graphs of versions; empty where nobody tells."""
        self._owed: list[PromotionRecord] = []
        """Moves that a start has made and not yet journaled."""
        self._told: set[str] = set()
        """Criteria that have failed since they last passed: each takes one stage, not one at every look."""
        self._moving = asyncio.Lock()

    # What orders and callers ask

    def permission(self) -> Permission:
        """What an order may do now."""
        if self._gate is None:
            return of_stage(self._stage, "") if self._record else Permission(stage="PAPER", refusal="", cap_usd=None)
        if self._override or (self._record is None and self._gate.is_sandbox):
            return UNRESTRICTED
        if self._record is None:
            return Permission(stage="", refusal="the account has no promotion to live trading", cap_usd=None)
        if not self._current_version():
            return of_stage(self._stage, "no model is known to be served, and a promotion is for one model")
        return of_stage(self._stage, self._fault(self._record))

    def standing(self) -> PromotionStanding:
        """Where the account stands now."""
        return PromotionStanding(
            stage=self._stage, permission=self.permission(), record=self._record, override=self._override
        )

    def exported(self) -> str:
        """The signed text of the record that the stage stands on; empty without one."""
        return signed_text(self._record, self._key) if self._record else ""

    async def judge(self) -> Judgement:
        """The evidence toward the next stage. Raises JournalUnavailableError."""
        to_stage = next_stage(self._stage)
        if to_stage is None:
            return Judgement(stage=self._stage, next_stage=None, criteria=())
        _, criteria = await self._evidence(to_stage, whole=True)
        return Judgement(stage=self._stage, next_stage=to_stage, criteria=criteria)

    # What moves it

    async def load(self) -> None:
        """Take up the stored stage; on live make sure that there is one, or an override. Writes nothing yet.

        Raises StartError, JournalUnavailableError.
        """
        await self._look_at_model()
        self._record = self._stored()
        gate = self._gate
        if gate is None:
            return
        if gate.record_text:
            self._take_up(gate.record_text)
        fault = self._fault(self._record) if self._record else "it has no record of a promotion"
        if gate.override and (fault or gate.is_sandbox):
            self._override = gate.override
            log.warning("live_without_promotion", reason=gate.override, model_version=self._version)
        elif fault and not (self._record is None and gate.is_sandbox):
            raise StartError(
                f"live trading on {gate.env} is refused: {fault}. Promote the model on paper and name its exported"
                " record in PROMOTION_RECORD, or give a person's reason in LIVE_WITHOUT_PROMOTION."
            )

    async def begin(self) -> None:
        """Journal what the start has made, now that the journal is known to be this account's.

        Raises JournalUnavailableError.
        """
        if self._override:
            self._owed.append(self._new_record(Move.OVERRIDE, self._stage, "operator", self._override))
        for record in self._owed:
            await self._keep(record)
        self._owed = []

    async def promote(self, to_stage: Stage, actor: str, reason: str) -> PromotionRecord | Failure:
        """Move up one stage when every criterion passes. Raises JournalUnavailableError: nothing was moved."""
        async with self._moving:
            await self._look_at_model()
            await self._begin_anew()
            stage = self._stage
            above = next_stage(stage)
            if to_stage is not above:
                return not_next(to_stage, stage, above)
            if (self._gate is not None) is not stage.is_live:
                where = "on paper" if self._gate is not None else "in live trading, from the exported record on"
                return refused(f"The account was not promoted: this step is earned {where}", to_stage, {})
            history, criteria = await self._evidence(to_stage, whole=True)
            in_the_way = obstacle(criteria)
            if in_the_way is not None:
                return lacking(in_the_way, to_stage)
            return await self._move(
                self._new_record(Move.PROMOTION, to_stage, actor, reason, criteria=criteria, from_ms=history.from_ms)
            )

    async def demote(self, actor: str, reason: str) -> PromotionRecord | Failure:
        """Move down one stage. Raises JournalUnavailableError: nothing was moved."""
        async with self._moving:
            below = previous_stage(self._stage)
            if below is None or self._record is None:
                return refused("The account was not demoted: there is no stage below", self._stage, {})
            return await self._move(self._new_record(Move.DEMOTION, below, actor, reason))

    async def watch(self) -> None:
        """Look at the criteria for ever, and demote when one fails."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.look()
            except JournalUnavailableError as fault:
                log.error("promotion_not_looked_at", detail=str(fault))  # noqa: TRY400 - expected, no traceback

    async def look(self) -> None:
        """Look once: another model begins anew on paper, and what fails takes one stage.

        Raises JournalUnavailableError.
        """
        async with self._moving:
            self._historian.note_drawdown()
            await self._look_at_model()
            await self._begin_anew()
            record = self._record
            if record is None or previous_stage(self._stage) is None or self._is_other_model(record):
                return  # on live nothing is sent under another model; the evidence would be of that one
            if self._gate is None or self._stage.is_live:
                await self._demote_for_evidence()

    async def _begin_anew(self) -> None:
        """On paper another model, or other limits, begin at the first stage; on live they are refused instead."""
        record = self._record
        if self._gate is not None or record is None or self._stage is Stage.PAPER:
            return
        fault = self._mismatch(record)
        if fault:
            await self._move(self._new_record(Move.RESTART, Stage.PAPER, ACTOR, fault))

    async def _demote_for_evidence(self) -> None:
        history, criteria = await self._evidence(self._stage, whole=False)
        failed = {criterion.name: criterion for criterion in demoting(criteria)}
        fresh = [criterion for name, criterion in failed.items() if name not in self._told]
        below = previous_stage(self._stage)
        if fresh and below is not None:
            reason = f"{fresh[0].name}: {fresh[0].sentence}"
            await self._move(
                self._new_record(Move.DEMOTION, below, ACTOR, reason, criteria=criteria, from_ms=history.from_ms)
            )
        self._told = set(failed)

    # The parts

    @property
    def _stage(self) -> Stage:
        return self._record.to_stage if self._record else Stage.PAPER

    def _fault(self, record: PromotionRecord) -> str:
        """Why a record permits no live order; empty when it does. One sentence without a full stop."""
        is_sandbox = self._gate is not None and self._gate.is_sandbox
        return unfit_for_live(record, is_sandbox=is_sandbox) or self._mismatch(record)

    def _mismatch(self, record: PromotionRecord) -> str:
        """What of this process the record is not for; empty when it is for it."""
        return other_model(record, self._current_version(), self._digests) or other_limits(record, self._limits)

    def _is_other_model(self, record: PromotionRecord) -> bool:
        return bool(other_model(record, self._current_version(), self._digests))

    def _current_version(self) -> str:
        self._version = self._served() or self._version
        return self._version

    def _stored(self) -> PromotionRecord | None:
        """The newest move of the journal, overrides left out. Raises StartError when it was changed, live alone."""
        for document in self._journal.documents(DocumentKind.PROMOTION, RECORDS_READ_MAX):
            try:
                record = verified(document.text, self._key)
            except RecordFormatError as fault:
                if self._gate is not None and not self._gate.override:
                    raise StartError(f"live trading is refused: the journal's {fault}.") from fault
                log.error("promotion_record_refused", detail=str(fault))  # noqa: TRY400 - expected, no traceback
                return None
            if record.move is not Move.OVERRIDE:
                return record
        return None

    def _take_up(self, text: str) -> None:
        """Stand on an exported record, unless the journal has a newer move. Raises StartError: it is not ours."""
        try:
            record = verified(text, self._key)
        except RecordFormatError as fault:
            raise StartError(f"live trading is refused: PROMOTION_RECORD: {fault}.") from fault
        if self._record is None or self._record.at_ms < record.at_ms:
            self._record = record
            self._owed.append(record)

    async def _evidence(self, stage: Stage, *, whole: bool) -> tuple[History, tuple[Criterion, ...]]:
        record = self._record
        history = await self._historian.history(
            model_version=self._current_version(),
            promoted_version=record.model_version if record and record.to_stage is not Stage.PAPER else "",
            from_ms=record.at_ms if record else 0,
            whole=whole,
        )
        return history, await asyncio.to_thread(evaluate, history, stage, SEED)

    async def _move(self, record: PromotionRecord) -> PromotionRecord:
        """Put a move in force and journal it. Raises JournalUnavailableError: a demotion alone holds all the same."""
        if record.move is Move.DEMOTION:
            self._record = record
        await self._keep(record)
        self._record = record
        log.warning(
            "promotion_moved",
            move=record.move.value,
            from_stage=record.from_stage.value,
            to_stage=record.to_stage.value,
            actor=record.actor,
            reason=record.reason,
        )
        return record

    def _new_record(
        self,
        move: Move,
        to_stage: Stage,
        actor: str,
        reason: str,
        *,
        criteria: Sequence[Criterion] = (),
        from_ms: int = 0,
    ) -> PromotionRecord:
        """A move now; a demotion keeps what the stage above was earned with, since it earns nothing."""
        earned = self._record if move is Move.DEMOTION else None
        return PromotionRecord(
            move=move,
            from_stage=self._stage,
            to_stage=to_stage,
            model_version=earned.model_version if earned else self._version,
            model_sha256=earned.model_sha256 if earned else self._digests.get(self._version, ""),
            limits=earned.limits if earned else self._limits,
            real_market=earned.real_market if earned else self._real_market,
            from_ms=from_ms,
            criteria=tuple(criteria),
            actor=actor,
            reason=reason,
            at_ms=self._clock.now_ms(),
        )

    async def _keep(self, record: PromotionRecord) -> None:
        subject = OVERRIDE_SUBJECT if record.move is Move.OVERRIDE else record.to_stage.value
        text = signed_text(record, self._key)
        document = Document(kind=DocumentKind.PROMOTION, subject=subject, text=text, at_ms=record.at_ms)
        await self._journal.append_document(document)

    async def _look_at_model(self) -> None:
        """Learn the served version and the digest of its graph."""
        version = self._current_version()
        if version and version not in self._digests:
            try:
                self._digests[version] = await self._model.digest(version)
            except ModelUnavailableError:
                log.info("model_digest_not_told", model_version=version)
