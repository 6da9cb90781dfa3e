"""`sweep` on the command line: recipes of a simulated market, measured by the code that makes cards."""

import argparse
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from inference.core.features import EXTENDED
from inference.train.bars import simulated_market, write_market
from inference.train.sweep import SweepFaultError
from inference.train.sweep_cli import add_sweep_command
from inference.train.sweep_run import read_axis, recipe_of, usual_settings

QUICK = [
    "--vary",
    "train_bars=1500",
    "--vary",
    "test_bars=800",
    "--vary",
    "boosting_rounds=10",
    "--vary",
    "forest_trees=10",
]


def main(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_sweep_command(parser.add_subparsers(required=True))
    options = parser.parse_args(["sweep", *arguments])
    return int(options.run(options))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two short simulated markets."""
    folder = tmp_path_factory.mktemp("markets")
    for seed in (3, 4):
        write_market(simulated_market(symbol="BTCUSDT", seed=seed, count=3_000), folder / f"{seed}.parquet")
    return [str(folder / f"{seed}.parquet") for seed in (3, 4)]


def test_markets_and_settings_are_swept_and_gone_on_with(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "s.parquet"
    grid = ["--vary", "features=documented,mom_20+rsi_14", "--vary", "horizon_bars=1,0", "--out", str(table)]
    assert main(*files, *QUICK, *grid, "--workers", "2") == 0
    told = capsys.readouterr()
    assert "8 recipes were tried: a model of one of them is trained with --trials 8" in told.out
    assert "horizon_bars is not positive" in told.err
    rows = pq.read_table(table).to_pylist()
    good = [row for row in rows if not row["error"]]
    assert {(row["bars"], row["features"]) for row in good} == {
        (name, features) for name in ("3.parquet", "4.parquet") for features in ("documented", "mom_20+rsi_14")
    }
    assert all(row["auc_low"] < row["auc"] < row["auc_high"] and row["seed"] == 20 for row in good)
    assert min(row["auc"] for row in good) > 0.6
    assert main(*files, *QUICK, *grid[:2], *grid[-2:]) == 0
    assert {row["key"]: row for row in pq.read_table(table).to_pylist()} == {row["key"]: row for row in rows}


def test_files_are_pooled_when_asked(files: list[str], tmp_path: Path) -> None:
    table = tmp_path / "s.parquet"
    assert main(*files, "--pool", *QUICK, "--vary", "features=documented", "--out", str(table)) == 0
    (row,) = pq.read_table(table).to_pylist()
    assert row["bars"] == "3.parquet+4.parquet"
    assert row["rows"] > 2_000


def test_when_every_cell_fails_so_does_the_sweep(files: list[str], tmp_path: Path) -> None:
    assert main(files[0], "--out", str(tmp_path / "s.parquet")) == 1
    (row,) = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert row["error"].startswith("UnusableError: ")


def test_the_usual_settings_are_listed_and_make_the_usual_recipe(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(files[0], "--list") == 0
    assert "features=extended\nkind=direction\nhorizon_bars=1\n" in capsys.readouterr().out
    settings = usual_settings([simulated_market(symbol="BTCUSDT", seed=1, count=100)])
    recipe = recipe_of(settings, simulated=True)
    assert (recipe.feature_names, recipe.market) == (EXTENDED, "simulated")


@pytest.mark.parametrize("text", ["luck=1", "shrink", "shrink=much", "seed=1.5"])
def test_a_wrong_axis_is_named(files: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(files[0], "--vary", text) == 1
    assert text.partition("=")[0] in capsys.readouterr().err


def test_an_axis_is_read_as_the_setting_it_varies() -> None:
    usual = {"seed": 20, "shrink": 0.8, "kind": "direction", "logistic_clip_sigmas": "none"}
    assert read_axis("seed=1,2", usual) == ("seed", (1, 2))
    assert read_axis("shrink=1,0.5", usual) == ("shrink", (1.0, 0.5))
    assert read_axis("kind=triple_barrier", usual) == ("kind", ("triple_barrier",))
    assert read_axis("logistic_clip_sigmas=none,3", usual) == ("logistic_clip_sigmas", ("none", 3.0))
    with pytest.raises(SweepFaultError, match="is not NAME=V1,V2"):
        read_axis("seed", usual)


def test_a_file_that_is_refused_ends_the_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(str(tmp_path / "none.parquet")) == 1
    assert "there is no file" in capsys.readouterr().err
