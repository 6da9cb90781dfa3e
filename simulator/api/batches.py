"""POST /v5/order/create-batch: several orders in one request, each accepted or refused by itself."""

from collections.abc import Callable

from simulator.shapes import Json
from simulator.trading.contract import Params, TradeError

BATCH_MAX = {"linear": 20, "spot": 10}
"""Orders in one request."""


def create_batch(create: Callable[[int, Params], Json], uid: int, params: Params, now_ms: int) -> tuple[Json, Json]:
    """`result` and `retExtInfo`, row by row in the order of the request; TradeError when it is no batch at all."""
    category, orders = params.get("category"), params.get("request")
    if not isinstance(category, str) or category not in BATCH_MAX:
        raise TradeError(10001, "Illegal category")
    if not isinstance(orders, list) or not 1 <= len(orders) <= BATCH_MAX[category]:
        raise TradeError(10001, f"params error: request must hold 1 to {BATCH_MAX[category]} orders")
    done = [_one(create, uid, category, order, now_ms) for order in orders]
    return {"list": [row for row, _ in done]}, {"list": [verdict for _, verdict in done]}


def _one(
    create: Callable[[int, Params], Json], uid: int, category: str, order: object, now_ms: int
) -> tuple[dict[str, Json], Json]:
    fields = order if isinstance(order, dict) else {}
    row: dict[str, Json] = {
        "category": category,
        "symbol": str(fields.get("symbol", "")),
        "orderId": "",
        "orderLinkId": str(fields.get("orderLinkId", "")),
        "createAt": "",
    }
    try:
        made = create(uid, {**fields, "category": category})
    except TradeError as error:
        return row, {"code": error.code, "msg": error.message}
    return {**row, **(made if isinstance(made, dict) else {}), "createAt": str(now_ms)}, {"code": 0, "msg": "OK"}
