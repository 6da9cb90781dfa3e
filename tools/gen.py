"""Generate gen/ from proto/: Python, its stubs, Envoy's descriptors and the OpenAPI page.

`python tools/gen.py` rewrites gen/. `python tools/gen.py --check` writes to a
scratch folder instead and fails when gen/ differs from it.
"""

import argparse
import filecmp
import pathlib
import shutil
import sys
import tempfile
from importlib import resources

from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
PROTO = ROOT / "proto"
OWN = ("trading/v1", "open_inference", "vendor/buf/validate")
# protoc's --include_imports leaves these out, and Envoy needs them to print ErrorInfo.
ENVOY_EXTRA = ("google/rpc/error_details.proto", "google/rpc/status.proto")


def main() -> int:
    """Generate, or compare with what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when gen/ is not what proto/ makes")
    if not parser.parse_args().check:
        generate(ROOT / "gen")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        fresh = pathlib.Path(scratch, "gen")
        generate(fresh)
        differences = compare(fresh, ROOT / "gen")
    for line in differences:
        print(f"gen/ differs: {line}; run `make gen` and commit", file=sys.stderr)
    return 1 if differences else 0


def generate(out: pathlib.Path) -> None:
    """Write all of gen/ to `out`, replacing what is there."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    files = sorted(
        str(path.relative_to(PROTO)).removeprefix("vendor/")
        for folder in OWN
        for path in (PROTO / folder).glob("*.proto")
    )
    services = [name for name in files if not name.startswith("buf/")]
    run([f"--python_out={out}", f"--mypy_out=quiet:{out}", *files])
    run([f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services])
    run(["--include_imports", f"--descriptor_set_out={out / 'descriptors.pb'}", *services, *ENVOY_EXTRA])
    with tempfile.TemporaryDirectory() as scratch:
        commented = pathlib.Path(scratch, "commented.pb")
        run(
            ["--include_imports", "--include_source_info", f"--descriptor_set_out={commented}", *services, *ENVOY_EXTRA]
        )
        import openapi  # noqa: PLC0415 - it needs the code that was just generated

        (out / "openapi.yaml").write_text(openapi.render(commented.read_bytes()), encoding="utf8")


def run(arguments: list[str]) -> None:
    """Run protoc over proto/ and its vendored imports."""
    well_known = str(resources.files("grpc_tools") / "_proto")
    code = protoc.main(["protoc", f"-I{PROTO}", f"-I{PROTO / 'vendor'}", f"-I{well_known}", *arguments])
    if code != 0:
        raise SystemExit(f"protoc failed with {code}")


def compare(fresh: pathlib.Path, committed: pathlib.Path) -> list[str]:
    """Name each file that is missing, left over or different."""
    made = {str(path.relative_to(fresh)) for path in fresh.rglob("*") if path.is_file()}
    kept = {
        str(path.relative_to(committed))
        for path in committed.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    changed = {name for name in made & kept if not filecmp.cmp(fresh / name, committed / name, shallow=False)}
    return sorted(made ^ kept | changed)


if __name__ == "__main__":
    raise SystemExit(main())
