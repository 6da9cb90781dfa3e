"""Run the whole of Tollgate on one machine: simulator, model service, gateway and the real Envoy.

`python tools/stack.py run` starts all parts at once, waits until every address
answers, and prints how to call it. `--live-sim` has the gateway trade live, on an
account of the simulator: every order goes the whole way over HTTP, signed, and
comes back by the private stream. Ctrl-C stops in this order, so that nothing that
began is lost:

1. the gateway, which refuses new orders and finishes the running ones; Envoy
   still carries their answers and tells new callers to come back;
2. Envoy; 3. the model service; 4. the simulator.

A part that dies at the start ends the run, with its last lines. One that dies
later is started again after a pause that doubles, and after RESTARTS_MAX deaths
the run ends: something is wrong that a restart does not mend.

As a library, for tests: `Stack(ports=Ports.free(), state_dir=folder, live_sim=False)`, then
`start`, `stop`, `kill`, `restart` and `lines`; `parts[name].signal` for any other signal.
"""

import argparse
import dataclasses
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

from tools.stack_parts import Guard, Part, say

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(sys.executable).parent
START_SECONDS_MAX = 30.0  # ten times what a cold start takes on two cores
POLL_SECONDS = 0.02
SIMULATED_KEY = {"BYBIT_API_KEY": "SIMKEY0001", "BYBIT_API_SECRET": "SIMSECRET0001"}
"""What opens the simulator's first account; the simulator tells it to everybody."""
BUSY_SECONDS_MAX = 1.0  # what is stopping at this moment has that long to be gone
RESTARTS_MAX = 5  # of one part in one run
PAUSE_SECONDS_MAX = 8.0
CALLS = """  curl -s {gateway}/health | jq .ok
  curl -s -X POST {gateway}/api/ai/consensus -H 'content-type: application/json' \\
    -d '{{"symbol":"BTCUSDT","features":{{"mom_20":1.2,"rv_5":0.8,"rsi_14":62.0}}}}'
  curl -s -X POST {gateway}/api/trade/execute -H 'content-type: application/json' \\
    -d '{{"symbol":"BTCUSDT","side":"buy","qtyUsd":2000,"confidence":0.9}}'
  curl -s -X POST {gateway}/api/risk/reset"""


class StackError(Exception):
    """The stack cannot start or go on; the text says which part, and its last lines."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The loopback ports of all parts.

    None is from 32768 to 60999, which Linux gives to outgoing connections: one of
    those holds a port for a minute after its end, and the part could not start.
    """

    gateway: int = 8000
    model: int = 9000
    dashboard: int = 3000
    admin: int = 9901
    gateway_grpc: int = 15051
    model_grpc: int = 15052
    simulator: int = 15050

    @classmethod
    def free(cls) -> "Ports":
        """Ports that are free at this moment, below those that the system gives to outgoing connections."""
        names = [field.name for field in dataclasses.fields(cls)]
        candidates = random.sample(range(20_000, 32_000), 50 * len(names))
        free = [port for port in candidates if is_free(port)][: len(names)]
        return cls(**dict(zip(names, free, strict=True)))

    def items(self) -> Iterator[tuple[str, int]]:
        """Each part's name and port."""
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))


class Stack:
    """All parts, started together and stopped in order."""

    def __init__(
        self,
        *,
        ports: Ports | None = None,
        env: Mapping[str, str] | None = None,
        state_dir: pathlib.Path = ROOT / "var",
        echo: bool = False,
        live_sim: bool = False,
    ) -> None:
        self.ports = ports or Ports()
        self.env = dict(env or {})
        self.state_dir = state_dir
        self.echo = echo
        self.live_sim = live_sim
        self.parts: dict[str, Part] = {}
        self.guard = Guard()
        self.ended = threading.Event()  # set to end `start` and `supervise`

    @property
    def gateway_url(self) -> str:
        """The base of the gateway's JSON calls."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def model_url(self) -> str:
        """The base of the model service's JSON calls."""
        return f"http://127.0.0.1:{self.ports.model}"

    @property
    def dashboard_url(self) -> str:
        """The dashboard."""
        return f"http://127.0.0.1:{self.ports.dashboard}"

    def start(self) -> float:
        """Start everything and wait until it answers; returns the seconds that took.

        Raises StackError, with everything stopped again, when a port is taken,
        a part dies or one does not answer in time.
        """
        refuse_busy(self.ports)
        begin = time.monotonic()
        self.state_dir.mkdir(parents=True, exist_ok=True)
        if self.live_sim:
            set_aside(self._live_journal)
        config = render_envoy(self.ports, self.state_dir)
        for name, command in commands(self.ports, config, self._environment()).items():
            self.parts[name] = Part(name, command, self._environment(), guard=self.guard, echo=self.echo)
        for part in self.parts.values():
            part.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return time.monotonic() - begin

    def wait_ready(self, seconds: float = START_SECONDS_MAX) -> None:
        """Wait until all addresses answer well; raises StackError when a part dies or time is up."""
        end = time.monotonic() + seconds
        while wrong := self._not_ready():
            dead = next((part for part in self.parts.values() if not part.alive()), None)
            if dead is not None:
                raise StackError(dead.obituary())
            if self.ended.is_set() or time.monotonic() > end:
                raise StackError(f"asked to stop, or not ready within {seconds:g} s: {wrong}")
            time.sleep(POLL_SECONDS)

    def _not_ready(self) -> str:
        """What does not answer yet; empty when all does. Envoy is asked last, and so logs no failure of a start."""
        for name, port in self.ports.items():
            if not listens(port) and (name != "simulator" or name in self.parts):
                return f"nothing listens on port {port} ({name})"
        for url in (f"{self.gateway_url}/health", f"{self.model_url}/health", f"{self.dashboard_url}/"):
            status, body = get(url)
            if status != http.HTTPStatus.OK or (url.endswith("/health") and not json.loads(body)["ok"]):
                return f"{url} answers {status} {body[:1000]!r}"
        return ""

    def stop(self) -> None:
        """Stop all parts, in the order that loses nothing."""
        for name in ("gateway", "envoy", "model", "simulator"):
            if name in self.parts:
                self.parts[name].stop()
        self.guard.dismiss()

    def kill(self, name: str) -> None:
        """End one part at once; it stays down until `restart`."""
        self.parts[name].kill()

    def restart(self, name: str) -> None:
        """Stop one part if it runs, and start it anew; does not wait for it to be ready."""
        self.parts[name].stop()
        self.parts[name].start()

    def lines(self, name: str) -> list[str]:
        """The last lines that a part wrote."""
        return list(self.parts[name].lines)

    def supervise(self) -> None:
        """Restart what dies, until `ended` is set; raises StackError when one part dies too often."""
        while not self.ended.wait(0.2):
            for part in self.parts.values():
                if not part.alive() and not self.ended.is_set():
                    self._revive(part)

    def _revive(self, part: Part) -> None:
        report = part.obituary()
        if part.restarts >= RESTARTS_MAX:
            raise StackError(f"{report}\n{part.name} died {part.restarts + 1} times; giving up")
        pause = min(0.5 * 2**part.restarts, PAUSE_SECONDS_MAX)
        part.restarts += 1
        say("stack", f"{report}\nrestart {part.restarts} of {RESTARTS_MAX} in {pause:g} s")
        if not self.ended.wait(pause):
            part.start()

    @property
    def _live_journal(self) -> pathlib.Path:
        return self.state_dir / "live-sim.sqlite3"

    def _environment(self) -> dict[str, str]:
        """The environment of every part: the caller's, with the addresses of this stack over it."""
        given = {**os.environ, "PYTHONUNBUFFERED": "1", **self.env}
        if self.live_sim:
            given = {name: value for name, value in given.items() if not name.startswith("BYBIT_")}
            given |= {"TRADING_MODE": "live", "BYBIT_ENV": "simulator", "MARKET_DATA": "simulated", **SIMULATED_KEY}
            given["JOURNAL_PATH"] = str(self._live_journal)
            given.setdefault("REQUIRE_DECISION", "off")  # drills state their own confidence
            given["BYBIT_REST_URL"] = f"http://127.0.0.1:{self.ports.simulator}"
            given["BYBIT_PRIVATE_WS_URL"] = f"ws://127.0.0.1:{self.ports.simulator}/v5/private"
        given.setdefault("MARKET_DATA", "simulated")
        given.setdefault("JOURNAL_PATH", str(self.state_dir / "journal.sqlite3"))
        given.setdefault("MODEL_STATE_PATH", str(self.state_dir / "models.json"))
        given["GATEWAY_LISTEN_ADDR"] = f"127.0.0.1:{self.ports.gateway_grpc}"
        given["MODEL_LISTEN_ADDR"] = f"127.0.0.1:{self.ports.model_grpc}"
        given["MODEL_SERVICE_ADDR"] = f"127.0.0.1:{self.ports.model_grpc}"
        if given["MARKET_DATA"] == "simulated":
            given["MARKET_REST_URL"] = f"http://127.0.0.1:{self.ports.simulator}"
            given["MARKET_WS_URL"] = f"ws://127.0.0.1:{self.ports.simulator}/v5/public/linear"
        return given


def commands(ports: Ports, envoy_config: pathlib.Path, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """The command line of each part; no simulator when the market is a real one."""
    python = sys.executable
    simulator = [python, "-m", "simulator", "serve", "--port", str(ports.simulator), "--seed", "7"]
    envoy = [str(BIN / "envoy"), "-c", str(envoy_config), "--concurrency", "1", "--use-dynamic-base-id"]
    # Its misc component only warns, at length, that the file server's settings may change with a new version.
    quiet = ["--log-level", "warning", "--component-log-level", "misc:error", "--file-flush-interval-msec", "200"]
    parts = {
        "model": [python, "-m", "inference"],
        "gateway": [python, "-m", "gateway"],
        "envoy": [*envoy, *quiet],
    }
    return {"simulator": simulator, **parts} if environment["MARKET_DATA"] == "simulated" else parts


def set_aside(journal: pathlib.Path) -> None:
    """Begin a new journal: the simulator's account begins anew with every start, and the old one is not its own."""
    for end in ("", "-wal", "-shm"):
        old = journal.with_name(journal.name + end)
        if old.exists():
            old.replace(journal.with_name(f"{journal.stem}-before.sqlite3{end}"))


def render_envoy(ports: Ports, folder: pathlib.Path) -> pathlib.Path:
    """Write Envoy's configuration for these ports."""
    out = folder / "envoy.yaml"
    script = [sys.executable, "-I", "-S", str(ROOT / "envoy" / "render.py"), "--out", str(out)]
    listeners = ["--gateway-port", str(ports.gateway), "--model-port", str(ports.model)]
    others = ["--dashboard-port", str(ports.dashboard), "--admin-port", str(ports.admin)]
    behind = ["--gateway", f"127.0.0.1:{ports.gateway_grpc}", "--model", f"127.0.0.1:{ports.model_grpc}"]
    subprocess.run([*script, *listeners, *others, *behind], check=True)
    return out


def refuse_busy(ports: Ports) -> None:
    """Raise StackError when a port is taken: another program would answer in our place."""
    end = time.monotonic() + BUSY_SECONDS_MAX
    while busy := [(name, port) for name, port in ports.items() if not is_free(port)]:
        if time.monotonic() > end:
            told = [
                f"port {port} ({name}) is in use; `ss -tanp 'sport = :{port}'` shows by what" for name, port in busy
            ]
            raise StackError("\n".join([*told, "stop that, or take other ports: `python tools/stack.py run --help`"]))
        time.sleep(0.1)


def is_free(port: int) -> bool:
    """True when a server could listen on the port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def listens(port: int) -> bool:
    """True when a connection to the port is taken."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(url: str) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 and the error's text when nothing answers."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=2.0)
    try:
        connection.request("GET", f"/{path}")
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error).encode()
    finally:
        connection.close()


def dotenv(path: pathlib.Path) -> dict[str, str]:
    """The NAME=value lines of a .env file, as compose reads it; empty when there is none."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf8").splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, separator, value in pairs if separator}


def run(ports: Ports, state_dir: pathlib.Path, *, live_sim: bool) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code is 1 when the stack could not start or go on."""
    env = {name: value for name, value in dotenv(ROOT / ".env").items() if name not in os.environ}
    stack = Stack(ports=ports, env=env, state_dir=state_dir, echo=True, live_sim=live_sim)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stack.ended.set())
    try:
        seconds = stack.start()
        greet(stack, seconds)
        stack.supervise()
    except StackError as error:
        say("stack", f"{error}\nTollgate is not running.")
        return 1
    finally:
        if stack.ended.is_set():
            say("stack", "stopping: gateway, Envoy, model service, simulator")
        stack.stop()
    say("stack", "stopped")
    return 0


def greet(stack: Stack, seconds: float) -> None:
    """Say that it runs, where, and what to call."""
    urls = f"gateway {stack.gateway_url}   model service {stack.model_url}   dashboard {stack.dashboard_url}"
    say("stack", f"ready in {seconds:.1f} s\n{urls}\ntry:\n{CALLS.format(gateway=stack.gateway_url)}\nCtrl-C stops it")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run all of Tollgate on this machine.")
    parser.add_argument("command", choices=["run"])
    parser.add_argument(
        "--state-dir", type=pathlib.Path, default=ROOT / "var", help="journal, what serves, and rendered files"
    )
    parser.add_argument(
        "--live-sim", action="store_true", help="trade live, on an account of the simulator, with a journal of its own"
    )
    for name, port in Ports().items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=port, metavar="PORT", help=f"default {port}"
        )
    arguments = parser.parse_args()
    ports = Ports(**{name: getattr(arguments, name) for name, _ in Ports().items()})
    return run(ports, arguments.state_dir, live_sim=arguments.live_sim)


if __name__ == "__main__":
    raise SystemExit(main())
