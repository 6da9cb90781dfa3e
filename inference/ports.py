"""What the registry needs of the world, as protocols; inference/adapters fills them, inference/wiring.py picks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.core.card import Card
from inference.core.consensus import Ensemble
from inference.core.registry import Change, State


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What the files of one version say, without loading its graph."""

    version: str
    card: Card | None
    """None when it cannot be read."""
    card_text: str
    """card.json as it stands on the disk; empty when it cannot be read."""
    faults: tuple[str, ...]
    """Why the version cannot be activated: its files, or its gates; empty when nothing speaks against it."""


class ModelStore(Protocol):
    """The versions of one model."""

    name: str

    def versions(self) -> Sequence[str]:
        """Every version that is there, newest first."""
        ...

    def facts(self, version: str) -> VersionFacts | None:
        """What the version's files say; None when there is no such version. Cheap when they have not changed."""
        ...

    def load(self, version: str) -> Ensemble:
        """The version, loaded and proven. Raises CardFaultError when it is not what its card says."""
        ...


class Records(Protocol):
    """What is kept of what serves."""

    def read(self) -> State:
        """The state as it was last kept; the state before the first change when none was. Raises StateFaultError."""
        ...

    def keep(self, state: State) -> None:
        """Keeps the state, and the change that led to it, durably. Raises StateFaultError, and nothing was kept."""
        ...

    def changes(self) -> Sequence[Change]:
        """The newest changes, newest first."""
        ...
