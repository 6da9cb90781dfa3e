"""What goes wrong at the exchange in the crash matrix of live trading, and where the gateway is killed."""

from dataclasses import dataclass
from typing import Final

from gateway.ports import Step

CREATE = "/v5/order/create"

IN_FLIGHT: Final = "in_flight"
"""Killed from outside, while the order is on its way or its answer is."""

KILLS = (*(step.value for step in Step), IN_FLIGHT)
"""Where the gateway is killed: at every labelled step, and in flight."""

RECV_WINDOW_MS = 1500
"""The short windows of the gateways under test; the longest of `delay_before` lies beyond this one."""
LAG_MS_MAX = 500
SKEW_MS_MAX = 200
ANSWER_MS = 1500

FRESH_SECONDS, STALE_SECONDS = 60, 1
"""How old an order may be that is sent again. Absence is never proven within a second, so the latter is never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which the exchange fails one order."""

    name: str
    rules: tuple[dict[str, object], ...] = ()
    """Fault rules of the simulator; those of HTTP are about the sending of orders unless they name a path."""
    order_age_seconds: int = FRESH_SECONDS
    way_ms: int = 0
    """How long the order is on its way; the kill in flight comes before its arrival then."""
    quick: bool = False
    """Whether the test suite has it; `python -m bench.live_crash` has them all."""


def fault(kind: str, **fields: object) -> dict[str, object]:
    """A rule, of one HTTP request unless `times` says more (0: without end)."""
    return {"kind": kind, **fields} if kind.startswith("ws_") else {"kind": kind, "path": CREATE, **fields}


LOST = fault("accept_then_drop")

MODES = (
    Mode(name="none", quick=True),
    Mode(name="none_stale", order_age_seconds=STALE_SECONDS),
    Mode(name="delay_before", rules=(fault("delay_before", ms=700),), way_ms=700, quick=True),
    Mode(name="delay_before_beyond_window", rules=(fault("delay_before", ms=2200),), way_ms=2200),
    Mode(name="delay_after", rules=(fault("delay_after", ms=1200),)),
    Mode(name="accept_then_drop", rules=(LOST,), quick=True),
    Mode(name="drop_before_accept", rules=(fault("drop_before_accept"),), quick=True),
    Mode(
        name="drop_before_accept_stale",
        rules=(fault("drop_before_accept"),),
        order_age_seconds=STALE_SECONDS,
        quick=True,
    ),
    Mode(name="code_10000_after_accept", rules=(fault("code_after_accept", code=10000),)),
    Mode(name="code_10016_after_accept", rules=(fault("code_after_accept", code=10016),), quick=True),
    Mode(name="code_170007_after_accept", rules=(fault("code_after_accept", code=170007),)),
    Mode(name="code_10016_before_accept", rules=(fault("code_before_accept", code=10016),)),
    Mode(name="http_502_after_accept", rules=(fault("http_after_accept", status=502),), quick=True),
    Mode(name="http_504_before_accept", rules=(fault("http_before_accept", status=504),)),
    Mode(name="redirect", rules=(fault("redirect"),)),
    Mode(name="truncated_json", rules=(fault("truncated_json"),), quick=True),
    Mode(name="slow_body", rules=(fault("slow_body", ms=400),)),
    Mode(name="restart_after_accept", rules=(fault("restart_after_accept", ms=100),), quick=True),
    Mode(name="forget_orders", rules=(LOST, fault("forget_orders", path="/v5/order/realtime", times=0)), quick=True),
    Mode(name="ws_missed_fills", rules=(fault("ws_missed_fills", times=0),)),
    Mode(name="ws_gap", rules=(LOST, fault("ws_gap", times=0))),
    Mode(name="ws_duplicate", rules=(fault("ws_duplicate", times=0), fault("ws_double_filled", times=0))),
    Mode(name="ws_reorder", rules=(LOST, fault("ws_reorder", topic="order", times=3))),
    Mode(name="ws_disconnect", rules=(LOST, fault("ws_disconnect", topic="order", times=1))),
)
"""Every fault that concerns an order, alone or with the private stream failing at the same time."""
