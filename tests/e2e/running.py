"""A running stack as its clients see it: HTTP calls, gRPC channels, and the controls of its parts."""

import contextlib
import http.client
import json
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.rpc import error_details_pb2, status_pb2

from tools.stack import Stack

SECONDS_MAX = 30.0
CONTAINERS = {"gateway": "backend", "model": "model-service", "envoy": "envoy", "simulator": "simulator"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an HTTP call brought."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """The reason of the error, from its ErrorInfo."""
        return next(one["reason"] for one in self.json["details"] if one["@type"].endswith("ErrorInfo"))

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of the error's ErrorInfo."""
        return next(one["metadata"] for one in self.json["details"] if one["@type"].endswith("ErrorInfo"))


class Controls(Protocol):
    """What can be done to the parts of a stack."""

    def kill(self, name: str) -> None: ...
    def restart(self, name: str) -> None: ...
    def lines(self, name: str) -> list[str]: ...


class Containers:
    """The controls of a stack that compose runs."""

    def kill(self, name: str) -> None:
        subprocess.run(["docker", "kill", CONTAINERS[name]], check=True, capture_output=True)

    def restart(self, name: str) -> None:
        subprocess.run(["docker", "restart", CONTAINERS[name]], check=True, capture_output=True)

    def lines(self, name: str) -> list[str]:
        command = ["docker", "logs", "--tail", "2000", CONTAINERS[name]]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ).stdout.splitlines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tollgate:
    """A running stack, as a client sees it, and its controls."""

    gateway: str
    model: str
    dashboard: str
    controls: Controls

    def get(self, path: str, base: str = "", **headers: str) -> Answer:
        return call("GET", (base or self.gateway) + path, headers=headers)

    def post(self, path: str, body: Any = None, base: str = "", headers: dict[str, str] | None = None) -> Answer:
        """POST a value as JSON; bytes as they are; None as no body at all."""
        return call("POST", (base or self.gateway) + path, body=body, headers=headers)

    def resume(self, actor: str, reason: str) -> Answer:
        """Lift a halt, in its two steps."""
        asked = {"actor": actor, "reason": reason}
        token = self.post("/api/risk/resume", asked).json["confirmToken"]
        return self.post("/api/risk/resume", asked | {"confirmToken": token})

    @contextlib.contextmanager
    def channel(self, base: str = "") -> Iterator[grpc.Channel]:
        with grpc.insecure_channel(urllib.parse.urlsplit(base or self.gateway).netloc) as channel:
            yield channel

    def wait_well(self) -> None:
        """Wait until both health addresses say ok."""
        wait_until(lambda: all(is_well(call("GET", f"{base}/health")) for base in (self.gateway, self.model)))

    @contextlib.contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A time in which one part is dead; afterwards all is well again."""
        self.controls.kill(name)
        try:
            yield
        finally:
            self.controls.restart(name)
            self.wait_well()


def ended(stack: Stack) -> None:
    """Stop a stack and leave what its parts told in its folder: what a run leaves behind is searched for secrets."""
    stack.stop()
    for name in stack.parts:
        (stack.state_dir / f"{name}.log").write_text("\n".join(stack.lines(name)), encoding="utf8")


def is_well(answer: Answer) -> bool:
    return answer.status == 200 and answer.json["ok"]


def wait_until(holds: Callable[[], bool], seconds: float = SECONDS_MAX) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


def call(method: str, url: str, *, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """One HTTP call on its own connection; the path goes out exactly as given."""
    parts = urllib.parse.urlsplit(url)
    sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(parts.netloc, timeout=SECONDS_MAX)
    with contextlib.closing(connection):
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=sent, headers={"content-type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        return Answer(status=response.status, headers=response.headers, body=response.read())


def error_info(error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo of a gRPC error."""
    details = dict(error.trailing_metadata())["grpc-status-details-bin"]  # type: ignore[attr-defined]
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    return info
