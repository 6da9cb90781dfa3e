"""gen/openapi.yaml tells the truth about the contract, as the page that clients are made from."""

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "gen" / "openapi.yaml").read_text(encoding="utf8"))


def body_of(page: dict[str, Any], path: str) -> dict[str, Any]:
    name = page["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    return page["components"]["schemas"][name.rpartition("/")[2]]


def test_the_page_is_valid_openapi(page: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(page).validate()


def test_the_page_is_the_same_however_often_it_is_made() -> None:
    plugins = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "tools/gen.py", "--check"]
    made = [subprocess.run(command, cwd=ROOT, env=plugins, capture_output=True, text=True, check=False) for _ in "ab"]
    assert [(run.returncode, run.stderr) for run in made] == [(0, ""), (0, "")]


def test_every_documented_route_is_there_with_its_port(page: dict[str, Any]) -> None:
    routes = {
        (verb.upper(), path): {server["url"][-5:] for server in item["servers"]}
        for path, item in page["paths"].items()
        for verb in item
        if verb in {"get", "post"}
    }
    assert routes == {
        ("GET", "/health"): {":8000", ":9000"},
        ("POST", "/api/ai/consensus"): {":8000"},
        ("POST", "/api/ai/consensus:batch"): {":8000"},
        ("GET", "/api/ai/decisions"): {":8000"},
        ("POST", "/api/trade/execute"): {":8000"},
        ("GET", "/api/trade/orders"): {":8000"},
        ("GET", "/api/trade/orders/{idempotencyKey}"): {":8000"},
        ("GET", "/api/trade/positions"): {":8000"},
        ("GET", "/api/risk"): {":8000"},
        ("POST", "/api/risk/reset"): {":8000"},
        ("POST", "/api/risk/halt"): {":8000"},
        ("POST", "/api/risk/resume"): {":8000"},
        ("POST", "/api/risk/flatten"): {":8000"},
        ("GET", "/api/promotion"): {":8000"},
        ("POST", "/api/promotion/promote"): {":8000"},
        ("POST", "/api/promotion/demote"): {":8000"},
        ("GET", "/api/events"): {":8000"},
        ("GET", "/api/calibration"): {":8000"},
        ("GET", "/api/models"): {":9000"},
        ("GET", "/api/models/{version}"): {":9000"},
        ("POST", "/api/models/activate"): {":9000"},
        ("POST", "/api/models/rollback"): {":9000"},
        ("POST", "/api/models/shadow"): {":9000"},
        ("POST", "/api/model/predict"): {":9000"},
    }


def test_an_order_needs_symbol_side_and_quantity_and_takes_no_other_field(page: dict[str, Any]) -> None:
    order = body_of(page, "/api/trade/execute")
    assert order["required"] == ["symbol", "side", "qtyUsd"]
    assert order["additionalProperties"] is False
    assert set(order["properties"]) == {
        "symbol",
        "side",
        "qtyUsd",
        "confidence",
        "idempotencyKey",
        "decisionId",
        "reduceOnly",
    }


def test_the_constraints_of_the_contract_are_constraints_of_the_page(page: dict[str, Any]) -> None:
    order = body_of(page, "/api/trade/execute")["properties"]
    assert order["side"]["enum"] == ["buy", "sell"]
    assert (order["qtyUsd"]["exclusiveMinimum"], order["qtyUsd"]["maximum"]) == (0, 1e9)
    assert (order["confidence"]["minimum"], order["confidence"]["maximum"]) == (0, 1)
    assert order["symbol"]["pattern"] == "^[A-Z0-9]{2,30}$"
    rows = body_of(page, "/api/ai/consensus:batch")["properties"]["requests"]
    assert (rows["minItems"], rows["maxItems"]) == (1, 4096)


@pytest.mark.parametrize("path", ["/api/risk/reset", "/api/models/rollback"])
def test_a_reset_and_a_rollback_may_come_without_a_body(page: dict[str, Any], path: str) -> None:
    assert page["paths"][path]["post"]["requestBody"]["required"] is False


def test_every_change_of_what_is_served_tells_that_a_version_may_be_unfit(page: dict[str, Any]) -> None:
    changes = ("activate", "rollback", "shadow")
    assert all(
        {"404", "422", "503"} <= set(page["paths"][f"/api/models/{one}"]["post"]["responses"]) for one in changes
    )


def test_execute_lists_each_status_that_its_reasons_bring(page: dict[str, Any]) -> None:
    told = set(page["paths"]["/api/trade/execute"]["post"]["responses"])
    assert told == {"200", "202", "400", "412", "413", "422", "423", "429", "500", "503", "default"}


def test_the_idempotency_key_is_a_header_of_execute(page: dict[str, Any]) -> None:
    headers = [
        one["name"] for one in page["paths"]["/api/trade/execute"]["post"]["parameters"] if one["in"] == "header"
    ]
    assert headers == ["Idempotency-Key"]


def test_events_are_lines_of_json(page: dict[str, Any]) -> None:
    assert list(page["paths"]["/api/events"]["get"]["responses"]["200"]["content"]) == ["application/x-ndjson"]


def test_every_operation_and_every_field_is_described(page: dict[str, Any]) -> None:
    silent = [
        path
        for path, item in page["paths"].items()
        for verb in item
        if verb in {"get", "post"} and not item[verb]["description"]
    ]
    for name, schema in page["components"]["schemas"].items():
        silent += [
            f"{name}.{field}"
            for field, one in schema["properties"].items()
            if not one.get("description", "const" in one)
        ]
    assert silent == []
