"""What the live venue tells the operator at once, beside the answers to single orders."""

from dataclasses import dataclass
from enum import StrEnum


class AlarmKind(StrEnum):
    """What is wrong."""

    AUTH = "auth"
    """Bybit does not accept the API key, or forbids what it asked for: no order is sent until a restart."""
    CLOCK = "clock"
    """Bybit refused a request's time stamp: this machine's clock, or the way to Bybit, is too far off."""
    BANNED = "banned"
    """Bybit has shut out this address for too many requests: nothing is sent to it for a while."""
    BREAKER = "breaker"
    """One refusal came again and again: orders that open a position are held back for a while."""
    MISMATCH = "mismatch"
    """An order under an id of ours is not the order that was sent."""
    FOREIGN = "foreign"
    """Somebody else trades on the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm; its text is safe to show."""

    kind: AlarmKind
    text: str
