"""Bybit's private REST interface as far as it is read: answers that a test lays out, page by page."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.adapters.venue_bybit.faults import NoAnswerError
from gateway.adapters.venue_bybit.session import Reply

Answer = Mapping[str, Any] | Exception | Callable[[Mapping[str, Any]], Any]


def page(*rows: Any, following: Any = "") -> dict[str, Any]:
    return {"category": "linear", "list": list(rows), "nextPageCursor": following}


class FakeReads:
    """Answers each method with what is laid out for it: one answer for ever, or by a function of the query."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = dict(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.signed_ms = 0
        self.elapsed_ms = 0

    async def call(self, method: str, *, within_ms: int = 0, **params: Any) -> Reply:
        self.asked.append((method, params))
        answer = self.answers.get(method, NoAnswerError("nothing is laid out"))
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, Exception):
            raise answer
        return Reply(result=answer, signed_ms=self.signed_ms, elapsed_ms=self.elapsed_ms)

    def queries(self, method: str) -> list[dict[str, Any]]:
        """The questions of one kind."""
        return [params for asked, params in self.asked if asked == method]
