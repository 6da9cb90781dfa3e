"""Every reason why a call can fail, with its codes.

The names travel in google.rpc.ErrorInfo; proto/trading/v1/errors.proto lists the
same names for clients, and a test keeps the two alike. docs/reasons.md is
generated from this file.

A refusal is stored, and replayed to a retry with the same key, unless the retry
itself may change the answer (bad input, rate limit, something unavailable).
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a call failed; the value is the name on the wire."""

    INVALID_FIELD = "INVALID_FIELD"
    UNKNOWN_FEATURE = "UNKNOWN_FEATURE"
    MISSING_FEATURE = "MISSING_FEATURE"
    NON_FINITE = "NON_FINITE"
    FORBIDDEN = "FORBIDDEN"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    DECISION_EXPIRED = "DECISION_EXPIRED"
    DECISION_MISMATCH = "DECISION_MISMATCH"
    OUT_OF_DISTRIBUTION = "OUT_OF_DISTRIBUTION"
    CALIBRATION_DRIFT = "CALIBRATION_DRIFT"
    MODEL_EXPIRED = "MODEL_EXPIRED"
    MODEL_MARKET_MISMATCH = "MODEL_MARKET_MISMATCH"
    CONFIRMATION_EXPIRED = "CONFIRMATION_EXPIRED"
    RISK_LOCKED = "RISK_LOCKED"
    HALTED = "HALTED"
    REDUCE_ONLY = "REDUCE_ONLY"
    SYMBOL_CAP = "SYMBOL_CAP"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    SYMBOL_NOT_ALLOWED = "SYMBOL_NOT_ALLOWED"
    NO_POSITION = "NO_POSITION"
    VENUE_REJECTED = "VENUE_REJECTED"
    MODEL_UNFIT = "MODEL_UNFIT"
    PROMOTION_REFUSED = "PROMOTION_REFUSED"
    RATE_LIMITED = "RATE_LIMITED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MARKET_DATA_STALE = "MARKET_DATA_STALE"
    VENUE_UNAVAILABLE = "VENUE_UNAVAILABLE"
    RECONCILING = "RECONCILING"
    JOURNAL_UNAVAILABLE = "JOURNAL_UNAVAILABLE"
    GATEWAY_UNAVAILABLE = "GATEWAY_UNAVAILABLE"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    NOT_PROMOTED = "NOT_PROMOTED"
    OUTSIDE_HOURS = "OUTSIDE_HOURS"
    ORDER_RATE = "ORDER_RATE"
    OPEN_ORDERS = "OPEN_ORDERS"
    DECISION_REQUIRED = "DECISION_REQUIRED"
    ORDER_TOO_LARGE = "ORDER_TOO_LARGE"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    DAILY_LOSS = "DAILY_LOSS"
    COOL_DOWN = "COOL_DOWN"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    PRICE_COLLAR = "PRICE_COLLAR"
    GROSS_CAP = "GROSS_CAP"
    NET_CAP = "NET_CAP"
    LEVERAGE = "LEVERAGE"
    DEPTH_TOO_THIN = "DEPTH_TOO_THIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCodes:
    """How a reason is told on each wire, and whether a refusal for it is stored."""

    grpc: str
    """The name of the gRPC status code."""
    http: int
    """The HTTP status of the JSON edge."""
    stored: bool
    """True: a refused order is journaled and replayed. False: nothing is kept, and the key stays free."""
    retry_after_seconds: int | None = None
    """When a retry can help, in seconds; None when it cannot."""


def _bad_input() -> ReasonCodes:
    return ReasonCodes(grpc="INVALID_ARGUMENT", http=400, stored=False)


def _not_found() -> ReasonCodes:
    return ReasonCodes(grpc="NOT_FOUND", http=404, stored=False)


def _refused(http: int) -> ReasonCodes:
    return ReasonCodes(grpc="FAILED_PRECONDITION", http=http, stored=True)


def _unavailable(retry_after_seconds: int = 1) -> ReasonCodes:
    return ReasonCodes(grpc="UNAVAILABLE", http=503, stored=False, retry_after_seconds=retry_after_seconds)


def _too_many() -> ReasonCodes:
    return ReasonCodes(grpc="RESOURCE_EXHAUSTED", http=429, stored=False, retry_after_seconds=1)


CODES: dict[Reason, ReasonCodes] = {
    Reason.INVALID_FIELD: _bad_input(),
    Reason.UNKNOWN_FEATURE: _bad_input(),
    Reason.MISSING_FEATURE: _bad_input(),
    Reason.NON_FINITE: _bad_input(),
    Reason.FORBIDDEN: ReasonCodes(grpc="PERMISSION_DENIED", http=403, stored=False),
    Reason.ORDER_NOT_FOUND: _not_found(),
    Reason.MODEL_NOT_FOUND: _not_found(),
    Reason.ROUTE_NOT_FOUND: _not_found(),
    Reason.IDEMPOTENCY_KEY_REUSED: ReasonCodes(grpc="ALREADY_EXISTS", http=422, stored=False),
    Reason.LOW_CONFIDENCE: _refused(412),
    Reason.DECISION_EXPIRED: _refused(412),
    Reason.DECISION_MISMATCH: _refused(412),
    Reason.OUT_OF_DISTRIBUTION: _refused(412),
    Reason.CALIBRATION_DRIFT: _refused(412),
    Reason.MODEL_EXPIRED: _refused(412),
    Reason.MODEL_MARKET_MISMATCH: _refused(412),
    Reason.CONFIRMATION_EXPIRED: ReasonCodes(grpc="FAILED_PRECONDITION", http=412, stored=False),
    Reason.RISK_LOCKED: _refused(423),
    Reason.HALTED: _refused(423),
    Reason.REDUCE_ONLY: _refused(423),
    Reason.SYMBOL_CAP: _refused(422),
    Reason.MIN_NOTIONAL: _refused(422),
    Reason.SYMBOL_NOT_ALLOWED: _refused(422),
    Reason.NO_POSITION: _refused(422),
    Reason.VENUE_REJECTED: _refused(422),
    Reason.MODEL_UNFIT: ReasonCodes(grpc="FAILED_PRECONDITION", http=422, stored=False),
    Reason.PROMOTION_REFUSED: ReasonCodes(grpc="FAILED_PRECONDITION", http=412, stored=False),
    Reason.RATE_LIMITED: ReasonCodes(grpc="RESOURCE_EXHAUSTED", http=429, stored=False, retry_after_seconds=60),
    Reason.BODY_TOO_LARGE: ReasonCodes(grpc="RESOURCE_EXHAUSTED", http=413, stored=False),
    Reason.MODEL_UNAVAILABLE: _unavailable(),
    Reason.MARKET_DATA_STALE: _unavailable(),
    Reason.VENUE_UNAVAILABLE: _unavailable(),
    Reason.RECONCILING: _unavailable(),
    Reason.JOURNAL_UNAVAILABLE: _unavailable(),
    Reason.GATEWAY_UNAVAILABLE: _unavailable(),
    Reason.INTERNAL_ERROR: ReasonCodes(grpc="INTERNAL", http=500, stored=False),
    Reason.NOT_PROMOTED: _refused(412),
    Reason.OUTSIDE_HOURS: _refused(423),
    Reason.ORDER_RATE: _too_many(),
    Reason.OPEN_ORDERS: _too_many(),
    Reason.DECISION_REQUIRED: _refused(412),
    Reason.ORDER_TOO_LARGE: _refused(422),
    Reason.DUPLICATE_ORDER: _refused(422),
    Reason.DAILY_LOSS: _refused(423),
    Reason.COOL_DOWN: _refused(423),
    Reason.SPREAD_TOO_WIDE: _unavailable(),
    Reason.PRICE_COLLAR: _unavailable(),
    Reason.GROSS_CAP: _refused(422),
    Reason.NET_CAP: _refused(422),
    Reason.LEVERAGE: _refused(422),
    Reason.DEPTH_TOO_THIN: _unavailable(),
}
