"""Sweeps: one measurement for each cell of a grid of settings, in parallel, on this machine or on a Ray cluster.

A sweep knows nothing of models. It is given `run`, which makes figures of a cell, and keeps a table of what came out:

    key  <one column for each setting>  <one column for each figure>  seconds  error

The table is written as Parquet and as CSV each time a cell is done, whole or not at all, and read when a sweep begins:
a cell whose key stands there without an error is not run again. A cell that fails has the error's name and sentence in
`error` and no figures; the others go on. A mistake in the program itself (TypeError and the like) ends the sweep.

`run` and the cells are pickled; so is what they return. Which backend runs them changes no figure.
"""

import contextlib
import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import joblib
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from inference.train.bars import write_parquet

Setting: TypeAlias = str | int | float
Figures: TypeAlias = Mapping[str, float | str | None]
Progress: TypeAlias = Callable[[int, int], None]
"""Told how many cells are done, and of how many."""
Backend: TypeAlias = Literal["joblib", "ray"]

CELLS_MAX = 10_000
"""More cells are no longer a comparison: the best of so many is luck."""
WORKERS_MAX = 256
CELL_ERRORS = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, ValueError)
"""What bars and settings can bring about; each ends its cell alone."""
_ERROR_CHARACTERS_MAX = 500
_KEY_CHARACTERS = 16
_RAY_MISSING = (
    "the backend ray needs the package ray, which is an optional extra: pip install -r requirements/ray.lock "
    "(on the cluster's machines too)"
)


class SweepFaultError(Exception):
    """A sweep that cannot begin or go on; says why. What is done stands in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of settings."""

    settings: tuple[tuple[str, Setting], ...]
    """Name and value, in the order of the grid."""

    @property
    def key(self) -> str:
        """The same for the same settings, in whatever order they are named."""
        text = json.dumps(sorted(self.settings), separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARACTERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a cell."""

    cell: Cell
    figures: Figures
    seconds: float
    """Wall time of the cell."""
    error: str
    """Empty when there was none."""

    def row(self) -> dict[str, Any]:
        """A row of the table."""
        named = {"key": self.cell.key, **dict(self.cell.settings)}
        return {**named, **self.figures, "seconds": round(self.seconds, 3), "error": self.error}


Run: TypeAlias = Callable[[Cell], Figures]


def grid(axes: Mapping[str, Sequence[Setting]]) -> tuple[Cell, ...]:
    """Every combination of the axes' values, each once. Raises SweepFaultError when there are none or too many."""
    cells = {Cell(settings=tuple(zip(axes, values, strict=True))): None for values in itertools.product(*axes.values())}
    if not 1 <= len(cells) <= CELLS_MAX:
        raise SweepFaultError(f"the grid has {len(cells)} cells; 1 to {CELLS_MAX} are taken")
    return tuple(cells)


def sweep(
    cells: Sequence[Cell],
    run: Run,
    *,
    table: Path,
    backend: Backend = "joblib",
    workers: int = 1,
    address: str | None = None,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Runs the cells that the table does not have yet; the table's rows, those of earlier sweeps among them.

    `workers` processes run on this machine; a Ray cluster is named by its `address` and brings its own. Raises
    SweepFaultError when the table cannot be gone on with, ray is not there, or a worker dies.
    """
    if not 1 <= workers <= WORKERS_MAX:
        raise SweepFaultError(f"{workers} workers; 1 to {WORKERS_MAX} are taken")
    rows = {row["key"]: row for row in read_rows(table)}
    waiting = [cell for cell in cells if cell.key not in rows or rows[cell.key]["error"]]
    done = len(cells) - len(waiting)
    progress(done, len(cells))
    results = _by_joblib(run, waiting, workers) if backend == "joblib" else _by_ray(run, waiting, workers, address)
    with contextlib.closing(results):
        for result in results:
            rows[result.cell.key] = result.row()
            write_rows(list(rows.values()), table)
            done += 1
            progress(done, len(cells))
    return read_rows(table)


def measured(run: Run, cell: Cell) -> Result:
    """Runs one cell; a failure of its own is its result."""
    started, error = time.monotonic(), ""
    figures: Figures = {}
    try:
        figures = dict(run(cell))
    except CELL_ERRORS as failed:
        error = f"{type(failed).__name__}: {failed}"[:_ERROR_CHARACTERS_MAX]
    return Result(cell=cell, figures=figures, seconds=time.monotonic() - started, error=error)


def _by_joblib(run: Run, cells: Sequence[Cell], workers: int) -> Generator[Result, None, None]:
    """Results as they come, from processes of this machine with one thread each."""
    with joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        tasks = (joblib.delayed(measured)(run, cell) for cell in cells)
        try:
            yield from joblib.Parallel(return_as="generator_unordered")(tasks)
        except BrokenExecutor as broken:
            raise SweepFaultError(f"a worker died, perhaps for want of memory: take fewer ({broken})") from broken


def _by_ray(run: Run, cells: Sequence[Cell], workers: int, address: str | None) -> Generator[Result, None, None]:
    """Results as they come, from a Ray cluster, or from one that is started here for the time of the sweep.

    Ray's joblib backend gives its results only when the last one is there; tasks of its own can be kept one by one.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a sweep reports to nobody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming behaviour, which ray warns of
    try:
        import ray  # noqa: PLC0415 # an optional extra
    except ModuleNotFoundError as missing:
        raise SweepFaultError(_RAY_MISSING) from missing
    if address is None:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    else:
        ray.init(address=address, runtime_env={"py_modules": [str(Path(__file__).parents[1])]}, log_to_driver=False)
    try:
        task, shared = ray.remote(num_cpus=1, max_retries=0)(measured), ray.put(run)
        left = [task.remote(shared, cell) for cell in cells]
        while left:
            ready, left = ray.wait(left, num_returns=1)
            yield ray.get(ready[0])
    except ray.exceptions.RayError as broken:
        raise SweepFaultError(f"ray cannot go on: {type(broken).__name__}: {broken}") from broken
    finally:
        ray.shutdown()


def read_rows(table: Path) -> list[dict[str, Any]]:
    """The rows of a table; none when there is no file. Raises SweepFaultError when it is no table of a sweep."""
    if not table.exists():
        return []
    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(table).read().to_pylist()
    except (pa.ArrowInvalid, OSError) as fault:
        raise SweepFaultError(f"{table} cannot be read: {fault}") from fault
    if any(not isinstance(row.get("key"), str) or not isinstance(row.get("error"), str) for row in rows):
        raise SweepFaultError(f"{table} is no table of a sweep: it has no key and error")
    return rows


def write_rows(rows: Sequence[Mapping[str, Any]], table: Path) -> None:
    """Writes the table as Parquet and, beside it, as CSV; a value that a row does not have is null."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in {"seconds", "error"}))
    columns = {name: _column([row.get(name) for row in rows]) for name in (*names, "seconds", "error")}
    table.parent.mkdir(parents=True, exist_ok=True)
    made = pa.table(columns)
    write_parquet(made, table)
    unfinished = table.with_name(f".{table.name}.{os.getpid()}.csv")
    pyarrow.csv.write_csv(made, unfinished)
    unfinished.replace(table.with_suffix(".csv"))


def _column(values: Sequence[Any]) -> pa.Array:
    """Whole numbers, numbers, or text when some value is text."""
    if any(isinstance(value, str) for value in values):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    whole = all(value is None or isinstance(value, int) for value in values) and any(v is not None for v in values)
    return pa.array(values, pa.int64() if whole else pa.float64())


def best_first(rows: Sequence[Mapping[str, Any]], figure: str) -> list[Mapping[str, Any]]:
    """The rows that have the figure, the largest first."""
    return sorted((row for row in rows if row.get(figure) is not None), key=lambda row: -float(row[figure]))
