"""Which versions serve, as a value, and the changes of it.

activate  another version answers from now on; the one before becomes `previous`
rollback  `previous` answers again; the version that it takes the place of becomes `previous`
shadow    a version is attached as the shadow, or the shadow is detached

The state is kept in a file (`State`), every change in another that only grows (`Change`). The state carries its newest
change whole, so that one write makes a change and its record durable together; inference/adapters/model_state.py
brings the second file up to it.
"""

from enum import StrEnum, unique
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.core.card import Card

ACTOR_LENGTH_MAX = 100
REASON_LENGTH_MAX = 500
CHANGES_TOLD = 20
"""How many of the newest changes are told."""
ITSELF = "model service"
"""The actor of what the service does of its own accord."""
UNSTATED = "unstated"
"""The reason of a change for which nobody gave one."""

VersionOrNone = Annotated[str, Field(pattern=r"^([0-9]{8}_[0-9]{6})?$")]
"""A version; empty when there is none."""


class StateFaultError(Exception):
    """A record of what is served that cannot be read or written; says which file and why."""


@unique
class Kind(StrEnum):
    """What a change does."""

    ACTIVATE = "activate"
    ROLLBACK = "rollback"
    SHADOW = "shadow"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Change(_Part):
    """One change: what trading.v1.ModelChange tells of it."""

    kind: Kind
    from_version: VersionOrNone
    to_version: VersionOrNone
    actor: Annotated[str, Field(max_length=ACTOR_LENGTH_MAX)]
    reason: Annotated[str, Field(max_length=REASON_LENGTH_MAX)]
    time: str
    """UTC, ISO 8601, milliseconds."""
    sha256: str
    """Of the graph of `to_version`; empty when a shadow was detached."""


class State(_Part):
    """Which versions serve."""

    schema_version: Literal[1]
    model: str
    """The model's name: the file is of no use to another."""
    active: VersionOrNone
    """Empty when no version was ever activated by anybody."""
    previous: VersionOrNone
    shadow: VersionOrNone
    change: Change | None
    """The change that led here; None before the first."""


def no_state(model: str) -> State:
    """The state before the first change."""
    return State(schema_version=1, model=model, active="", previous="", shadow="", change=None)


def after(state: State, change: Change) -> State:
    """The state that the change leads to."""
    match change.kind:
        case Kind.ACTIVATE | Kind.ROLLBACK:
            moved = {"active": change.to_version, "previous": change.from_version}
        case Kind.SHADOW:
            moved = {"shadow": change.to_version}
    return state.model_copy(update={**moved, "change": change})


def shadow_fault(shadow: Card, active: Card) -> str:
    """Why the one cannot be the other's shadow; empty when it can."""
    if shadow.version == active.version:
        return f"{shadow.version} is the active version"
    more = [name for name in shadow.feature_names if name not in active.feature_names]
    if more:
        return f"{shadow.version} takes {', '.join(more)}, which the active version {active.version} does not"
    if shadow.bar_seconds != active.bar_seconds:
        return (
            f"{shadow.version} takes features of bars of {shadow.bar_seconds} s, "
            f"the active version {active.version} of {active.bar_seconds} s"
        )
    return ""


def state_text(state: State) -> str:
    """The state as the text of its file."""
    return state.model_dump_json(indent=2) + "\n"


def read_state(text: str, model: str) -> State:
    """The state of the text. Raises StateFaultError saying what is wrong with it."""
    try:
        state = State.model_validate_json(text)
    except ValidationError as fault:
        found = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the text'}: {one['msg']}" for one in fault.errors()[:5])
        raise StateFaultError(found) from fault
    if state.model != model:
        raise StateFaultError(f"it is of the model {state.model!r}, not {model!r}")
    return state


def change_line(change: Change) -> str:
    """The change as one line, without its end."""
    return change.model_dump_json()


def read_change(line: str) -> Change | None:
    """The change of the line; None when the line was never written to its end."""
    try:
        return Change.model_validate_json(line)
    except ValidationError:
        return None
