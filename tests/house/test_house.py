"""The rules of the house, each shown to fail when it is broken on purpose."""

import ast
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "inference", "simulator")
BIN = pathlib.Path(sys.executable).parent


def sources(*folders):
    for folder in folders or PACKAGES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf8")


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def lint_imports(tree):
    return subprocess.run(
        [BIN / "lint-imports", "--no-cache"], cwd=tree, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def copy(tmp_path):
    """A copy of the tree to break; gone afterwards, since it has the simulator's own keys, which no test may leave."""
    for name in (*PACKAGES, "gen"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "models"))
    for name in (".importlinter", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    yield tmp_path
    shutil.rmtree(tmp_path)


def break_file(copy, name, line):
    path = copy / name
    path.write_text(path.read_text(encoding="utf8") + f"\n{line}\n", encoding="utf8")


def test_the_import_contracts_are_kept():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_import_contract_fails_when_it_is_broken(copy):
    broken = {
        "gateway: main, wiring, wire side, path, ports, core": ("gateway/ports.py", "import gateway.order_path"),
        "gateway: no adapter knows another, the path or the wire side": (
            "gateway/adapters/venue_paper.py",
            "import gateway.adapters.clock",
        ),
        "gateway: adapters never reach up": ("gateway/adapters/facts.py", "import gateway.order_path"),
        "gateway: the core is pure": ("gateway/core/size.py", "import time"),
        "gateway: generated code is known to the wire side and the model client alone": (
            "gateway/guard.py",
            "from trading.v1 import risk_pb2",
        ),
        "gateway: one file knows pybit": ("gateway/adapters/venue_bybit/venue.py", "import pybit"),
        "gateway, inference and simulator share the contract and nothing else": (
            "gateway/health.py",
            "import simulator.process",
        ),
        "gateway: live trading is wired by one file": (
            "gateway/wiring.py",
            "import gateway.adapters.venue_bybit.venue",
        ),
        "inference: one file knows onnxruntime, and nothing that serves knows training": (
            "inference/core/card.py",
            "import onnxruntime",
        ),
    }
    for name, line in broken.values():
        break_file(copy, name, line)
    done = lint_imports(copy)
    assert done.returncode == 1
    kept = [contract for contract in broken if f"{contract} BROKEN" not in done.stdout]
    assert kept == [], done.stdout


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("an_order", 'Argument 1 to "submit" of "Venue" has incompatible type "Order"; expected "Approved"'),
        ("approved", None),
    ],
)
def test_an_unrisked_order_is_a_type_error(tmp_path, argument, error):
    code = f"""
from gateway.core.model import Order, Outcome
from gateway.core.risk import Approved
from gateway.ports import Venue

async def send(venue: Venue, an_order: Order, approved: Approved) -> Outcome:
    return await venue.submit({argument})
"""
    snippet = tmp_path / "snippet.py"
    snippet.write_text(code, encoding="utf8")
    done = subprocess.run(
        [BIN / "mypy", "--config-file", ROOT / "pyproject.toml", snippet],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    if error is None:
        assert done.returncode == 0, done.stdout
    else:
        assert error in done.stdout


def test_venue_submit_has_one_caller():
    callers = [
        name
        for name, text in sources("gateway")
        for call in calls(ast.parse(text))
        if isinstance(call.func, ast.Attribute) and call.func.attr == "submit"
    ]
    assert callers == ["gateway/order_path.py"]


def test_only_risk_makes_permission():
    makers = {
        name
        for name, text in sources("gateway")
        for call in calls(ast.parse(text))
        if isinstance(call.func, ast.Name) and call.func.id == "Approved"
    }
    assert makers == {"gateway/core/risk.py"}


def test_a_paper_process_loads_neither_the_live_venue_nor_its_client():
    """Building a paper gateway, so that lazy imports count too."""
    code = """
import asyncio, sys
from gateway.settings import load
from gateway.wiring import Gateway

async def build():
    Gateway(load({"JOURNAL_PATH": sys.argv[1]}))

asyncio.run(build())
live = ("pybit", "gateway.adapters.venue_bybit", "gateway.wiring_live")
print(*sorted(name for name in sys.modules if name.startswith(live)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "never-opened.sqlite3"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr


def test_only_settings_read_the_environment():
    readers = {name for name, text in sources() if re.search(r"os\.(environ(?!\.setdefault)|getenv)", text)}
    assert readers <= {"gateway/settings.py", "inference/settings.py", "simulator/settings.py"}


def test_only_the_boundaries_catch_everything():
    catchers = {
        name
        for name, text in sources()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
    }
    assert catchers <= {
        "gateway/rpc/errors.py",
        "inference/rpc/errors.py",
        "gateway/adapters/venue_bybit/dispatch.py",
        "gateway/adapters/venue_bybit/session.py",
        "gateway/adapters/venue_bybit/stream.py",
    }


def test_functions_fit_a_glance_and_modules_a_sitting():
    too_long = []
    for name, text in sources(*PACKAGES, "tools"):
        if text.count("\n") > 400:
            too_long.append(name)
        too_long += [
            f"{name}:{node.lineno} {node.name}"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno > 60
        ]
    assert too_long == []


def test_nothing_half_made_is_here():
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert [name for name, text in sources(*PACKAGES, "tools", "envoy") if marks.search(text)] == []


def test_tests_pass_fakes_in_and_patch_nothing():
    patching = re.compile(r"\bmock\.patch|\bpatch\(|monkeypatch\.setattr\(")
    here = pathlib.Path(__file__).resolve()
    files = [path for path in (ROOT / "tests").rglob("*.py") if path != here]
    assert [path.name for path in files if patching.search(path.read_text(encoding="utf8"))] == []


def test_every_comment_of_the_contract_is_there():
    """buf lint checks it with its COMMENTS rules; this says that those rules are on."""
    assert "COMMENTS" in (ROOT / "proto/buf.yaml").read_text(encoding="utf8")


def test_every_part_has_the_projects_version():
    import tomllib

    import gateway
    import inference

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert {gateway.__version__, inference.__version__} == {project["version"]}
