"""What the gateway does when the way to the venue raises an alarm: halt, reduce, or look again.

An alarm may come in the middle of an order or of a message of the stream, so it is only noted there, and acted on by a
task of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from gateway.guard import ACTOR, RiskGuard
from gateway.ports import JournalUnavailableError

NOTED_MAX: Final = 100
"""Alarms that wait to be acted on; of more at once, the first have already stopped the trading."""

log = structlog.get_logger()


class Answer(StrEnum):
    """What an alarm asks for."""

    HALT = "halt"
    """Nothing that is sent can be trusted to be taken: no order."""
    REDUCE = "reduce"
    """What happens is not what should: only orders that reduce."""
    COMPARE = "compare"
    """Somebody else acts on the account: see what it holds."""
    TELL = "tell"
    """The venue's own block holds orders back; nothing more is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """One alarm that waits."""

    answer: Answer
    reason: str
    """For the journal: the same for every alarm of its kind, so that it is recorded once."""


class AlarmDesk:
    """Takes alarms at any moment, and acts on them in order."""

    def __init__(self) -> None:
        self._noted: asyncio.Queue[Noted] = asyncio.Queue(NOTED_MAX)

    def ring(self, kind: str, text: str, answer: Answer, reason: str) -> None:
        """Note an alarm; never raises, never waits. `text` is for the log, safe to show."""
        log.error("venue_alarm", kind=kind, detail=text, answer=answer.value)
        if self._noted.full():
            log.error("venue_alarm_dropped", kind=kind)
            return
        self._noted.put_nowait(Noted(answer=answer, reason=reason))

    async def watch(self, guard: RiskGuard, compare: Callable[[], None]) -> None:
        """Act on alarms for ever, those that were noted before included."""
        while True:
            noted = await self._noted.get()
            match noted.answer:
                case Answer.HALT:
                    await _halt(guard, noted.reason)
                case Answer.REDUCE:
                    await guard.reduce(ACTOR, noted.reason)
                case Answer.COMPARE:
                    compare()
                case Answer.TELL:
                    pass


async def _halt(guard: RiskGuard, reason: str) -> None:
    try:
        await guard.halt(ACTOR, reason)
    except JournalUnavailableError as fault:
        log.error("halt_not_recorded", detail=str(fault))  # noqa: TRY400 - it stands, and is recorded later
