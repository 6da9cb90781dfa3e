"""Generate what docs/ has from the code: the tables of reasons, settings, states, stages and retCodes, a card's schema.

`python tools/docs.py` rewrites them; `--check` fails when one differs.
"""

import argparse
import ast
import inspect
import itertools
import json
import pathlib
import sys
from decimal import Decimal

from gateway.adapters.venue_bybit.codes import NOT_DONE, CodeKind, codes_of
from gateway.core.controls import CONTROLS
from gateway.core.evidence import CRITERIA
from gateway.core.lifecycle import ORDER_MOVES, RISK_MOVES, RiskStatus, moved
from gateway.core.promotion import STAGES, WINDOW_DAYS
from gateway.core.reasons import CODES, Reason
from gateway.settings_table import TABLE as GATEWAY
from inference.core.card import Card
from inference.settings import SETTINGS as MODEL_SERVICE

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN = "<!-- made by `make docs` from gateway/core/controls.py -->"
END = "<!-- until here -->"
PROTO = ROOT / "proto/trading/v1/errors.proto"


def main() -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when docs/ is not what the code makes")
    check = parser.parse_args().check
    stale = [name for name, text in pages().items() if not _keep(ROOT / "docs" / name, text, check=check)]
    for name in stale:
        print(f"docs/{name} differs: run `make docs` and commit", file=sys.stderr)
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """Every generated page by its name."""
    return {
        "reasons.md": _reasons(),
        "settings.md": _settings(),
        "states.md": _states(),
        "stages.md": _stages(),
        "retcodes.md": _retcodes(),
        "risk.md": _risk(),
        "card.schema.json": _card(),
    }


def _keep(path: pathlib.Path, text: str, *, check: bool) -> bool:
    if not check:
        path.write_text(text, encoding="utf8")
        return True
    return path.exists() and path.read_text(encoding="utf8") == text


def _reasons() -> str:
    rows = []
    for reason in Reason:
        codes = CODES[reason]
        retry = "" if codes.retry_after_seconds is None else f"{codes.retry_after_seconds} s"
        stored = "yes" if codes.stored else "no"
        rows.append(f"| {reason} | {codes.grpc} | {codes.http} | {stored} | {retry} | {_meaning(reason)} |")
    return _page(
        "Reasons",
        "Every error carries one of these in `google.rpc.ErrorInfo.reason`, with the domain `tollgate`.\n"
        "*Stored* refusals of an order are replayed to a retry with the same key; the others leave the key free.",
        "| reason | gRPC | HTTP | stored | retry | what it means, and what to do |\n|---|---|---|---|---|---|",
        rows,
    )


def _meaning(reason: Reason) -> str:
    """The contract's comment above the value, without the codes that the table shows already."""
    lines = PROTO.read_text(encoding="utf8").splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{reason} = "))
    comment = lines[at - 1].strip().removeprefix("// ")
    return comment.partition(". ")[2]


def _settings() -> str:
    rows = [f"| gateway | `{row.name}` | {_code(row.default)} | {row.meaning} |" for row in GATEWAY]
    rows += [
        f"| model service | `{row.name}` | {_code(row.default)} | {row.meaning} ({row.unit}) |"
        for row in MODEL_SERVICE.values()
    ]
    return _page(
        "Settings",
        "Environment variables, read once at the start; every fault is reported together, and nothing starts with one.",
        "| part | name | default | meaning |\n|---|---|---|---|",
        rows,
    )


def _states() -> str:
    rows = []
    for state, moves in ORDER_MOVES.items():
        ends = ", ".join(sorted(f"`{move.value}`" for move in moves)) or "(the end)"
        rows.append(f"| `{state.value}` | {ends} |")
    orders = _page(
        "States of an order",
        "An order that is `pending` or `unknown` counts against the limits as if it filled whole.\n"
        "Only reconciliation moves an `unknown` order on.",
        "| from | to |\n|---|---|",
        rows,
    )
    return f"{orders}\n{_risk_states()}"


def _risk_states() -> str:
    """What every event makes of every set of latches."""
    events = list(RISK_MOVES)
    rows = []
    for halted, locked, reducing in itertools.product((False, True), repeat=3):
        before = RiskStatus(halted=halted, locked=locked, reducing=reducing, peak_equity_usd=Decimal(1))
        cells = (_latches(moved(before, event)) for event in events)
        rows.append(f"| {_latches(before)} | {' | '.join(cells)} |")
    head = f"| latches | {' | '.join(event.value for event in events)} |"
    return "\n".join(
        [
            "## States of the account's risk",
            "",
            "Three latches. The first of `halted`, `locked` and `reducing` that stands is the state that is told; with",
            "none it is `active`. What each event makes of them:",
            "",
            head,
            "|---" * (len(events) + 1) + "|",
            *rows,
            "",
        ]
    )


def _latches(status: RiskStatus) -> str:
    standing = [name for name in ("halted", "locked", "reducing") if getattr(status, name)]
    return ", ".join(f"`{name}`" for name in standing) or "`active`"


STAGES_FROM = (
    "Generated from gateway/core/promotion.py and gateway/core/evidence.py by `make docs`; [promotion.md](promotion.md)"
    " says how they work."
)
STAGES_COUNT = (
    "The cap is that of an order and of a symbol's exposure. Outcomes, and as many decisions, count over the last"
    f" {WINDOW_DAYS} days, orders and days at the stage before."
)


def _stages() -> str:
    """The stages of promotion, what each asks for, and what the criteria are."""
    rows = []
    for stage, row in STAGES.items():
        cap = "the settings alone" if row.cap_usd is None else f"{row.cap_usd} USD"
        asks = row.asks
        asked = (
            " | | | | "
            if asks is None
            else f"{asks.outcomes} | {asks.orders} | {asks.days} | {asks.regimes} | {asks.slippage_bps_max:g}"
        )
        rows.append(f"| {stage} | {cap} | {asked} | {row.meaning} |")
    return "\n".join(
        [
            "# Stages of promotion",
            "",
            STAGES_FROM,
            "",
            STAGES_COUNT,
            "",
            "| Stage | Cap | Outcomes | Orders | Days | Market regimes | Slippage below, bps | What it is |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "| Criterion | What it asks |",
            "|---|---|",
            *(f"| {name} | {what} |" for name, what in CRITERIA.items()),
            "",
        ]
    )


def _retcodes() -> str:
    rows = []
    for kind, meaning in _meanings_of_kinds().items():
        ends = "rejected" if kind in NOT_DONE else "looked up"
        codes = ", ".join(str(code) for code in codes_of(kind)) or "(no retCode)"
        rows.append(f"| `{kind.value}` | {ends} | {codes} | {meaning} |")
    return _page(
        "Bybit's retCodes",
        "What each says of a new order. *Rejected* is its end. *Looked up* means that the answer proves nothing:\n"
        "its end is looked for, or its absence proven ([live.md](live.md)). A code that is not here counts as\n"
        "`unknown`, and so does no answer at all.",
        "| kind | a new order is | codes | meaning |\n|---|---|---|---|",
        rows,
    )


def _risk() -> str:
    """The page as it is written by hand, with the table of checks between its marks made anew."""
    text = (ROOT / "docs/risk.md").read_text(encoding="utf8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    rows = [
        f"| {number} | {control.rule} | {control.reason} | {CODES[control.reason].http} | {control.reduce_only} | "
        f"{control.control_class} |"
        for number, control in enumerate(CONTROLS, 1)
    ]
    head = "| | check | fails with | HTTP | reduce-only | class of control |\n|---|---|---|---|---|---|"
    return "\n".join([before + BEGIN, head, *rows, END + after])


def _meanings_of_kinds() -> dict[CodeKind, str]:
    """The sentences under the kinds, as the code has them; Python forgets such texts, its source does not."""
    body = ast.parse(inspect.getsource(CodeKind)).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError("CodeKind is no class")
    meanings = {}
    for name, text in itertools.pairwise(body.body):
        if isinstance(name, ast.Assign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            meanings[CodeKind(ast.literal_eval(name.value))] = str(text.value.value)
    return meanings


def _card() -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Card.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


def _page(title: str, lead: str, head: str, rows: list[str]) -> str:
    return "\n".join([f"# {title}", "", "Generated by `make docs`; do not edit.", "", lead, "", head, *rows, ""])


def _code(text: str) -> str:
    return f"`{text}`" if text else "(unset)"


if __name__ == "__main__":
    raise SystemExit(main())
