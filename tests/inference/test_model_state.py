"""The record of what serves: two files that no crash leaves apart for longer than to the next start."""

import json
from pathlib import Path

import pytest
from kit import VERSION_A, VERSION_B, VERSION_C

from inference.adapters.model_state import StateFiles
from inference.core.registry import CHANGES_TOLD, Change, Kind, State, StateFaultError, after, no_state, state_text


def a_change(
    before: str = VERSION_A, to: str = VERSION_B, *, kind: Kind = Kind.ACTIVATE, reason: str = "why"
) -> Change:
    time, sha256 = "2026-03-01T12:00:00.000Z", "" if not to else "1" * 64
    return Change(kind=kind, from_version=before, to_version=to, actor="ada", reason=reason, time=time, sha256=sha256)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "models.json"


def files(path: Path) -> StateFiles:
    return StateFiles(path, "consensus")


def audit_of(path: Path) -> list[dict[str, str]]:
    lines = (path.parent / "models.audit.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_nothing_kept_is_the_state_before_the_first_change_and_leaves_the_disk_as_it_was(path: Path) -> None:
    assert files(path).read() == no_state("consensus")
    assert not path.parent.exists()


def test_what_is_kept_is_read_again_with_its_change_in_both_files(path: Path) -> None:
    state = after(no_state("consensus"), a_change())
    files(path).keep(state)
    assert files(path).read() == state
    assert (state.active, state.previous, state.shadow) == (VERSION_B, VERSION_A, "")
    assert audit_of(path) == [
        {
            "kind": "activate",
            "from_version": VERSION_A,
            "to_version": VERSION_B,
            "actor": "ada",
            "reason": "why",
            "time": "2026-03-01T12:00:00.000Z",
            "sha256": "1" * 64,
        }
    ]


def test_a_rollback_makes_what_was_rolled_back_the_previous_and_a_shadow_moves_neither() -> None:
    state = after(no_state("consensus"), a_change())
    state = after(state, a_change("", VERSION_C, kind=Kind.SHADOW))
    assert (state.active, state.previous, state.shadow) == (VERSION_B, VERSION_A, VERSION_C)
    state = after(state, a_change(VERSION_B, VERSION_A, kind=Kind.ROLLBACK))
    assert (state.active, state.previous, state.shadow) == (VERSION_A, VERSION_B, VERSION_C)
    state = after(state, a_change(VERSION_C, "", kind=Kind.SHADOW))
    assert (state.active, state.shadow) == (VERSION_A, "")


def test_changes_are_told_newest_first_and_only_the_newest(path: Path) -> None:
    kept = files(path)
    state = no_state("consensus")
    for number in range(CHANGES_TOLD + 5):
        state = after(state, a_change(reason=str(number)))
        kept.keep(state)
    told = [change.reason for change in files(path).changes()]
    assert told == [str(number) for number in range(CHANGES_TOLD + 4, 4, -1)]
    assert len(audit_of(path)) == CHANGES_TOLD + 5


def test_a_crash_after_the_state_and_before_its_line_is_made_good_at_the_next_start(path: Path) -> None:
    first = after(no_state("consensus"), a_change())
    files(path).keep(first)
    second = after(first, a_change(VERSION_B, VERSION_C, reason="crashed"))
    path.write_text(state_text(second))
    assert files(path).read() == second
    assert [line["reason"] for line in audit_of(path)] == ["why", "crashed"]
    assert files(path).read() == second
    assert len(audit_of(path)) == 2


def test_a_crash_before_the_rename_leaves_the_state_as_it_was(path: Path) -> None:
    first = after(no_state("consensus"), a_change())
    files(path).keep(first)
    path.with_name("models.json.new").write_text('{"schema_version": 1, "mod')
    assert files(path).read() == first


def test_a_line_that_a_crash_cut_short_is_closed_and_told_by_nobody(path: Path) -> None:
    first = after(no_state("consensus"), a_change())
    files(path).keep(first)
    audit = path.with_name("models.audit.jsonl")
    audit.write_bytes(audit.read_bytes()[:-1] + b'\n{"kind": "acti')
    second = after(first, a_change(VERSION_B, VERSION_C, reason="next"))
    files(path).keep(second)
    assert [change.reason for change in files(path).changes()] == ["next", "why"]
    assert audit.read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff", "decode"),
        (b"[]", "object"),
        (b"{}", "active: Field required"),
        (b" " * 70_000, "Invalid JSON"),
        (state_text(no_state("other")).encode(), "'other', not 'consensus'"),
        (state_text(no_state("consensus")).replace('"active": ""', '"active": "newest"').encode(), "active"),
        (
            state_text(no_state("consensus")).replace('"schema_version": 1', '"schema_version": 2').encode(),
            "schema_version",
        ),
    ],
)
def test_a_state_that_cannot_be_read_is_refused_naming_the_file(path: Path, content: bytes, named: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StateFaultError) as caught:
        files(path).read()
    assert str(path) in str(caught.value)
    assert named in str(caught.value)
    assert "move it away" in str(caught.value)


def test_a_state_that_is_a_folder_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StateFaultError, match="does not say which model version"):
        files(path).read()


def test_what_cannot_be_written_is_not_kept(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(StateFaultError, match="cannot write"):
        files(path).keep(after(no_state("consensus"), a_change()))


def test_a_change_whose_line_cannot_be_written_is_kept_by_the_state_and_told_all_the_same(path: Path) -> None:
    audit = path.with_name("models.audit.jsonl")
    audit.mkdir(parents=True)  # nothing can be added to it
    kept = files(path)
    first = after(no_state("consensus"), a_change())
    kept.keep(first)
    assert State.model_validate_json(path.read_text()) == first
    with pytest.raises(StateFaultError, match=r"models\.audit\.jsonl"):
        kept.keep(after(first, a_change(VERSION_B, VERSION_C)))
    assert State.model_validate_json(path.read_text()) == first
    audit.rmdir()
    assert kept.changes() == (first.change,)
    assert files(path).read() == first
    assert len(audit_of(path)) == 1
