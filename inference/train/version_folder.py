"""A version's folder, which appears whole or not at all."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from inference.adapters.disk import flush
from inference.adapters.model_onnx import load_ensemble
from inference.core.card import Card, card_text

VERSION = re.compile(r"[0-9]{8}_[0-9]{6}")


class VersionTakenError(ValueError):
    """The version's folder is there already, or its name is not one."""


WriteMore = Callable[[Path], None]
"""Writes more files into the version's folder before it appears."""


def check_version(models: Path, name: str, version: str) -> None:
    """Raises VersionTakenError when nothing may be written there."""
    if not VERSION.fullmatch(version):
        raise VersionTakenError(f"{version!r} is not a version: YYYYMMDD_HHMMSS")
    if (models / name / version).exists():
        raise VersionTakenError(f"{models / name / version} is there already; a version is never written twice")


def write_version(models: Path, card: Card, graph: bytes, write_more: WriteMore) -> Path:
    """Writes <models>/<name>/<version>/ and gives it.

    It is written under a hidden name beside its place, loaded once as the service would load it, forced to disk and
    then renamed: whoever looks sees the whole version or none. Raises as `check_version`; CardFaultError when what was
    written cannot be loaded.
    """
    check_version(models, card.name, card.version)
    (models / card.name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=models) as unfinished:
        folder = Path(unfinished) / card.name / card.version
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(graph)
        (folder / "card.json").write_text(card_text(card), encoding="utf-8")
        load_ensemble(Path(unfinished), card.name, card.version)
        write_more(folder)
        for path in (*folder.iterdir(), folder):
            flush(path)
        placed = folder.rename(models / card.name / card.version)
    flush(placed.parent)
    return placed


def replace_version(made: Path, models: Path) -> Path:
    """Puts a version that was written under another folder of models in its place, and what is there out of the way.

    Only the demonstration is made again under its own name; every other version stays as it was written.
    """
    place = models / made.parent.name / made.name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.rename(made.parents[1] / "replaced")
    made.rename(place)
    flush(place.parent)
    return place
