"""The private endpoints: which there are, what each costs, needs and does.

Limits are those of a unified account: per second, by category where they differ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from simulator.api import identity
from simulator.api.batches import carry_out
from simulator.api.keys import ApiKey
from simulator.api.paging import Paging
from simulator.shapes import Json
from simulator.trading.contract import Params, TradeError


class Trading(Protocol):
    """The trading engine, as the REST side uses it: one method for each endpoint, TradeError for a refusal."""

    def create_order(self, uid: int, params: Params) -> Json: ...  # noqa: D102 - the class says what each method is
    def amend_order(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def cancel_order(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def cancel_all(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def pre_check(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def realtime_orders(self, uid: int, params: Params) -> Sequence[Json]: ...  # noqa: D102
    def order_history(self, uid: int, params: Params) -> Sequence[Json]: ...  # noqa: D102
    def executions(self, uid: int, params: Params) -> Sequence[Json]: ...  # noqa: D102
    def positions(self, uid: int, params: Params) -> Sequence[Json]: ...  # noqa: D102
    def wallet_balance(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def account_info(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def fee_rates(self, uid: int, params: Params) -> Sequence[Json]: ...  # noqa: D102
    def set_leverage(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def switch_mode(self, uid: int, params: Params) -> Json: ...  # noqa: D102
    def restart(self) -> None: ...  # noqa: D102


class Right(Enum):
    """What a key must be allowed to do."""

    ANY = "any"
    ORDER = "order"
    POSITION = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One admitted request: whose it is, and what it asks."""

    key: ApiKey
    params: Params
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`result` and `retExtInfo` of the envelope."""

    result: Json
    ext: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One private endpoint; either `run` or, for a listing, `rows` and `paging`."""

    method: str
    path: str
    per_second: int | Mapping[str, int]
    """One number, or one for each category; a category that is not named has that of linear."""
    right: Right = Right.ANY
    run: Callable[[Call], Answer] | None = None
    rows: Callable[[int, Params], Sequence[Json]] | None = None
    paging: Paging | None = None
    batch: bool = False
    """Each order of its `request` counts against the limit."""

    def limit(self, category: object) -> int:
        """Requests a second in this category."""
        if isinstance(self.per_second, int):
            return self.per_second
        return self.per_second.get(str(category), self.per_second["linear"])

    def weight(self, params: Params) -> int:
        """How much of the limit this request takes."""
        orders = params.get("request")
        return max(1, len(orders)) if self.batch and isinstance(orders, list) else 1

    def check_right(self, key: ApiKey, params: Params) -> None:
        """TradeError 10005 when the key may not do this."""
        if (key.read_only and self.method == "POST") or not self._permitted(key, params.get("category")):
            raise TradeError(10005, "Permission denied, please check your API key permissions.")

    def _permitted(self, key: ApiKey, category: object) -> bool:
        if self.right is Right.ANY:
            return True
        if category == "spot":
            return key.may("Spot", "SpotTrade")
        return key.may("ContractTrade", "Order" if self.right is Right.ORDER else "Position")


ORDERS_PER_SECOND = {"linear": 10, "inverse": 10, "option": 10, "spot": 20}
CANCEL_ALL_PER_SECOND = {"linear": 10, "inverse": 10, "option": 1, "spot": 20}
ORDER_PAGES = Paging(default=20, most=50, time_field="createdTime", id_fields=("orderId",))
EXECUTION_PAGES = Paging(default=50, most=100, time_field="execTime", id_fields=("execId",))
POSITION_PAGES = Paging(default=20, most=200, time_field="updatedTime", id_fields=("symbol", "positionIdx"))


def private_routes(trading: Trading, coins: Sequence[str]) -> Mapping[tuple[str, str], Route]:
    """Every private endpoint by method and path; `coins` are those of the listed markets."""
    routes = [*_order_routes(trading), *_list_routes(trading), *_account_routes(trading, coins)]
    return {(route.method, route.path): route for route in routes}


def _order_routes(trading: Trading) -> list[Route]:
    acts = {
        "create": (trading.create_order, ORDERS_PER_SECOND),
        "amend": (trading.amend_order, ORDERS_PER_SECOND),
        "cancel": (trading.cancel_order, ORDERS_PER_SECOND),
        "cancel-all": (trading.cancel_all, CANCEL_ALL_PER_SECOND),
        "pre-check": (trading.pre_check, ORDERS_PER_SECOND),
    }
    routes = [
        Route(method="POST", path=f"/v5/order/{name}", per_second=limits, right=Right.ORDER, run=_asks(act))
        for name, (act, limits) in acts.items()
    ]

    batches = {
        f"{name}-batch": (_batch(acts[name][0], stamped=name == "create"), acts[name][1])
        for name in ("create", "amend", "cancel")
    }
    routes += [
        Route(method="POST", path=f"/v5/order/{name}", per_second=limits, right=Right.ORDER, run=batch, batch=True)
        for name, (batch, limits) in batches.items()
    ]
    return routes


def _list_routes(trading: Trading) -> list[Route]:
    lists = {
        "/v5/order/realtime": (trading.realtime_orders, ORDER_PAGES, Right.ORDER),
        "/v5/order/history": (trading.order_history, ORDER_PAGES, Right.ORDER),
        "/v5/execution/list": (trading.executions, EXECUTION_PAGES, Right.ORDER),
        "/v5/position/list": (trading.positions, POSITION_PAGES, Right.POSITION),
    }
    return [
        Route(method="GET", path=path, per_second=50, right=right, rows=rows, paging=paging)
        for path, (rows, paging, right) in lists.items()
    ]


def _account_routes(trading: Trading, coins: Sequence[str]) -> list[Route]:
    def key_info(call: Call) -> Answer:
        return Answer(result=identity.key_info(call.key, call.now_ms))

    def fee_rates(call: Call) -> Answer:
        # Bybit names the category of spot alone.
        named: dict[str, Json] = {"category": "spot"} if call.params.get("category") == "spot" else {}
        return Answer(result=named | {"list": trading.fee_rates(call.key.uid, call.params)})

    def coin_info(call: Call) -> Answer:
        return Answer(result=identity.coin_info(coins, call.params.get("coin")))

    return [
        Route(method="GET", path="/v5/account/wallet-balance", per_second=50, run=_asks(trading.wallet_balance)),
        Route(method="GET", path="/v5/account/info", per_second=50, run=_asks(trading.account_info)),
        Route(method="GET", path="/v5/account/fee-rate", per_second=5, run=fee_rates),
        Route(method="GET", path="/v5/user/query-api", per_second=10, run=key_info),
        Route(method="GET", path="/v5/asset/coin/query-info", per_second=5, run=coin_info),
        Route(
            method="POST",
            path="/v5/position/set-leverage",
            per_second=10,
            right=Right.POSITION,
            run=_asks(trading.set_leverage),
        ),
        Route(
            method="POST",
            path="/v5/position/switch-mode",
            per_second=10,
            right=Right.POSITION,
            run=_asks(trading.switch_mode),
        ),
    ]


def _asks(act: Callable[[int, Params], Json]) -> Callable[[Call], Answer]:
    def run(call: Call) -> Answer:
        return Answer(result=act(call.key.uid, call.params))

    return run


def _batch(act: Callable[[int, Params], Json], *, stamped: bool) -> Callable[[Call], Answer]:
    """One act on each order of a request; `stamped` rows tell when the order was made."""

    def run(call: Call) -> Answer:
        rows, verdicts = carry_out(act, call.key.uid, call.params)
        if stamped:
            rows = [{**row, "createAt": str(call.now_ms) if row["orderId"] else ""} for row in rows]
        return Answer(result={"list": rows}, ext={"list": verdicts})

    return run
