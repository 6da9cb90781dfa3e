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
from inference.core.consensus import OUTPUTS, Rows, Scores, ScoringFailedError

INPUT = "features"
FEATURE_NAMES_KEY = "feature_names"
"""The key under which the graph itself names its features, in order, parted by commas."""

GRAPH_FILE, CARD_FILE = "model.onnx", "card.json"

_VERSION = re.compile(r"[0-9]{8}_[0-9]{6}")
_GRAPH_BYTES_MAX = 64 * 2**20  # a served ensemble is under 1 MB; more is some other file
_CARD_BYTES_MAX = 2**20
_FAULT_LENGTH_MAX = 300  # of what ONNX Runtime says of a failure, in which it may quote much
_ORT_FAULTS = (
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
        """What the ensemble says of the rows, shape [rows, features]. Raises ScoringFailedError."""
        try:
            prob_long, confidence, members, disagreement, dissimilarity = self._session.run(OUTPUTS, {INPUT: rows})
        except _ORT_FAULTS as fault:
            told = str(fault)[:_FAULT_LENGTH_MAX]
            raise ScoringFailedError(f"the graph of {self._card.version} cannot be run: {told}") from fault
        return Scores(
            prob_long=prob_long,
            confidence=confidence,
            members=members,
            disagreement=disagreement,
            dissimilarity=dissimilarity,
        )


def load_ensemble(models: Path, name: str, version: str | None) -> OnnxEnsemble:
    """The model of that name; the newest version when none is named.

    Raises CardFaultError when it is not there, not whole, or not what its card says.
    """
    if version is None:
        version = versions_under(models / name)[0]
    folder = models / name / version
    graph = read_graph(folder)
    card = read_card(read_card_text(folder))
    check_digest(card, hashlib.sha256(graph).hexdigest())  # first: only a graph that the card vouches for is loaded
    session = _session(graph, folder)
    check_card(card, _facts(session), name=name, version=folder.name)
    ensemble = OnnxEnsemble(session, card)
    _prove(ensemble)
    return ensemble


def versions_under(folder: Path) -> list[str]:
    """The versions of a model's folder, newest first. Raises CardFaultError when there is none."""
    found = sorted((entry.name for entry in folder.glob("*") if _VERSION.fullmatch(entry.name)), reverse=True)
    if not found:
        raise CardFaultError(f"no version (YYYYMMDD_HHMMSS) of a model under {folder}")
    return found


def read_graph(folder: Path) -> bytes:
    """The version's graph, unchecked. Raises CardFaultError."""
    return _read(folder / GRAPH_FILE, _GRAPH_BYTES_MAX)


def read_card_text(folder: Path) -> str:
    """The version's card as it stands on the disk. Raises CardFaultError."""
    return _read(folder / CARD_FILE, _CARD_BYTES_MAX).decode("utf-8", errors="replace")


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
    options.log_severity_level = 4  # fatal alone: its lines are not JSON, and what goes wrong is raised
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _ORT_FAULTS as fault:
        raise CardFaultError(f"{folder / GRAPH_FILE} is not a graph that can be loaded") from fault


def _facts(session: ort.InferenceSession) -> GraphFacts:
    inputs = [(part.name, part.type, len(part.shape)) for part in session.get_inputs()]
    if inputs != [(INPUT, "tensor(float)", 2)]:
        raise CardFaultError(f"the graph takes {inputs}, not one float matrix named {INPUT!r}")
    outputs = session.get_outputs()
    if tuple(part.name for part in outputs) != OUTPUTS:
        raise CardFaultError(f"the graph gives {tuple(part.name for part in outputs)}, not {OUTPUTS}")
    wrong = [part.name for part in outputs if part.type != "tensor(float)" or len(part.shape) != 2]  # noqa: PLR2004 - rows and columns
    if wrong:
        raise CardFaultError(f"the graph's outputs {', '.join(wrong)} are no float matrices")
    names = tuple(session.get_modelmeta().custom_metadata_map.get(FEATURE_NAMES_KEY, "").split(","))
    width = session.get_inputs()[0].shape[1]
    if width != len(names):
        raise CardFaultError(f"the graph takes {width} columns but names {len(names)} features")
    members_count = outputs[OUTPUTS.index("members")].shape[1]
    if not isinstance(members_count, int):
        raise CardFaultError("the graph does not say how many members it has")
    return GraphFacts(feature_names=names, members_count=members_count)


def _prove(ensemble: OnnxEnsemble) -> None:
    """Runs the graph once: every output must be what it may be, and the first caller finds the graph warm."""
    card, rows = ensemble.card, 2
    try:
        scores = ensemble.score(np.ones((rows, len(card.features)), dtype=np.float32))
    except ScoringFailedError as fault:
        raise CardFaultError(str(fault)) from fault
    # Shrinking keeps the favoured side's probability at one half or more; a bias of sigmoid may bring it below.
    confidence_min = 0.0 if card.calibration.method == "sigmoid" else 0.5
    bounds = {
        "prob_long": (1, 0.0, 1.0),
        "confidence": (1, confidence_min, 1.0),
        "members": (len(card.members), 0.0, 1.0),
        "disagreement": (1, 0.0, 0.5),  # of numbers from 0 to 1
        "dissimilarity": (1, 0.0, float(np.finfo(np.float32).max)),
    }
    for name in OUTPUTS:
        columns, low, high = bounds[name]
        values = getattr(scores, name)
        if values.shape != (rows, columns):
            raise CardFaultError(f"the graph gives {name} of shape {values.shape}, not {(rows, columns)}")
        if not ((values >= low) & (values <= high)).all():
            raise CardFaultError(f"the graph gives {name} {float(values.min()):g}, not from {low:g} to {high:g}")


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
