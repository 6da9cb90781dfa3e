"""The decision path: features -> model -> decide -> journal -> answer.

A decision is durable before its caller sees it, so that an order may name it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.collector import Collector, TooManyWaitingError
from gateway.core.decide import decide
from gateway.core.facts import Policy
from gateway.core.model import Decision, DecisionId, Failure, Prediction, RiskState, Symbol
from gateway.core.reasons import Reason
from gateway.core.validate import check_features
from gateway.guard import RiskGuard
from gateway.ports import Clock, Journal, JournalUnavailableError, Model, ModelUnavailableError

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


class DecisionPath:
    """Makes and records decisions."""

    def __init__(self, *, policy: Policy, model: Model, guard: RiskGuard, journal: Journal, clock: Clock) -> None:
        self._policy = policy
        self._threshold = float(policy.confidence_threshold)
        self._model = model
        self._guard = guard
        self._journal = journal
        self._clock = clock
        self._run = f"{clock.now_ms():011x}"
        self._numbers = itertools.count(1)
        self._collector = Collector(self._decide_all, rows_max=ROWS_MAX, waiting_max=WAITING_MAX)

    async def decide(self, question: Question) -> Decision | Failure:
        """Judge one question, together with whatever else is asked at this moment."""
        try:
            failure = self._check(question, await self._model.feature_names())
            return failure or await self._collector.ask(question)
        except (ModelUnavailableError, TooManyWaitingError):
            return _model_unavailable()
        except JournalUnavailableError:
            return _journal_unavailable()

    async def decide_many(self, questions: Sequence[Question]) -> Sequence[Decision] | Failure:
        """Judge many questions, or none: the first bad one refuses the call, naming its row."""
        try:
            names = await self._model.feature_names()
            for row, question in enumerate(questions):
                failure = self._check(question, names)
                if failure:
                    return _in_row(failure, row)
            return await self._decide_all(questions)
        except ModelUnavailableError:
            return _model_unavailable()
        except JournalUnavailableError:
            return _journal_unavailable()

    async def _decide_all(self, questions: Sequence[Question]) -> list[Decision]:
        """One prediction, one record for each, all kept at once. Raises Model- and JournalUnavailableError."""
        names = await self._model.feature_names()
        rows = [[question.features[name] for name in names] for question in questions]
        predictions = await self._model.predict_many(rows)
        state, now_ms = self._guard.standing().state, self._clock.now_ms()
        decisions = [
            self._decision(question, prediction, state, now_ms)
            for question, prediction in zip(questions, predictions, strict=True)
        ]
        await self._journal.append_decisions(decisions)
        return decisions

    def _check(self, question: Question, names: Sequence[str]) -> Failure | None:
        if question.symbol not in self._policy.symbols:
            return Failure(
                reason=Reason.SYMBOL_NOT_ALLOWED,
                message=f"No decision was made: {question.symbol} is not on the allow-list. Add it to SYMBOLS.",
                metadata={"symbol": question.symbol, "allowed": ",".join(sorted(self._policy.symbols))},
                field_name="symbol",
            )
        return check_features(question.features, names)

    def _decision(self, question: Question, prediction: Prediction, state: RiskState, at_ms: int) -> Decision:
        return decide(
            decision_id=DecisionId(f"d{self._run}{next(self._numbers):0{COUNTER_DIGITS}x}"),
            symbol=question.symbol,
            features=question.features,
            prediction=prediction,
            threshold=self._threshold,
            risk_state=state,
            at_ms=at_ms,
        )


def _in_row(failure: Failure, row: int) -> Failure:
    return Failure(
        reason=failure.reason,
        message=f"Row {row}: {failure.message}",
        metadata={**failure.metadata, "row": str(row)},
        field_name=f"requests[{row}].{failure.field_name}",
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
