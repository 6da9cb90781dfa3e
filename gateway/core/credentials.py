"""Keys to an account at a venue. What must stay secret shows itself to `reveal` alone.

A secret is written nowhere: not by repr, str, format or an f-string, not in a traceback that prints its locals, not in
a pickle or a copy.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final, Never

HIDDEN: Final = "<secret>"
"""What a secret looks like wherever it is printed."""


class Secret:
    """A text that only `reveal` gives away."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself, for the one place that signs with it; keep it in no variable that outlives the call."""
        return self.__text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__text.encode(), other.reveal().encode())

    __hash__ = None  # type: ignore[assignment] # a hash in a log could be tried against guesses

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a secret is neither pickled nor copied")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One API key of an account. The key names it and is no secret by itself, yet is not printed either."""

    key: str = field(repr=False)
    secret: Secret
