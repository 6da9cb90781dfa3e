"""The registry: which version serves, and the only place that changes it.

A change goes this way, one at a time, and to its end even when its caller has gone:

1. the version is loaded and proven in a thread, while the active one goes on answering;
2. its gates are checked (a shadow's are not: it answers nobody);
3. the change is kept durably, with its actor and reason;
4. one reference is exchanged. Calls under way end with the value that they began with.

A refusal or a crash before step 3 changes nothing; a crash after it is a change that the next start serves.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from inference.core.card import Card, CardFaultError
from inference.core.consensus import Ensemble
from inference.core.gates import faults_of
from inference.core.refusal import Reason, Refused
from inference.core.registry import (
    ACTOR_LENGTH_MAX,
    ITSELF,
    REASON_LENGTH_MAX,
    UNSTATED,
    Change,
    Kind,
    State,
    StateFaultError,
    after,
    shadow_fault,
)
from inference.core.serving import Serving, Shadow, serving_of
from inference.ports import ModelStore, Records, VersionFacts

Result = TypeVar("Result")
Now = Callable[[], datetime]

LISTED_MAX = 200
"""How many versions are listed, the newest; the active, the previous and the shadow are always among them."""

_FAULTS_LENGTH_MAX = 1_500  # an error's details travel three times in metadata, of which a client takes 8 kB


class Log(Protocol):
    """What the registry writes to: structlog's bound logger."""

    def info(self, event: str, **keys: object) -> object:
        """A change."""
        ...

    def warning(self, event: str, **keys: object) -> object:
        """What the service did of its own accord."""
        ...

    def error(self, event: str, **keys: object) -> object:
        """A change that could not be kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks for a change, and why; for the record."""

    actor: str
    reason: str = UNSTATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What serves after a change."""

    version: str
    """The version that the change was about; empty when a shadow was detached."""
    previous: str
    """What a rollback would bring back; empty when there is nothing."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version in the list."""

    facts: VersionFacts
    standing: str
    """"active", "shadow", "unfit", "previous" or "available": the first that applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The versions, the active one first, then newest first; and the newest changes, newest first."""

    entries: Sequence[Entry]
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the service begins with; inference/start.py finds it."""

    state: State
    """With the version that is served as the active one, whether or not anybody has activated it."""
    serving: Serving


class Registry:
    """What serves, and its changes."""

    def __init__(self, *, store: ModelStore, records: Records, opening: Opening, now: Now, log: Log) -> None:
        self.name = store.name
        self._store = store
        self._records = records
        self._state = opening.state
        self._serving = opening.serving
        self._now = now
        self._log = log
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def serving(self) -> Serving:
        """What serves at this moment; to be taken once by each call."""
        return self._serving

    async def activate(self, version: str, asked: Asked) -> Changed | Refused:
        """Serves the version from now on."""
        return await self._to_its_end(self._activate(Kind.ACTIVATE, version, asked))

    async def rollback(self, asked: Asked) -> Changed | Refused:
        """Serves the version that was active before."""
        return await self._to_its_end(self._roll_back(asked))

    async def set_shadow(self, version: str, asked: Asked) -> Changed | Refused:
        """Attaches the version as the shadow; detaches the shadow when the version is empty."""
        return await self._to_its_end(self._set_shadow(version, asked))

    def shadow_failed(self, shadow: Shadow, fault: str) -> None:
        """Detaches the shadow at once, and keeps that in the background: the call that met it does not wait."""
        if self._serving.shadow is not shadow:
            return
        self._serving = replace(self._serving, shadow=None)
        self._log.warning("shadow_failed", version=shadow.version, fault=fault)
        self._begin(self._alone(self._detach(shadow.version, f"it failed: {fault}")))

    async def facts(self, version: str) -> VersionFacts | Refused:
        """What the version's files say."""
        return await self._in_thread(self._store.facts, version) or self._not_found(version)

    async def entry(self, version: str) -> Entry | Refused:
        """One version, with its standing."""
        facts = await self.facts(version)
        return facts if isinstance(facts, Refused) else Entry(facts=facts, standing=self._standing(facts, self._state))

    async def card_of(self, version: str) -> Card | Refused:
        """The card of a version; of the active one when the version is empty. Its gates are not asked."""
        active = self._serving.ensemble.card
        if version in ("", active.version):
            return active
        facts = await self.facts(version)
        if isinstance(facts, Refused):
            return facts
        return facts.card or unfit(version, facts.faults)

    async def listing(self) -> Listing:
        """The versions and the newest changes. Raises StateFaultError when the changes cannot be read."""
        return await self._in_thread(self._list, self._state)

    async def settle(self) -> None:
        """Waits for the changes that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown()

    async def _activate(self, kind: Kind, version: str, asked: Asked) -> Changed | Refused:
        state = self._state
        if version == state.active:
            message = f"{version} is active already; nothing was changed."
            return Changed(version=version, previous=state.previous, message=message)
        loaded = await self._in_thread(self._fit, version)
        if isinstance(loaded, Refused):
            return loaded
        if refused := await self._keep(kind, state.active, version, asked, loaded.card.sha256):
            return refused
        await self._exchange(loaded)
        message = f"{version} is active now; before it was {state.active}."
        return Changed(version=version, previous=state.active, message=message)

    async def _roll_back(self, asked: Asked) -> Changed | Refused:
        if not self._state.previous:
            return Refused(
                reason=Reason.MODEL_NOT_FOUND,
                message=f"Nothing was changed: none was active before {self._state.active}. Activate one by name.",
                metadata={"model": self.name, "version": self._state.active},
            )
        return await self._activate(Kind.ROLLBACK, self._state.previous, asked)

    async def _set_shadow(self, version: str, asked: Asked) -> Changed | Refused:
        state, shadow = self._state, self._serving.shadow
        before = "" if shadow is None else shadow.version
        if version == before == state.shadow:  # a failed shadow whose end could not be kept stands in the state alone
            message = f"{version} is the shadow already" if version else "there is no shadow"
            return Changed(version=version, previous=state.previous, message=f"Nothing was changed: {message}.")
        loaded = await self._in_thread(self._whole, version) if version else None
        if isinstance(loaded, Refused):
            return loaded
        if loaded is not None and (fault := shadow_fault(loaded.card, self._serving.ensemble.card)):
            return _no_shadow(version, fault)
        sha256 = "" if loaded is None else loaded.card.sha256
        if refused := await self._keep(Kind.SHADOW, before, version, asked, sha256):
            return refused
        self._serving = serving_of(self._serving.ensemble, loaded)
        message = f"{version} is the shadow now." if version else "There is no shadow now."
        return Changed(version=version, previous=state.previous, message=message)

    async def _exchange(self, active: Ensemble) -> None:
        """Serves the version from this line on, with the shadow where it can be that one's."""
        shadow = self._serving.shadow
        fault = "" if shadow is None else shadow_fault(shadow.ensemble.card, active.card)
        self._serving = serving_of(active, None if shadow is None or fault else shadow.ensemble)
        if shadow is not None and fault:
            self._log.warning("shadow_detached", version=shadow.version, fault=fault)
            await self._detach(shadow.version, fault)

    async def _detach(self, version: str, fault: str) -> None:
        """Keeps that the shadow is detached; in memory it is already."""
        if self._state.shadow == version and self._serving.shadow is None:
            await self._keep(Kind.SHADOW, version, "", Asked(actor=ITSELF, reason=fault), "")

    async def _keep(self, kind: Kind, before: str, version: str, asked: Asked, sha256: str) -> Refused | None:
        change = change_of(kind, before, version, asked, sha256=sha256, at=self._now())
        state = after(self._state, change)
        try:
            await self._in_thread(self._records.keep, state)
        except StateFaultError as fault:
            self._log.error("model_change_not_kept", kind=kind.value, version=version, fault=str(fault))
            return Refused(
                reason=Reason.MODEL_UNAVAILABLE,
                message=f"Nothing was changed: the change could not be recorded ({fault}). Mend that and ask again.",
                metadata={"model": self.name, "version": self._state.active},
            )
        self._state = state
        self._log.info("model_changed", **change.model_dump(mode="json"))
        return None

    def _fit(self, version: str) -> Ensemble | Refused:
        """The version, loaded, proven, and with every gate passed."""
        loaded = self._whole(version)
        if isinstance(loaded, Refused):
            return loaded
        faults = faults_of(loaded.card)
        return unfit(version, faults) if faults else loaded

    def _whole(self, version: str) -> Ensemble | Refused:
        """The version, loaded and proven."""
        if self._store.facts(version) is None:
            return self._not_found(version)
        try:
            return self._store.load(version)
        except CardFaultError as fault:
            return unfit(version, (str(fault),))

    def _list(self, state: State) -> Listing:
        standing = (state.active, state.shadow, state.previous)
        names = self._store.versions()
        listed = dict.fromkeys((state.active, *names[:LISTED_MAX], *(name for name in standing if name in names)))
        found = [facts for name in listed if (facts := self._store.facts(name)) is not None]
        entries = [Entry(facts=facts, standing=self._standing(facts, state)) for facts in found]
        return Listing(entries=entries, changes=self._records.changes())

    @staticmethod
    def _standing(facts: VersionFacts, state: State) -> str:
        if facts.version == state.active:
            return "active"
        if facts.version == state.shadow:
            return "shadow"
        if facts.faults:
            return "unfit"
        return "previous" if facts.version == state.previous else "available"

    def _not_found(self, version: str) -> Refused:
        return Refused(
            reason=Reason.MODEL_NOT_FOUND,
            message=f"Nothing was done: there is no version {version} of {self.name}. List the versions.",
            metadata={"model": self.name, "version": version},
        )

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _to_its_end(self, work: Coroutine[object, object, Result]) -> Result:
        """The work's result; a caller who goes away does not stop it, since what is kept must also be served."""
        return await asyncio.shield(self._begin(self._alone(work)))

    async def _alone(self, work: Coroutine[object, object, Result]) -> Result:
        async with self._lock:
            return await work

    def _begin(self, work: Coroutine[object, object, Result]) -> "asyncio.Task[Result]":
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def change_of(kind: Kind, before: str, version: str, asked: Asked, *, sha256: str, at: datetime) -> Change:
    """The change as it is kept; what is too long for the record is cut."""
    time = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Change(
        kind=kind,
        from_version=before,
        to_version=version,
        actor=asked.actor[:ACTOR_LENGTH_MAX],
        reason=asked.reason[:REASON_LENGTH_MAX],
        time=time,
        sha256=sha256,
    )


def _no_shadow(version: str, fault: str) -> Refused:
    return Refused(
        reason=Reason.MODEL_UNFIT,
        message=f"Nothing was changed: {fault}; so it cannot be the shadow. Choose another version.",
        metadata={"version": version, "faults": fault},
    )


def unfit(version: str, faults: Sequence[str]) -> Refused:
    """The refusal of a version, with what speaks against it."""
    told = "; ".join(faults)[:_FAULTS_LENGTH_MAX]
    return Refused(
        reason=Reason.MODEL_UNFIT,
        message=f"Nothing was done: {version} is not fit: {told}. Mend it, or choose another version.",
        metadata={"version": version, "faults": told},
    )
