"""What Bybit's retCodes and HTTP statuses mean for a request, as a table.

Only codes count, never the texts beside them; the one exception is HTTP 403, which has no code and stands for two
different things. A code that is not in the table is UNKNOWN: never taken for a refusal.
"""

from collections.abc import Mapping
from enum import StrEnum

from gateway.adapters.ban import tells_of_ban


class CodeKind(StrEnum):
    """What a code says of the request that it answers."""

    REJECT = "reject"
    """Not done, definitely."""
    DUPLICATE = "duplicate"
    """An order with this id is already there: look it up."""
    AUTH = "auth"
    """Not done: the key is not accepted, or may not do this. Nothing better can be expected of the next request."""
    RATE = "rate"
    """Too many requests; whether this one was done must be looked up."""
    UNKNOWN = "unknown"
    """It may have been done: look it up, and never send it again blindly."""
    BENIGN = "benign"
    """What was asked for is so already; for a new order it says nothing."""
    CLOCK = "clock"
    """Not done: the time stamp lies outside of Bybit's window."""
    RETRY_LATER = "retry_later"
    """Not now; whether it was done must be looked up."""
    HALT_SYMBOL = "halt_symbol"
    """Not done, and this account cannot trade the symbol for now."""
    BANNED = "banned"
    """HTTP alone: the address is shut out for too many requests."""


NOT_DONE = frozenset({CodeKind.REJECT, CodeKind.AUTH, CodeKind.CLOCK, CodeKind.HALT_SYMBOL})
"""Kinds of retCode after which a new order is known not to exist."""

_TABLE: Mapping[CodeKind, tuple[int, ...]] = {
    CodeKind.UNKNOWN: (
        *(10000, 10016, 10019, 20006, 429, 500000),
        *(170001, 170007, 170032, 170146, 170147, 170149, 170210, 170234, 170310),
    ),
    CodeKind.RATE: (10006, 10018, 10403, 10429, 20003, 170005, 170222),
    CodeKind.CLOCK: (10002,),
    CodeKind.AUTH: (-2015, 10003, 10004, 10005, 10007, 10008, 10009, 10010, 10024, 10027, 10028, 10029, 33004),
    CodeKind.DUPLICATE: (10014, 110072, 170141),
    CodeKind.BENIGN: (
        *(110001, 110008, 110010, 170139, 170142, 170143, 170190, 170213),
        *(110025, 110026, 110027, 110043, 34040),
    ),
    CodeKind.RETRY_LATER: (110079,),
    CodeKind.HALT_SYMBOL: (110123, 110124, 110125, 110132, 170241),
    CodeKind.REJECT: (
        *(10001, 10017, 10404),
        # The account cannot pay for it.
        *(110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053, 170033, 170131),
        # The price.
        *(110003, 110120, 110121, 30208, 30209, 170132, 170133, 170134, 170192, 170193, 170194, 170371, 170372),
        # Nothing to reduce.
        *(110017, 110034),
        # Value, size and precision.
        *(110094, 170140, 170124, 170136, 170137, 170148, 170197, 170198, 170341, 170381, 170382),
        # Risk limits, reduce-only markets, delisting.
        *(110013, 110021, 110023, 110042, 110086, 110089, 110090, 30228, 3400139),
        # Too many open orders.
        *(110009, 110020, 170810),
        # The market is not open.
        *(110063, 110066, 110074, 170151, 170157),
        # The mode cannot be switched now.
        *(110024, 110028),
    ),
}
_KINDS = {code: kind for kind, codes in _TABLE.items() for code in codes}

STALE_FILTERS = frozenset(
    {110017, 110094, 170124, 170136, 170137, 170140, 170148, 170197, 170198, 170341, 170381, 170382}
)
"""Refusals of size, value or precision: the filters that the order was checked against may be old."""


def kind_of(code: int) -> CodeKind:
    """The meaning of a retCode other than 0; UNKNOWN for a code that the table does not have."""
    return _KINDS.get(code, CodeKind.UNKNOWN)


def codes_of(kind: CodeKind) -> tuple[int, ...]:
    """The retCodes of a kind, smallest first."""
    return tuple(sorted(_TABLE.get(kind, ())))


def kind_of_status(status: int, text: str) -> CodeKind:
    """The meaning of an HTTP status other than 200, with the beginning of the body.

    None of them proves that a new order does not exist: that is looked up all the same.
    """
    match status:
        case 400 | 404:
            return CodeKind.REJECT
        case 401:
            return CodeKind.AUTH
        case 403:
            return CodeKind.BANNED if tells_of_ban(text) else CodeKind.AUTH
        case 429:
            return CodeKind.RATE
        case _:
            return CodeKind.UNKNOWN
