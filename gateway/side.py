"""What paper and live trading do differently, as two protocols; wiring.py and wiring_live.py fill them."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.account import Account
from gateway.equity import Equity
from gateway.guard import RiskGuard
from gateway.ports import Journal, Venue, VenueAccount
from gateway.reconcile import Reconciler
from gateway.venue_health import VenueHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """The parts that every gateway has, built over a side."""

    journal: Journal
    guard: RiskGuard
    reconciler: Reconciler


class Beside(Protocol):
    """What runs beside the order path."""

    health: Callable[[], VenueHealth] | None
    """Looks at the venue; None where there is none."""

    async def settle(self) -> None:
        """Compare the account for the first time, before anything is served."""
        ...

    def watches(self) -> Sequence[Coroutine[Any, Any, None]]:
        """What runs for ever while serving."""
        ...


class Side(Protocol):
    """Where orders go, and whose account it is; opened once, closed once, however far it came."""

    account: Account
    venue: Venue
    equity: Equity
    venue_account: VenueAccount | None
    """The account as the venue tells it; None where the journal alone has one."""
    reconcile_seconds: float
    """How often open orders are looked at."""

    def attach(self, core: Core) -> Beside:
        """What runs beside these parts."""
        ...

    async def open(self) -> str:
        """Make sure that orders may go there; the account's name, which its journal bears. Raises StartError."""
        ...

    async def listen(self) -> None:
        """Begin to hear of the account; returns at once."""
        ...

    async def close(self) -> None:
        """Give up the connections."""
        ...
