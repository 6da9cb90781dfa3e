"""A running exchange in a thread of its own, for clients that block: each test has an account on it and a key."""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import requests

from simulator.server import ServerConfig, running

WAIT_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Login:
    """A key of an account."""

    uid: int
    key: str
    secret: str = field(repr=False)


class Exchange:
    """The exchange as its users see it: over HTTP, the control API included."""

    def __init__(self, port: int, http: requests.Session) -> None:
        self.port = port
        self.http_url = f"http://127.0.0.1:{port}"
        self._http = http
        self._uids = itertools.count(100)

    def stream_url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def control(self, name: str, body: Any) -> None:
        answer = self._http.post(f"{self.http_url}/_control/{name}", json=body)
        assert answer.status_code == 200, answer.text

    def told(self, name: str, **query: Any) -> Any:
        answer = self._http.get(f"{self.http_url}/_control/{name}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def login(self, *, balances: Any = None, **key: Any) -> Login:
        """A new account, and a key of it."""
        uid = next(self._uids)
        made = Login(uid=uid, key=f"KEY{uid}", secret=f"SECRET{uid}")
        self.control("accounts", {"uid": uid, "balances": balances or {"USDT": "100000"}})
        self.control("keys", {"key": made.key, "secret": made.secret, "uid": uid, **key})
        return made

    def truth(self, login: Login) -> Any:
        return self.told("truth", uid=login.uid)


@contextlib.contextmanager
def exchange_in_a_thread(**config: Any) -> Iterator[Exchange]:
    """Serve until the context ends."""
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with running(ServerConfig(**({"seed": 7, "symbols": ["BTCUSDT", "ETHUSDT"]} | config))) as port:
            started.set_result((port, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    port, loop, stop = started.result(timeout=10)
    try:
        with requests.Session() as http:
            http.trust_env = False
            yield Exchange(port, http)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)


def soon(look: Callable[[], Any], *, seconds: float = WAIT_SECONDS) -> Any:
    """What `look` gives once it gives something: the exchange shows things with a lag."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    return found
