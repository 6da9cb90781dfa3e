"""The record of what serves: two files side by side.

<name>.json         the state, replaced whole: written beside, flushed to the disk, renamed over the old one
<name>.audit.jsonl  one line for each change, which only grows

The state carries its newest change, so that the rename makes both durable at once; then the change is added to the
second file and flushed, all before anybody is answered. A crash between the two leaves the second file one line
short, and the next start adds it. A line that a crash cut short is closed and told by nobody.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from inference.adapters.disk import flush
from inference.core.registry import (
    CHANGES_TOLD,
    Change,
    State,
    StateFaultError,
    change_line,
    no_state,
    read_change,
    read_state,
    state_text,
)

_STATE_BYTES_MAX = 65_536  # a state is under 6 kB, however long its reason; more is some other file
_TAIL_BYTES_MAX = 262_144  # holds the newest changes that are told, each under 5 kB


class StateFiles:
    """The two files of one model."""

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._audit = path.with_name(f"{path.stem}.audit.jsonl")
        self._model = model
        self._unlisted: Change | None = None
        """A change of the state that the second file does not hold yet."""

    def read(self) -> State:
        """The state as it was last kept; the state before the first change when the file is not there.

        Brings the second file up to it. Raises StateFaultError, naming the file.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(_STATE_BYTES_MAX)  # a longer file is cut, and so is no state
            state = read_state(content.decode("utf-8"), self._model)
        except FileNotFoundError:
            return no_state(self._model)
        except (OSError, UnicodeDecodeError, StateFaultError) as fault:
            raise StateFaultError(
                f"{self._path} does not say which model version to serve: {fault}. Restore it, or move it away to "
                f"serve MODEL_VERSION or the newest version that passes its gates."
            ) from fault
        self._unlisted = None if state.change in self.changes()[:1] else state.change
        self._list()
        return state

    def keep(self, state: State) -> None:
        """Keeps the state and the change that led to it. Raises StateFaultError, and nothing was kept."""
        self._list()  # the second file must not fall behind by two
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._path, state_text(state).encode())
        except OSError as fault:
            raise StateFaultError(f"cannot write {self._path}: {fault.strerror}") from fault
        self._unlisted = state.change
        try:
            self._list()
        except StateFaultError:
            # The state holds the change, durably: it is made. The next change or start adds the line, or refuses.
            return

    def changes(self) -> Sequence[Change]:
        """The newest changes, newest first, `CHANGES_TOLD` at most. Raises StateFaultError."""
        try:
            with self._audit.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES_MAX))
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as fault:
            raise StateFaultError(f"cannot read {self._audit}: {fault.strerror}") from fault
        listed = (change for line in reversed(lines) if (change := read_change(line)) is not None)
        return tuple(itertools.islice(itertools.chain(self._behind(), listed), CHANGES_TOLD))

    def _behind(self) -> Sequence[Change]:
        return () if self._unlisted is None else (self._unlisted,)

    def _list(self) -> None:
        """Adds the change that the second file does not hold yet. Raises StateFaultError."""
        if self._unlisted is None:
            return
        try:
            _append(self._audit, change_line(self._unlisted).encode())
        except OSError as fault:
            raise StateFaultError(f"cannot write {self._audit}: {fault.strerror}") from fault
        self._unlisted = None


def _replace(path: Path, content: bytes) -> None:
    """Puts the content in the file's place, so that a reader and a crash find the old one or the new one, whole."""
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    flush(path.parent)


def _append(path: Path, line: bytes) -> None:
    is_new = not path.exists()
    with path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":  # a crash cut the last line short
                line = b"\n" + line
        file.write(line + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        flush(path.parent)
