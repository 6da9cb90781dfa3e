"""The forms that a setting of the gateway can have; each function gives what reads one, or reads it.

What reads a setting raises ValueError with a text that goes on from the setting's name and value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from gateway.core.model import Symbol

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable."""

    name: str
    default: str
    """As it would stand in the environment; empty: unset."""
    meaning: str
    parse: Callable[[str], Any]
    secret: bool = False
    """Whether its text is shown nowhere, not even in a fault."""


def one_of(*choices: str) -> Callable[[str], str]:
    """Exactly one of these."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def decimal(low: str, high: str, *, places: int | None = None) -> Callable[[str], Decimal]:
    """A finite decimal within the range, its ends included, with at most so many decimal places."""

    def parse(text: str) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise ValueError("must be a decimal number") from None
        if not value.is_finite() or not Decimal(low) <= value <= Decimal(high):
            raise ValueError(f"must be from {low} to {high}")
        if places is not None and value != value.quantize(Decimal(1).scaleb(-places)):
            raise ValueError(f"must have at most {places} decimal places")
        return value

    return parse


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """What `parse` reads; None when unset."""
    return lambda text: parse(text) if text else None


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number within the range, its ends included."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def number_of(*choices: int) -> Callable[[str], int]:
    """Exactly one of these numbers."""

    def parse(text: str) -> int:
        if text not in map(str, choices):
            raise ValueError(f"must be one of {', '.join(map(str, choices))}")
        return int(text)

    return parse


def switch(text: str) -> bool:
    """On or off."""
    return one_of("off", "on")(text) == "on"


def symbols(text: str) -> tuple[Symbol, ...]:
    """Symbols, separated by commas."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or not all(name.isalnum() and name.isascii() and name.isupper() for name in names):
        raise ValueError("must be symbols like BTCUSDT, separated by commas")
    return tuple(Symbol(name) for name in names)


def names(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
