"""What the fault rules make of one connection: the last place that a frame passes before its socket.

Rules that end or silence a connection (ws_stall, ws_half_open, ws_disconnect) count connections: one with the topic
"*" takes the first connection that it finds open or that says or is told something; one with a topic takes the
connection that is about to get a frame of it, in the place of the frame. The other rules count frames.

Rules of the path "*" are about private and order-entry connections; one of a public stream must name its path, as in
"/v5/public/linear" or "/v5/public/*".
"""

from collections.abc import Sequence
from enum import Enum

from simulator.faults import FaultRule, Faults, Kind
from simulator.outbox import ABORT, Outbox

ENDING = (Kind.WS_STALL, Kind.WS_HALF_OPEN, Kind.WS_DISCONNECT)


class Line(Enum):
    """How well a connection still works."""

    OPEN = "open"
    STALLED = "stalled"
    """What the client says is heard and done; it hears nothing any more, not even a pong."""
    HALF_OPEN = "half-open"
    """Nothing passes in either direction, and no one is told."""
    CUT = "cut"


class FrameGate:
    """The faults of one connection."""

    def __init__(self, faults: Faults, outbox: Outbox, path: str) -> None:
        self._faults = faults
        self._outbox = outbox
        self._path = path
        self._held: list[str] = []
        self.line = Line.OPEN
        self.key: str | None = None
        """The API key that has logged in."""

    def look(self, topic: str = "") -> None:
        """Take a rule that ends or silences the connection, if one is due."""
        if self.line is not Line.OPEN:
            return
        rule = self._due(topic, *ENDING)
        if rule is None:
            return
        match rule.kind:
            case Kind.WS_STALL:
                self._silence(Line.STALLED)
            case Kind.WS_HALF_OPEN:
                self._silence(Line.HALF_OPEN)
            case _:
                self.line = Line.CUT
                self._outbox.close(ABORT)

    def hears(self) -> bool:
        """Whether what the client says now reaches the exchange."""
        self.look()
        return self.line in (Line.OPEN, Line.STALLED)

    def refuses_auth(self, args: object) -> bool:
        """Whether the attempt to log in with these `args` is to be refused."""
        named = args[0] if isinstance(args, list) and args and isinstance(args[0], str) else None
        return self._faults.take_stream("auth", Kind.WS_REFUSE_AUTH, path=self._path, key=named) is not None

    def doubles_fill(self, topic: str) -> bool:
        """Whether the Filled order that is about to be pushed is to be told a second time."""
        return self._due(topic, Kind.WS_DOUBLE_FILLED) is not None

    def push(self, topic: str, frame: str) -> None:
        """Put a frame of a topic into the outbox, or what the rules make of it."""
        for passed in self.passed(topic, frame):
            self._outbox.put(passed)

    def passed(self, topic: str, frame: str) -> list[str]:
        """What goes out in the place of a frame of a topic: nothing, the frame, or more than it."""
        self.look(topic)
        if self.line is not Line.OPEN:
            return []
        lost = (Kind.WS_GAP, Kind.WS_MISSED_FILLS) if topic.startswith("execution") else (Kind.WS_GAP,)
        if self._due(topic, *lost):
            return []
        frames = [frame]
        if self._due(topic, Kind.WS_DUPLICATE):
            frames.append(frame)
        if self._due(topic, Kind.WS_REORDER):
            self._held += frames
            return []
        return [*frames, *self._release()]

    def answered(self, frames: Sequence[str]) -> list[str]:
        """What of the answers to the client goes out, with what was held back behind them."""
        return [*frames, *self._release()] if self.line is Line.OPEN else []

    def _due(self, topic: str, *kinds: Kind) -> FaultRule | None:
        return self._faults.take_stream(topic, *kinds, path=self._path, key=self.key)

    def _release(self) -> list[str]:
        held, self._held = self._held, []
        return held

    def _silence(self, line: Line) -> None:
        self.line = line
        self._outbox.take()
