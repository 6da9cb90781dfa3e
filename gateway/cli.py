"""`tollgate`: the operator's command line.

Exit codes: 0 done and well; 1 refused, or the journal is broken; 2 wrong usage; 3 nobody answers.
"""

import argparse
import os
import pwd
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from gateway import __version__
from gateway.cli_completion import add_completion
from gateway.cli_journal import add_journal_commands
from gateway.cli_models import add_models
from gateway.cli_promotion import add_promotion
from gateway.cli_views import add_views
from gateway.rpc.cli_calls import CallFailedError, Connection, Reply
from gateway.rpc.cli_client import Agree, CliClient
from gateway.rpc.models_client import ModelsClient
from gateway.rpc.promotion_client import PromotionClient
from gateway.rpc.view_client import ViewClient
from gateway.settings import default_cli_addr, default_journal_path, default_models_addr

DONE: Final = 0
REFUSED: Final = 1
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130
"""As a shell tells it of a program that Ctrl-C ended."""

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
    except KeyboardInterrupt:
        return INTERRUPTED
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
    add_views(commands, address, _run_views, _limit)
    add_journal_commands(commands, journal)
    add_completion(commands, parser)
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
    halt = call(
        "halt",
        "refuse every new order until resume, and cancel what is open",
        lambda client, o: client.halt(o.actor, o.reason, flatten=o.flatten),
    )
    halt.add_argument("--flatten", action="store_true", help="close every position, without waiting for the end")
    flatten = call("flatten", "halt, and close every position", lambda client, o: client.flatten(o.actor, o.reason))
    lifts = (
        call("resume", "lift a halt", lambda c, o: c.resume(o.actor, o.reason, _agreement(o))),
        call("reset", "lift the drawdown lock, counting from today's equity", _reset),
    )
    for lift in lifts:
        lift.add_argument("--yes", action="store_true", help="do not ask, for scripts")
    for move in (halt, flatten, *lifts):
        move.add_argument("--reason", required=True, help="why, for the record")
        move.add_argument("--actor", default=_user(), help="who, for the record [%(default)s]")


def _reset(client: CliClient, options: argparse.Namespace) -> Reply:
    return client.reset(options.actor, options.reason, _agreement(options))


def _agreement(options: argparse.Namespace) -> Agree:
    """Shows a person at a terminal what will happen, beside the answer, and asks; a script says --yes."""

    def agreed(lines: Sequence[str]) -> bool:
        if options.yes:
            return True
        print("\n".join(lines), file=sys.stderr)
        if not sys.stdin.isatty():
            print("tollgate: this is no terminal to ask at; say --yes", file=sys.stderr)
            return False
        print("Do it? [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return agreed


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
    return DONE if reply.well else REFUSED


def _run_views(options: argparse.Namespace, ask: Callable[[ViewClient, argparse.Namespace], Iterator[Reply]]) -> int:
    """Print each answer as it comes, until there are no more or the reader stops it."""
    try:
        with ViewClient(options.addr) as client:
            for reply in ask(client, options):
                print(reply.json if options.json else "\n".join(reply.lines), flush=True)
    except CallFailedError as failure:
        print(f"tollgate: {failure}", file=sys.stderr)
        return REFUSED if failure.answered else UNREACHABLE
    except KeyboardInterrupt:
        return DONE
    return DONE


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
