"""The truth about an account as JSON, for tests: never lagged, never emptied, exact numbers as texts."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal

from simulator.shapes import Json
from simulator.trading.engine import Engine


def truth(engine: Engine, uid: int) -> dict[str, Json]:
    """Every order and execution of an account, oldest first, and what it holds."""
    return {
        "orders": plain(engine.all_orders(uid)),
        "executions": plain(engine.all_executions(uid)),
        "account": plain(engine.account_view(uid)),
    }


def plain(value: object) -> Json:
    """A value of dataclasses and Decimals as JSON; names in camelCase. TypeError for anything else."""
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal():
            return format(value, "f")
        case Mapping():
            return {str(name): plain(each) for name, each in value.items()}
        case Sequence():
            return [plain(each) for each in value]
        case _ if is_dataclass(value):
            return {_camel(field.name): plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
