"""Structured logs: one JSON object a line on standard output, the level in capitals so that `grep ERROR` finds it."""

import logging

import structlog
from structlog.typing import EventDict, WrappedLogger


def configure(level: str) -> None:
    """Send every event of `level` and above to standard output."""
    structlog.configure(
        processors=[
            _capital_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _capital_level(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {"level": "ERROR" if method == "exception" else method.upper(), **event}
