"""Names the concrete parts and puts them together."""

import logging
import sys
from datetime import UTC, datetime

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from inference import __version__
from inference.adapters.model_folder import ModelFolder
from inference.adapters.model_state import StateFiles
from inference.registry import Registry
from inference.rpc.errors import Boundary
from inference.rpc.server import Limits, ModelServer, build_server
from inference.settings import Settings
from inference.start import open_serving


def open_log(level: str) -> FilteringBoundLogger:
    """A log of one JSON object a line on standard output, with the level in capitals."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _capital_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=False,
    )
    log: FilteringBoundLogger = structlog.get_logger().bind(service="model-service")
    return log


def _capital_level(_: object, __: str, event: EventDict) -> EventDict:
    event["level"] = str(event["level"]).upper()
    return event


def build(settings: Settings, log: FilteringBoundLogger) -> ModelServer:
    """The service of the settings.

    Raises CardFaultError, StateFaultError or AddressTakenError when it must not start.
    """
    store = ModelFolder(settings.models_dir, settings.model_name)
    records = StateFiles(settings.model_state_path, settings.model_name)
    opening = open_serving(store=store, records=records, chosen=settings.model_version, now=_now, log=log)
    server = build_server(
        registry=Registry(store=store, records=records, opening=opening, now=_now, log=log),
        boundary=Boundary(log),
        limits=Limits(
            rows_max=settings.rows_max,
            message_bytes_max=settings.message_bytes_max,
            calls_max=settings.calls_max,
        ),
        version=__version__,
        listen_addr=settings.listen_addr,
    )
    card = opening.serving.ensemble.card
    log.info(
        "model_loaded",
        model=card.name,
        version=card.version,
        sha256=card.sha256,
        description=card.description,
        previous=opening.state.previous,
        shadow=opening.state.shadow,
    )
    return server


def _now() -> datetime:
    return datetime.now(UTC)
