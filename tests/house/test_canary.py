"""The search for secrets in a run of the suite finds them wherever they are shown, and then the run fails."""

import base64
import os
import pathlib
import subprocess
import sys

import pytest
from canary import (
    CANARY_SECRET,
    OVERLAP_BYTES,
    PIECE_BYTES,
    SECRETS,
    Search,
    assert_secret_hidden,
    keeps_a_secret,
    shapes,
)

TESTS = pathlib.Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
CLEAN = "import canary, logging, pytest, structlog\ndef test_it(tmp_path):\n    (tmp_path / 'log').write_text('fine')\n"
SHOWN = {
    "file": "    (tmp_path / 'a').mkdir(); (tmp_path / 'a' / 'b').write_text('x' + canary.CANARY_SECRET)",
    "name of a file": "    (tmp_path / canary.CANARY_SECRET).touch()",
    "output": "    print(canary.CANARY_SECRET)",
    "log": "    logging.getLogger('a').debug('key %s', canary.SECRETS[2])",
    "event": "    structlog.get_logger().info('signed', secret=canary.CANARY_SECRET)",
    "child": "    import subprocess, sys; subprocess.run([sys.executable, '-c', f'print({canary.CANARY_SECRET!r})'])",
    "hexadecimal": "    print(canary.CANARY_SECRET.encode().hex())",
    "failure": "    assert 'public' == canary.CANARY_SECRET",
    "name of a test": "@pytest.mark.parametrize('given', [canary.CANARY_SECRET])\ndef test_two(given): pass",
}


def run_of(folder: pathlib.Path, test: str) -> subprocess.CompletedProcess[str]:
    """A run of one test with the hooks, in a folder of its own that this run does not search."""
    folder.mkdir()
    (folder / "test_one.py").write_text(test, encoding="utf8")
    (folder / "pytest.ini").write_text("[pytest]\nlog_level = DEBUG\n", encoding="utf8")
    (folder / "conftest.py").write_text((TESTS / "conftest.py").read_text(encoding="utf8"), encoding="utf8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'temp'}", folder]
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (TESTS, ROOT))), "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, env=paths, capture_output=True, text=True, check=False, timeout=60)


def test_a_run_that_shows_no_secret_says_what_was_searched(tmp_path: pathlib.Path) -> None:
    run = run_of(tmp_path / "run", CLEAN)
    assert run.returncode == 0
    assert "\nno secret in 6 outputs and 1 files (0 MB)\n" in run.stdout


@pytest.mark.parametrize("where", SHOWN)
def test_a_run_that_shows_a_secret_fails(tmp_path: pathlib.Path, where: str) -> None:
    run = run_of(tmp_path / "run", f"{CLEAN}{SHOWN[where]}\n")
    for path in (tmp_path / "run").rglob("*"):
        keeps_a_secret(path)
    assert run.returncode == 1
    assert "= a secret is shown =" in run.stdout


def test_every_secret_is_looked_for_in_every_shape(tmp_path: pathlib.Path) -> None:
    assert len(set(SECRETS)) == 4
    for number, secret in enumerate(SECRETS):
        for before in range(4):
            coded = base64.b64encode(b"<" * before + secret.encode() + b">")
            assert any(shape in coded for shape in shapes(secret)[3:])
        keeps_a_secret(tmp_path / str(number)).write_text(secret, encoding="utf8")


def test_a_secret_on_the_border_of_two_pieces_is_found(tmp_path: pathlib.Path) -> None:
    for place in (PIECE_BYTES - OVERLAP_BYTES, PIECE_BYTES - 3, PIECE_BYTES, 3 * PIECE_BYTES - 1):
        (tmp_path / "large").write_bytes(b"x" * place + CANARY_SECRET.encode() + b"x")
        search = Search()
        search.folder(tmp_path)
        assert search.found == [str(tmp_path / "large")]
    (tmp_path / "large").unlink()


def test_an_object_that_prints_a_secret_is_found() -> None:
    assert_secret_hidden("nothing", b"nothing", {"key": "value"})
    for shown in (f"a {CANARY_SECRET}", CANARY_SECRET.encode(), {"secret": CANARY_SECRET}, ValueError(CANARY_SECRET)):
        with pytest.raises(AssertionError, match="a secret is shown"):
            assert_secret_hidden(shown)
