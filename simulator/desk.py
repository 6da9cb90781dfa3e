"""What the order-entry stream and REST agree on: where an order goes once it is known whose it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from simulator.api.keys import ApiKey
from simulator.shapes import Json
from simulator.trading.contract import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskAnswer:
    """What became of one order request."""

    code: int = 0
    message: str = "OK"
    result: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    """The X-Bapi-Limit headers."""


class Desk(Protocol):
    """Where orders of a known key go to."""

    def enter(self, key: ApiKey, path: str, params: Params) -> DeskAnswer:
        """Do what a POST to this path does once its signature was found right: rate limit, permission, engine."""
        ...
