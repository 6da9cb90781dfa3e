"""The documents speak of nothing that is not there."""

import pathlib
import re

import pytest

from gateway.core import risk
from gateway.core.controls import CONTROLS
from gateway.core.promotion import Stage
from gateway.core.reasons import CODES, Reason
from gateway.settings_table import TABLE
from inference.settings import SETTINGS

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRITTEN = ("README.md", "RUNBOOK.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = [ROOT / name for name in WRITTEN] + sorted((ROOT / "docs").glob("*.md"))
GENERATED = ("settings.md", "reasons.md", "states.md", "stages.md", "retcodes.md")
COMPOSE = ("docker-compose.yml", "docker-compose.live.yml")
MADE_BY_RUNNING = ("var/",)
NOT_SETTINGS = {
    "ORT_DISABLE_TELEMETRY",
    "YYYYMMDD_HHMMSS",  # the form of a version
    "COMPOSE_FILE",  # compose's own
    "GENERAL",
    "LIVE",
    "SETTINGS",
    "NOT_SERVING",
    "SERVING",
}

page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def words_in_code(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@page
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(path):
    text = path.read_text(encoding="utf8")
    broken = []
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf8"))):
            broken.append(target)
    assert broken == []


@page
def test_every_path_that_is_named_is_there(path):
    named = [
        word
        for word in words_in_code(path.read_text(encoding="utf8"))
        if re.fullmatch(r"[\w.-]+(/[\w.*-]+)*(/|\.(py|md|proto|yaml|yml|json|toml))", word) and "/" in word
    ]
    homes = (ROOT, ROOT / "gateway", ROOT / "proto/vendor", path.parent)
    missing = [
        word
        for word in named
        if not word.startswith(MADE_BY_RUNNING) and not any(any(home.glob(word.rstrip("/"))) for home in homes)
    ]
    assert missing == []


@page
def test_every_make_target_that_is_named_is_there(path):
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf8")))
    named |= set(re.findall(r"(?:^|&& )make ([a-z-]+)", path.read_text(encoding="utf8"), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("path", [path for path in PAGES if path.name not in GENERATED], ids=lambda path: path.name)
def test_every_word_in_capitals_is_a_setting_a_reason_or_a_known_name(path):
    words = {word for word in words_in_code(path.read_text(encoding="utf8")) if re.fullmatch(r"[A-Z][A-Z_]{3,}", word)}
    text = path.read_text(encoding="utf8")
    words |= set(re.findall(r"\b([A-Z]+_[A-Z_]+)=", text)) | set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text))
    settings = {row.name for row in TABLE} | {row.name for row in SETTINGS.values()}
    codes = {codes.grpc for codes in CODES.values()}
    compose = {word for name in COMPOSE for word in re.findall(r"\$\{(\w+)", (ROOT / name).read_text(encoding="utf8"))}
    assert words - settings - set(Reason) - set(Stage) - codes - compose - NOT_SETTINGS == set()


def test_every_tollgate_command_that_is_named_is_there():
    source = "".join(path.read_text(encoding="utf8") for path in sorted((ROOT / "gateway").glob("cli*.py")))
    named = {
        found
        for path in PAGES
        for found in re.findall(r"(?:bin/|`|exec backend )tollgate ([a-z]+)", path.read_text(encoding="utf8"))
    }
    assert {
        "status",
        "calibration",
        "orders",
        "order",
        "halt",
        "resume",
        "reset",
        "flatten",
        "doctor",
        "backup",
        "replay",
        "journal",
        "decisions",
        "watch",
        "positions",
        "config",
        "completion",
        "models",
        "evidence",
        "promote",
        "demote",
    } == named
    assert [name for name in named if f'"{name}",' not in source] == []


def test_every_command_of_tollgate_models_is_named_and_there():
    source = (ROOT / "gateway/cli_models.py").read_text(encoding="utf8")
    named = {
        found for path in PAGES for found in re.findall(r"tollgate models ([a-z]+)", path.read_text(encoding="utf8"))
    }
    assert named == {"list", "show", "compare", "activate", "rollback", "shadow"}
    assert [name for name in named if not re.search(rf'call\(\s*"{name}",', source)] == []


def test_every_container_that_is_named_is_there():
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf8")
    named = {
        found
        for path in PAGES
        for found in re.findall(
            r"docker (?:logs(?: -[-\w]+(?: \d+m)?)*|exec|compose up -d) ([a-z-]+)", path.read_text(encoding="utf8")
        )
    }
    assert named
    assert [name for name in named if f"container_name: {name}\n" not in compose] == []


def test_the_checks_stand_in_the_order_that_risk_keeps():
    kept = re.findall(r"^\d+\. ([A-Z_]+) ", risk.__doc__ or "", re.MULTILINE)
    documented = re.findall(
        r"^\| \d+ \| .* \| ([A-Z_]+) \|", (ROOT / "docs/risk.md").read_text(encoding="utf8"), re.MULTILINE
    )
    assert documented == kept
    assert len(kept) == 32
    assert kept == [control.reason for control in CONTROLS]


def test_the_reasons_of_the_checks_have_the_documented_status():
    rows = re.findall(r"\| ([A-Z_, ]+) \| (\d{3}) \|", (ROOT / "docs/risk.md").read_text(encoding="utf8"))
    assert rows
    wrong = [
        (reason, status)
        for reasons, status in rows
        for reason in reasons.split(", ")
        if str(CODES[Reason(reason)].http) != status
    ]
    assert wrong == []


def test_the_readme_lists_every_route():
    protos = sorted((ROOT / "proto/trading/v1").glob("*.proto"))
    routes = re.findall(r'\b(get|post): "([^"]+)"', "".join(path.read_text(encoding="utf8") for path in protos))
    readme = (ROOT / "README.md").read_text(encoding="utf8").replace("{idempotencyKey}", "{idempotency_key}")
    readme = readme.replace(
        "/api/risk/halt, /resume, /reset, /flatten",
        "/api/risk/halt, POST /api/risk/resume, POST /api/risk/reset, POST /api/risk/flatten",
    )
    assert len(routes) > 12
    wanted = [f"{verb.upper()} {path}" for verb, path in routes]
    assert [route for route in wanted if not re.search(re.escape(route) + r"(?![\w/:{])", readme)] == []


def test_the_docs_mention_no_place_outside_the_project():
    outside = re.compile(r"\.\./shared|design\.md|style\.md", re.IGNORECASE)
    assert [path.name for path in PAGES if outside.search(path.read_text(encoding="utf8"))] == []


def test_every_log_event_that_the_runbook_names_is_written_somewhere():
    runbook = (ROOT / "RUNBOOK.md").read_text(encoding="utf8")
    table = runbook[runbook.index("| event | of |") : runbook.index("## 13.")]
    events = re.findall(r"`([a-z_]+)`(?=[^|]*\| (?:gateway|both|model service|Envoy) \|)", table)
    written = "".join(
        path.read_text(encoding="utf8") for part in ("gateway", "inference") for path in (ROOT / part).rglob("*.py")
    )
    written += (ROOT / "envoy/envoy.yaml.tmpl").read_text(encoding="utf8").replace("event: access", '"access"')
    assert len(events) > 15
    assert [event for event in events if f'"{event}"' not in written] == []
