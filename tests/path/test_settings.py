"""The gateway's settings: defaults, forms, and every fault at once."""

from decimal import Decimal

import pytest

from gateway.settings import Settings, SettingsError, load


def test_nothing_set_is_a_working_gateway_on_paper_and_a_simulated_market():
    settings = load({})
    assert isinstance(settings, Settings)
    assert (settings.trading_mode, settings.market_data) == ("paper", "simulated")
    assert (settings.bar_minutes, settings.model_market, settings.dissimilarity_max) == (60, "", Decimal(1))
    assert (settings.calibration_alarm_at, settings.calibration_raise_by) == (Decimal(20_000), Decimal("0.05"))
    assert (settings.calibration_window, settings.recalibration) == (500, False)


def test_recalibration_is_a_switch():
    assert load({"RECALIBRATION": "on"}).recalibration is True
    assert load({"RECALIBRATION": "off"}).recalibration is False


def test_bars_have_the_lengths_that_the_exchange_has():
    taken = [minutes for minutes in range(1, 1500) if is_taken("BAR_MINUTES", str(minutes))]
    assert taken == [1, 3, 5, 15, 30, 60, 120, 240, 360, 720, 1440]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BAR_MINUTES", "060"),
        ("BAR_MINUTES", "1h"),
        ("MODEL_MARKET", "bybit"),
        ("DISSIMILARITY_MAX", "0"),
        ("DISSIMILARITY_MAX", "NaN"),
        ("CALIBRATION_ALARM_AT", "1"),
        ("CALIBRATION_ALARM_AT", "Infinity"),
        ("CALIBRATION_RAISE_BY", "-0.01"),
        ("CALIBRATION_RAISE_BY", "0.51"),
        ("CALIBRATION_WINDOW", "49"),
        ("CALIBRATION_WINDOW", "500.5"),
        ("RECALIBRATION", "yes"),
    ],
)
def test_what_is_out_of_its_range_is_refused_by_name(name, text):
    with pytest.raises(SettingsError, match=f"^{name}='{text}' must be"):
        load({name: text})


def test_all_faults_are_told_together():
    with pytest.raises(SettingsError) as caught:
        load({"BAR_MINUTES": "2", "RECALIBRATION": "maybe", "TRADING_MODE": "hot"})
    assert all(name in str(caught.value) for name in ("BAR_MINUTES", "RECALIBRATION", "TRADING_MODE"))


def is_taken(name, text):
    try:
        load({name: text})
    except SettingsError:
        return False
    return True
