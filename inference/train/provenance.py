"""With what a model was trained: the code's commit and the libraries."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

_LIBRARIES = ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime", "protobuf")
_GIT_SECONDS_MAX = 10.0
_CODE = ("inference", "simulator", ":!inference/models")
"""What a change of makes another model; the models themselves are not."""


def libraries() -> dict[str, str]:
    """The versions of Python and of the libraries that fit and export."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _LIBRARIES}


def git_commit(root: Path) -> str:
    """The commit of the checkout at `root`, "-dirty" behind it when the code was changed since; else "unknown"."""
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", *_CODE)
    if commit is None or changed is None:
        return "unknown"
    return commit + ("-dirty" if changed else "")


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GIT_SECONDS_MAX)  # noqa: S603 # no shell, and no argument of anybody's
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
