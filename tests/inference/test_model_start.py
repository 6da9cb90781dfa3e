"""Which version a start serves: MODEL_VERSION, else the state file's, else the newest that passes its gates."""

from pathlib import Path

import pytest
from kit import VERSION_A, VERSION_B, VERSION_C, a_card, a_failing_card, write_version
from serving_fakes import FakeEnsemble, FakeLog, FakeRecords, FakeStore, opened

from inference.adapters.model_folder import ModelFolder
from inference.core.card import CardFaultError
from inference.core.registry import ITSELF, Kind, State, no_state
from inference.registry import Registry

BROKEN = CardFaultError("the card is torn")


def good(version: str, **changes: object) -> FakeEnsemble:
    return FakeEnsemble(card=a_card(version=version, **changes))


def unfit(version: str) -> FakeEnsemble:
    return FakeEnsemble(card=a_failing_card(version=version))


def a_store(*ensembles: FakeEnsemble, broken: str = "") -> FakeStore:
    found = {one.card.version: one for one in ensembles}
    return FakeStore(ensembles=found | ({broken: BROKEN} if broken else {}))


def a_state(*, active: str = "", previous: str = "", shadow: str = "") -> State:
    return no_state("consensus").model_copy(update={"active": active, "previous": previous, "shadow": shadow})


def started(
    store: FakeStore, records: FakeRecords | None = None, *, chosen: str | None = None, log: FakeLog | None = None
) -> Registry:
    return opened(store, records or FakeRecords(), log or FakeLog(), chosen)


def active(registry: Registry) -> str:
    return registry.serving.ensemble.card.version


def test_without_a_state_the_newest_version_that_passes_is_served_and_nothing_is_recorded() -> None:
    records, log = FakeRecords(), FakeLog()
    registry = started(a_store(good(VERSION_A), unfit(VERSION_B), broken=VERSION_C), records, log=log)
    assert active(registry) == VERSION_A
    assert records.kept == []
    assert [(event, keys["version"]) for _, event, keys in log.lines] == [
        ("model_skipped", VERSION_C),
        ("model_skipped", VERSION_B),
    ]


def test_the_state_decides_over_a_newer_version() -> None:
    records = FakeRecords(state=a_state(active=VERSION_A, previous=VERSION_C))
    assert active(started(a_store(good(VERSION_A), good(VERSION_B)), records)) == VERSION_A
    assert records.kept == []


def test_the_setting_decides_over_the_state_and_is_recorded() -> None:
    records = FakeRecords(state=a_state(active=VERSION_A))
    assert active(started(a_store(good(VERSION_A), good(VERSION_B)), records, chosen=VERSION_B)) == VERSION_B
    (change,) = records.kept
    assert (change.kind, change.from_version, change.to_version) == (Kind.ACTIVATE, VERSION_A, VERSION_B)
    assert (change.actor, change.time) == ("MODEL_VERSION", "2026-03-01T12:00:00.000Z")
    assert (records.state.active, records.state.previous) == (VERSION_B, VERSION_A)


def test_a_setting_that_changes_nothing_records_nothing() -> None:
    records = FakeRecords(state=a_state(active=VERSION_A, previous=VERSION_B))
    started(a_store(good(VERSION_A)), records, chosen=VERSION_A)
    assert records.kept == []
    assert records.state.previous == VERSION_B


@pytest.mark.parametrize("chosen", [None, VERSION_B])
def test_a_named_version_that_is_broken_or_unfit_stops_the_start_naming_it(chosen: str | None) -> None:
    state = a_state(active=VERSION_A if chosen else VERSION_B)
    for store in (a_store(good(VERSION_A), unfit(VERSION_B)), a_store(good(VERSION_A), broken=VERSION_B)):
        records = FakeRecords(state=state)
        with pytest.raises(CardFaultError, match=rf"active version {VERSION_B} cannot be served.*MODEL_VERSION"):
            started(store, records, chosen=chosen)
        assert records.kept == []


def test_without_any_version_that_can_be_served_there_is_no_start() -> None:
    with pytest.raises(CardFaultError, match="there is no version"):
        started(a_store())
    with pytest.raises(CardFaultError, match=f"{VERSION_C}: the card is torn"):
        started(a_store(unfit(VERSION_A), broken=VERSION_C))


def test_the_shadow_of_the_state_is_attached_even_when_its_gates_fail() -> None:
    records = FakeRecords(state=a_state(active=VERSION_A, shadow=VERSION_B))
    shadow = started(a_store(good(VERSION_A), unfit(VERSION_B)), records).serving.shadow
    assert shadow is not None
    assert shadow.version == VERSION_B
    assert records.kept == []


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (a_store(good(VERSION_A), broken=VERSION_B), "torn"),
        (a_store(good(VERSION_A)), "cannot read"),
        (a_store(good(VERSION_A), good(VERSION_B, features=("mom_20", "atr_14"))), "atr_14"),
        (a_store(good(VERSION_A), good(VERSION_B, bar_seconds=60)), "bars of 60 s"),
    ],
)
def test_a_shadow_that_cannot_be_one_is_detached_recorded_and_stops_nothing(store: FakeStore, why: str) -> None:
    records, log = FakeRecords(state=a_state(active=VERSION_A, shadow=VERSION_B)), FakeLog()
    registry = started(store, records, log=log)
    assert (active(registry), registry.serving.shadow) == (VERSION_A, None)
    (change,) = records.kept
    assert (change.kind, change.from_version, change.to_version, change.actor) == (Kind.SHADOW, VERSION_B, "", ITSELF)
    assert why in change.reason
    assert [event for _, event, _ in log.lines] == ["shadow_detached"]


def test_a_real_folder_is_opened_and_its_facts_are_read_again_only_when_its_files_change(tmp_path: Path) -> None:
    write_version(tmp_path, VERSION_A)
    folder = ModelFolder(tmp_path, "consensus")
    first = folder.facts(VERSION_A)
    assert first is not None
    assert first.faults == ()
    assert folder.facts(VERSION_A) is first
    graph = tmp_path / "consensus" / VERSION_A / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\x00")
    changed = folder.facts(VERSION_A)
    assert changed is not None
    assert "sha256" in changed.faults[0]
    assert folder.facts(VERSION_B) is None
    assert (folder.versions(), ModelFolder(tmp_path, "other").versions()) == ([VERSION_A], ())
