"""The connections under a session, which show their sockets while they wait for an answer.

A read timeout counts from byte to byte: an answer that trickles, head or body, would hold a session's thread for as
long as it likes. Who has the socket can cut that off.
"""

import socket
from collections.abc import Callable, Mapping

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

Waits = Callable[[socket.socket], None]
"""Told of the socket before an answer is waited for; may raise what ends the call."""


class ShownLines(HTTPAdapter):
    """What a requests.Session sends through."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = _pools(waits)


def cut(line: socket.socket) -> None:
    """End a wait on that socket, from any thread. Raises OSError when it has ended by itself."""
    # Of the plain socket: the TLS layer belongs to the thread that reads.
    socket.socket.shutdown(line, socket.SHUT_RDWR)


def _pools(waits: Waits) -> Mapping[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 has it
            waits(self.sock)
            return super().getresponse()

    class Secure(HTTPSConnection):
        def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as urllib3 has it
            waits(self.sock)
            return super().getresponse()

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
