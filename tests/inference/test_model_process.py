"""The service as a process: its log, its refusal to start, its end; and a client that nobody here wrote."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from kit import VERSION_A, VERSION_B, write_version
from trading.v1 import model_pb2, model_pb2_grpc

ROOT = Path(__file__).parents[2]

TRITON_CLIENT = """
import sys
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("consensus")
metadata = client.get_model_metadata("consensus")
rows, inputs = 1000, []
for part, value in zip(metadata.inputs, (1.2, 0.8, 62.0), strict=True):
    tensor = triton.InferInput(part.name, [rows, 1], part.datatype)
    tensor.set_data_from_numpy(np.full((rows, 1), value, np.float32))
    inputs.append(tensor)
everything = client.infer("consensus", inputs, parameters={"shadow": True})
for part in metadata.outputs:
    assert everything.as_numpy(part.name).shape == (rows, part.shape[1]), part.name
wanted = [triton.InferRequestedOutput(name) for name in ("prob_long", "confidence")]
result = client.infer("consensus", inputs, outputs=wanted, request_id="t1")
assert result.as_numpy("members") is None
print(result.get_response().id, len(metadata.outputs), float(result.as_numpy("prob_long")[-1, 0]))
"""


@dataclass(kw_only=True)
class Running:
    """A running service, its address and the lines that it has logged."""

    process: subprocess.Popen[str]
    address: str
    lines: list[dict[str, Any]] = field(default_factory=list)


def environment(**settings: str) -> dict[str, str]:
    names = {"PATH", "PYTHONPATH", "HOME", "VIRTUAL_ENV", "LANG"}
    kept = {name: value for name, value in os.environ.items() if name in names}
    return {**kept, "MODEL_LISTEN_ADDR": "127.0.0.1:0", **settings}


def command(**settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "inference"], cwd=ROOT, env=environment(**settings), stdout=subprocess.PIPE, text=True
    )


def settings_of(folder: Path) -> dict[str, str]:
    return {"MODELS_DIR": str(folder), "MODEL_STATE_PATH": str(folder / "state" / "models.json")}


@contextmanager
def started(**settings: str) -> Iterator[Running]:
    with command(**settings) as process:
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1]["event"] != "serving":
            lines.append(json.loads(process.stdout.readline()))
        yield Running(process=process, address=f"127.0.0.1:{lines[-1]['port']}", lines=lines)
        process.kill()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_version(folder, VERSION_A, rise=0.7)
    write_version(folder, VERSION_B, rise=0.8)
    return folder


@pytest.fixture(scope="module")
def running(models: Path) -> Iterator[Running]:
    with started(**settings_of(models)) as one:
        yield one


def test_the_start_is_logged_with_the_models_version_and_digest(running: Running, models: Path) -> None:
    loaded = running.lines[0]
    assert (loaded["event"], loaded["level"], loaded["service"]) == ("model_loaded", "INFO", "model-service")
    assert loaded["version"] == VERSION_B
    card = json.loads((models / "consensus" / VERSION_B / "card.json").read_text())
    assert loaded["sha256"] == card["sha256"]


def test_tritons_client_reads_the_metadata_and_infers_a_thousand_rows(running: Running) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRITON_CLIENT, running.address],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    request_id, outputs, prob_long = done.stdout.split()
    assert (request_id, outputs) == ("t1", "5")
    assert float(prob_long) == pytest.approx(0.8 + 1.2e-4)


def test_sigterm_ends_the_service_cleanly_after_its_last_line(running: Running) -> None:
    with grpc.insecure_channel(running.address) as channel:
        assert model_pb2_grpc.ModelServiceStub(channel).GetModelHealth(model_pb2.GetModelHealthRequest(), timeout=5).ok
    running.process.send_signal(signal.SIGTERM)
    output, _ = running.process.communicate(timeout=10)
    last = [json.loads(line) for line in output.splitlines()]
    assert running.process.returncode == 0
    assert [line["event"] for line in last] == ["draining", "stopped"]
    assert last[-1]["drained"] is True


def test_a_version_that_was_activated_is_served_after_a_kill(tmp_path: Path) -> None:
    for version in (VERSION_A, VERSION_B):
        write_version(tmp_path, version)
    request = model_pb2.ActivateModelRequest(version=VERSION_A, actor="ada", reason="drill")
    with started(**settings_of(tmp_path)) as first, grpc.insecure_channel(first.address) as channel:
        assert model_pb2_grpc.ModelServiceStub(channel).ActivateModel(request, timeout=5).ok
        first.process.kill()
    with started(**settings_of(tmp_path)) as second:
        assert (second.lines[-2]["version"], second.lines[-2]["previous"]) == (VERSION_A, VERSION_B)


@pytest.mark.parametrize("wait_ms", [0, 2, 5, 10])
def test_a_kill_at_any_moment_of_an_activation_leaves_a_state_that_starts_and_its_record(
    tmp_path: Path, wait_ms: int
) -> None:
    for version in (VERSION_A, VERSION_B):
        write_version(tmp_path, version)
    request = model_pb2.ActivateModelRequest(version=VERSION_A, actor="ada", reason="drill")
    with started(**settings_of(tmp_path)) as first, grpc.insecure_channel(first.address) as channel:
        call = model_pb2_grpc.ModelServiceStub(channel).ActivateModel.future(request, timeout=5)
        time.sleep(wait_ms / 1000)
        first.process.kill()
        answered = call.exception() is None
    kept = tmp_path / "state" / "models.json"
    changed = kept.exists()
    with started(**settings_of(tmp_path)) as second:
        served = second.lines[-2]["version"]
    assert served == (VERSION_A if changed else VERSION_B)
    assert changed or not answered
    audit = tmp_path / "state" / "models.audit.jsonl"
    told = [json.loads(line) for line in audit.read_text().splitlines()] if audit.exists() else []
    assert [line["to_version"] for line in told] == ([VERSION_A] if changed else [])


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
        ({"MODEL_NAME": "absent"}, ("no version", "absent")),
        ({"MODEL_VERSION": "19990101_000000"}, ("19990101_000000",)),
        ({"MODEL_STATE_PATH": "README.md"}, ("README.md", "does not say which model version to serve")),
    ],
)
def test_a_service_that_must_not_start_says_why_in_one_line_and_exits_2(
    models: Path, settings: dict[str, str], named: tuple[str, ...]
) -> None:
    with command(**settings_of(models) | settings) as process:
        output, _ = process.communicate(timeout=20)
    (line,) = [json.loads(text) for text in output.splitlines()]
    assert process.returncode == 2
    assert (line["event"], line["level"]) == ("start_refused", "ERROR")
    assert all(name in line["reason"] for name in named)


def test_a_card_that_lies_stops_the_start_of_the_version_that_is_named(tmp_path: Path) -> None:
    write_version(tmp_path, VERSION_A)
    card = tmp_path / "consensus" / VERSION_A / "card.json"
    card.write_text(card.read_text().replace('"rv_5"', '"rv_9"'))
    with command(**settings_of(tmp_path), MODEL_VERSION=VERSION_A) as process:
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 2
    reason = json.loads(output)["reason"]
    assert "'rv_9'" in reason
    assert VERSION_A in reason
