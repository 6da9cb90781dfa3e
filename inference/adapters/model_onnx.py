"""A model on disk, run by ONNX Runtime; the only import of it.

A version is a folder <models>/<name>/<YYYYMMDD_HHMMSS>/ with model.onnx and card.json.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# onnxruntime reports its use to its maker unless this is set before it is imported; a trading system tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_faults

from inference.core.card import (
    Card,
    CardFaultError,
    GraphFacts,
    check_card,
    check_digest,
    read_card,
)
from inference.core.consensus import OUTPUTS, Rows, Scores

INPUT = "features"
FEATURE_NAMES_KEY = "feature_names"
"""The key under which the graph itself names its features, in order, parted by commas."""

_VERSION = re.compile(r"[0-9]{8}_[0-9]{6}")
_GRAPH_BYTES_MAX = 64 * 2**20  # a served ensemble is under 1 MB; more is some other file
_CARD_BYTES_MAX = 2**20
_UNLOADABLE = (
    ort_faults.Fail,
    ort_faults.InvalidArgument,
    ort_faults.InvalidGraph,
    ort_faults.InvalidProtobuf,
    ort_faults.NotImplemented,
    ort_faults.RuntimeException,
)


class OnnxEnsemble:
    """A loaded graph with its checked card."""

    def __init__(self, session: ort.InferenceSession, card: Card) -> None:
        self._session = session
        self._card = card

    @property
    def card(self) -> Card:
        """What the model is."""
        return self._card

    def score(self, rows: Rows) -> Scores:
        """What the ensemble says of the rows, shape [rows, features]."""
        return Scores(**dict(zip(OUTPUTS, self._session.run(OUTPUTS, {INPUT: rows}), strict=True)))


def load_ensemble(models: Path, name: str, version: str | None) -> OnnxEnsemble:
    """The model of that name; the newest version when none is named.

    Raises CardFaultError when it is not there, not whole, or not what its card says.
    """
    folder = models / name / (version or _newest_version(models / name))
    graph = _read(folder / "model.onnx", _GRAPH_BYTES_MAX)
    card = read_card(_read(folder / "card.json", _CARD_BYTES_MAX).decode("utf-8", errors="replace"))
    check_digest(card, hashlib.sha256(graph).hexdigest())  # first: only a graph that the card vouches for is loaded
    session = _session(graph, folder)
    check_card(card, _facts(session), name=name, version=folder.name)
    ensemble = OnnxEnsemble(session, card)
    _prove(ensemble)
    return ensemble


def _newest_version(folder: Path) -> str:
    found = sorted(entry.name for entry in folder.glob("*") if _VERSION.fullmatch(entry.name))
    if not found:
        raise CardFaultError(f"no version (YYYYMMDD_HHMMSS) of a model under {folder}")
    return found[-1]


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > bytes_max:
            raise CardFaultError(f"{path} has {size} bytes, more than {bytes_max}")
        return path.read_bytes()
    except OSError as fault:
        raise CardFaultError(f"cannot read {path}: {fault.strerror}") from fault


def _session(graph: bytes, folder: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # rows are few: handing work between threads costs more than it saves
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # batches are small; an arena only holds memory
    options.log_severity_level = 3  # errors only: its warnings are not JSON
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _UNLOADABLE as fault:
        raise CardFaultError(f"{folder / 'model.onnx'} is not a graph that can be loaded") from fault


def _facts(session: ort.InferenceSession) -> GraphFacts:
    inputs = [(part.name, part.type, len(part.shape)) for part in session.get_inputs()]
    if inputs != [(INPUT, "tensor(float)", 2)]:
        raise CardFaultError(f"the graph takes {inputs}, not one float matrix named {INPUT!r}")
    shapes = {part.name: part.shape for part in session.get_outputs()}
    if tuple(shapes) != OUTPUTS:
        raise CardFaultError(f"the graph gives {tuple(shapes)}, not {OUTPUTS}")
    names = tuple(session.get_modelmeta().custom_metadata_map.get(FEATURE_NAMES_KEY, "").split(","))
    width = session.get_inputs()[0].shape[1]
    if width != len(names):
        raise CardFaultError(f"the graph takes {width} columns but names {len(names)} features")
    return GraphFacts(feature_names=names, members_count=shapes["members"][1])


def _prove(ensemble: OnnxEnsemble) -> None:
    """Runs the graph once: it must give probabilities, and the first caller finds it warm."""
    scores = ensemble.score(np.ones((2, len(ensemble.card.features)), dtype=np.float32))
    for values in (scores.prob_long, scores.confidence, scores.members):
        if not ((values >= 0.0) & (values <= 1.0)).all():
            raise CardFaultError("the graph does not give probabilities")


class Graph:
    """Any graph of one float matrix named `INPUT`, without a card: for training, which must prove it before it has one.

    Raises CardFaultError when it cannot be loaded.
    """

    def __init__(self, graph: bytes) -> None:
        self._session = _session(graph, Path())

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of what it gives, in order."""
        return tuple(part.name for part in self._session.get_outputs())

    def run(self, rows: Rows, names: Sequence[str]) -> list[NDArray[np.float32]]:
        """The named outputs of the rows."""
        outputs: list[NDArray[np.float32]] = self._session.run(list(names), {INPUT: rows})
        return outputs
