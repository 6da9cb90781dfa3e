"""Schemathesis against the JSON edge: whatever it sends, the answers keep to gen/openapi.yaml."""

import pathlib
import subprocess
import sys

import pytest
from running import Tollgate

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@pytest.mark.parametrize(
    ("port", "paths"),
    [("gateway", ["--exclude-path-regex", "^/api/(model|events)"]), ("model", ["--include-path-regex", "^/api/model"])],
)
def test_no_request_brings_an_answer_that_the_schema_does_not_promise(
    tollgate: Tollgate, port: str, paths: list[str], tmp_path: pathlib.Path
) -> None:
    url = getattr(tollgate, port)
    command = [pathlib.Path(sys.executable).parent / "schemathesis", "run", ROOT / "gen/openapi.yaml", "--url", url]
    limits = ["--max-examples", "25", "--phases", "coverage,fuzzing", "--request-timeout", "10", "--seed", "20261123"]
    done = subprocess.run(
        [*command, *paths, "--checks", ",".join(CHECKS), *limits, "--no-color"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout
    tollgate.resume("ann", "the schema test halts too")
