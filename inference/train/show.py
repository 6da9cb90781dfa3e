"""What a person sees while something long runs: a bar on a terminal, a line now and then elsewhere; on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 5.0
"""Between two lines where there is no terminal: a log of an hour has some hundreds."""


class Show(Protocol):
    """Tells how far named work has come."""

    def __call__(self, name: str, done: int, total: int) -> None:
        """`done` of `total` parts of the work of this name."""
        ...


@contextmanager
def showing(unit: str) -> Iterator[Show]:
    """Shows progress in `unit` until the work is over."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(unit)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        yield _Bars(progress)


class Lines:
    """One plain line at the beginning, at the end and every few seconds."""

    def __init__(self, unit: str) -> None:
        self._unit, self._last = unit, -LINE_SECONDS

    def __call__(self, name: str, done: int, total: int) -> None:
        """Write a line when it is time for one."""
        now = time.monotonic()
        if done == total or now - self._last >= LINE_SECONDS:
            self._last = now
            print(f"{name}: {done} of {total} {self._unit}", file=sys.stderr, flush=True)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {}  # type: ignore[var-annotated] # of rich's own kind of number, by name

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)
