"""POST /v5/order/{create,amend,cancel}-batch: several orders in one request, each accepted or refused by itself."""

from collections.abc import Callable

from simulator.shapes import Json
from simulator.trading.contract import Params, TradeError

BATCH_MAX = {"linear": 20, "spot": 10}
"""Orders in one request."""


def carry_out(act: Callable[[int, Params], Json], uid: int, params: Params) -> tuple[list[dict[str, Json]], list[Json]]:
    """The rows of `result` and those of `retExtInfo`, as they were asked for; TradeError when it is no batch at all."""
    category, orders = params.get("category"), params.get("request")
    if not isinstance(category, str) or category not in BATCH_MAX:
        raise TradeError(10001, "Illegal category")
    if not isinstance(orders, list) or not 1 <= len(orders) <= BATCH_MAX[category]:
        raise TradeError(10001, f"params error: request must hold 1 to {BATCH_MAX[category]} orders")
    done = [_one(act, uid, category, order) for order in orders]
    return [row for row, _ in done], [verdict for _, verdict in done]


def _one(act: Callable[[int, Params], Json], uid: int, category: str, order: object) -> tuple[dict[str, Json], Json]:
    fields = order if isinstance(order, dict) else {}
    row: dict[str, Json] = {
        "category": category,
        "symbol": str(fields.get("symbol", "")),
        "orderId": "",
        "orderLinkId": str(fields.get("orderLinkId", "")),
    }
    try:
        done = act(uid, {**fields, "category": category})
    except TradeError as error:
        return row, {"code": error.code, "msg": error.message}
    return {**row, **(done if isinstance(done, dict) else {})}, {"code": 0, "msg": "OK"}
