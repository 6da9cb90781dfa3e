"""The service as a process: its log, its refusal to start, its end; and a client that nobody here wrote."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from trading.v1 import model_pb2, model_pb2_grpc

ROOT = Path(__file__).parents[2]

TRITON_CLIENT = """
import sys
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("consensus")
metadata = client.get_model_metadata("consensus")
inputs = []
for part, value in zip(metadata.inputs, (1.2, 0.8, 62.0), strict=True):
    tensor = triton.InferInput(part.name, [2, 1], part.datatype)
    tensor.set_data_from_numpy(np.full((2, 1), value, np.float32))
    inputs.append(tensor)
wanted = [triton.InferRequestedOutput(name) for name in ("prob_long", "confidence")]
result = client.infer("consensus", inputs, outputs=wanted, request_id="t1")
assert result.as_numpy("members") is None
print(result.get_response().id, result.as_numpy("prob_long").shape, float(result.as_numpy("prob_long")[0, 0]))
"""


@dataclass(kw_only=True)
class Running:
    """A running service, its address and the lines that it has logged."""

    process: subprocess.Popen[str]
    address: str
    lines: list[dict[str, Any]] = field(default_factory=list)


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "VIRTUAL_ENV", "LANG"}}
    return {**kept, "MODEL_LISTEN_ADDR": "127.0.0.1:0", **settings}


def command(**settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "inference"], cwd=ROOT, env=environment(**settings), stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with command() as process:
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1]["event"] != "serving":
            lines.append(json.loads(process.stdout.readline()))
        yield Running(process=process, address=f"127.0.0.1:{lines[-1]['port']}", lines=lines)
        process.kill()


def test_the_start_is_logged_with_the_models_version_and_digest(running: Running) -> None:
    loaded = running.lines[0]
    assert (loaded["event"], loaded["level"], loaded["service"]) == ("model_loaded", "INFO", "model-service")
    card = json.loads((ROOT / "inference" / "models" / "consensus" / loaded["version"] / "card.json").read_text())
    assert loaded["sha256"] == card["sha256"]


def test_tritons_client_infers_against_the_service(running: Running) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRITON_CLIENT, running.address],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    request_id, *shape, prob_long = done.stdout.split()
    assert (request_id, " ".join(shape)) == ("t1", "(2, 1)")
    assert 0.70 <= float(prob_long) <= 0.80


def test_sigterm_ends_the_service_cleanly_after_its_last_line(running: Running) -> None:
    with grpc.insecure_channel(running.address) as channel:
        assert model_pb2_grpc.ModelServiceStub(channel).GetModelHealth(model_pb2.GetModelHealthRequest(), timeout=5).ok
    running.process.send_signal(signal.SIGTERM)
    output, _ = running.process.communicate(timeout=10)
    last = [json.loads(line) for line in output.splitlines()]
    assert running.process.returncode == 0
    assert [line["event"] for line in last] == ["draining", "stopped"]
    assert last[-1]["drained"] is True


def test_nothing_that_serves_imports_what_trains() -> None:
    script = "import sys, inference.wiring; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    loaded = done.stdout.split()
    assert "onnxruntime" in loaded
    assert not {"sklearn", "scipy", "onnx", "skl2onnx", "inference.train"} & set(loaded)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"MODEL_MAX_ROWS": "0", "LOG_LEVEL": "LOUD"}, ("MODEL_MAX_ROWS", "LOG_LEVEL")),
        ({"MODEL_NAME": "absent"}, ("no version",)),
        ({"MODEL_VERSION": "19990101_000000"}, ("19990101_000000",)),
    ],
)
def test_a_service_that_must_not_start_says_why_in_one_line_and_exits_2(
    settings: dict[str, str], named: tuple[str, ...]
) -> None:
    with command(**settings) as process:
        output, _ = process.communicate(timeout=20)
    (line,) = [json.loads(text) for text in output.splitlines()]
    assert process.returncode == 2
    assert (line["event"], line["level"]) == ("start_refused", "ERROR")
    assert all(name in line["reason"] for name in named)


def test_a_card_that_lies_stops_the_start(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "inference" / "models", tmp_path / "models")
    (card,) = (tmp_path / "models").glob("consensus/*/card.json")
    card.write_text(card.read_text().replace('"rv_5"', '"rv_9"'))
    with command(MODELS_DIR=str(tmp_path / "models")) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "'rv_9' is not known" in json.loads(output)["reason"]
