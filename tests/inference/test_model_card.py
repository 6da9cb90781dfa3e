"""A service starts only on a card that tells the truth about its graph."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.adapters.model_onnx import load_ensemble
from inference.core.card import FIGURES_REQUIRED, Card, CardFaultError, card_text, read_card

PACKAGED = Path(__file__).parents[2] / "inference" / "models" / "consensus"
VERSION = max(path.name for path in PACKAGED.iterdir())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGED / VERSION, tmp_path / "consensus" / VERSION)
    return tmp_path


def rewrite(models: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = models / "consensus" / VERSION / "card.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def refused(models: Path, name: str = "consensus", version: str | None = VERSION) -> str:
    with pytest.raises(CardFaultError) as caught:
        load_ensemble(models, name, version)
    return str(caught.value)


def test_a_card_survives_being_written_and_read(card: Card) -> None:
    assert read_card(card_text(card)) == card


def test_the_shipped_card_says_that_it_is_a_demonstration_and_where_its_figures_come_from() -> None:
    card = load_ensemble(PACKAGED.parent, "consensus", None).card
    assert "DEMONSTRATION" in card.description
    assert "simulated market" in card.data_source
    assert card.feature_names == ("mom_20", "rv_5", "rsi_14")
    assert card.horizon_seconds == 3600
    assert len(set(card.members)) >= 3
    assert set(FIGURES_REQUIRED) <= set(card.calibration)
    assert card.training_end < card.calibration_start < card.calibration_end < card.test_start
    gap = card.calibration["hit_rate_at_0.6"] - card.calibration["mean_confidence_at_0.6"]
    assert abs(gap) <= 0.05
    assert card.sha256 == hashlib.sha256((PACKAGED / VERSION / "model.onnx").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda raw: raw.update(sha256="0" * 64), "sha256"),
        (lambda raw: raw.pop("label"), "'label' is missing"),
        (lambda raw: raw.update(colour="red"), "'colour' is not known"),
        (lambda raw: raw.update(horizon_seconds="3600"), "'horizon_seconds' has a value of the wrong kind"),
        (lambda raw: raw.update(horizon_seconds=0), "horizon_seconds is 0"),
        (lambda raw: raw["features"].reverse(), "features is"),
        (lambda raw: raw["features"].pop(), "features is"),
        (lambda raw: raw.update(features=[]), "names no features"),
        (lambda raw: raw["features"][0].update(name="alpha"), "'alpha' is not known"),
        (lambda raw: raw["features"][0].update(unit="bps"), "is in 'bps' on the card but in 'percent' here"),
        (lambda raw: raw["features"][0].pop("unit"), "'features' has a value of the wrong kind"),
        (lambda raw: raw.update(name="other"), "name is 'other'"),
        (lambda raw: raw.update(version="20200101_000000"), "version is '20200101_000000'"),
        (lambda raw: raw["members"].pop(), "number of members"),
        (lambda raw: raw["calibration"].pop("ece"), "figure 'ece' is missing"),
        (lambda raw: raw["calibration"].update(ece="low"), "'calibration' has a value of the wrong kind"),
        (lambda raw: raw.update(libraries=[]), "'libraries' has a value of the wrong kind"),
        (lambda raw: raw.update(confidence_slope=1.2), "would sharpen"),
    ],
)
def test_a_card_that_does_not_match_is_refused(
    models: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    rewrite(models, change)
    assert named in refused(models)


def test_all_missing_keys_are_named_at_once(models: Path) -> None:
    rewrite(models, dict.clear)
    message = refused(models)
    assert message.count("is missing") == len(Card.__dataclass_fields__)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ud800"])
def test_a_card_that_is_no_object_is_refused(models: Path, text: str) -> None:
    (models / "consensus" / VERSION / "card.json").write_bytes(text.encode("utf-8", errors="surrogatepass"))
    assert "card.json" in refused(models)


def test_a_changed_graph_is_refused_before_it_is_loaded(models: Path) -> None:
    path = models / "consensus" / VERSION / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\x00")
    assert "sha256" in refused(models)


def test_a_file_that_is_no_graph_is_refused_even_with_the_right_digest(models: Path) -> None:
    (models / "consensus" / VERSION / "model.onnx").write_bytes(b"junk")
    rewrite(models, lambda raw: raw.update(sha256=hashlib.sha256(b"junk").hexdigest()))
    assert "is not a graph that can be loaded" in refused(models)


def test_a_model_or_version_or_file_that_is_not_there_is_refused(models: Path) -> None:
    assert "no version" in refused(models, name="other", version=None)
    assert "cannot read" in refused(models, version="20200101_000000")
    (models / "consensus" / VERSION / "card.json").unlink()
    assert "card.json" in refused(models)


def test_the_newest_version_is_served_when_none_is_named(models: Path) -> None:
    newer = "20991231_235959"
    shutil.copytree(models / "consensus" / VERSION, models / "consensus" / newer)
    (models / "consensus" / "zzz_backup").mkdir()
    path = models / "consensus" / newer / "card.json"
    path.write_text(path.read_text().replace(VERSION, newer))
    assert load_ensemble(models, "consensus", None).card.version == newer
    assert load_ensemble(models, "consensus", VERSION).card.version == VERSION
