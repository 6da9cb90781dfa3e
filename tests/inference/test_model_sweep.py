"""Sweeps: every cell once, failures kept, nothing run twice, the same figures whatever runs them."""

import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sweep_kit import Counted, Dying, Mistaken, score

from inference.train.sweep import (
    CELLS_MAX,
    Cell,
    SweepFaultError,
    best_first,
    grid,
    measured,
    read_rows,
    sweep,
    write_rows,
)

AXES = {"label": ["direction", "triple_barrier"], "horizon": [1, 4, 13], "shrink": [0.8]}
HAS_RAY = importlib.util.find_spec("ray") is not None


def swept(table: Path, run: Any = score, axes: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    return sweep(grid(axes or AXES), run, table=table, progress=lambda *_: None, **more)


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {row["key"]: {name: value for name, value in row.items() if name != "seconds"} for row in rows}


def test_the_grid_has_every_combination_once() -> None:
    cells = grid({"a": [1, 2, 2], "b": ["x", "y"]})
    assert [dict(cell.settings) for cell in cells] == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_a_key_is_of_the_settings_and_not_of_their_order() -> None:
    one, other = Cell(settings=(("a", 1), ("b", "x"))), Cell(settings=(("b", "x"), ("a", 1)))
    assert one.key == other.key == "7939156c49b604f1"
    assert Cell(settings=(("a", 2), ("b", "x"))).key != one.key


@pytest.mark.parametrize("axes", [{"a": []}, {"a": list(range(CELLS_MAX + 1))}])
def test_a_grid_of_nothing_or_of_too_much_is_refused(axes: dict[str, Any]) -> None:
    with pytest.raises(SweepFaultError, match="cells; 1 to 10000 are taken"):
        grid(axes)


def test_every_setting_figure_time_and_error_stands_in_the_table(tmp_path: Path) -> None:
    rows = swept(tmp_path / "s.parquet")
    kept = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert kept == rows == read_rows(tmp_path / "s.parquet")
    assert list(kept[0]) == ["key", "label", "horizon", "shrink", "auc", "kind", "hit_rate", "seconds", "error"]
    by_settings = {(row["label"], row["horizon"]): row for row in kept}
    assert by_settings["direction", 1]["auc"] == 0.5 + 1 / 28
    assert by_settings["direction", 4]["hit_rate"] is None
    assert all(row["seconds"] >= 0.0 for row in kept)
    csv = pyarrow.csv.read_csv(tmp_path / "s.csv")
    assert csv.column_names == list(kept[0])
    assert csv.column("auc").to_pylist() == [row["auc"] for row in kept]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.parquet"]


def test_a_cell_that_fails_is_recorded_and_does_not_end_the_others(tmp_path: Path) -> None:
    rows = swept(tmp_path / "s.parquet")
    assert len(rows) == 6
    assert {row["horizon"]: row["error"] for row in rows} == {1: "", 4: "", 13: "ValueError: 13 brings bad luck"}
    assert [row["auc"] for row in rows if row["error"]] == [None, None]


def test_a_mistake_in_the_program_ends_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        swept(tmp_path / "s.parquet", Mistaken())
    with pytest.raises(TypeError):
        measured(Mistaken(), Cell(settings=(("a", 1),)))


def test_a_worker_that_dies_is_told_and_what_is_done_is_kept(tmp_path: Path) -> None:
    swept(tmp_path / "s.parquet", axes=AXES | {"horizon": [1]})
    with pytest.raises(SweepFaultError, match="a worker died"):
        swept(tmp_path / "s.parquet", Dying(), workers=2)
    assert len(read_rows(tmp_path / "s.parquet")) == 2


def test_cells_that_are_done_are_not_run_again_and_failed_ones_are(tmp_path: Path) -> None:
    table, runs = tmp_path / "s.parquet", tmp_path / "runs"
    runs.mkdir()
    swept(table, axes=AXES | {"horizon": [1, 13]})
    rows = swept(table, Counted(folder=runs))
    ran = {dict(cell.settings)["horizon"] for cell in grid(AXES) if (runs / cell.key).exists()}
    assert ran == {4, 13}
    assert figures(rows) == figures(swept(tmp_path / "fresh.parquet"))


def test_rows_of_earlier_sweeps_stay_so_that_every_trial_is_counted(tmp_path: Path) -> None:
    swept(tmp_path / "s.parquet", axes={"label": ["direction"], "horizon": [1]})
    rows = swept(tmp_path / "s.parquet", axes={"label": ["direction"], "horizon": [2, 3], "more": ["x"]})
    assert [(row["horizon"], row.get("more")) for row in read_rows(tmp_path / "s.parquet")] == [
        (1, None),
        (2, "x"),
        (3, "x"),
    ]
    assert len(rows) == 3


def test_cells_run_in_parallel_in_processes_of_their_own(tmp_path: Path) -> None:
    swept(tmp_path / "s.parquet", Counted(folder=tmp_path), axes=AXES | {"horizon": [1, 2, 3, 4]}, workers=2)
    processes = {path.read_text() for path in tmp_path.iterdir() if "." not in path.name}
    assert len(processes) == 2


def test_how_many_workers_there_are_changes_no_figure(tmp_path: Path) -> None:
    one, two = swept(tmp_path / "1.parquet"), swept(tmp_path / "2.parquet", workers=2)
    assert figures(one) == figures(two)


def test_progress_tells_every_cell(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    swept(tmp_path / "s.parquet", axes=AXES | {"horizon": [1]})
    sweep(grid(AXES), score, table=tmp_path / "s.parquet", progress=lambda *done: told.append(done))
    assert told == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]


def test_another_file_in_the_place_of_the_table_is_refused_and_left_alone(tmp_path: Path) -> None:
    table = tmp_path / "s.parquet"
    pq.write_table(pa.table({"close": [1.0]}), table)
    with pytest.raises(SweepFaultError, match="is no table of a sweep"):
        swept(table)
    table.write_text("no parquet")
    with pytest.raises(SweepFaultError, match="cannot be read"):
        swept(table)
    assert table.read_text() == "no parquet"


def test_columns_of_mixed_values_are_written(tmp_path: Path) -> None:
    write_rows(
        [
            {"key": "a", "x": 1, "y": 1, "z": None, "seconds": 1.0, "error": ""},
            {"key": "b", "x": 0.5, "y": "far", "z": None, "seconds": 1.0, "error": ""},
        ],
        tmp_path / "s.parquet",
    )
    assert [(row["x"], row["y"], row["z"]) for row in read_rows(tmp_path / "s.parquet")] == [
        (1.0, "1", None),
        (0.5, "far", None),
    ]


def test_the_best_stand_first_and_failures_nowhere(tmp_path: Path) -> None:
    assert [row["horizon"] for row in best_first(swept(tmp_path / "s.parquet"), "auc")] == [1, 1, 4, 4]


@pytest.mark.parametrize("workers", [0, 257])
def test_workers_have_a_limit(tmp_path: Path, workers: int) -> None:
    with pytest.raises(SweepFaultError, match="1 to 256 are taken"):
        swept(tmp_path / "s.parquet", workers=workers)


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_ray_the_way_to_get_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(SweepFaultError, match=r"pip install -r requirements/ray\.lock"):
        swept(tmp_path / "s.parquet", backend="ray")


@pytest.mark.skipif(not HAS_RAY, reason="ray is an optional extra and not installed")
def test_ray_gives_the_figures_that_this_machine_gives(tmp_path: Path) -> None:
    here = swept(tmp_path / "here.parquet")
    assert figures(swept(tmp_path / "ray.parquet", backend="ray", workers=2)) == figures(here)
