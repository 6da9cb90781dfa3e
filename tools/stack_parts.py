"""The processes of the stack: one part, and the guard that ends all when the supervisor is killed."""

import collections
import contextlib
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).resolve().parent.parent
STOP_SECONDS_MAX = 15.0  # a part that has not stopped by then is killed; the gateway's own drain is shorter
LINES_KEPT = 2000  # of each part's output, for the report of a death and for tests
COLOURS = {"simulator": 35, "model": 36, "gateway": 32, "envoy": 34, "stack": 33}
# Reads "name pid" lines, the last of a name counting; at the end of input ends those processes.
GUARD = """
while read -r name pid; do eval "pid_$name=$pid"; done
kill $pid_gateway $pid_envoy $pid_model $pid_simulator 2>/dev/null
"""


class Part:
    """One process of the stack, its output and its ends."""

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], *, guard: "Guard", echo: bool
    ) -> None:
        self.name = name
        self.command = command
        self.environment = dict(environment)
        self.guard = guard
        self.echo = echo
        self.lines: collections.deque[str] = collections.deque(maxlen=LINES_KEPT)
        self.restarts = 0
        self.process: subprocess.Popen[str] | None = None
        self.reader: threading.Thread | None = None

    def start(self) -> None:
        """Start the process, in its own session: a Ctrl-C of the terminal reaches the supervisor alone."""
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.guard.watch(self.name, self.process.pid)
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        with process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))
                if self.echo:
                    say(self.name, line.rstrip("\n"))

    def alive(self) -> bool:
        """True while the process runs."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing when the process has ended."""
        if self.process is not None and self.alive():
            self.process.send_signal(number)

    def stop(self, seconds: float = STOP_SECONDS_MAX) -> None:
        """Ask to stop, wait, and kill what does not."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            say("stack", f"{self.name} did not stop within {seconds:g} s and is killed")
            self.kill()
        if self.reader is not None:
            self.reader.join(1.0)

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def obituary(self) -> str:
        """How it ended, and its last lines."""
        if self.reader is not None:
            self.reader.join(0.5)
        code = None if self.process is None else self.process.poll()
        last = "\n".join(f"    {line}" for line in list(self.lines)[-15:]) or "    (it wrote nothing)"
        return f"{self.name} ended with code {code}; its last lines:\n{last}"


class Guard:
    """A small shell that outlives the supervisor: when that ends without stopping its parts, the guard stops them."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def watch(self, name: str, pid: int) -> None:
        """Stop this process too; a later one of the same name takes its place."""
        if self.process is None:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", GUARD], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
        if self.process.stdin is not None:
            self.process.stdin.write(f"{name} {pid}\n")
            self.process.stdin.flush()

    def dismiss(self) -> None:
        """End the guard without stopping anything."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def say(name: str, text: str) -> None:
    """Print with the part's name before each line, coloured on a terminal."""
    prefix = f"{name:<9} |"
    if sys.stdout.isatty():
        prefix = f"\x1b[{COLOURS[name]}m{prefix}\x1b[0m"
    with contextlib.suppress(
        BrokenPipeError
    ):  # whoever read the output has gone; the parts are to be stopped all the same
        print("\n".join(f"{prefix} {line}" for line in text.splitlines() or [""]), flush=True)
