"""`data` on the command line: what it prints, what it writes, how it ends."""

import json
from pathlib import Path

import numpy as np
import pytest
from market_bars import market_bars
from market_kit import START_MS, a_market, write_csv

from inference.train.bars import read_market, simulated_market, write_market
from inference.train.data_cli import main
from inference.train.show import Lines, showing

DIRTY = "dirty/BTCUSD_1h_bitstamp_2018-05_2022-03_AS_FOUND.csv.gz"


@pytest.fixture
def backwards(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "BTCUSDT_1h.csv", {name: values[::-1] for name, values in a_market().items()})


def test_a_good_file_is_called_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_csv(tmp_path / "BTCUSDT_1h.csv", a_market())
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: 400 rows, good\n"


def test_a_bad_file_is_refused_with_its_findings(backwards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(backwards)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("error: order: rows are in the order newest first (rows 1, 2")
    assert last == f"{backwards}: 400 rows, refused"


def test_the_report_is_json_on_stdout_and_in_a_file(backwards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = backwards.with_name("report.json")
    assert main(["check", str(backwards), "--json", "--report", str(report)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(report.read_text())
    assert (told["rows"], told["refused"], told["repaired"]) == (400, True, {})
    assert told["findings"] == [
        {
            "check": "order",
            "severity": "error",
            "count": 399,
            "rows": [1, 2, 3, 4, 5],
            "sentence": "rows are in the order newest first",
            "repair": "sort",
        }
    ]


def test_nothing_is_repaired_unasked(backwards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = backwards.with_name("out.parquet")
    assert main(["convert", str(backwards), str(out), "--repair", "duplicates,drop_flat"]) == 1
    assert "is refused" in capsys.readouterr().err
    assert not out.exists()


def test_what_was_repaired_stands_in_the_source_and_the_report(backwards: Path) -> None:
    out, report = backwards.with_name("out.parquet"), backwards.with_name("report.json")
    asked = ["--repair", "sort,duplicates", "--report", str(report)]
    assert main(["convert", str(backwards), str(out), *asked]) == 0
    market = read_market(out)
    assert market.source == "file BTCUSDT_1h.csv; repaired: sort (400 rows)"
    assert np.array_equal(market.bars.close, a_market()["close"])
    assert json.loads(report.read_text())["repaired"] == {"sort": 400, "duplicates": 0}


def test_a_span_is_cut_and_a_symbol_named(tmp_path: Path) -> None:
    path, out = write_csv(tmp_path / "x y.csv", a_market()), tmp_path / "out.parquet"
    cut = ["--symbol", "ETHUSDT", "--start", "2020-01-02", "--end", "2020-01-03T00:00:00+00:00"]
    assert main(["convert", str(path), str(out), *cut]) == 0
    market = read_market(out)
    assert (market.symbol, len(market.bars)) == ("ETHUSDT", 24)
    assert int(market.bars.open_time_ms[0]) == START_MS + 24 * 3_600_000


def test_a_simulated_market_stays_a_simulated_one(tmp_path: Path) -> None:
    made = simulated_market(symbol="BTCUSDT", seed=3, count=200)
    write_market(made, tmp_path / "a.parquet")
    assert main(["convert", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]) == 0
    again = read_market(tmp_path / "b.parquet")
    assert (again.simulated, again.source, again.sha256) == (True, made.source, made.sha256)


def test_the_dirty_sample_is_refused_until_it_is_asked_to_be_repaired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = market_bars(DIRTY), tmp_path / "BTCUSD.parquet"
    assert main(["check", str(path)]) == 1
    assert main(["convert", str(path), str(out), "--repair", "sort"]) == 1
    assert "swapped in 20143 rows" in capsys.readouterr().out
    assert main(["convert", str(path), str(out), "--repair", "sort,swapped_volume"]) == 0
    assert len(read_market(out).bars) == 33_259


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convert", "a.csv", "b.csv"], "does not end in .parquet"),
        (["convert", "a.csv", "b.parquet", "--repair", "fill"], "'fill' is not a valid Repair; there are timestamps"),
        (["convert", "a.csv", "b.parquet", "--start", "monday"], "no date or moment"),
        (["fetch", "BTCUSDT", "--endpoint", "http://api.bybit.com"], "is neither Bybit's mainnet"),
        (["fetch", "BTCUSDT", "--interval", "7"], "invalid choice"),
        (["fetch"], "SYMBOL"),
        ([], "part"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["check", "none.csv"], ["convert", "none.csv", str(tmp_path / "o.parquet")]):
        assert main(arguments) == 1
        assert capsys.readouterr().err == "there is no file none.csv\n"


def test_a_symbol_that_cannot_be_fetched_does_not_end_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = ["--endpoint", "http://127.0.0.1:1", "--out", str(tmp_path)]
    assert main(["fetch", "btcusdt", "BTC/USD", *nobody]) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["btcusdt", "BTC/USD"]


def test_without_a_terminal_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with showing("bars") as show:
        assert isinstance(show, Lines)
        for done in range(101):
            show("BTCUSDT", done, 100)
    assert capsys.readouterr().err.splitlines() == ["BTCUSDT: 0 of 100 bars", "BTCUSDT: 100 of 100 bars"]
