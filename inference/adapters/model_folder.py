"""The versions of one model as folders: what each holds, read once for each time that its files change."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.adapters.model_onnx import (
    CARD_FILE,
    GRAPH_FILE,
    OnnxEnsemble,
    load_ensemble,
    read_card_text,
    read_graph,
    versions_under,
)
from inference.core.card import Card, CardFaultError, GraphFacts, check_card, check_digest, read_card
from inference.core.gates import faults_of
from inference.ports import VersionFacts

_KNOWN_MAX = 1000  # facts that are kept: many times the versions that are listed; then all are read anew

_Stamp = tuple[int, int, int, int]
"""Modification time (ns) and size of the card and of the graph; -1 for a file that is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    stamp: _Stamp
    facts: VersionFacts


class ModelFolder:
    """The folder <models>/<name>."""

    def __init__(self, models: Path, name: str) -> None:
        self.name = name
        self._models = models
        self._known: dict[str, _Known] = {}

    def versions(self) -> Sequence[str]:
        """Every version that is there, newest first; none when the folder is empty or not there."""
        try:
            return versions_under(self._models / self.name)
        except CardFaultError:
            return ()

    def facts(self, version: str) -> VersionFacts | None:
        """What the version's files say; None when there is no such version."""
        folder = self._models / self.name / version
        if not folder.is_dir():
            return None
        stamp = (*_stamp(folder / CARD_FILE), *_stamp(folder / GRAPH_FILE))
        known = self._known.get(version)
        if known is not None and known.stamp == stamp:
            return known.facts
        facts = _read_facts(folder, self.name)
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[version] = _Known(stamp=stamp, facts=facts)
        return facts

    def load(self, version: str) -> OnnxEnsemble:
        """The version, loaded and proven. Raises CardFaultError."""
        return load_ensemble(self._models, self.name, version)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_mtime_ns, status.st_size


def _read_facts(folder: Path, name: str) -> VersionFacts:
    try:
        text = read_card_text(folder)
    except CardFaultError as fault:
        return VersionFacts(version=folder.name, card=None, card_text="", faults=(str(fault),))
    try:
        card = read_card(text)
    except CardFaultError as fault:
        return VersionFacts(version=folder.name, card=None, card_text=text, faults=(str(fault),))
    faults = _file_faults(card, folder, name) + faults_of(card)
    return VersionFacts(version=folder.name, card=card, card_text=text, faults=faults)


def _file_faults(card: Card, folder: Path, name: str) -> tuple[str, ...]:
    """What is wrong with the files of a readable card, as far as can be told without loading the graph."""
    as_the_card_says = GraphFacts(feature_names=card.feature_names, members_count=len(card.members))
    try:
        check_card(card, as_the_card_says, name=name, version=folder.name)
        check_digest(card, hashlib.sha256(read_graph(folder)).hexdigest())
    except CardFaultError as fault:
        return (str(fault),)
    return ()
