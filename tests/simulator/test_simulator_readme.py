"""The clients of the simulator's README, run as they stand against a running exchange."""

import pathlib
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from thread_server import Exchange, exchange_in_a_thread, soon

README = pathlib.Path(__file__).resolve().parents[2] / "simulator" / "README.md"
PORT = "15050"
BLOCK = re.compile(r"(?:^(?: {4}.*|)\n)+", re.MULTILINE)


def examples(heading: str) -> list[str]:
    """The indented blocks of a section."""
    section = README.read_text(encoding="utf8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [textwrap.dedent(block).strip() for block in BLOCK.findall(section) if block.strip()]


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with exchange_in_a_thread() as running:
        yield running


def carried_out(example: str, exchange: Exchange, **names: Any) -> dict[str, Any]:
    """The names that an example leaves, run as its reader would but for the port."""
    assert PORT in example
    exec(compile(example.replace(PORT, str(exchange.port)), str(README), "exec"), names)  # noqa: S102 - our own README
    return names


def filled(exchange: Exchange) -> Any:
    return [row for row in exchange.told("truth", uid=1)["orders"] if row["status"] == "Filled"]


def test_the_first_order_is_filled_and_the_next_one_goes_wrong(exchange: Exchange) -> None:
    python, curl = examples("A first order")
    names = carried_out(python.partition("# and a moment later")[0], exchange)
    session, question = names["session"], python.splitlines()[-1]

    def answer() -> Any:
        rows = session.get_order_history(category="linear", orderLinkId="my-order")["result"]["list"]
        return rows and eval(question, {"session": session})  # noqa: S307 - our own README

    with session.client:
        assert soon(answer) == question.rpartition("# ")[2]
    exchange.control("faults", {"rules": [{"kind": "accept_then_drop", "path": "/v5/order/create"}]})
    assert '{"rules": [{"kind": "accept_then_drop", "path": "/v5/order/create"}]}' in curl


def test_pybits_streams_trade_and_listen(exchange: Exchange) -> None:
    told: list[Any] = []
    names = carried_out(examples("Other clients")[0], exchange, print=told.append)
    try:
        soon(lambda: filled(exchange) and len(told) >= 2)
    finally:
        names["orders"].exit()
        names["stream"].exit()
    assert {"order.create", "order"} <= {message.get("op", message.get("topic")) for message in told}


def test_ccxt_trades(exchange: Exchange) -> None:
    *example, question = examples("Other clients")[1].splitlines()
    names = carried_out("\n".join(example), exchange)
    with names["exchange"].session:
        soon(lambda: filled(exchange))
        soon(lambda: eval(question, names) == 0.01)  # noqa: S307 - our own README
