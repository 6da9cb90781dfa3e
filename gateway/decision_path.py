"""The decision path: features -> model -> decide -> journal -> answer.

A question without features gets those of the newest closed bar. A decision is durable before its caller sees it, so
that an order may name it. The first decision of each symbol, bar and model version is the one that live calibration
counts; a decision that cannot be kept gives that place back.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.collector import Collector, TooManyWaitingError
from gateway.core.bars import last_closed_open_ms
from gateway.core.decide import decide
from gateway.core.facts import DecisionFacts, Policy
from gateway.core.model import Decision, DecisionId, Failure, Prediction, Symbol
from gateway.core.reasons import Reason
from gateway.core.validate import check_features
from gateway.guard import RiskGuard
from gateway.live_features import LiveFeatures
from gateway.ports import (
    CalibrationGuard,
    Clock,
    Journal,
    JournalUnavailableError,
    Model,
    ModelChangedError,
    ModelUnavailableError,
)

COUNTER_DIGITS = 6
"""Hexadecimal digits of an id's counter: 16 million decisions in one run before it grows a digit."""

ROWS_MAX = 1024
"""Questions that are judged together."""

WAITING_MAX = 8192
"""Questions that may wait; more are told that the model is unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be judged."""

    symbol: Symbol
    features: Mapping[str, float]
    """Empty: those of the newest closed bar."""
    bar_open_ms: int | None = None
    """When the bar opened that the features were computed from; None where the caller sent them."""


class DecisionPath:
    """Makes and records decisions."""

    def __init__(
        self,
        *,
        policy: Policy,
        model: Model,
        live: LiveFeatures,
        guard: RiskGuard,
        calibration: CalibrationGuard,
        journal: Journal,
        clock: Clock,
        bar_seconds: int,
    ) -> None:
        self._policy = policy
        self._model = model
        self._live = live
        self._guard = guard
        self._calibration = calibration
        self._journal = journal
        self._clock = clock
        self._bar_seconds = bar_seconds
        self._model_version = ""
        self._run = f"{clock.now_ms():011x}"
        self._numbers = itertools.count(1)
        self._collector = Collector(self._decide_all, rows_max=ROWS_MAX, waiting_max=WAITING_MAX)
        self._batches: set[asyncio.Task[list[Decision]]] = set()

    async def decide(self, question: Question) -> Decision | Failure:
        """Judge one question, together with whatever else is asked at this moment."""
        try:
            try:
                return await self._decide_one(question)
            except ModelChangedError:
                return await self._decide_one(question)
        except (ModelUnavailableError, TooManyWaitingError):
            return _model_unavailable()
        except JournalUnavailableError:
            return _journal_unavailable()

    async def decide_many(self, questions: Sequence[Question]) -> Sequence[Decision] | Failure:
        """Judge many questions, or none: the first bad one refuses the call, naming its row."""
        try:
            try:
                return await self._decide_batch(questions)
            except ModelChangedError:
                return await self._decide_batch(questions)
        except ModelUnavailableError:
            return _model_unavailable()
        except JournalUnavailableError:
            return _journal_unavailable()

    async def _decide_one(self, question: Question) -> Decision | Failure:
        names = await self._model.feature_names()
        complete = self._checked(question, names) or await self._computed(question, names)
        return complete if isinstance(complete, Failure) else await self._collector.ask(complete)

    async def _decide_batch(self, questions: Sequence[Question]) -> Sequence[Decision] | Failure:
        names = await self._model.feature_names()
        rows: list[Question] = []
        for number, question in enumerate(questions):
            complete = self._checked(question, names) or await self._computed(question, names)
            if isinstance(complete, Failure):
                return _in_row(complete, number)
            rows.append(complete)
        # The server's own task: a caller who hangs up must not leave claims of decisions that nobody kept.
        task = asyncio.create_task(self._decide_all(rows))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)
        return await asyncio.shield(task)

    def _checked(self, question: Question, names: Sequence[str]) -> Question | Failure | None:
        """The question itself when it can be judged, or why not; None when its features are left to us."""
        if question.symbol not in self._policy.symbols:
            return Failure(
                reason=Reason.SYMBOL_NOT_ALLOWED,
                message=f"No decision was made: {question.symbol} is not on the allow-list. Add it to SYMBOLS.",
                metadata={"symbol": question.symbol, "allowed": ",".join(sorted(self._policy.symbols))},
                field_name="symbol",
            )
        if not question.features:
            return None
        return check_features(question.features, names) or question

    async def _computed(self, question: Question, names: Sequence[str]) -> Question | Failure:
        """The question with the features of the newest closed bar, or why there are none."""
        found = await self._live.of(question.symbol, names, self._model_version)
        if isinstance(found, Failure):
            return found
        return replace(question, features=found.features, bar_open_ms=found.bar_open_ms)

    async def _decide_all(self, questions: Sequence[Question]) -> list[Decision]:
        """One prediction, one record for each, all kept at once. Raises Model- and JournalUnavailableError."""
        predictions = await self._model.predict_many(_rows(questions, await self._model.feature_names()))
        facts = self._facts(predictions[0].model_version)
        closed_ms = last_closed_open_ms(facts.at_ms, self._bar_seconds)
        decisions: list[Decision] = []  # filled one by one: each may hold a claim when a later one fails
        try:
            for question, prediction in zip(questions, predictions, strict=True):
                decisions.append(self._decision(question, prediction, facts, closed_ms))
            await self._journal.append_decisions(decisions)
        except JournalUnavailableError:
            self._unclaim(decisions)
            raise
        self._calibration.recorded(decisions)
        return decisions

    def _facts(self, model_version: str) -> DecisionFacts:
        if model_version != self._model_version:
            self._calibration.load(model_version)
            self._model_version = model_version
        return DecisionFacts(
            at_ms=self._clock.now_ms(),
            risk_state=self._guard.standing().state,
            calibration=self._calibration.standing(model_version),
        )

    def _decision(self, question: Question, prediction: Prediction, facts: DecisionFacts, closed_ms: int) -> Decision:
        bar_open_ms = closed_ms if question.bar_open_ms is None else question.bar_open_ms
        # A model of other bars than the gateway keeps cannot be judged by them.
        judged = prediction.bar_seconds == self._bar_seconds
        return decide(
            decision_id=DecisionId(f"d{self._run}{next(self._numbers):0{COUNTER_DIGITS}x}"),
            symbol=question.symbol,
            features=question.features,
            bar_open_ms=bar_open_ms,
            scored=judged and self._calibration.claim(question.symbol, bar_open_ms, prediction.model_version),
            prediction=prediction,
            facts=facts,
            policy=self._policy,
        )

    def _unclaim(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            if decision.scored and decision.bar_open_ms is not None:
                self._calibration.unclaim(decision.symbol, decision.bar_open_ms, decision.model_version)


def _rows(questions: Sequence[Question], names: Sequence[str]) -> list[list[float]]:
    """The features in the model's order. Raises ModelChangedError: it takes others than when they were checked."""
    try:
        rows = [[question.features[name] for name in names] for question in questions]
    except KeyError as missing:
        raise ModelChangedError("a feature is missing now") from missing
    if any(len(question.features) != len(names) for question in questions):
        raise ModelChangedError("a feature is unknown now")
    return rows


def _in_row(failure: Failure, row: int) -> Failure:
    place = f"requests[{row}]"
    return Failure(
        reason=failure.reason,
        message=f"Row {row}: {failure.message}",
        metadata={**failure.metadata, "row": str(row)},
        field_name=f"{place}.{failure.field_name}" if failure.field_name else place,
    )


def _model_unavailable() -> Failure:
    return Failure(
        reason=Reason.MODEL_UNAVAILABLE,
        message="No decision was made: the model service does not answer. Retry in a second.",
    )


def _journal_unavailable() -> Failure:
    return Failure(
        reason=Reason.JOURNAL_UNAVAILABLE,
        message="No decision was made: the journal cannot be written. Retry in a second.",
    )
