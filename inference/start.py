"""Which version the service begins with.

1. MODEL_VERSION, when it is set; recorded as a change when another version was active
2. the active version of the state file
3. without either: the newest version that passes its gates; not recorded, since nobody has asked for it

A version of 1 or 2 that is broken or unfit stops the start. A shadow that is, is detached: it answers nobody.
"""

from collections.abc import Callable
from datetime import datetime

from inference.core.card import CardFaultError
from inference.core.consensus import Ensemble
from inference.core.gates import faults_of
from inference.core.registry import ITSELF, Kind, after, shadow_fault
from inference.core.serving import serving_of
from inference.ports import ModelStore, Records
from inference.registry import Asked, Log, Opening, change_of

_BY_SETTING = Asked(actor="MODEL_VERSION", reason="the setting MODEL_VERSION at the start")


def open_serving(
    *, store: ModelStore, records: Records, chosen: str | None, now: Callable[[], datetime], log: Log
) -> Opening:
    """Loads what is served from the start; `chosen` is MODEL_VERSION.

    Raises CardFaultError when nothing can be served, StateFaultError when the record cannot be read or written.
    """
    state = records.read()
    active = _active(store, chosen or state.active, log)
    version = active.card.version
    if chosen and state.active != version:
        change = change_of(Kind.ACTIVATE, state.active, version, _BY_SETTING, sha256=active.card.sha256, at=now())
        state = after(state, change)
        records.keep(state)
        log.info("model_changed", **change.model_dump(mode="json"))
    state = state.model_copy(update={"active": version})
    shadow, fault = _shadow(store, state.shadow, active)
    if fault:
        log.warning("shadow_detached", version=state.shadow, fault=fault)
        asked = Asked(actor=ITSELF, reason=fault)
        state = after(state, change_of(Kind.SHADOW, state.shadow, "", asked, sha256="", at=now()))
        records.keep(state)
    return Opening(state=state, serving=serving_of(active, shadow))


def _active(store: ModelStore, version: str, log: Log) -> Ensemble:
    if version:
        try:
            return _fit(store, version)
        except CardFaultError as fault:
            told = f"the active version {version} cannot be served: {fault}. Mend it, or set MODEL_VERSION to another"
            raise CardFaultError(told) from fault
    refused: list[str] = []
    for candidate in store.versions():
        try:
            return _fit(store, candidate)
        except CardFaultError as fault:
            log.warning("model_skipped", version=candidate, fault=str(fault))
            refused.append(f"{candidate}: {fault}")
    if not refused:
        raise CardFaultError(f"there is no version (YYYYMMDD_HHMMSS) of the model {store.name}")
    raise CardFaultError(f"no version of the model {store.name} can be served: {refused[0]}")


def _fit(store: ModelStore, version: str) -> Ensemble:
    """The version, loaded, proven, and with every gate passed. Raises CardFaultError."""
    ensemble = store.load(version)
    faults = faults_of(ensemble.card)
    if faults:
        raise CardFaultError(f"{version} does not pass its gates: {'; '.join(faults)}")
    return ensemble


def _shadow(store: ModelStore, version: str, active: Ensemble) -> tuple[Ensemble | None, str]:
    """The shadow, or why there is none after all."""
    if not version:
        return None, ""
    try:
        shadow = store.load(version)
    except CardFaultError as fault:
        return None, str(fault)
    misfit = shadow_fault(shadow.card, active.card)
    return (None, misfit) if misfit else (shadow, "")
