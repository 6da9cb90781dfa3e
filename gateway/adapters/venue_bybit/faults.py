"""How a call to Bybit can go wrong, in texts that are safe to show."""

import re
from collections.abc import Sequence

from gateway.adapters.venue_bybit.codes import CodeKind

TEXT_MAX = 120
"""Longest text of the venue that is passed on."""
_BRACKETS = re.compile(r"\[(?![0-9]*\])[^\]]*(\]|$)", re.ASCII)
"""What a text quotes, plain numbers apart: code 10004 quotes the string to sign, which begins with time and key."""


class VenueFault(Exception):  # noqa: N818 - what all faults share; each of them says what it is
    """A call did not succeed; `text` is scrubbed and short."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Refusal(VenueFault):
    """Bybit answered with a retCode other than 0."""

    def __init__(self, code: int, kind: CodeKind, text: str) -> None:
        super().__init__(f"{code}: {text}" if text else str(code))
        self.code = code
        self.kind = kind


class NoAnswerError(VenueFault):
    """There was no answer that says what was done: perhaps all of it, perhaps nothing."""


class NotSentError(NoAnswerError):
    """The call was not begun, and never will be."""


def scrubbed(text: object, hidden: Sequence[str]) -> str:
    """A text of the venue without what must stay hidden: printable ASCII, bounded, quotes left out.

    It is scrubbed before it is cut, so that no half of a secret stays.
    """
    if not isinstance(text, str):
        return ""
    for secret in hidden:
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    text = _BRACKETS.sub("[...]", text)
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)[:TEXT_MAX]
