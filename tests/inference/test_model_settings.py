"""The settings of the model service."""

from pathlib import Path

import pytest

import inference
from inference.settings import SETTINGS, Settings, SettingsFaultError, help_text, read_settings


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert read_settings({}) == Settings(
        listen_addr="127.0.0.1:15052",
        models_dir=Path(inference.__file__).parent / "models",
        model_name="consensus",
        model_version=None,
        model_state_path=Path("var/models.json"),
        log_level="INFO",
        drain_seconds=10.0,
        rows_max=4096,
        message_bytes_max=1_048_576,
        calls_max=256,
    )


def test_a_setting_that_is_set_but_empty_counts_as_unset() -> None:
    assert read_settings({setting.name: "" for setting in SETTINGS.values()}) == read_settings({})


def test_every_fault_is_reported_together() -> None:
    faults = {
        "MODEL_LISTEN_ADDR": "nowhere",
        "MODEL_NAME": "../etc",
        "MODEL_VERSION": "latest",
        "LOG_LEVEL": "LOUD",
        "DRAIN_SECONDS": "-1",
        "MODEL_MAX_ROWS": "0",
        "MODEL_MAX_MESSAGE_BYTES": "many",
        "MODEL_MAX_CONCURRENT_CALLS": "1e9",
    }
    with pytest.raises(SettingsFaultError) as caught:
        read_settings(faults)
    for name in faults:
        assert name in str(caught.value)


def test_help_names_every_setting() -> None:
    for setting in SETTINGS.values():
        assert f"{setting.name} [" in help_text()
        assert setting.meaning in help_text()
