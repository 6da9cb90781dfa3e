"""The checks of bars: every fault is found and named, and a sound market has none."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from market_bars import market_bars
from market_kit import HOUR_MS, START_MS, a_market, found, joined

from inference.train.bars import read_market
from inference.train.findings import Finding, Repair, Severity
from inference.train.found import Found, TimeUnit, found_in, read_table
from inference.train.quality import check, step_seconds
from inference.train.quality_market import tick_of
from inference.train.repair import Done, repaired, told

CLEAN = (
    "BTC-PERP_1m_unstated-venue_2021-12-31_2022-02-01.csv.gz",
    "BTCUSDT_1h_binance-spot_2017-08-17_2023-12-31.csv.gz",
    "BTCUSDT_1h_bybit-linear_2020-03-25_2023-12-31.csv.gz",
    "BTCUSDT_5m_binance-um_2023-01-01_2023-12-31.csv.gz",
    "ETHUSDT_1h_binance-spot_2019-01-01_2023-12-31.csv.gz",
    "ETHUSDT_1h_bybit-linear_2021-03-15_2023-12-31.csv.gz",
)
LAST = float(a_market()["close"][-1])
DIRTY = "dirty/BTCUSD_1h_bitstamp_2018-05_2022-03_AS_FOUND.csv.gz"


def errors(rows: Found) -> list[Finding]:
    return [finding for finding in check(rows) if finding.severity is Severity.ERROR]


def only_error(rows: Found) -> Finding:
    """The one error; that there is no second shows that a fault does not drag others along."""
    (one,) = errors(rows)
    return one


def changed(name: str, rows: Any, value: Any, columns: dict[str, Any] | None = None) -> dict[str, Any]:
    columns = dict(columns or a_market())
    columns[name] = columns[name].copy()
    columns[name][rows] = value
    return columns


def test_a_sound_market_has_nothing_to_be_said_of() -> None:
    for seed in range(5):
        assert check(found(a_market(3000, seed=seed))) == ()


@pytest.mark.parametrize("name", CLEAN)
def test_no_file_of_real_bars_has_an_error_or_a_warning(name: str) -> None:
    findings = check(found_in(read_table(market_bars(f"bars/{name}"))))
    assert [finding for finding in findings if finding.severity is not Severity.NOTE] == []
    assert len(read_market(market_bars(f"bars/{name}")).bars) > 20_000


@pytest.mark.parametrize(
    ("name", "gaps", "missing"),
    [
        ("BTCUSDT_1h_binance-spot_2017-08-17_2023-12-31.csv.gz", 28, 128),
        ("ETHUSDT_1h_binance-spot_2019-01-01_2023-12-31.csv.gz", 20, 59),
    ],
)
def test_the_outages_of_a_real_market_are_noted_and_not_refused(name: str, gaps: int, missing: int) -> None:
    (finding,) = [one for one in check(found_in(read_table(market_bars(f"bars/{name}")))) if one.check == "gaps"]
    assert finding.sentence.startswith(f"{gaps} gaps of {missing} bars together")


def test_the_dirty_sample_is_caught_and_cured_only_when_asked() -> None:
    rows = found_in(read_table(market_bars(DIRTY)))
    by_name = {finding.check: finding for finding in check(rows)}
    assert [finding.check for finding in errors(rows)] == ["order", "swapped_volume"]
    assert by_name["order"].sentence == "rows are in the order newest first"
    assert (by_name["swapped_volume"].count, by_name["flat"].count) == (20_143, 5)
    assert by_name["swapped_volume"].rows[0] == 12_112
    cured, done = repaired(rows, (Repair.SWAPPED_VOLUME, Repair.SORT, Repair.DROP_FLAT))
    assert [(one.repair, one.rows) for one in done] == [
        (Repair.SORT, 33_258),
        (Repair.DROP_FLAT, 5),
        (Repair.SWAPPED_VOLUME, 20_143),
    ]
    assert errors(cured) == []
    assert len(cured) == 33_254
    assert cured.volume.max() < 20_000


def test_the_dirty_samples_volumes_are_refused_without_the_second_column_too() -> None:
    rows = found_in(read_table(market_bars(DIRTY)))
    cured, _ = repaired(replace(rows, quote_volume=None), (Repair.SORT,))
    assert {finding.check for finding in errors(cured)} == {"volume_shift"}
    assert all("quote volume" in finding.sentence for finding in errors(cured))


def test_a_real_market_spliced_into_another_is_refused() -> None:
    btc = found_in(read_table(market_bars("bars/BTCUSDT_1h_bybit-linear_2020-03-25_2023-12-31.csv.gz")))
    eth = found_in(read_table(market_bars("bars/ETHUSDT_1h_bybit-linear_2021-03-15_2023-12-31.csv.gz")))
    for cut_ms in (1_620_000_000_000, 1_656_000_000_000, 1_690_000_000_000):
        one, other = btc.take(btc.time_ms < cut_ms), eth.take(eth.time_ms >= cut_ms)
        names = ("time", "open", "high", "low", "close", "volume")
        spliced = found({name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})
        finding = only_error(spliced)
        assert (finding.check, finding.rows) == ("another_market", (len(one),))
        assert "another market begins" in finding.sentence


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (a_market(price=LAST / 16, seed=2), "jumps to 0.06"),
        (a_market(price=LAST / 2, seed=2, volume=900.0), "volume 1"),
        (a_market(price=LAST / 2, seed=2, tick=0.001), "tick 0.01 times"),
        (a_market(price=LAST * 0.85, seed=2, tick=1.0, volume=900.0), "tick 10 times"),
    ],
    ids=["another price", "half the price and another volume", "half the price and another tick", "all a little"],
)
def test_a_series_that_turns_into_another_market_midway_is_refused(other: dict[str, Any], why: str) -> None:
    finding = only_error(found(joined(a_market(), other)))
    assert (finding.check, finding.rows, finding.repair) == ("another_market", (400,), None)
    assert why in finding.sentence


def test_a_crash_that_stays_is_a_warning_at_most() -> None:
    crashed = a_market(price=LAST * 0.6, seed=2)
    (finding,) = check(found(joined(a_market(), crashed)))
    assert (finding.check, finding.severity) == ("another_market", Severity.WARNING)
    fell = a_market(price=LAST * 0.8, seed=2, volume=400.0)
    assert errors(found(joined(a_market(), fell))) == []


def test_rows_that_stand_newest_first_or_in_no_order_are_refused_and_can_be_sorted() -> None:
    columns = a_market()
    backwards = found({name: values[::-1] for name, values in columns.items()})
    assert only_error(backwards).sentence == "rows are in the order newest first"
    mixed = found({name: np.roll(values, 7) for name, values in columns.items()})
    finding = only_error(mixed)
    assert (finding.check, finding.count, finding.rows, finding.repair) == ("order", 1, (7,), Repair.SORT)
    cured, done = repaired(mixed, (Repair.SORT,))
    assert check(cured) == ()
    assert np.array_equal(cured.close, columns["close"])
    assert told(done) == "; repaired: sort (400 rows)"


def test_equal_and_conflicting_duplicates_are_told_apart() -> None:
    columns = a_market()
    twice = {name: np.insert(values, 11, values[10]) for name, values in columns.items()}
    finding = only_error(found(twice))
    assert (finding.check, finding.rows, finding.repair) == ("duplicates", (11,), Repair.DUPLICATES)
    cured, _ = repaired(found(twice), (Repair.DUPLICATES,))
    assert np.array_equal(cured.time, columns["time"])
    torn = changed("volume", 11, 1.0, twice)
    finding = only_error(found(torn))
    assert (finding.check, finding.rows) == ("conflicting", (10, 11))
    assert errors(repaired(found(torn), (Repair.DUPLICATES,))[0]) != []
    left, done = repaired(found(torn), (Repair.DROP_CONFLICTING,))
    assert (len(left), done) == (399, (Done(repair=Repair.DROP_CONFLICTING, rows=2),))
    assert [finding.check for finding in check(left)] == ["gaps"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("close", np.nan, "not_a_number"),
        ("volume", np.inf, "not_a_number"),
        ("low", 0.0, "not_positive"),
        ("volume", -1.0, "negative_volume"),
        ("high", 1.0, "ohlc"),
        ("low", 1e6, "ohlc"),
    ],
)
def test_rows_that_are_no_bar_are_refused_and_can_be_dropped(name: str, value: float, expected: str) -> None:
    broken = found(changed(name, [5, 90], value))
    finding = only_error(broken)
    assert (finding.check, finding.count, finding.rows) == (expected, 2, (5, 90))
    left, _ = repaired(broken, (Repair.DROP_BROKEN,))
    assert [one.check for one in check(left)] == ["gaps"]
    assert len(left) == 398


def test_gaps_are_counted_and_never_filled() -> None:
    rows = found(a_market())
    kept = np.ones(400, np.bool_)
    kept[100:103] = kept[200:201] = False
    (finding,) = check(rows.take(kept))
    assert (finding.check, finding.severity, finding.rows) == ("gaps", Severity.NOTE, (100, 197))
    assert finding.sentence == "2 gaps of 4 bars together, the longest of 3 bars after 2020-01-05T03:00Z"
    kept[210:260] = False
    assert check(rows.take(kept))[0].severity is Severity.WARNING
    cured, _ = repaired(rows.take(kept), tuple(Repair))
    assert len(cured) == int(kept.sum())


def test_open_times_off_the_grid_and_a_changed_interval_are_refused() -> None:
    off = changed("time", 50, START_MS + 50 * HOUR_MS + 60_000)
    finding = next(one for one in check(found(off)) if one.check == "off_grid")
    assert (finding.severity, finding.rows, finding.repair) == (Severity.ERROR, (50,), None)
    slower = a_market()
    slower["time"] = np.where(
        np.arange(400) < 300, slower["time"], START_MS + HOUR_MS * (300 + 4 * np.arange(-300, 100))
    )
    assert only_error(found(slower)).check == "wrong_step"


def test_the_step_is_the_most_common_one() -> None:
    rows = found(a_market())
    assert step_seconds(rows) == 3600
    assert step_seconds(rows.take(np.array([0, 1, 2, 50, 51, 399]))) == 3600


def test_mixed_units_of_time_are_refused_and_can_be_read_by_magnitude() -> None:
    columns = a_market()
    mixed = changed("time", slice(0, 100), columns["time"][:100] // 1000)
    finding = only_error(found(mixed))
    assert (finding.check, finding.count, finding.repair) == ("mixed_timestamps", 100, Repair.TIMESTAMPS)
    cured, _ = repaired(found(mixed), (Repair.TIMESTAMPS,))
    assert np.array_equal(cured.time, columns["time"])
    assert check(cured) == ()


@pytest.mark.parametrize("per_ms", [1e-3, 1e3, 1e6])
def test_one_unit_throughout_is_read_by_magnitude_unless_the_name_says_milliseconds(per_ms: float) -> None:
    columns = a_market()
    other = found(columns, time=(columns["time"] * per_ms).astype(np.int64))
    assert check(other) == ()
    assert np.array_equal(other.time_ms, columns["time"])
    said = replace(other, time_unit=TimeUnit.SAID_MS)
    assert (only_error(said).check, only_error(said).repair) == ("time_unit", Repair.TIMESTAMPS)


def test_flat_bars_and_bars_without_a_trade_are_noted_and_many_of_them_warned_of() -> None:
    columns = a_market()
    for name in ("open", "high", "low", "close"):
        columns[name] = columns[name].copy()
        columns[name][[3, 80]] = columns["close"][[2, 79]]
    columns = changed("volume", [3, 80], 0.0, columns)
    assert [(one.check, one.severity, one.rows) for one in check(found(columns))] == [
        ("flat", Severity.NOTE, (3, 80)),
        ("zero_volume", Severity.NOTE, (3, 80)),
    ]
    left, _ = repaired(found(columns), (Repair.DROP_FLAT,))
    assert len(left) == 398
    quiet = changed("volume", slice(0, 400, 9), 0.0)
    assert [(one.check, one.severity) for one in check(found(quiet))] == [("zero_volume", Severity.WARNING)]


def test_bars_that_repeat_the_last_one_are_refused_from_the_second_repeat_on() -> None:
    columns = a_market()
    names = ("open", "high", "low", "close", "volume")
    once = {name: np.concatenate((v[:50], v[49:50], v[51:])) if name in names else v for name, v in columns.items()}
    finding = next(one for one in check(found(once)) if one.check == "stale")
    assert (finding.severity, finding.rows) == (Severity.WARNING, (50,))
    often = {
        name: np.concatenate((v[:50], np.repeat(v[49:50], 9), v[59:])) if name in names else v
        for name, v in columns.items()
    }
    finding = only_error(found(often))
    assert (finding.check, finding.count, finding.repair) == ("stale", 9, Repair.DROP_STALE)
    assert errors(repaired(found(often), (Repair.DROP_STALE,))[0]) == []


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_price_ten_times_off_for_one_bar_is_refused_and_can_be_dropped(factor: float) -> None:
    columns = a_market()
    for name in ("open", "high", "low", "close"):
        columns = changed(name, 60, columns[name][60] * factor, columns)
    finding = only_error(found(columns))
    assert (finding.check, finding.rows, finding.repair) == ("spike", (60,), Repair.DROP_SPIKES)
    assert errors(repaired(found(columns), (Repair.DROP_SPIKES,))[0]) == []


def test_a_wick_ten_times_off_is_refused_and_a_tenth_is_noted() -> None:
    far = changed("high", 60, a_market()["high"][60] * 10)
    assert only_error(found(far)).check == "spike"
    near = changed("high", 60, np.round(a_market()["high"][60] * 1.1, 1))
    assert [(one.check, one.severity, one.rows) for one in check(found(near))] == [("spike", Severity.NOTE, (60,))]


def test_swapped_volumes_are_found_row_by_row_where_both_are_there() -> None:
    columns = a_market()
    quote = columns["volume"] * columns["close"]
    assert check(found(columns, quote_volume=quote)) == ()
    swapped = np.zeros(400, np.bool_)
    swapped[[7, 8, 300]] = True
    volume, paid = np.where(swapped, quote, columns["volume"]), np.where(swapped, columns["volume"], quote)
    rows = found(columns, volume=volume, quote_volume=paid)
    finding = only_error(rows)
    assert (finding.check, finding.rows, finding.repair) == ("swapped_volume", (7, 8, 300), Repair.SWAPPED_VOLUME)
    cured, _ = repaired(rows, (Repair.SWAPPED_VOLUME,))
    assert np.array_equal(cured.volume, columns["volume"])
    all_swapped = found(columns, volume=quote, quote_volume=columns["volume"])
    assert only_error(all_swapped).count == 400


def test_volumes_that_do_not_make_the_price_are_warned_of() -> None:
    columns = a_market()
    rows = found(columns, quote_volume=columns["volume"] * columns["close"] * 100)
    assert [(one.check, one.severity) for one in check(rows)] == [("volume_mismatch", Severity.WARNING)]


@pytest.mark.parametrize("quote_first", [True, False])
def test_quote_volume_in_one_part_of_the_only_volume_column_is_refused(quote_first: bool) -> None:
    columns = a_market(1000)
    quote = np.arange(1000) < 500 if quote_first else np.arange(1000) >= 500
    columns["volume"] = np.where(quote, columns["volume"] * columns["close"], columns["volume"])
    finding = only_error(found(columns))
    assert (finding.check, finding.repair) == ("volume_shift", None)
    assert finding.rows == (500,)
    assert f"the rows {'before' if quote_first else 'after'} it hold quote volume" in finding.sentence


def test_a_volume_that_changes_its_unit_is_warned_of() -> None:
    columns = a_market(1000)
    columns["volume"] = np.where(np.arange(1000) < 500, columns["volume"], columns["volume"] * 1000)
    (finding,) = check(found(columns))
    assert (finding.check, finding.severity) == ("volume_shift", Severity.WARNING)


def test_a_new_tick_is_noted() -> None:
    columns = joined(a_market(1500), a_market(1500, price=float(a_market(1500)["close"][-1]), tick=0.5, seed=4))
    (finding,) = check(found(columns))
    assert (finding.check, finding.severity, finding.rows) == ("tick_change", Severity.NOTE, (1500,))
    assert "from 0.1 to 0.5" in finding.sentence


@pytest.mark.parametrize(
    ("prices", "tick"),
    [([100.0, 250.0, 300.0], 50.0), ([0.5, 1.0, 2.5], 0.5), ([0.01234, 0.01235], 1e-5), ([1 / 3, 2 / 7], 0.0)],
)
def test_the_tick_is_the_coarsest_grid_of_the_prices(prices: list[float], tick: float) -> None:
    assert tick_of(np.array(prices)) == pytest.approx(tick)


def test_a_file_of_two_markets_and_a_file_of_one_bar_are_refused() -> None:
    assert only_error(found(a_market(), symbols=("BTC/USD", "ETH/USD"))).check == "symbols"
    for count in (0, 1):
        assert only_error(found(a_market()).take(np.arange(count))).check == "too_few"


def test_a_finding_says_in_one_line_what_where_and_the_cure() -> None:
    backwards = found({name: values[::-1] for name, values in a_market().items()})
    assert check(backwards)[0].line() == (
        "error: order: rows are in the order newest first (rows 1, 2, 3, 4, 5, ...) [--repair sort]"
    )
