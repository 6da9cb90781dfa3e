"""`tollgate watch`, `positions`, `decisions` and `config`: what a running gateway shows of itself."""

import argparse
from collections.abc import Callable, Iterator
from typing import TypeAlias

from gateway.rpc.cli_calls import Reply
from gateway.rpc.view_client import ViewClient

Ask: TypeAlias = Callable[[ViewClient, argparse.Namespace], Iterator[Reply]]


def add_views(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    address: str,
    run: Callable[[argparse.Namespace, Ask], int],
    limit: Callable[[str], int],
) -> None:
    """Adds the commands; `run` asks and prints, and gives the exit code; `limit` reads a page's size."""

    def view(name: str, what: str, ask: Ask) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--addr", default=address, help="the gateway, host:port (TOLLGATE_ADDR) [%(default)s]")
        command.add_argument("--json", action="store_true", help="print each answer as JSON")
        command.set_defaults(run=lambda options: run(options, ask))
        return command

    view("watch", "every record as it becomes durable, until Ctrl-C", lambda client, _: client.watch())
    view("positions", "what is held, and what it has earned", lambda client, _: client.positions())
    decisions = view("decisions", "the newest decisions", lambda client, options: client.decisions(options.limit))
    decisions.add_argument("--limit", type=limit, default=20, help="how many, 1 to 200 [%(default)s]")
    view("config", "the settings that rule orders", lambda client, _: client.config())
