"""Compose, the images and Envoy's configuration agree with the settings of the code, and open only loopback."""

import base64
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from google.rpc import error_details_pb2, status_pb2

from gateway.settings_table import TABLE
from inference.settings import SETTINGS

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.executable).parent
PLACED = {"GATEWAY_LISTEN_ADDR", "JOURNAL_PATH", "MODEL_LISTEN_ADDR", "MODELS_DIR", "MODEL_STATE_PATH"}
"""Settings that the containers' layout fixes."""
ELSEWHERE = {"MODEL_SERVICE_ADDR", "MARKET_REST_URL", "MARKET_WS_URL", "TRUSTED_PROXIES"}
"""Settings whose default in compose is another address than on one machine."""
TESTS_ONLY = {"CRASH_AT"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf8"))


@pytest.fixture(scope="module")
def envoy_config(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("envoy") / "envoy.yaml"
    subprocess.run([sys.executable, "envoy/render.py", "--out", str(out)], cwd=ROOT, check=True)
    return out


@pytest.mark.parametrize(
    ("service", "defaults"),
    [
        ("backend", {setting.name: setting.default for setting in TABLE}),
        ("model-service", {setting.name: setting.default for setting in SETTINGS.values()}),
    ],
)
def test_every_setting_passes_through_compose_with_its_own_default(
    compose: dict[str, Any], service: str, defaults: dict[str, str]
) -> None:
    passed = compose["services"][service]["environment"]
    assert set(passed) == set(defaults)
    for name, default in defaults.items():
        if name in ELSEWHERE:
            assert passed[name].startswith(f"${{{name}:-")
        elif name not in PLACED:
            assert passed[name].casefold() == f"${{{name}:-{default}}}".casefold()


def test_live_trading_has_a_journal_of_its_own_and_its_key_from_files(compose: dict[str, Any]) -> None:
    live = yaml.safe_load((ROOT / "docker-compose.live.yml").read_text(encoding="utf8"))
    [(name, backend)] = live["services"].items()
    settings = backend["environment"]
    assert name == "backend"
    assert set(settings) <= set(compose["services"]["backend"]["environment"])
    assert settings["JOURNAL_PATH"] != compose["services"]["backend"]["environment"]["JOURNAL_PATH"]
    assert (settings["TRADING_MODE"], settings["MARKET_DATA"]) == ("live", "bybit")
    for secret in backend["secrets"]:
        assert settings[f"{secret.upper()}_FILE"] == f"/run/secrets/{secret}"
        assert live["secrets"][secret]["file"].startswith(f"${{{secret.upper()}_FILE:?")
    assert set(live["secrets"]) == set(backend["secrets"]) == {"bybit_api_key", "bybit_api_secret"}


def test_the_example_of_an_environment_file_names_every_setting_that_an_operator_may_change() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf8")
    named = set(re.findall(r"^#([A-Z_]+)=", text, re.MULTILINE))
    settings = {setting.name for setting in (*TABLE, *SETTINGS.values())}
    assert named >= settings - PLACED - ELSEWHERE - TESTS_ONLY


def test_ports_are_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_containers_have_the_names_that_the_runbook_uses_and_no_privileges(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["container_name"] == name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "healthcheck" in service


def test_images_run_as_an_ordinary_user_and_pull_no_frontend() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf8")
    assert "syntax=" not in dockerfile
    for stage in re.split(r"(?m)^FROM ", dockerfile):
        if re.match(r"\S+ AS (backend|model-service|simulator|envoy)\b", stage):
            assert re.search(r"(?m)^USER (?!root)", stage), stage


def test_envoy_takes_the_configuration(envoy_config: pathlib.Path) -> None:
    command = [str(BIN / "envoy"), "--mode", "validate", "-c", str(envoy_config), "--log-level", "error"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def test_envoys_own_interface_and_every_listener_are_on_loopback_by_default(envoy_config: pathlib.Path) -> None:
    config = yaml.safe_load(envoy_config.read_text(encoding="utf8"))
    listeners = [listener["address"]["socket_address"] for listener in config["static_resources"]["listeners"]]
    assert config["admin"]["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 9901}
    assert [(one["address"], one["port_value"]) for one in listeners] == [
        ("127.0.0.1", 8000),
        ("127.0.0.1", 9000),
        ("127.0.0.1", 3000),
    ]


def test_what_envoy_tells_grpc_clients_of_a_dead_part_is_what_it_tells_json_clients(envoy_config: pathlib.Path) -> None:
    text = envoy_config.read_text(encoding="utf8")
    told = {}
    for encoded in re.findall(r"grpc-status-details-bin, value: (\S+)}", text):
        status = status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert status.details[1].Unpack(retry)
        assert (status.code, info.domain, retry.retry_delay.seconds) == (14, "tollgate", 1)
        assert f"{status.message}\n" in text
        told[info.reason] = status.message
    assert set(told) == {"GATEWAY_UNAVAILABLE", "MODEL_UNAVAILABLE"}
