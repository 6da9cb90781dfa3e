"""What a fault makes of an answer: before the exchange did anything, or of the true answer afterwards."""

from dataclasses import replace

from simulator.api.messages import HTML_TYPE, Reply, json_reply, page_reply
from simulator.faults import FaultRule, Kind

REDIRECT_TO = "/v5/market/time"
"""Where a 302 leads: a GET there answers retCode 0, as if an order had been taken."""
CODE_TEXTS = {
    10000: "Server Timeout",
    10006: "Too many visits. Exceeded the API Rate Limit.",
    10016: "Server error",
    170001: "Internal error.",
    170007: "Timeout waiting for response from backend server.",
}
"""retMsg of the codes that are usual; the others have none."""
PAGES = {
    403: "403, access too frequent. Please try it later.",
    429: "Too many requests",
    502: "<html><head><title>502 Bad Gateway</title></head><body><center>502 Bad Gateway</center></body></html>",
    504: "<html><head><title>504 Gateway Time-out</title></head><body><center>504</center></body></html>",
}
_OTHER_PAGE = "<html><head><title>Error</title></head><body>Service unavailable</body></html>"


def refused(fault: FaultRule, *, now_ms: int, trace: str) -> Reply | None:
    """The answer of a request that never reaches the exchange; None when the fault acts later."""
    match fault.kind:
        case Kind.DROP_BEFORE_ACCEPT:
            return _dropped(accepted=False)
        case Kind.CODE_BEFORE_ACCEPT:
            return _code(fault, now_ms=now_ms, trace=trace, accepted=False)
        case Kind.HTTP_BEFORE_ACCEPT:
            return _page(fault, accepted=False)
        case Kind.REDIRECT:
            return Reply(status=302, headers={"Location": REDIRECT_TO, "Content-Type": HTML_TYPE}, body=b"")
        case _:
            return None


def damaged(fault: FaultRule, reply: Reply, *, now_ms: int, trace: str) -> Reply:
    """The answer that the client gets in place of the true one."""
    match fault.kind:
        case Kind.DELAY_AFTER:
            return replace(reply, delay_ms=fault.ms or 0)
        case Kind.ACCEPT_THEN_DROP | Kind.RESTART_AFTER_ACCEPT:
            return _dropped(accepted=reply.accepted)
        case Kind.CODE_AFTER_ACCEPT:
            return _code(fault, now_ms=now_ms, trace=trace, accepted=reply.accepted)
        case Kind.HTTP_AFTER_ACCEPT:
            return _page(fault, accepted=reply.accepted)
        case Kind.TRUNCATED_JSON | Kind.SLOW_BODY:
            return replace(reply, cut=fault.kind is Kind.TRUNCATED_JSON, trickle_ms=fault.ms or 0)
        case _:
            return reply


def _dropped(*, accepted: bool) -> Reply:
    return Reply(status=0, headers={}, body=b"", drop=True, accepted=accepted)


def _code(fault: FaultRule, *, now_ms: int, trace: str, accepted: bool) -> Reply:
    code = fault.code or 0
    message = fault.text if fault.text is not None else CODE_TEXTS.get(code, "")
    return json_reply({}, now_ms=now_ms, trace=trace, code=code, message=message, accepted=accepted)


def _page(fault: FaultRule, *, accepted: bool) -> Reply:
    status = fault.status or 0
    text = fault.text if fault.text is not None else PAGES.get(status, _OTHER_PAGE)
    return page_reply(status, text, HTML_TYPE if text.startswith("<") else "text/plain", accepted=accepted)
