"""`tollgate evidence`, `promote` and `demote`: what the account has earned, and the moves between the stages."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from gateway.core.promotion import Stage
from gateway.rpc.cli_calls import CallFailedError, Reply
from gateway.rpc.promotion_client import PromotionClient

Ask: TypeAlias = Callable[[PromotionClient, argparse.Namespace], Reply]


def add_promotion(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    address: str,
    user: str,
    run: Callable[[argparse.Namespace, Ask], int],
) -> None:
    """Adds the commands; `run` asks and prints, and gives the exit code."""

    def call(name: str, what: str, ask: Ask) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--addr", default=address, help="the gateway, host:port (TOLLGATE_ADDR) [%(default)s]")
        command.add_argument("--json", action="store_true", help="print the answer as JSON")
        command.set_defaults(run=lambda options: run(options, ask))
        return command

    call("evidence", "every criterion for the next stage; exit code 1 while one is missing", lambda c, _: c.evidence())
    promote = call("promote", "move up to the next stage, or export the record of this one", _promote)
    promote.add_argument("--to", default="", choices=[stage.value for stage in Stage][1:], help="the next stage")
    what = promote.add_argument_group("at least one of").add_argument
    what("--reason", default="", help="move, and why, for the record")
    what("--export", type=Path, metavar="FILE", help="write the signed record of the stage to a new file")
    demote = call("demote", "move down one stage", lambda c, o: c.demote(actor=o.actor, reason=o.reason))
    demote.add_argument("--reason", required=True, help="why, for the record")
    for move in (promote, demote):
        move.add_argument("--actor", default=user, help="who, for the record [%(default)s]")


def _promote(client: PromotionClient, options: argparse.Namespace) -> Reply:
    if not options.reason and options.export is None:
        raise CallFailedError("Nothing was done: name a --reason to move, or a file to --export to.", answered=True)
    moved = client.promote(options.to, actor=options.actor, reason=options.reason) if options.reason else None
    if moved is not None and options.export is None:
        return moved
    text = client.signed_record()
    try:
        with options.export.open("x", encoding="ascii") as opened:
            opened.write(f"{text}\n")
    except OSError as fault:
        raise CallFailedError(f"{options.export} was not written: {fault.strerror}", answered=True) from fault
    told = f"The signed record is in {options.export}: name it in PROMOTION_RECORD of the live gateway."
    return Reply(lines=[*(moved.lines if moved else ()), told], json=text)
