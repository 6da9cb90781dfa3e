"""Markets read from files, written, read back, and made by the simulator."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from market_bars import market_bars
from market_kit import a_market, bars, write_csv

from inference.train.bars import DataFaultError, Market, read_market, simulated_market, write_market


def market(**more: object) -> Market:
    return replace(Market(symbol="BTCUSDT", source="a test", bars=bars(a_market())), **more)


def test_the_hash_is_of_the_documented_text() -> None:
    import hashlib

    columns = {name: values[:2] for name, values in a_market().items()}
    columns["volume"] = np.array([1e-7, 3.0])
    rows = [
        f"{columns['time'][row]},{columns['open'][row]!r},{columns['high'][row]!r},{columns['low'][row]!r},"
        f"{columns['close'][row]!r},{columns['volume'][row]!r}".replace("np.float64(", "").replace(")", "")
        for row in range(2)
    ]
    text = "\n".join(["open_time_ms,open,high,low,close,volume", *rows, ""])
    assert "1e-07" in text
    assert market(bars=bars(columns)).sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_the_same_bars_have_the_same_hash_from_csv_gzip_and_parquet(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "BTCUSDT_1h_test.csv", a_market())
    import gzip

    (tmp_path / "BTCUSDT_1h.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    read = read_market(path)
    write_market(read, tmp_path / "deep" / "any.parquet")
    back = read_market(tmp_path / "deep" / "any.parquet")
    assert (read.symbol, read.source, read.simulated) == ("BTCUSDT", "file BTCUSDT_1h_test.csv", False)
    assert (back.symbol, back.source, back.bars.bar_seconds) == ("BTCUSDT", "file BTCUSDT_1h_test.csv", 3600)
    assert read.sha256 == back.sha256 == read_market(tmp_path / "BTCUSDT_1h.csv.gz").sha256 == market().sha256
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["any.parquet"]


def test_a_written_market_carries_what_it_is_in_its_metadata(tmp_path: Path) -> None:
    write_market(market(simulated=True), tmp_path / "m.parquet")
    said = {key.decode(): value.decode() for key, value in pq.read_schema(tmp_path / "m.parquet").metadata.items()}
    assert said == {
        "tollgate.symbol": "BTCUSDT",
        "tollgate.source": "a test",
        "tollgate.bar_seconds": "3600",
        "tollgate.simulated": "true",
        "tollgate.sha256": market().sha256,
    }
    assert read_market(tmp_path / "m.parquet").simulated


def test_a_written_market_that_was_changed_afterwards_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    write_market(market(), path)
    table = pq.read_table(path)
    higher = pa.array(table.column("volume").to_numpy() + 1.0)
    pq.write_table(table.set_column(5, "volume", higher).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(DataFaultError, match="another sha256 than it says"):
        read_market(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFaultError, match="cannot be read"):
        read_market(path)


def test_a_market_may_begin_whenever_when_this_program_wrote_it(tmp_path: Path) -> None:
    columns = a_market()
    columns["time"] = columns["time"] - columns["time"][0]
    write_market(market(bars=bars(columns)), tmp_path / "m.parquet")
    assert np.array_equal(read_market(tmp_path / "m.parquet").bars.open_time_ms, columns["time"])


def test_bars_with_an_error_are_refused_and_every_error_is_listed(tmp_path: Path) -> None:
    columns = {name: values[::-1] for name, values in a_market().items()}
    columns["volume"] = np.where(np.arange(400) == 3, -1.0, columns["volume"])
    with pytest.raises(DataFaultError, match="newest first") as refused:
        read_market(write_csv(tmp_path / "BTCUSDT.csv", columns))
    assert [finding.check for finding in refused.value.findings] == ["order", "negative_volume"]
    assert "1 rows have a negative volume (rows 3) [--repair drop_broken]" in str(refused.value)


def test_a_foreign_layout_is_read_by_its_columns_names(tmp_path: Path) -> None:
    columns = a_market()
    lines = [
        f"{time // 1000},x,BTC/USD,{o},{h},{low},{c},{v},{v * c}"
        for time, o, h, low, c, v in zip(*(column.tolist() for column in columns.values()), strict=True)
    ]
    path = tmp_path / "some name.csv"
    path.write_text("\n".join(["unix,date,symbol,Open,HIGH,low,close,volume,Volume USD", *lines]))
    read = read_market(path)
    assert (read.symbol, len(read.bars), read.sha256) == ("BTCUSD", 400, market().sha256)
    assert read_market(path, symbol="BTCUSDT").symbol == "BTCUSDT"


@pytest.mark.parametrize(
    "moment", ["2020-01-{:02}T{:02}:00:00Z", "2020-01-{:02} {:02}:00:00", "2020-01-{:02}T{:02}:00"]
)
def test_moments_are_read_as_utc(tmp_path: Path, moment: str) -> None:
    rows = [f"{moment.format(1 + hour // 24, hour % 24)},1,1,1,1,{hour + 1}" for hour in range(48)]
    path = tmp_path / "X_.csv"
    path.write_text("\n".join(["date,open,high,low,close,volume", *rows]))
    read = read_market(path, symbol="BTCUSDT").bars
    assert (int(read.open_time_ms[0]), read.bar_seconds, len(read)) == (1_577_836_800_000, 3600, 48)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "time,open,high\n1,2,3\n", "no column of low, close, volume among time, open, high"),
        ("a.csv", "time,open,high,low,close,volume\nsoon,1,1,1,1,1\n", "open time cannot be read"),
        ("a.csv", "time,open,high,low,close,volume\n,1,1,1,1,1\n5,1,1,1,1,1\n", "1 rows have no open time"),
        ("a.csv", "", "cannot be read"),
        ("a.parquet", "no parquet", "cannot be read"),
        ("a.txt", "", "neither .csv"),
    ],
)
def test_a_file_that_holds_no_bars_is_refused_in_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataFaultError, match=said):
        read_market(tmp_path / name)


def test_a_missing_file_and_a_name_without_a_symbol_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFaultError, match="there is no file"):
        read_market(tmp_path / "a.csv")
    with pytest.raises(DataFaultError, match="'a b' is no symbol: name it"):
        read_market(write_csv(tmp_path / "a b_c.csv", a_market()))


def test_what_is_no_number_is_found_in_its_row(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "BTCUSDT.csv", a_market())
    lines = path.read_text().splitlines()
    lines[8] = ",".join([*lines[8].split(",")[:4], "n/a", "5"])
    path.write_text("\n".join(lines))
    with pytest.raises(DataFaultError, match=r"missing or no finite number \(rows 7\)"):
        read_market(path)


def test_real_files_are_read_well_under_a_second() -> None:
    import time

    path = market_bars("bars/BTCUSDT_1h_binance-spot_2017-08-17_2023-12-31.csv.gz")
    started = time.process_time()
    read = read_market(path)
    assert time.process_time() - started < 2.0  # 0.2 s alone on a plain core
    assert (read.symbol, len(read.bars), read.bars.bar_seconds) == ("BTCUSDT", 55_740, 3600)


def test_the_simulators_bars_come_with_their_seed_and_edge_and_say_that_they_are_simulated(tmp_path: Path) -> None:
    made = simulated_market(symbol="BTCUSDT", seed=5, count=300)
    assert (made.symbol, len(made.bars), made.bars.bar_seconds, made.simulated) == ("BTCUSDT", 300, 3600, True)
    assert "seed 5" in made.source
    assert "true edge 0." in made.source
    write_market(made, tmp_path / "m.parquet")
    assert read_market(tmp_path / "m.parquet").sha256 == made.sha256
