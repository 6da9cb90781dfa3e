"""The secrets that live gateways trade with in this suite, and the search for them in all that the suite leaves behind.

A test that starts a live gateway, or a session with the venue, takes CANARY_SECRET, or one of the simulator's own
secrets. canary_hooks.py looks for all of them, in every run: in what each test printed, logged and failed with, and at
the end in every file of the run (journals with their write-ahead logs, logs of child processes, rendered settings).
"""

import base64
import pathlib
from collections.abc import Iterable, Iterator

from simulator.api.keys import default_keys

CANARY_KEY = "CANARYKEY0001"
CANARY_SECRET = "CANARYSECRETa7Qx0001"  # noqa: S105 - of a test
VECTOR_SECRET = "TESTSECRET0001"  # noqa: S105 - of the published signatures
SECRETS = (CANARY_SECRET, VECTOR_SECRET, *(key.secret for key in default_keys()))
PIECE_BYTES = 1 << 20

_keepers: set[pathlib.Path] = set()


def keeps_a_secret(path: pathlib.Path) -> pathlib.Path:
    """A file that is there to hold a secret, as BYBIT_API_SECRET_FILE does: it alone is not searched."""
    _keepers.add(path.resolve())
    return path


def shapes(secret: str) -> tuple[bytes, ...]:
    """The secret as it could be written: plain, in hexadecimal, in base64 (wherever it begins in what was encoded)."""
    plain = secret.encode()
    coded = plain.hex()
    return plain, coded.encode(), coded.upper().encode(), *(_in_base64(plain, offset) for offset in range(3))


def _in_base64(plain: bytes, offset: int) -> bytes:
    """The characters that are the same whatever stands before and behind."""
    encoded = base64.b64encode(b"\0" * offset + plain)
    first = -(-offset * 8 // 6)
    return encoded[first : (offset + len(plain)) * 8 // 6]


NEEDLES = tuple(shape for secret in SECRETS for shape in shapes(secret))
OVERLAP_BYTES = max(map(len, NEEDLES)) - 1


def shows_a_secret(content: str | bytes) -> bool:
    raw = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    return any(needle in raw for needle in NEEDLES)


class Search:
    """What was searched, and where a secret was seen."""

    def __init__(self) -> None:
        self.texts = 0
        self.files = 0
        self.bytes = 0
        self.found: list[str] = []

    def text(self, where: str, content: str) -> None:
        self.texts += 1
        if shows_a_secret(content):
            self.found.append(where)

    def folder(self, folder: pathlib.Path) -> None:
        """Every file below, and the name of each."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.resolve() not in _keepers:
                self._file(path)

    def _file(self, path: pathlib.Path) -> None:
        self.files += 1
        if shows_a_secret(str(path)) or any(map(shows_a_secret, self._pieces(path))):
            self.found.append(str(path))

    def _pieces(self, path: pathlib.Path) -> Iterator[bytes]:
        """The content in pieces that overlap, so that no needle falls between two."""
        kept = b""
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                self.bytes += len(piece)
                yield kept + piece
                kept = piece[-OVERLAP_BYTES:]


def assert_secret_hidden(*contents: object) -> None:
    """None of these shows a secret: texts and bytes as they are, all else as it prints itself."""
    for content in contents:
        shown: Iterable[str | bytes] = (
            [content] if isinstance(content, str | bytes) else [repr(content), str(content), f"{content}"]
        )
        assert not any(map(shows_a_secret, shown)), "a secret is shown; what shows it is not printed here"
