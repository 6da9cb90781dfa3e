"""A card passes every gate, or says in a sentence which one holds its model back."""

from typing import Any

import pytest
from kit import a_card, a_validation, some_figures

from inference.core.card import Canary, Card, CardLabel, Export, Interval, Override
from inference.core.gates import faults_of, gates


def an_export(**changes: Any) -> Export:
    return a_card().export.model_copy(update=changes)


def of_figures(**changes: Any) -> Card:
    return a_card(market="real", validation=a_validation(figures=some_figures(**changes)))


LEAKY = Canary(name="delayed", value=0.6, limit=0.52, passed=False, meaning="Old features know no more.")
TOO_GOOD = {"auc": Interval(value=0.59, low=0.57, high=0.61)}


@pytest.mark.parametrize(
    ("card", "gate"),
    [
        (a_card(export=an_export(difference_max=2e-5)), "export_difference"),
        (a_card(export=an_export(rows=9_999)), "export_rows"),
        (a_card(export=an_export(flips=1)), "export_flips"),
        (a_card(validation=a_validation(canaries=(LEAKY,))), "canary_delayed"),
        (of_figures(**TOO_GOOD), "too_good"),
        (of_figures(log_loss=0.6931), "log_loss"),
        (of_figures(ece=Interval(value=0.03, low=0.02, high=0.051)), "ece"),
        (of_figures(calibration_slope=Interval(value=0.8, low=0.69, high=0.9)), "calibration_slope"),
    ],
)
def test_each_gate_holds_a_card_back_by_itself(card: Card, gate: str) -> None:
    (fault,) = faults_of(card)
    assert fault.startswith(f"gate {gate}: ")
    overridden = card.model_copy(update={"overrides": (Override(gate=gate, reason="looked into by ada"),)})
    assert bool(faults_of(overridden)) == gate.startswith("export_")


def test_an_honest_card_passes_and_names_every_gate() -> None:
    assert faults_of(a_card()) == ()
    assert [gate.name for gate in gates(a_card())] == [
        "export_difference",
        "export_rows",
        "export_flips",
        "canary_shuffled_labels",
        "too_good",
        "log_loss",
        "ece",
        "calibration_slope",
    ]


def test_a_modest_model_passes_and_the_limit_of_the_auc_is_for_a_real_market_and_an_hour() -> None:
    assert faults_of(of_figures(calibration_slope=Interval(value=1.5, low=1.2, high=1.8))) == ()
    too_good = a_validation(figures=some_figures(**TOO_GOOD))
    day = CardLabel(kind="direction", horizon_bars=24, barrier_sigmas=None, meaning="A day on.")
    assert faults_of(a_card(market="simulated", validation=too_good)) == ()
    assert faults_of(a_card(market="real", validation=too_good, label=day)) == ()


def test_an_override_of_another_gate_lets_nothing_pass() -> None:
    card = of_figures(**TOO_GOOD).model_copy(update={"overrides": (Override(gate="ece", reason="looked into"),)})
    assert len(faults_of(card)) == 1
