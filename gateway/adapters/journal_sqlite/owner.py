"""One gateway owns a journal: a lock file beside it, held for as long as the process lives."""

import fcntl
import os
from pathlib import Path

from gateway.adapters.journal_sqlite.schema import JournalUnusableError


class OwnerLock:
    """The lock `<journal>.lock`; the kernel frees it when the process ends, however it ends."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.lock")
        self._file: int | None = None

    def take(self) -> None:
        """Lock, making the folder when it is missing. Raises JournalUnusableError when another process holds it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise JournalUnusableError(
                f"{self._path.parent} cannot be written ({fault.strerror}). Make it writable, or set JOURNAL_PATH."
            ) from fault
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            owner = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise JournalUnusableError(
                f"{self._path.with_suffix('')} belongs to a running gateway (process {owner})."
                " Stop that one first, or set another JOURNAL_PATH."
            ) from fault

    def sign(self) -> None:
        """Write who holds the lock into it, for the message to others. Raises OSError."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Unlock; harmless when nothing is locked."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
