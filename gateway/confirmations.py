"""The second step of a resume or a reset: a token for what was shown, good once, for a minute, while nothing moves.

Tokens live in this process alone: after a restart the operator looks again.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.core.lifecycle import RiskEvent
from gateway.ports import Clock

KEPT_MS: Final = 60_000
"""Long enough to read what will happen, too short for another day's state."""

TOKENS_MAX: Final = 100
"""Tokens at once; the oldest gives way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What a token confirms."""

    token: str
    event: RiskEvent
    moves: int
    """How often the risk state had moved when it was shown."""
    expires_ms: int


class Confirmations:
    """The tokens that may still be used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._issued: OrderedDict[str, Confirmation] = OrderedDict()

    def issue(self, event: RiskEvent, moves: int) -> Confirmation:
        """A new token for one event in the risk state as it stands."""
        made = Confirmation(
            token=secrets.token_urlsafe(16), event=event, moves=moves, expires_ms=self._clock.now_ms() + KEPT_MS
        )
        self._issued[made.token] = made
        while len(self._issued) > TOKENS_MAX:
            self._issued.popitem(last=False)
        return made

    def use(self, token: str, event: RiskEvent, moves: int) -> str:
        """Use a token up; why it does not count, and nothing when it does."""
        made = self._issued.pop(token, None)
        if made is None:
            return "the token is not known: it was used, or is of another run of the gateway"
        if made.event is not event:
            return f"the token confirms a {made.event.value}"
        if self._clock.now_ms() >= made.expires_ms:
            return f"the token is older than {KEPT_MS // 1000} seconds"
        return "" if made.moves == moves else "the risk state has moved since it was shown"
