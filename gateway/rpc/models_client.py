"""What `tollgate models` asks of a running model service, told in lines for a person or as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from trading.v1 import model_pb2, model_pb2_grpc

from gateway.rpc.cli_calls import Connection, Reply, reply

CHANGE_DEADLINE_SECONDS: Final = 30.0
"""How long a change may take: it loads and proves a version, after those that were asked for before it."""

CHANGES_SHOWN: Final = 5

_CANARY: Final = "canary_"
_WIDTH: Final = 30  # of the longest name of a figure or a gate


class ModelsClient(Connection):
    """A connection to one model service; every method raises CallFailedError."""

    part = "model service"
    setting = "TOLLGATE_MODEL_ADDR"

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._stub = model_pb2_grpc.ModelServiceStub(self.channel)

    def versions(self) -> Reply:
        """Every version and the newest changes."""
        listed = self.call(self._stub.ListModels, model_pb2.ListModelsRequest())
        changes = [_change_line(change) for change in listed.changes[:CHANGES_SHOWN]]
        return reply(listed, [_version_line(model) for model in listed.models] + changes)

    def show(self, version: str) -> Reply:
        """One version: what it is, its figures, and how it meets the gates."""
        told = self._told(version)
        return reply(told, [*_model_lines(told.model), *_gate_lines(told.gates), *_fault_lines(told.model)])

    def compare(self, one: str, other: str) -> Reply:
        """The figures of two versions side by side."""
        first, second = self._told(one).model, self._told(other).model
        rows = [
            (name, first.calibration.get(name), second.calibration.get(name))
            for name in dict.fromkeys((*sorted(first.calibration), *sorted(second.calibration)))
        ]
        lines = [f"{'':{_WIDTH}}{one:>17}{other:>17}{'difference':>17}", *(_comparison(*row) for row in rows)]
        figures = {name: {one: left, other: right} for name, left, right in rows}
        return Reply(lines=[*lines, *_feature_differences(first, second)], json=json.dumps(figures, indent=2))

    def activate(self, version: str, *, actor: str, reason: str) -> Reply:
        """Serve another version."""
        request = model_pb2.ActivateModelRequest(version=version, actor=actor, reason=reason)
        done = self.call(self._stub.ActivateModel, request, deadline_seconds=CHANGE_DEADLINE_SECONDS)
        return reply(done, [done.message, _rollback_line(done.previous)])

    def roll_back(self, *, actor: str, reason: str) -> Reply:
        """Serve the version that was active before."""
        request = model_pb2.RollbackModelRequest(actor=actor, reason=reason)
        done = self.call(self._stub.RollbackModel, request, deadline_seconds=CHANGE_DEADLINE_SECONDS)
        return reply(done, [done.message, _rollback_line(done.previous)])

    def shadow(self, version: str, *, actor: str, reason: str) -> Reply:
        """Attach a shadow; detach it when the version is empty."""
        request = model_pb2.SetShadowModelRequest(version=version, actor=actor, reason=reason)
        done = self.call(self._stub.SetShadowModel, request, deadline_seconds=CHANGE_DEADLINE_SECONDS)
        return reply(done, [done.message])

    def _told(self, version: str) -> model_pb2.GetModelResponse:
        return self.call(self._stub.GetModel, model_pb2.GetModelRequest(version=version))


def _version_line(model: model_pb2.ModelInfo) -> str:
    figures = [f"{name} {_number(model.calibration.get(name))}" for name in ("auc", "ece")]
    faults = f"faults: {len(model.faults)}" if model.faults else ""
    parts = (f"{model.state:<9}", model.version, *figures, _plain(model.description), faults)
    return "  ".join(part for part in parts if part)


def _change_line(change: model_pb2.ModelChange) -> str:
    versions = f"{change.from_version or 'none'} to {change.to_version or 'none'}"
    return f"{change.time}  {change.kind} {versions} by {_plain(change.actor)}: {_plain(change.reason)}"


def _model_lines(model: model_pb2.ModelInfo) -> Iterator[str]:
    yield f"{model.version}  {model.state}"
    if not model.sha256:  # its card cannot be read; the faults say why
        return
    yield _plain(model.description)
    yield f"market    {model.market}, bars of {model.bar_seconds} s, {model.horizon_seconds} s ahead"
    yield f"label     {_plain(model.label)}"
    yield f"data      {_plain(model.data_source)}"
    yield f"training  {model.training_start} to {model.training_end}, expires {model.expires or 'never'}"
    yield f"features  {', '.join(f'{feature.name} ({feature.unit})' for feature in model.features)}"
    yield f"sha256    {model.sha256}"
    yield "figures"
    for name in sorted(model.calibration):
        yield f"  {name:{_WIDTH}} {_number(model.calibration[name])}"


def _gate_lines(gates: Sequence[model_pb2.GateInfo]) -> Iterator[str]:
    canaries = [gate for gate in gates if gate.name.startswith(_CANARY)]
    others = [gate for gate in gates if not gate.name.startswith(_CANARY)]
    for title, group in (("gates", others), ("canaries", canaries)):
        if group:
            yield title
        for gate in group:
            name = gate.name.removeprefix(_CANARY)
            waived = f"  let pass: {_plain(gate.overridden)}" if gate.overridden else ""
            yield f"  {_verdict(gate):<4} {name:{_WIDTH - 5}} {gate.value:.6g} against {gate.limit:.6g}{waived}"


def _verdict(gate: model_pb2.GateInfo) -> str:
    return "pass" if gate.passed else "over" if gate.overridden else "FAIL"


def _fault_lines(model: model_pb2.ModelInfo) -> list[str]:
    return ["faults", *(f"  {_plain(fault)}" for fault in model.faults)] if model.faults else []


def _comparison(name: str, one: float | None, other: float | None) -> str:
    difference = "" if one is None or other is None else f"{other - one:+.6g}"
    return f"{name:{_WIDTH}}{_number(one):>17}{_number(other):>17}{difference:>17}".rstrip()


def _feature_differences(one: model_pb2.ModelInfo, other: model_pb2.ModelInfo) -> Iterator[str]:
    for model, rest in ((one, other), (other, one)):
        known = {feature.name for feature in rest.features}
        alone = [feature.name for feature in model.features if feature.name not in known]
        if alone:
            yield f"features of {model.version} alone: {', '.join(alone)}"


def _rollback_line(previous: str) -> str:
    return f"A rollback would bring {previous} back." if previous else "There is nothing to roll back to."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _plain(text: str) -> str:
    """The text on one line of a terminal: what a caller or a card has written could move its cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)
