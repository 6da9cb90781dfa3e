"""Rows are scored, and bars computed, without holding up other calls: little at once, much in a single thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from inference.core.consensus import Rows, Scores
from inference.core.serving import Scored, Serving, score_both
from inference.registry import Registry

Result = TypeVar("Result")

INLINE_ROWS_MAX = 256
"""Batches up to this size run on the event loop: they take less time than a hop to a thread and back costs others."""

INLINE_BARS_MAX = 500
"""Bars up to this number are computed on the event loop: all known features of 500 take 1 ms, of 5,000 7 ms."""


class Scoring:
    """Scores by what the registry serves."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")

    @property
    def serving(self) -> Serving:
        """What serves at this moment; to be taken once by each call."""
        return self._registry.serving

    async def score(self, serving: Serving, rows: Rows) -> Scores:
        """What the active model says of the rows."""
        if rows.shape[0] <= INLINE_ROWS_MAX:
            return serving.ensemble.score(rows)
        return await self._in_thread(serving.ensemble.score, rows)

    async def score_both(self, serving: Serving, rows: Rows) -> Scored:
        """What the active model and the shadow say of the rows; a shadow that fails is detached."""
        if rows.shape[0] <= INLINE_ROWS_MAX:
            scored = score_both(serving, rows)
        else:
            scored = await self._in_thread(score_both, serving, rows)
        if serving.shadow is not None and scored.shadow_fault:
            self._registry.shadow_failed(serving.shadow, scored.shadow_fault)
        return scored

    async def compute(self, bars_count: int, work: Callable[..., Result], *arguments: object) -> Result:
        """The result of work over so many bars."""
        if bars_count <= INLINE_BARS_MAX:
            return work(*arguments)
        return await self._in_thread(work, *arguments)

    def answers(self) -> bool:
        """Whether the active model answers a row of zeros with a probability."""
        serving = self.serving
        scores = serving.ensemble.score(np.zeros((1, len(serving.feature_names)), dtype=np.float32))
        return 0.0 <= float(scores.prob_long[0, 0]) <= 1.0

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
