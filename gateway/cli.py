"""`tollgate`: the operator's command line.

Exit codes: 0 done and well; 1 refused, or the journal is broken; 2 wrong usage; 3 nobody answers.
"""

import argparse
import os
import pwd
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from gateway import __version__
from gateway.cli_models import add_models
from gateway.cli_promotion import add_promotion
from gateway.doctor import Diagnosis, JournalUnusableError, copy, diagnose
from gateway.rpc.cli_calls import CallFailedError, Connection, Reply
from gateway.rpc.cli_client import CliClient
from gateway.rpc.models_client import ModelsClient
from gateway.rpc.promotion_client import PromotionClient
from gateway.settings import default_cli_addr, default_journal_path, default_models_addr

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 3

ClientT = TypeVar("ClientT", bound=Connection)

ORDERS_MAX: Final = 200
"""What one page of the gateway's list holds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser(default_cli_addr(), default_journal_path()).parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        code = run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough, as `head` does; nothing more can be told to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code


def _parser(address: str, journal: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tollgate",
        description="Looks after a Tollgate gateway and its model.",
        epilog="Exit codes: 0 done and well; 1 refused, or the journal is broken; 2 wrong usage; 3 nobody answers.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_calls(commands, address)
    _add_journal_commands(commands, journal)
    add_promotion(commands, address, _user(), lambda options, ask: _run_call(options, PromotionClient, ask))
    add_models(commands, default_models_addr(), _user(), lambda options, ask: _run_call(options, ModelsClient, ask))
    return parser


def _add_calls(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", address: str) -> None:
    """The commands that ask a running gateway."""

    def call(name: str, what: str, ask: Callable[[CliClient, argparse.Namespace], Reply]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--addr", default=address, help="the gateway, host:port (TOLLGATE_ADDR) [%(default)s]")
        command.add_argument("--json", action="store_true", help="print the answer as JSON")
        command.set_defaults(run=lambda options: _run_call(options, CliClient, ask))
        return command

    call("status", "whether the gateway and its parts are well", lambda client, _: client.status())
    call("calibration", "how well the confidence keeps its promise", lambda client, _: client.calibration())
    orders = call("orders", "the newest orders", lambda client, options: client.orders(options.limit))
    orders.add_argument("--limit", type=_limit, default=20, help=f"how many, 1 to {ORDERS_MAX} [%(default)s]")
    order = call("order", "one order by its key", lambda client, options: client.order(options.key))
    order.add_argument("key", metavar="KEY", help="the order's idempotency key")
    moves = (
        call("halt", "refuse every new order until resume", lambda client, o: client.halt(o.actor, o.reason)),
        call("resume", "lift a halt", lambda client, o: client.resume(o.actor, o.reason)),
        call("reset", "lift the drawdown lock, counting from today's equity", lambda c, o: c.reset(o.actor, o.reason)),
    )
    for move in moves:
        move.add_argument("--reason", required=True, help="why, for the record")
        move.add_argument("--actor", default=_user(), help="who, for the record [%(default)s]")


def _add_journal_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", journal: Path) -> None:
    """The commands that read the journal's file, whether or not a gateway runs."""

    def command(name: str, what: str, work: Callable[[argparse.Namespace], Diagnosis]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what)
        added.add_argument(
            "--journal", type=Path, default=journal, help="the journal's file (JOURNAL_PATH) [%(default)s]"
        )
        added.add_argument("--json", action="store_true", help="print the findings as JSON")
        added.set_defaults(run=lambda options: _run_diagnosis(options, work))
        return added

    command(
        "doctor",
        "check the journal: its digest chain, its orders and their moves; works while the gateway runs",
        lambda options: diagnose(options.journal),
    )
    backup = command(
        "backup",
        "copy the journal into a new file, and check the copy; works while the gateway runs",
        lambda options: copy(options.journal, options.target),
    )
    backup.add_argument("target", metavar="DEST", type=Path, help="the new file")


def _run_call(
    options: argparse.Namespace,
    connect: Callable[[str], ClientT],
    ask: Callable[[ClientT, argparse.Namespace], Reply],
) -> int:
    try:
        with connect(options.addr) as client:
            reply = ask(client, options)
    except CallFailedError as failure:
        print(f"tollgate: {failure}", file=sys.stderr)
        return REFUSED if failure.answered else UNREACHABLE
    print(reply.json if options.json else "\n".join(reply.lines))
    return DONE if reply.ok else REFUSED


def _run_diagnosis(options: argparse.Namespace, work: Callable[[argparse.Namespace], Diagnosis]) -> int:
    try:
        diagnosis = work(options)
    except JournalUnusableError as fault:
        print(f"tollgate: {fault}", file=sys.stderr)
        return REFUSED
    print(diagnosis.json() if options.json else diagnosis.text())
    return DONE if diagnosis.ok else REFUSED


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ORDERS_MAX:
        raise argparse.ArgumentTypeError(f"must be 1 to {ORDERS_MAX}")
    return int(text)


def _user() -> str:
    """The user of this process, by name where the system knows one, as in a container it may not."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
