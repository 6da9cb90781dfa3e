"""The commands of `tollgate` that read the journal's file, whether or not a gateway runs."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from gateway.doctor import JournalUnusableError, copy, diagnose, verify
from gateway.exporting import SHEETS, ExportFailedError, export_journal
from gateway.limits_shown import shown_limits
from gateway.replaying import replay_journal

DONE: Final = 0
REFUSED: Final = 1


class Finding(Protocol):
    """What a command has found."""

    @property
    def ok(self) -> bool:
        """True when all is well."""
        ...

    def text(self) -> str:
        """For a person."""
        ...

    def json(self) -> str:
        """For a program."""
        ...


Work: TypeAlias = Callable[[argparse.Namespace], Finding]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse names it so


def add_journal_commands(commands: Commands, journal: Path) -> None:
    """Adds the commands; `journal` is the file that they read unless they are told another."""
    _command(
        commands,
        journal,
        "doctor",
        "check the journal: its digest chain, its orders and their moves; works while the gateway runs",
        lambda options: diagnose(options.journal, _progress("records")),
    )
    backup = _command(
        commands,
        journal,
        "backup",
        "copy the journal into a new file, and check the copy; works while the gateway runs",
        lambda options: copy(options.journal, options.target),
    )
    backup.add_argument("target", metavar="DEST", type=Path, help="the new file")
    _add_replay(commands, journal)
    what = "the journal's file: verify its digest chain, export it, show the limits that rule"
    inner = commands.add_parser("journal", help=what, description=what).add_subparsers(required=True, metavar="command")
    _command(
        inner,
        journal,
        "verify",
        "check the digest chain, and tell where it breaks",
        lambda options: verify(options.journal, _progress("records")),
    )
    _add_export(inner, journal)
    _command(
        inner,
        journal,
        "limits",
        "the limits that orders are judged by since the newest start with others",
        lambda options: shown_limits(options.journal),
    )


def _add_replay(commands: Commands, journal: Path) -> None:
    replay = _command(
        commands,
        journal,
        "replay",
        "judge every order again from the facts and limits that were recorded, and tell what comes out otherwise",
        lambda options: replay_journal(
            options.journal, from_seq=options.from_seq, limit=options.limit, progress=_progress("orders")
        ),
    )
    replay.add_argument(
        "--from",
        dest="from_seq",
        metavar="SEQ",
        type=_count,
        default=1,
        help="begin with the record of this number [%(default)s]",
    )
    replay.add_argument("--limit", metavar="N", type=_count, help="at most so many orders [all]")


def _add_export(commands: Commands, journal: Path) -> None:
    export = _command(
        commands,
        journal,
        "export",
        "write every kind of record to a file of its own in a new folder, money as decimal text",
        lambda options: export_journal(options.journal, options.folder, options.format, _progress("records")),
    )
    export.add_argument("folder", metavar="DIR", type=Path, help="the new folder")
    export.add_argument(
        "--format", choices=sorted(SHEETS), default="csv", help="parquet needs pyarrow installed [%(default)s]"
    )


def _command(commands: Commands, journal: Path, name: str, what: str, work: Work) -> argparse.ArgumentParser:
    added = commands.add_parser(name, help=what, description=what)
    added.add_argument("--journal", type=Path, default=journal, help="the journal's file (JOURNAL_PATH) [%(default)s]")
    added.add_argument("--json", action="store_true", help="print the findings as JSON")
    added.set_defaults(run=lambda options: _run(options, work))
    return added


def _run(options: argparse.Namespace, work: Work) -> int:
    try:
        found = work(options)
    except (JournalUnusableError, ExportFailedError) as fault:
        print(f"tollgate: {fault}", file=sys.stderr)
        return REFUSED
    print(found.json() if options.json else found.text())
    return DONE if found.ok else REFUSED


def _progress(what: str) -> Callable[[int, int], None]:
    """Tells a person at a terminal how far the work is; a file or a pipe is told nothing."""
    if not sys.stderr.isatty():
        return lambda done, total: None  # noqa: ARG005 - nobody watches

    def tell(done: int, total: int) -> None:
        print(f"\r{done:,} of {total:,} {what}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return tell


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)
