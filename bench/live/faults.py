"""The faults that a story is made of: every kind that the simulator has, within what the gateway must survive.

Not among them is what no client can survive: an answer that says "not done" of an order that was taken, and lists that
leave out an order for longer than VENUE_LAG_MS_MAX, all of them at once.
"""

from collections.abc import Mapping, Sequence

from simulator.faults import FaultRule, Kind

CREATE = "/v5/order/create"
REALTIME = "/v5/order/realtime"
ORDERS = "/v5/order/*"
LISTS = "/v5/*/list"


def _timed(kind: Kind, *spans_ms: int, path: str = CREATE) -> list[FaultRule]:
    return [FaultRule(kind=kind, path=path, ms=ms) for ms in spans_ms]


def _coded(kind: Kind, *codes: int) -> list[FaultRule]:
    return [FaultRule(kind=kind, path=CREATE, code=code) for code in codes]


def _paged(kind: Kind, *statuses: int, path: str = CREATE) -> list[FaultRule]:
    return [FaultRule(kind=kind, path=path, status=status) for status in statuses]


def _everywhere(kind: Kind) -> list[FaultRule]:
    return [FaultRule(kind=kind, path=path) for path in (CREATE, ORDERS, "*")]


def _of_topics(kind: Kind, *topics: str) -> list[FaultRule]:
    return [FaultRule(kind=kind, topic=topic) for topic in topics]


FAULTS: Mapping[Kind, Sequence[FaultRule]] = {
    Kind.DELAY_BEFORE: [
        *_timed(Kind.DELAY_BEFORE, 300, 2_500, 4_500, 8_000),
        *_timed(Kind.DELAY_BEFORE, 2_500, path="*"),
    ],
    Kind.DELAY_AFTER: [
        *_timed(Kind.DELAY_AFTER, 300, 2_500, 4_500, 9_000),
        *_timed(Kind.DELAY_AFTER, 3_000, path="*"),
    ],
    Kind.DROP_BEFORE_ACCEPT: _everywhere(Kind.DROP_BEFORE_ACCEPT),
    Kind.ACCEPT_THEN_DROP: _everywhere(Kind.ACCEPT_THEN_DROP),
    Kind.CODE_BEFORE_ACCEPT: _coded(Kind.CODE_BEFORE_ACCEPT, 10000, 10006, 10016, 110007, 110079, 123456),
    Kind.CODE_AFTER_ACCEPT: _coded(Kind.CODE_AFTER_ACCEPT, 10000, 10006, 10016, 10019, 110072, 123456),
    Kind.HTTP_BEFORE_ACCEPT: [
        *_paged(Kind.HTTP_BEFORE_ACCEPT, 403, 429, 502),
        *_paged(Kind.HTTP_BEFORE_ACCEPT, 502, path="*"),
    ],
    Kind.HTTP_AFTER_ACCEPT: [
        *_paged(Kind.HTTP_AFTER_ACCEPT, 502, 504),
        *_paged(Kind.HTTP_AFTER_ACCEPT, 504, path="*"),
    ],
    Kind.REDIRECT: _everywhere(Kind.REDIRECT),
    Kind.TRUNCATED_JSON: _everywhere(Kind.TRUNCATED_JSON),
    Kind.SLOW_BODY: _timed(Kind.SLOW_BODY, 200, 2_000),
    Kind.RESTART_AFTER_ACCEPT: _timed(Kind.RESTART_AFTER_ACCEPT, 0, 100),
    Kind.FORGET_ORDERS: [FaultRule(kind=Kind.FORGET_ORDERS, path=REALTIME, times=times) for times in (1, 5)],
    Kind.WS_GAP: [
        *_of_topics(Kind.WS_GAP, "order", "execution", "*"),
        FaultRule(kind=Kind.WS_GAP, topic="*", times=10),
    ],
    Kind.WS_DUPLICATE: _of_topics(Kind.WS_DUPLICATE, "order", "execution", "*"),
    Kind.WS_REORDER: _of_topics(Kind.WS_REORDER, "order", "execution", "*"),
    Kind.WS_MISSED_FILLS: _of_topics(Kind.WS_MISSED_FILLS, "execution"),
    Kind.WS_DOUBLE_FILLED: _of_topics(Kind.WS_DOUBLE_FILLED, "order"),
    Kind.WS_STALL: _of_topics(Kind.WS_STALL, "*", "order"),
    Kind.WS_HALF_OPEN: _of_topics(Kind.WS_HALF_OPEN, "*", "execution"),
    Kind.WS_DISCONNECT: _of_topics(Kind.WS_DISCONNECT, "*", "order", "execution"),
    Kind.WS_REFUSE_AUTH: _of_topics(Kind.WS_REFUSE_AUTH, "*"),
}
"""By kind, the forms in which it comes."""
