"""The model through the real edge: features from the gateway's own bars, versions, and the calibration that is told."""

from running import Tollgate, wait_until

ANOTHER_ORIGIN = {"origin": "http://elsewhere.example"}
NEVER_TRAINED = "19700101_000000"


def served(tollgate: Tollgate) -> str:
    return str(tollgate.get("/health", tollgate.model).json["model"]["version"])


def test_a_symbol_alone_is_judged_by_the_features_of_its_own_bars(tollgate: Tollgate) -> None:
    wait_until(lambda: tollgate.post("/api/ai/consensus", {"symbol": "SOLUSDT"}).status == 200)  # bars follow a start
    once, twice = (tollgate.post("/api/ai/consensus", {"symbol": "SOLUSDT"}).json for _ in range(2))
    assert (once["signal"], once["prob_long"]) == (twice["signal"], twice["prob_long"])
    assert once["decision_id"] != twice["decision_id"]
    mixed = tollgate.post(
        "/api/ai/consensus:batch",
        {
            "requests": [
                {"symbol": "SOLUSDT"},
                {"symbol": "SOLUSDT", "features": {"mom_20": 1.2, "rv_5": 0.8, "rsi_14": 62.0}},
            ]
        },
    ).json["responses"]
    assert mixed[0]["prob_long"] == once["prob_long"] != mixed[1]["prob_long"]


def test_features_far_from_the_training_set_are_answered_but_not_allowed_and_their_order_is_refused(
    tollgate: Tollgate,
) -> None:
    features = {"mom_20": 1.2, "rv_5": 80.0, "rsi_14": 62.0}
    decision = tollgate.post("/api/ai/consensus", {"symbol": "ETHUSDT", "features": features}).json
    assert (decision["allow"], "OUT_OF_DISTRIBUTION" in decision["reasons"]) == (False, True)
    side = "buy" if decision["signal"] == "long" else "sell"
    order = {"symbol": "ETHUSDT", "side": side, "qtyUsd": 500, "decisionId": decision["decision_id"]}
    refused = tollgate.post("/api/trade/execute", order)
    assert (refused.status, refused.reason) == (412, "OUT_OF_DISTRIBUTION")


def test_the_served_version_is_listed_with_its_gates_and_its_card(tollgate: Tollgate) -> None:
    listed = tollgate.get("/api/models", tollgate.model).json["models"][0]
    assert (listed["version"], listed["state"], listed["faults"]) == (served(tollgate), "active", [])
    shown = tollgate.get(f"/api/models/{listed['version']}", tollgate.model).json
    assert all(gate["passed"] for gate in shown["gates"])
    assert f'"sha256": "{listed["sha256"]}"' in shown["card"]


def test_activating_what_is_active_changes_nothing_and_what_is_not_there_is_a_404(tollgate: Tollgate) -> None:
    version = served(tollgate)
    same = tollgate.post("/api/models/activate", {"version": version, "reason": "a test"}, base=tollgate.model)
    assert (same.status, same.json["version"]) == (200, version)
    gone = tollgate.post("/api/models/activate", {"version": NEVER_TRAINED}, base=tollgate.model)
    assert (gone.status, gone.reason) == (404, "MODEL_NOT_FOUND")
    odd = tollgate.post("/api/models/activate", {"version": version, "reson": "mistyped"}, base=tollgate.model)
    assert (odd.status, odd.reason, odd.metadata["field"]) == (400, "INVALID_FIELD", "reson")
    assert served(tollgate) == version


def test_a_page_of_another_site_cannot_change_the_model(tollgate: Tollgate) -> None:
    for path in ("/api/models/activate", "/api/models/rollback", "/api/models/shadow"):
        answer = tollgate.post(path, {"version": served(tollgate)}, base=tollgate.model, headers=ANOTHER_ORIGIN)
        assert (answer.status, answer.reason) == (403, "FORBIDDEN"), path


def test_live_calibration_is_told_and_agrees_with_health(tollgate: Tollgate) -> None:
    told, health = tollgate.get("/api/calibration").json, tollgate.get("/health").json["calibration"]
    assert (told["modelVersion"], told["state"]) == (served(tollgate), "ok")
    assert told["effectiveThreshold"] == health["effectiveThreshold"] == 0.6
    assert told["alarmAt"] == 20_000
    assert told["evidence"] >= 1
