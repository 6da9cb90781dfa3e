"""The factory: a version that is whole and proved, or sentences and nothing written."""

import argparse
import json
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from factory_kit import HOUR, LONG_WALK, ORIGIN, recipe, trending, written

from inference.adapters.model_onnx import load_ensemble
from inference.core.card import CardFaultError, Override, card_text, read_card
from inference.core.gates import faults_of
from inference.train.__main__ import main
from inference.train.bars import Market, write_market
from inference.train.cards import Origin
from inference.train.evaluate import evaluate, moment
from inference.train.examples import UnusableError
from inference.train.factory import Trained, Withheld, train
from inference.train.members import MEMBER_NAMES
from inference.train.options import jobs_of
from inference.train.provenance import git_commit
from inference.train.show_evaluation import json_of, lines_of
from inference.train.targets import targets_of
from inference.train.train_cli import override_of
from inference.train.version_folder import VersionTakenError, replace_version, write_version

COUNT = 12_000


@pytest.fixture(scope="module")
def market() -> Market:
    return trending(COUNT)


@pytest.fixture(scope="module")
def trained(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    models = tmp_path_factory.mktemp("models")
    result = train([market], recipe(walk=LONG_WALK), models=models, origin=ORIGIN)
    assert isinstance(result, Trained)
    return result


def test_a_version_is_whole_passes_its_gates_and_is_what_the_service_loads(trained: Trained) -> None:
    models = trained.folder.parents[1]
    assert [path.name for path in models.iterdir()] == ["consensus"], "nothing unfinished is left"
    assert {path.name for path in trained.folder.iterdir()} >= {"card.json", "model.onnx"}
    assert load_ensemble(models, "consensus", None).card == trained.card
    assert read_card((trained.folder / "card.json").read_text(encoding="utf-8")) == trained.card
    assert faults_of(trained.card) == ()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    market: Market, trained: Trained, tmp_path: Path
) -> None:
    again = train([market], recipe(walk=LONG_WALK), models=tmp_path / "again", origin=ORIGIN, jobs=2)
    other = train([market], recipe(walk=LONG_WALK, seed=21), models=tmp_path / "other", origin=ORIGIN)
    assert isinstance(again, Trained)
    assert isinstance(other, Trained)
    assert again.card == trained.card
    assert (again.folder / "model.onnx").read_bytes() == (trained.folder / "model.onnx").read_bytes()
    assert other.card.sha256 != trained.card.sha256


def test_the_card_says_what_was_done(market: Market, trained: Trained) -> None:
    card = trained.card
    assert card.members == MEMBER_NAMES
    assert card.feature_names == recipe().feature_names
    assert (card.data.symbols, card.data.bars, card.data.sha256) == (("BTCUSDT",), COUNT, market.sha256)
    assert card.training.end < card.calibrating.start < card.calibrating.end
    assert card.calibrating.end == moment(int(market.bars.open_time_ms[-2]) + HOUR * 1000)
    assert card.validation.figures.rows == sum(fold.rows for fold in card.validation.folds)
    assert (card.validation.purge_bars, card.validation.embargo_bars, card.validation.trials) == (1, 24, 1)
    assert (card.export.flips, card.export.market_rows) == (0, COUNT - 251)
    assert card.export.rows == card.export.market_rows + 10_000
    assert card.calibration.slope == min(card.calibration.fitted_slope, 1.0) * card.calibration.shrink
    assert (card.market, card.max_age_days, card.seed, card.label.barrier_sigmas) == ("simulated", None, 20, None)
    for feature in card.features:
        assert feature.autocorrelation_bars > 1.0
        assert list(feature.deciles) == sorted(feature.deciles)


def test_what_is_measured_is_later_than_what_fitted_it_and_pooled_over_all_folds(trained: Trained) -> None:
    evaluation = trained.evaluation
    said = evaluation.predictions
    assert (np.diff(said.closed_ms) > 0).all()
    assert said.members.shape == (len(said), len(MEMBER_NAMES))
    assert evaluation.walked.features.shape == (len(said), 3)
    rows = np.isin(evaluation.examples.closed_ms, said.closed_ms)
    assert np.array_equal(evaluation.walked.features, evaluation.examples.X[rows])
    assert len(evaluation.folds) == len(evaluation.walked.slopes) == said.fold.max() + 1


def test_a_version_is_never_written_twice(market: Market, trained: Trained) -> None:
    with pytest.raises(VersionTakenError, match="is there already"):
        train([market], recipe(), models=trained.folder.parents[1], origin=ORIGIN)


def test_the_demonstration_is_replaced_by_one_that_is_whole(trained: Trained, tmp_path: Path) -> None:
    graph = (trained.folder / "model.onnx").read_bytes()
    models, fresh = tmp_path / "models", tmp_path / "fresh"
    for marked in ("old", "new"):
        made = write_version(fresh / marked, trained.card, graph, lambda folder, mark=marked: (folder / mark).touch())
        place = replace_version(made, models)
    assert place == models / "consensus" / ORIGIN.version
    assert sorted(path.name for path in place.iterdir()) == ["card.json", "model.onnx", "new"]


def test_a_version_must_have_the_form_of_one(market: Market, tmp_path: Path) -> None:
    with pytest.raises(VersionTakenError, match="not a version"):
        train([market], recipe(), models=tmp_path, origin=replace(ORIGIN, version="newest"))


def test_a_folder_that_cannot_be_finished_is_not_seen_at_all(trained: Trained, tmp_path: Path) -> None:
    graph = (trained.folder / "model.onnx").read_bytes()

    def fails(folder: Path) -> None:
        assert (folder / "model.onnx").exists()
        assert not (tmp_path / "consensus" / ORIGIN.version).exists()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_version(tmp_path, trained.card, graph, fails)
    assert written(tmp_path) == ["consensus"]


def test_a_version_whose_files_do_not_fit_together_is_not_written(trained: Trained, tmp_path: Path) -> None:
    broken = trained.card.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(CardFaultError, match="sha256"):
        write_version(tmp_path, broken, (trained.folder / "model.onnx").read_bytes(), lambda _: None)
    assert written(tmp_path) == ["consensus"]


def test_labels_drawn_by_lot_teach_nothing_and_are_not_written(tmp_path: Path) -> None:
    result = train([trending(6000, edge=0.0)], recipe(shrink=0.8), models=tmp_path, origin=ORIGIN)
    assert isinstance(result, Withheld)
    assert abs(result.evaluation.figures.auc.value - 0.5) < 0.03
    assert {fault.split(":")[0] for fault in result.faults} & {"gate log_loss", "gate calibration_slope"}
    assert written(tmp_path) == []


def test_a_gate_lets_pass_for_a_reason_that_the_card_keeps(market: Market, tmp_path: Path) -> None:
    reason = Override(gate="too_good", reason="A synthetic market whose edge is known.")
    origin = replace(ORIGIN, overrides=(reason,))
    real = replace(market, simulated=False)
    result = train([real], recipe(market="real", max_age_days=90.0, walk=LONG_WALK), models=tmp_path, origin=origin)
    assert isinstance(result, Trained)
    assert result.card.overrides == (reason,)
    assert result.card.max_age_days == 90.0


def test_simulated_bars_never_make_a_model_of_a_real_market(market: Market, tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="simulated market make no model of a real market"):
        train([market], recipe(market="real"), models=tmp_path, origin=ORIGIN)


def test_two_markets_and_a_triple_barrier_and_sigmoid_train_as_well(market: Market, tmp_path: Path) -> None:
    spec = replace(recipe().label, kind="triple_barrier", horizon_bars=6)
    used = recipe(label=spec, calibration="sigmoid", shrink=0.9, walk=LONG_WALK)
    both = [market, trending(9000, seed=8, symbol="ETHUSDT")]
    origin = replace(ORIGIN, overrides=(Override(gate="ece", reason="Overlapping labels of a small test."),))
    result = train(both, used, models=tmp_path, origin=origin)
    assert isinstance(result, Trained), result.faults
    assert result.card.data.symbols == ("BTCUSDT", "ETHUSDT")
    assert result.card.data.sha256 not in {one.sha256 for one in both}
    assert (result.card.calibration.method, result.card.label.barrier_sigmas) == ("sigmoid", 1.0)
    assert "standard deviations" in result.card.label.meaning
    assert set(result.evaluation.predictions.series) == {0, 1}


def test_an_evaluation_is_told_whole_as_text_and_as_json(trained: Trained) -> None:
    evaluation = trained.evaluation
    text = "\n".join(lines_of(evaluation))
    for needed in ("AUC", "log loss", "Brier", "ECE", "fold-buckets", "stated", "coverage", "fees", "split_order"):
        assert needed in text
    told = json.loads(json.dumps(json_of(evaluation)))
    assert told["figures"]["auc"]["value"] == evaluation.figures.auc.value
    assert len(told["targets"]) == len(targets_of(evaluation))
    assert told["recipe"]["walk"]["train_bars"] == LONG_WALK.train_bars


def test_a_missed_target_is_told_and_a_group_too_small_is_not_judged() -> None:
    luck = replace(trending(6000, edge=0.0), simulated=False)
    evaluation = evaluate([luck], recipe(market="real", shrink=0.8))
    targets = {target.name: target for target in targets_of(evaluation)}
    assert targets["AUC"].met is False
    assert targets["AUC"].expected == ">= 0.52"
    small = [target for name, target in targets.items() if name.startswith("confidence >= 0.6")]
    assert [target.met for target in small] == [None]
    assert any("MISSED" in line for line in lines_of(evaluation))


def test_the_command_evaluates_each_file_by_itself(tmp_path: Path, capsys) -> None:
    path = tmp_path / "BTCUSDT_1h_test.parquet"
    write_market(trending(5000), path)
    arguments = ["--market", "simulated", "--features", "documented", "--train-bars", "3000", "--test-bars", "2000"]
    assert main(["evaluate", str(path), str(path), *arguments, "--json", "--jobs", "1"]) == 0
    once, twice = json.loads(capsys.readouterr().out)
    assert once["figures"] == twice["figures"]
    assert once["markets"][0]["symbol"] == "BTCUSDT"


def test_the_command_fits_and_tells_what_it_wrote(tmp_path: Path, capsys) -> None:
    path = tmp_path / "BTCUSDT_1h_test.parquet"
    write_market(trending(8000), path)
    arguments = ["--market", "simulated", "--features", "documented", "--train-bars", "4000", "--test-bars", "4000"]
    arguments += [
        "--override",
        "ece=A test of few rows.",
        "--out",
        str(tmp_path / "models"),
        "--name",
        "one",
        "--max-age-days",
        "0",
    ]
    assert main(["fit", str(path), *arguments]) == 0
    (folder,) = (tmp_path / "models" / "one").iterdir()
    card = read_card((folder / "card.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"[0-9]{8}_[0-9]{6}", folder.name)
    assert card.max_age_days is None
    assert datetime.fromisoformat(card.created).date() == datetime.now(UTC).date()
    assert {"numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime"} < set(card.libraries)
    assert f"wrote {folder}" in capsys.readouterr().out


def test_the_command_refuses_with_a_sentence_and_writes_nothing(tmp_path: Path, capsys) -> None:
    path = tmp_path / "BTCUSDT_1h_test.parquet"
    write_market(trending(1000), path)
    models = tmp_path / "models"
    assert main(["fit", str(path), "--market", "simulated", "--out", str(models)]) == 1
    assert "too few for a walk-forward" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "none.csv")]) == 1
    assert "none.csv" in capsys.readouterr().err
    assert main(["evaluate", str(path), "--features", "alpha"]) == 1
    assert "'alpha' is not known" in capsys.readouterr().err
    assert not models.exists()


def test_a_model_that_does_not_pass_is_told_gate_by_gate(tmp_path: Path, capsys) -> None:
    path = tmp_path / "BTCUSDT_1h_test.parquet"
    write_market(trending(4500, edge=0.0), path)
    arguments = ["--market", "simulated", "--features", "documented", "--train-bars", "2500", "--test-bars", "2000"]
    assert main(["fit", str(path), *arguments, "--out", str(tmp_path / "models")]) == 1
    told = capsys.readouterr().err
    assert "Nothing was written: the model does not pass." in told
    assert re.search(r"\n  gate \w+: .* against a limit of ", told)
    assert not (tmp_path / "models").exists()


def test_an_override_names_its_gate_and_a_reason_worth_reading() -> None:
    assert override_of("too_good=A reason that says why.") == Override(
        gate="too_good", reason="A reason that says why."
    )
    with pytest.raises(argparse.ArgumentTypeError, match="GATE=REASON"):
        override_of("too_good=no")


def test_the_number_of_threads_has_a_limit() -> None:
    assert jobs_of("3") == 3
    assert jobs_of("0") >= 1
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 64"):
        jobs_of("100")


def test_the_commit_is_that_of_the_code_and_says_when_the_code_was_changed(tmp_path: Path) -> None:
    assert git_commit(tmp_path / "nowhere") == "unknown"

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "inference").mkdir()
    (tmp_path / "inference" / "code.py").write_text("one = 1\n")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "One")
    clean = git_commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    (tmp_path / "inference" / "models").mkdir()
    (tmp_path / "inference" / "models" / "new").write_text("a model is no code\n")
    assert git_commit(tmp_path) == clean
    (tmp_path / "inference" / "more.py").write_text("two = 2\n")
    assert git_commit(tmp_path) == f"{clean}-dirty"


def test_a_card_is_text_that_reads_back_as_itself(trained: Trained) -> None:
    assert read_card(card_text(trained.card)) == trained.card


def test_an_origin_has_no_overrides_unless_a_person_gave_some() -> None:
    assert Origin(version="", created="", git_commit="", libraries={}).overrides == ()
