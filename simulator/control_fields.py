"""Reading a control request's fields: each is checked, and one that nobody asked for is an error."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

TEXT_MAX = 200


class ControlError(Exception):
    """The request cannot be carried out; the text says why."""


class Fields:
    """The fields of one request; ControlError names the one that is wrong."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = dict(values)

    def end(self) -> None:
        """All fields were taken: what is left was never meant."""
        if self._values:
            raise ControlError(f"there is no field {next(iter(self._values))!r} here")

    def take(self, name: str) -> object:
        """The field as it is; None when absent."""
        return self._values.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return self._values.get(name) is not None

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """True or false."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise ControlError(f"{name} must be true or false")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """A number within a range."""
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ControlError(f"{name} must be a number")
        if not least <= value <= most:
            raise ControlError(f"{name} must be {least} to {most}, got {value}")
        return float(value)

    def integer(self, name: str, least: int, most: int, *, default: int | None = None) -> int:
        """An integer within a range; a text of digits will do, as in a query."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= TEXT_MAX:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ControlError(f"{name} must be an integer")
        if not least <= value <= most:
            raise ControlError(f"{name} must be {least} to {most}, got {value}")
        return value

    def text(self, name: str, *, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
            raise ControlError(f"{name} must be a text of 1 to {TEXT_MAX} characters")
        return value

    def one_of(self, name: str, allowed: Sequence[str], *, default: str | None = None) -> str:
        """One of these texts."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in allowed:
            raise ControlError(f"{name} must be one of {', '.join(allowed)}")
        return value

    def decimal(self, name: str, least: Decimal, most: Decimal, *, default: Decimal | None = None) -> Decimal:
        """A number within a range, given as a text so that no digit is lost."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        return decimal(value, name, least, most)

    def texts(self, name: str, *, default: Sequence[str]) -> Sequence[str]:
        """A list of texts."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ControlError(f"{name} must be a list of texts")
        return tuple(value)


def decimal(value: object, name: str, least: Decimal, most: Decimal) -> Decimal:
    """A number within a range, given as a text so that no digit is lost."""
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ControlError(f'{name} must be a number in quotes, like "0.1"')
    if not least <= number <= most:
        raise ControlError(f"{name} must be {least} to {most}, got {value}")
    return number
