"""The sessions of one kind of stream, as a list that faults and ends reach. No sockets here."""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from simulator.faults import Faults
from simulator.frame_gate import FrameGate
from simulator.outbox import Outbox


class Session(Protocol):
    """One client's conversation."""

    outbox: Outbox
    gate: FrameGate

    def receive(self, text: str) -> list[str]:
        """What the client says, and the answers that go to it at once, in front of anything pushed later."""
        ...


S = TypeVar("S", bound=Session)


class Sessions(Generic[S]):
    """All clients of one kind of stream that are there now."""

    def __init__(self, faults: Faults) -> None:
        self._sessions: dict[S, None] = {}
        faults.watch(self.obey_faults)

    def __iter__(self) -> Iterator[S]:
        return iter(list(self._sessions))

    def keep(self, session: S) -> S:
        """A client that came."""
        self._sessions[session] = None
        return session

    def forget(self, session: S) -> None:
        """A client that is gone."""
        del self._sessions[session]

    def cut_all(self, code: int) -> None:
        """Wish an end to every session, with a close code or by outbox.ABORT."""
        for session in self:
            session.outbox.close(code)

    def obey_faults(self) -> None:
        """Let rules that end or silence connections find those that are open."""
        for session in self:
            session.gate.look()
