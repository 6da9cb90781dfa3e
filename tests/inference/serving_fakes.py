"""Fakes of what the model service is built from, and registries of them."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from inference.core.card import Card, CardFaultError, card_text
from inference.core.consensus import Ensemble, Rows, Scores
from inference.core.gates import faults_of
from inference.core.registry import Change, State, StateFaultError, no_state
from inference.core.serving import serving_of
from inference.ports import ModelStore, Records, VersionFacts
from inference.registry import Opening, Registry
from inference.start import open_serving

PACKAGED_MODELS = Path(__file__).parents[2] / "inference" / "models"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@dataclass(kw_only=True)
class FakeLog:
    """Keeps what was logged."""

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, **keys: object) -> None:
        self.lines.append(("debug", event, keys))

    def info(self, event: str, **keys: object) -> None:
        self.lines.append(("info", event, keys))

    def warning(self, event: str, **keys: object) -> None:
        self.lines.append(("warning", event, keys))

    def error(self, event: str, **keys: object) -> None:
        self.lines.append(("error", event, keys))

    def exception(self, event: str, **keys: object) -> None:
        self.lines.append(("exception", event, keys))


@dataclass(kw_only=True)
class FakeEnsemble:
    """Says 0.75 of every row; can be told to fail, or to wait until it is let go."""

    card: Card
    fails_with: Exception | None = None
    released: threading.Event | None = None
    started: threading.Event = field(default_factory=threading.Event)

    def score(self, rows: Rows) -> Scores:
        self.started.set()
        if self.fails_with is not None:
            raise self.fails_with
        if self.released is not None:
            assert self.released.wait(timeout=10)
        count = rows.shape[0]
        return Scores(
            prob_long=np.full((count, 1), 0.75, np.float32),
            confidence=np.full((count, 1), 0.625, np.float32),
            members=np.full((count, 2), 0.75, np.float32),
            disagreement=np.full((count, 1), 0.125, np.float32),
            dissimilarity=np.full((count, 1), 0.5, np.float32),
        )


@dataclass(kw_only=True)
class FakeStore:
    """Versions in memory: an ensemble, or why it cannot be loaded."""

    ensembles: Mapping[str, Ensemble | CardFaultError]
    name: str = "consensus"

    def versions(self) -> Sequence[str]:
        return sorted(self.ensembles, reverse=True)

    def facts(self, version: str) -> VersionFacts | None:
        found = self.ensembles.get(version)
        if found is None:
            return None
        if isinstance(found, CardFaultError):
            return VersionFacts(version=version, card=None, card_text="", faults=(str(found),))
        card = found.card
        return VersionFacts(version=version, card=card, card_text=card_text(card), faults=faults_of(card))

    def load(self, version: str) -> Ensemble:
        found = self.ensembles.get(version, CardFaultError(f"cannot read {version}"))
        if isinstance(found, CardFaultError):
            raise found
        return found


@dataclass(kw_only=True)
class FakeRecords:
    """Keeps states in memory; can be told to fail."""

    state: State = field(default_factory=lambda: no_state("consensus"))
    kept: list[Change] = field(default_factory=list)
    fails_with: StateFaultError | None = None

    def read(self) -> State:
        return self.state

    def keep(self, state: State) -> None:
        if self.fails_with is not None:
            raise self.fails_with
        assert state.change is not None
        self.state = state
        self.kept.append(state.change)

    def changes(self) -> Sequence[Change]:
        return self.kept[::-1]


def registry_of(ensemble: Ensemble, log: FakeLog) -> Registry:
    """A registry that serves the one ensemble, with nothing on a disk."""
    version = ensemble.card.version
    state = no_state("consensus").model_copy(update={"active": version})
    opening = Opening(state=state, serving=serving_of(ensemble, None))
    store = FakeStore(ensembles={version: ensemble})
    return Registry(store=store, records=FakeRecords(), opening=opening, now=lambda: NOW, log=log)


def opened(store: ModelStore, records: Records, log: FakeLog, chosen: str | None = None) -> Registry:
    """A registry as the service opens it."""
    opening = open_serving(store=store, records=records, chosen=chosen, now=lambda: NOW, log=log)
    return Registry(store=store, records=records, opening=opening, now=lambda: NOW, log=log)
