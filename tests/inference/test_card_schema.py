"""docs/card.schema.json says of a card what the code says: whoever reads it needs no code of ours."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from report_kit import some_card, some_predictions

from inference.core.card import Card, card_text

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs/card.schema.json").read_text(encoding="utf8"))
FITS = Draft202012Validator(SCHEMA)


@pytest.fixture
def raw() -> dict[str, Any]:
    return dict(json.loads(card_text(some_card(some_predictions(rows=600, folds=2)))))


def test_the_schema_is_a_valid_one_and_takes_a_card_that_the_code_takes(raw: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(FITS.iter_errors(raw)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema_version", 1),
        ("version", "today"),
        ("market", "both"),
        ("features", []),
        ("max_age_days", 0),
        ("created", "2026-01-02 03:04:05"),
        ("sha256", "ab"),
        ("unknown", 1),
    ],
)
def test_the_schema_refuses_what_the_code_refuses(raw: dict[str, Any], key: str, value: object) -> None:
    assert [fault.validator for fault in FITS.iter_errors(raw | {key: value})] != []


def test_every_key_of_a_card_is_required(raw: dict[str, Any]) -> None:
    assert set(SCHEMA["required"]) == set(Card.model_fields) == set(raw)
