"""Names the concrete parts and puts them together."""

import logging
import sys

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from inference import __version__
from inference.adapters.model_onnx import load_ensemble
from inference.rpc.errors import Boundary
from inference.rpc.server import Limits, ModelServer, build_server
from inference.settings import Settings


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
    """The service of the settings. Raises CardFaultError or AddressTakenError when it must not start."""
    ensemble = load_ensemble(settings.models_dir, settings.model_name, settings.model_version)
    card = ensemble.card
    server = build_server(
        ensemble=ensemble,
        boundary=Boundary(log),
        limits=Limits(
            rows_max=settings.rows_max,
            message_bytes_max=settings.message_bytes_max,
            calls_max=settings.calls_max,
        ),
        version=__version__,
        listen_addr=settings.listen_addr,
    )
    log.info("model_loaded", model=card.name, version=card.version, sha256=card.sha256, description=card.description)
    return server
