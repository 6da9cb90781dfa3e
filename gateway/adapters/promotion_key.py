"""The files of promotions: the key of this installation, made on first use, and the record that was exported."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from gateway.ports import StartError

KEY_BYTES: Final = 32
RECORD_CHARS_MAX: Final = 1_000_000
"""A longer file is no record: one has a few kilobytes."""
FILE_BYTES_MAX: Final = 1024
"""A longer file is no key."""


def promotion_key(path: Path) -> bytes:
    """The key, made with the mode 600 when there is none yet. Raises StartError: it cannot be read, or is no key."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
        with path.open("rb") as opened:
            text = opened.read(FILE_BYTES_MAX)
        key = bytes.fromhex(text.decode("ascii").strip())
    except OSError as fault:
        raise StartError(
            f"the key of promotions, {path}, cannot be used: {fault.strerror} (PROMOTION_KEY_FILE)"
        ) from fault
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        raise StartError(f"{path} holds no key of promotions: {KEY_BYTES} bytes in hexadecimal (PROMOTION_KEY_FILE)")
    return key


def promotion_record(path: str) -> str:
    """The text of an exported record; empty when no file is named. Raises StartError: it cannot be read."""
    if not path:
        return ""
    try:
        with Path(path).open(encoding="ascii") as opened:
            return opened.read(RECORD_CHARS_MAX).strip()
    except (OSError, ValueError) as fault:
        raise StartError(f"PROMOTION_RECORD={path!r} cannot be read: {fault}") from fault


def _make(path: Path) -> None:
    """A new key, whole or not at all: another process that starts at the same moment finds the one or the other."""
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
        opened.write(secrets.token_hex(KEY_BYTES) + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(fresh)
    fresh.unlink()
