"""`tollgate models`: the versions of the model, and which of them serves."""

import argparse
import re
from collections.abc import Callable
from typing import TypeAlias

from gateway.rpc.cli_calls import Reply
from gateway.rpc.models_client import ModelsClient

Ask: TypeAlias = Callable[[ModelsClient, argparse.Namespace], Reply]

_VERSION = re.compile(r"[0-9]{8}_[0-9]{6}")


def add_models(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    address: str,
    user: str,
    run: Callable[[argparse.Namespace, Ask], int],
) -> None:
    """Adds the commands; `run` asks and prints, and gives the exit code."""
    what = "the versions of the model: list, show, compare, activate, roll back, shadow"
    models = commands.add_parser("models", help=what, description=what).add_subparsers(required=True, metavar="command")

    def call(name: str, what: str, ask: Ask) -> argparse.ArgumentParser:
        command = models.add_parser(name, help=what, description=what)
        command.add_argument(
            "--addr", default=address, help="the model service, host:port (TOLLGATE_MODEL_ADDR) [%(default)s]"
        )
        command.add_argument("--json", action="store_true", help="print the answer as JSON")
        command.set_defaults(run=lambda options: run(options, ask))
        return command

    _add_questions(call)
    _add_changes(call, user)


def _add_questions(call: Callable[[str, str, Ask], argparse.ArgumentParser]) -> None:
    call("list", "every version, and the newest changes", lambda client, _: client.versions())
    show = call("show", "one version: its figures and how it meets the gates", lambda c, o: c.show(o.version))
    _take_version(show, "version")
    compare = call("compare", "the figures of two versions", lambda c, o: c.compare(o.version, o.other))
    _take_version(compare, "version")
    _take_version(compare, "other")


def _add_changes(call: Callable[[str, str, Ask], argparse.ArgumentParser], user: str) -> None:
    activate = call(
        "activate",
        "serve another version from now on; no request is dropped",
        lambda client, o: client.activate(o.version, actor=o.actor, reason=o.reason),
    )
    _take_version(activate, "version")
    rollback = call(
        "rollback",
        "serve the version that was active before",
        lambda client, o: client.roll_back(actor=o.actor, reason=o.reason),
    )
    shadow = call(
        "shadow",
        "attach a version that sees every row and answers nobody",
        lambda client, o: client.shadow("" if o.off else o.version, actor=o.actor, reason=o.reason),
    )
    which = shadow.add_mutually_exclusive_group(required=True)
    which.add_argument("version", metavar="VERSION", nargs="?", type=_version, help="YYYYMMDD_HHMMSS")
    which.add_argument("--off", action="store_true", help="detach the shadow")
    for change in (activate, rollback, shadow):
        change.add_argument("--reason", required=True, help="why, for the record")
        change.add_argument("--actor", default=user, help="who, for the record [%(default)s]")


def _take_version(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument(name, metavar=name.upper(), type=_version, help="YYYYMMDD_HHMMSS")


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError("must be YYYYMMDD_HHMMSS")
    return text
