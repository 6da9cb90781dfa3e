"""Decimals as Bybit writes and reads them: plain digits, never an exponent."""

import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

ZERO = Decimal(0)
CENT_MILLIONTH = Decimal("0.00000001")
"""The smallest amount that is kept: fees, realised profit and funding are multiples of it, so every sum is exact."""

_PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?", re.ASCII)


def read(text: str) -> Decimal | None:
    """A number of zero or more; None when the text is no plain decimal, such as "1e-05", "-1" or " 1"."""
    return Decimal(text) if _PLAIN.fullmatch(text) else None


def plain(value: Decimal) -> str:
    """All digits of a number, without trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def shown(value: Decimal) -> str:
    """A number rounded to eight places, for what is only looked at: averages, ratios, margins."""
    return plain(value.quantize(CENT_MILLIONTH, ROUND_HALF_UP))


def fee_of(value: Decimal, rate: Decimal) -> Decimal:
    """A fee, rounded up: the exchange's favour."""
    return (value * rate).quantize(CENT_MILLIONTH, ROUND_UP)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`, which is not negative."""
    return (value / step).to_integral_value(ROUND_DOWN) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step
