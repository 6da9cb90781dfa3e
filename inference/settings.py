"""The settings of the model service; the only reader of its environment.

`SETTINGS` is the table of all of them, from which --help and the documentation are made.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_PORT_MAX = 65_535


class SettingsFaultError(Exception):
    """Settings that cannot be used; names every fault that was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One environment variable: default as its text, meaning, unit, and how its text is read."""

    name: str
    default: str
    unit: str
    meaning: str
    read: Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings as they were at start. See `SETTINGS` for meanings and units."""

    listen_addr: str
    models_dir: Path
    model_name: str
    model_version: str | None
    model_state_path: Path
    log_level: str
    drain_seconds: float
    rows_max: int
    message_bytes_max: int
    calls_max: int


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _PORT_MAX:
        raise ValueError("must be host:port, the port from 0 to 65535")
    return text


def _models_dir(text: str) -> Path:
    return Path(text) if text else Path(__file__).parent / "models"


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits, _ or -")
    return text


def _version(text: str) -> str | None:
    if text and not re.fullmatch(r"[0-9]{8}_[0-9]{6}", text):
        raise ValueError("must be a folder's name YYYYMMDD_HHMMSS, or unset")
    return text or None


def _log_level(text: str) -> str:
    if text.upper() not in _LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(_LOG_LEVELS)}")
    return text.upper()


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        raise ValueError("must be a number from 0 to 9999")
    return float(text)


SETTINGS: Mapping[str, Setting] = {
    "listen_addr": Setting(
        name="MODEL_LISTEN_ADDR",
        default="127.0.0.1:15052",
        unit="host:port",
        meaning="Where the service listens for gRPC; port 0 takes a free one.",
        read=_address,
    ),
    "models_dir": Setting(
        name="MODELS_DIR",
        default="",
        unit="path",
        meaning="The folder of <name>/<version>/ with model.onnx and card.json; unset: the packaged inference/models.",
        read=_models_dir,
    ),
    "model_name": Setting(
        name="MODEL_NAME",
        default="consensus",
        unit="name",
        meaning="The model that is served: a folder under MODELS_DIR.",
        read=_name,
    ),
    "model_version": Setting(
        name="MODEL_VERSION",
        default="",
        unit="YYYYMMDD_HHMMSS",
        meaning="The version that is served from the start, recorded as a change when another one was active; "
        "unset: the active version of MODEL_STATE_PATH, else the newest one that passes its gates.",
        read=_version,
    ),
    "model_state_path": Setting(
        name="MODEL_STATE_PATH",
        default="var/models.json",
        unit="path",
        meaning="The file that says which version is active, previous and shadow; what changed stands beside it in "
        "a file ending in .audit.jsonl. Made at the first change; one that cannot be read stops the start.",
        read=Path,
    ),
    "log_level": Setting(
        name="LOG_LEVEL",
        default="INFO",
        unit="level",
        meaning=f"The least level that is logged: {', '.join(_LOG_LEVELS)}.",
        read=_log_level,
    ),
    "drain_seconds": Setting(
        name="DRAIN_SECONDS",
        default="10",
        unit="seconds",
        meaning="How long running calls may take to finish after SIGTERM; then they are cancelled.",
        read=_seconds,
    ),
    "rows_max": Setting(
        name="MODEL_MAX_ROWS",
        default="4096",
        unit="rows",
        meaning="The most rows of one ModelInfer; more are refused.",
        read=_whole(1, 65_536),
    ),
    "message_bytes_max": Setting(
        name="MODEL_MAX_MESSAGE_BYTES",
        default="1048576",
        unit="bytes",
        meaning="The largest message that is taken or sent; 4096 rows of 3 features in FP64 are 98 kB.",
        read=_whole(65_536, 67_108_864),
    ),
    "calls_max": Setting(
        name="MODEL_MAX_CONCURRENT_CALLS",
        default="256",
        unit="calls",
        meaning="The most calls at one time; more are refused with RESOURCE_EXHAUSTED.",
        read=_whole(1, 65_536),
    ),
}
"""Every setting, by the field of `Settings` that holds it."""


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of the environment (the process's own by default).

    Raises SettingsFaultError naming all faults together.
    """
    source = os.environ if environment is None else environment
    values: dict[str, object] = {}
    faults: list[str] = []
    for part, setting in SETTINGS.items():
        text = source.get(setting.name) or setting.default  # compose passes what is unset as an empty text
        try:
            values[part] = setting.read(text)
        except ValueError as fault:
            faults.append(f"{setting.name}={text!r} {fault}")
    if faults:
        raise SettingsFaultError("; ".join(faults))
    return Settings(**values)  # type: ignore[arg-type] # the table reads each field as its type


def help_text() -> str:
    """What --help prints: every setting with its default, unit and meaning."""
    lines = ["usage: python -m inference [--help]", "", "The model service. Settings are environment variables:", ""]
    for setting in SETTINGS.values():
        lines += [f"  {setting.name} [{setting.default or 'unset'}] ({setting.unit})", f"      {setting.meaning}"]
    return "\n".join(lines)
