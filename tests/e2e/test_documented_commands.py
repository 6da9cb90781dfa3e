"""The commands of README and RUNBOOK, run as they stand against a running stack, and their answers compared.

Every `sh` fence is one block. A comment before it may say `not run: why` or `run with: <condition>`. A `json` or `text`
fence right after it is the documented answer: JSON must have the same keys and types, and the same values in EXACT; in
text every word that holds a digit may differ. `jq` is answered by Python, so that no machine needs it.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from running import call, ended

from tools.stack import Ports, Stack

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
DOCUMENTS = ("README.md", "RUNBOOK.md")
BLOCK_SECONDS_MAX = 30
LIVE = "live trading"
"""The condition of the blocks that are for `make run-live-sim`."""
IMPATIENT = {
    "VENUE_ANSWER_MS": "1000",
    "RECV_WINDOW_MS": "2000",
    "VENUE_LAG_MS_MAX": "1000",
    "ORDER_AGE_SECONDS_MAX": "1",
    "RECONCILE_SECONDS": "2",
}
"""With these a live drill takes seconds; the documents speak of the defaults."""
CALLS_MAX = 300
"""Calls that use up the rate limit, at the most."""

EXACT = frozenset(
    {"ok", "dryRun", "symbol", "side", "qtyUsd", "state", "step", "message", "replayed", "reduceOnly"}
    | {"signal", "allow", "threshold", "horizon_seconds", "code", "reason", "domain", "@type", "mode", "source"}
    | {"confidenceThreshold", "rateLimitMax", "perSymbolUsdCap", "maxDrawdownPct", "tradingMode"}
)
"""Fields whose documented values are promises, not examples."""

JQ = """
import json, re, sys
value = json.load(sys.stdin)
for name, index in re.findall(r"\\.(\\w+)|\\[(\\d+)\\]", sys.argv[-1]):
    value = value[name] if name else value[int(index)]
raw = "-r" in sys.argv and isinstance(value, str)
print(value if raw else json.dumps(value, indent=2))
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One `sh` fence of a document."""

    document: str
    line: int
    script: str
    note: str
    """The comment before it: empty, `not run: ...` or `run with: ...`."""
    answer_kind: str
    """json, text, or empty when no answer is documented."""
    answer: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


FENCED = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```sh\n(?P<script>.*?)^```$(?:\n```(?P<kind>json|text)\n(?P<answer>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


def blocks_of(document: str, text: str) -> list[Block]:
    return [
        Block(
            document=document,
            line=text.count("\n", 0, found.start("script")),
            script=found["script"],
            note=found["note"] or "",
            answer_kind=found["kind"] or "",
            answer=found["answer"] or "",
        )
        for found in FENCED.finditer(text)
    ]


BLOCKS = [block for name in DOCUMENTS for block in blocks_of(name, (ROOT / name).read_text(encoding="utf8"))]
RUN = [block for block in BLOCKS if not block.note.startswith("not run: ")]


class Stacks:
    """A stack of its own for each document, one at a time: its commands follow on each other, and some stop a part.

    The blocks about live trading have one more.
    """

    def __init__(self, folder: Callable[[str], pathlib.Path]) -> None:
        self._folder = folder
        self._of = ("", False)
        self._stack: Stack | None = None

    def running(self, document: str, *, live: bool = False) -> Stack:
        """The stack of a document, started when another one ran."""
        if self._stack is None or self._of != (document, live):
            self.stop()
            env = IMPATIENT if live else {}
            stack = Stack(ports=Ports.free(), env=env, state_dir=self._folder(document), live_sim=live)
            stack.start()
            self._stack, self._of = stack, (document, live)
        return self._stack

    def stop(self) -> None:
        """Stop what runs."""
        if self._stack is not None:
            ended(self._stack)
            self._stack = None


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    kept = Stacks(tmp_path_factory.mktemp)
    yield kept
    kept.stop()


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_documented_command_answers_as_documented(stacks: Stacks, block: Block) -> None:
    condition = block.note.removeprefix("run with: ")
    running = stacks.running(block.document, live=condition == LIVE)
    with CONDITIONS[condition](running) if condition else contextlib.nullcontext():
        done = run(block.script, running)
    assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{done.stdout}"
    assert answer_differences(block, done.stdout) == [], f"{block} answered:\n{done.stdout}"


DOCUMENTED_CALLS = {
    "curl -s http://127.0.0.1:8000/health | jq .ok": True,
    "curl -s http://127.0.0.1:9000/health | jq .ok": True,
    "curl -s http://127.0.0.1:8000/health | jq .config.confidenceThreshold": 0.6,
    "curl -s http://127.0.0.1:8000/health | jq .risk.drawdown": float,
    "curl -s -X POST http://127.0.0.1:8000/api/risk/reset": {"ok": True},
    "curl -s -X POST http://127.0.0.1:8000/api/ai/consensus -H 'content-type: application/json' -d "
    '\'{"symbol":"BTCUSDT","features":{"mom_20":1.2,"rv_5":0.8,"rsi_14":62.0}}\'': {"signal": "long", "allow": True},
    "curl -s -X POST http://127.0.0.1:8000/api/trade/execute -H 'content-type: application/json' -d "
    '\'{"symbol":"BTCUSDT","side":"buy","qtyUsd":2000,"confidence":0.9}\'': {
        "dryRun": True,
        "message": "Paper trading mode - order simulated",
        "order": {"qtyUsd": 1800, "symbol": "BTCUSDT", "side": "buy", "confidence": 0.9},
    },
}
"""The calls that were promised word for word, with what their answers must hold; a type stands for any value of it."""


@pytest.mark.parametrize("command", DOCUMENTED_CALLS)
def test_a_promised_call_stands_in_both_documents_and_answers_the_promised_values(stacks: Stacks, command: str) -> None:
    assert command in one_line("README.md")
    if "drawdown" not in command:
        assert command.partition(" | jq .config")[0] in one_line("RUNBOOK.md")
    done = run(command, stacks.running("RUNBOOK.md"))
    assert holds(json.loads(done.stdout), DOCUMENTED_CALLS[command]), done.stdout


def test_the_promised_consensus_lies_in_the_promised_ranges(stacks: Stacks) -> None:
    command = next(command for command in DOCUMENTED_CALLS if "consensus" in command)
    answer = json.loads(run(command, stacks.running("RUNBOOK.md")).stdout)
    assert 0.70 <= answer["prob_long"] <= 0.80
    assert 0.60 <= answer["confidence"] <= 0.70


def test_every_comment_before_a_block_says_why_it_is_not_run_or_names_a_known_condition() -> None:
    notes = {block.note for block in BLOCKS if block.note}
    unknown = [
        note
        for note in notes
        if not re.fullmatch(r"not run: \w.{5,}", note) and note.removeprefix("run with: ") not in CONDITIONS
    ]
    assert unknown == []


def test_only_what_needs_docker_or_another_state_of_the_machine_is_not_run() -> None:
    unusual = [
        str(block)
        for block in BLOCKS
        if block not in RUN
        and not re.search(
            r"\b(docker|make|models activate|inference\.train|tollgate promote|sudo)\b|grep ERROR|var/aside",
            block.script,
        )
    ]
    assert unusual == []


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_valid_shell(block: Block) -> None:
    told = block.script.replace("<this repository>", "repository")
    assert subprocess.run(["bash", "-n", "-c", told], check=False).returncode == 0


def test_blocks_are_found_with_their_comment_and_their_answer() -> None:
    text = "a\n<!-- not run: because -->\n```sh\nls\n```\n```text\nx\n```\n\n```sh\npwd\n```\n\n```json\n{}\n```\n"
    first, second = blocks_of("A.md", text)
    assert (first.note, first.script, first.answer_kind, first.answer) == ("not run: because", "ls\n", "text", "x\n")
    assert (second.note, second.script, second.answer_kind, second.line) == ("", "pwd\n", "", 10)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ('{"ok": true, "price": 2, "fills": [{"qty": 1}, {"qty": 2}]}', []),
        ('{"ok": false, "price": 2, "fills": [{"qty": 1}]}', ["$.ok: False is not True"]),
        ('{"ok": true, "price": "2", "fills": [{"qty": 1}]}', ["$.price: str is not a number"]),
        ('{"ok": true, "fills": [{"qty": 1}]}', ["$: the keys are fills, ok and not fills, ok, price"]),
        ('{"ok": true, "price": 2, "fills": []}', ["$.fills: 0 entries and not at least 1"]),
        ('{"ok": true, "price": 2, "fills": [{"qty": null}]}', ["$.fills[0].qty: NoneType is not a number"]),
    ],
)
def test_an_answer_that_differs_in_keys_types_or_promised_values_is_told(given: str, found: list[str]) -> None:
    documented = '{"ok": true, "price": 1.5, "fills": [{"qty": 3}]}'
    assert differences(json.loads(documented), json.loads(given)) == found


def test_a_text_that_differs_in_more_than_its_numbers_is_told() -> None:
    assert shape("ready in 1.5 s\nok\n") == shape("ready in 2 s\nok")
    assert shape("true") != shape("false")
    assert shape("a 1") != shape("a")


def run(script: str, stack: Stack) -> subprocess.CompletedProcess[str]:
    """Run a script with bash, its ports and paths those of the stack; standard error goes with standard output."""
    keep_log(stack)
    prelude = f'jq() {{ "{sys.executable}" -c "$JQ" "$@"; }}\nset -o pipefail\n'
    return subprocess.run(
        ["bash", "-c", prelude + rewritten(script, stack)],
        cwd=ROOT,
        env={**os.environ, **address_of(stack), "JQ": JQ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BLOCK_SECONDS_MAX,
        check=False,
    )


def rewritten(script: str, stack: Stack) -> str:
    """The script with the stack's ports, its folder for var/, and the Python that runs this test."""
    ports = stack.ports
    taken = ((8000, ports.gateway), (9000, ports.model), (3000, ports.dashboard), (15050, ports.simulator))
    for documented, port in taken:
        script = script.replace(f"127.0.0.1:{documented}", f"127.0.0.1:<{port}>")
    script = re.sub(r"<(\d+)>", r"\1", script)
    script = re.sub(r"(?<![\w/.-])var/", f"{stack.state_dir}/", script)
    return script.replace(".venv/bin/", f"{BIN}/")


def address_of(stack: Stack) -> dict[str, str]:
    return {
        "JOURNAL_PATH": str(stack.state_dir / ("live-sim.sqlite3" if stack.live_sim else "journal.sqlite3")),
        "TOLLGATE_ADDR": f"127.0.0.1:{stack.ports.gateway}",
        "TOLLGATE_MODEL_ADDR": f"127.0.0.1:{stack.ports.model}",
    }


def keep_log(stack: Stack) -> None:
    """Write what the parts have said to run.log, as `make run | tee` does."""
    lines = [f"{name:<9} | {line}\n" for name in stack.parts for line in stack.lines(name)]
    (stack.state_dir / "run.log").write_text("".join(lines), encoding="utf8")


def answer_differences(block: Block, given: str) -> list[str]:
    match block.answer_kind:
        case "json":
            return differences(json.loads(block.answer), json.loads(given))
        case "text":
            return [] if shape(block.answer) == shape(given) else [f"the text is not like {block.answer!r}"]
        case _:
            return []


def differences(documented: object, given: object, at: str = "$") -> list[str]:
    """Where keys, types or promised values differ; an entry more than documented is held against the last one."""
    if isinstance(documented, dict) and isinstance(given, dict):
        if documented.keys() != given.keys():
            return [f"{at}: the keys are {', '.join(sorted(given))} and not {', '.join(sorted(documented))}"]
        below = [differences(value, given[name], f"{at}.{name}") for name, value in documented.items()]
        return [*exact_differences(documented, given, at), *(line for lines in below for line in lines)]
    if isinstance(documented, list) and isinstance(given, list):
        if len(given) < len(documented) or (given and not documented):
            return [f"{at}: {len(given)} entries and not at least {len(documented)}"]
        pairs = ((documented[min(place, len(documented) - 1)], entry) for place, entry in enumerate(given))
        return [line for place, pair in enumerate(pairs) for line in differences(*pair, f"{at}[{place}]")]
    return [] if kind(documented) == kind(given) else [f"{at}: {type(given).__name__} is not a {kind(documented)}"]


def exact_differences(documented: dict[str, object], given: dict[str, object], at: str) -> list[str]:
    promised = [name for name, value in documented.items() if name in EXACT and not isinstance(value, dict | list)]
    return [
        f"{at}.{name}: {given[name]!r} is not {documented[name]!r}"
        for name in promised
        if kind(given[name]) == kind(documented[name]) and given[name] != documented[name]
    ]


def kind(value: object) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def shape(text: str) -> list[list[str]]:
    """The words of each line, those with a digit masked."""
    return [["#" if re.search(r"\d", word) else word for word in line.split()] for line in text.strip().splitlines()]


def holds(given: object, wanted: object) -> bool:
    """True when everything wanted is in what was given."""
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(holds(given.get(name), value) for name, value in wanted.items())
    return isinstance(given, int | float) if wanted is float else given == wanted


def one_line(document: str) -> str:
    """A document with the continued lines of its commands joined."""
    return re.sub(r" \\\n\s*", " ", (ROOT / document).read_text(encoding="utf8"))


@contextlib.contextmanager
def part_stopped(stack: Stack, name: str) -> Iterator[None]:
    stack.parts[name].stop()
    yield
    stack.restart(name)
    stack.wait_ready()


@contextlib.contextmanager
def trading_halted(stack: Stack) -> Iterator[None]:
    call("POST", f"{stack.gateway_url}/api/risk/halt")
    yield
    shown = call("POST", f"{stack.gateway_url}/api/risk/resume").json
    call("POST", f"{stack.gateway_url}/api/risk/resume", body={"confirmToken": shown["confirmToken"]})


@contextlib.contextmanager
def rate_limit_used_up(stack: Stack) -> Iterator[None]:
    """Ask until refused; a restart of the gateway forgets the count."""
    url, order = f"{stack.gateway_url}/api/trade/execute", {"symbol": "BTCUSDT", "side": "buy", "qtyUsd": 100}
    assert any(call("POST", url, body=order | {"confidence": 0.5}).status == 429 for _ in range(CALLS_MAX))
    yield
    stack.restart("gateway")
    stack.wait_ready()


CONDITIONS: dict[str, Callable[[Stack], contextlib.AbstractContextManager[None]]] = {
    "model stopped": lambda stack: part_stopped(stack, "model"),
    "gateway stopped": lambda stack: part_stopped(stack, "gateway"),
    "trading halted": trading_halted,
    "rate limit used up": rate_limit_used_up,
    LIVE: lambda _: contextlib.nullcontext(),
}
"""What must be so while a block runs, and is put right after it."""
