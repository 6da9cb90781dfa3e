"""`tollgate journal export`: the journal as one table of each kind of record, in CSV or Parquet files.

Rows are streamed, so that memory does not grow with the journal. A folder is whole or not there: it is written beside
its name, and gets it at the end.
"""

import csv
import importlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.adapters.journal_sqlite.reading import snapshot
from gateway.adapters.journal_sqlite.schema import JournalUnusableError
from gateway.core.columns import KINDS, Cell, Kind, Table, table_of
from gateway.core.json_fields import RecordFormatError

ROWS_AT_ONCE: Final = 10_000
"""Rows of one Parquet row group: some ten megabytes."""

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


class ExportFailedError(Exception):
    """Nothing was exported; the message says why."""


class Sheet(Protocol):
    """A file that takes rows."""

    def take(self, row: Sequence[Cell]) -> None:
        """Write one row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    folder: Path
    rows: Mapping[str, int]
    """Rows by file name."""

    ok = True

    def text(self) -> str:
        """For a person."""
        return "\n".join([f"folder   {self.folder}", *(f"{rows:>8} {name}" for name, rows in self.rows.items())])

    def json(self) -> str:
        """For a program."""
        return json.dumps({"folder": str(self.folder), "rows": dict(self.rows)}, indent=2)


def export_journal(journal: Path, folder: Path, form: str, progress: Progress) -> Exported:
    """Write every kind of record to a file of its own. Raises JournalUnusableError, ExportFailedError."""
    if folder.exists():
        raise ExportFailedError(f"{folder} is there already. Name a new folder.")
    sheets = SHEETS[form]
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        partial.mkdir(parents=True)
        rows = _write(journal, partial, form, sheets, progress)
        partial.rename(folder)
    except (OSError, RecordFormatError) as fault:
        raise ExportFailedError(f"Nothing was exported: {fault}. Run tollgate doctor on the journal.") from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(folder=folder, rows=rows)


def _write(journal: Path, folder: Path, form: str, sheets: "OpenSheet", progress: Progress) -> dict[str, int]:
    rows: dict[str, int] = {}
    with snapshot(journal) as at_once:
        total, done = at_once.count(), 0
        for kind in KINDS:
            table, name = table_of(kind), f"{kind}.{form}"
            rows[name] = 0
            with sheets(folder / name, table) as sheet:
                for record in at_once.records(kind):
                    sheet.take(table.row(record))
                    rows[name] += 1
                    done += 1
                    if done % ROWS_AT_ONCE == 0 or done == total > ROWS_AT_ONCE:
                        progress(done, total)
    return rows


@contextmanager
def _csv(path: Path, table: Table) -> Iterator[Sheet]:
    with path.open("w", newline="", encoding="utf8") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        yield _CsvSheet(writer)


class _CsvSheet:
    def __init__(self, writer: Any) -> None:  # noqa: ANN401 - csv does not name its writer's type
        self._writer = writer

    def take(self, row: Sequence[Cell]) -> None:
        """Write one row; nothing stands for what is not told."""
        self._writer.writerow(row)


@contextmanager
def _parquet(path: Path, table: Table) -> Iterator[Sheet]:
    """Raises ExportFailedError where pyarrow is not installed: serving does not need it."""
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as fault:
        raise ExportFailedError(
            "Parquet files need pyarrow, which this installation does not have. Install it (pip install pyarrow), or"
            " use --format csv."
        ) from fault
    of_kind: dict[Kind, Any] = {
        "text": arrow.string(),
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
    }
    schema = arrow.schema([(name, of_kind[kind]) for name, kind in table.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        sheet = _ParquetSheet(schema, writer)
        yield sheet
        sheet.flush()


class _ParquetSheet:
    """Gathers rows to row groups."""

    def __init__(self, schema: Any, writer: Any) -> None:  # noqa: ANN401 - pyarrow has no types
        self._schema = schema
        self._writer = writer
        self._rows: list[Sequence[Cell]] = []

    def take(self, row: Sequence[Cell]) -> None:
        """Write one row, with others."""
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._rows:
            columns = [list(column) for column in zip(*self._rows, strict=True)]
            table = importlib.import_module("pyarrow").table(columns, schema=self._schema)
            self._writer.write_table(table)
            self._rows = []


OpenSheet = Callable[[Path, Table], AbstractContextManager[Sheet]]
SHEETS: Final[Mapping[str, OpenSheet]] = {"csv": _csv, "parquet": _parquet}
"""The forms of files, by name."""

__all__ = ["SHEETS", "ExportFailedError", "Exported", "JournalUnusableError", "export_journal"]
