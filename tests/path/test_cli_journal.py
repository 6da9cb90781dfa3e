"""`tollgate` reads the journal's file: replay, verify, export and decisions."""

import csv
import json
import sys
from dataclasses import replace
from decimal import Decimal

import pyarrow.parquet
import pytest
from builders import BTC, a_decision, an_order, the_facts
from journal_kit import a_change, opened, problems, running
from world import World

from gateway.cli import DONE, REFUSED, main
from gateway.core.columns import KINDS
from gateway.core.documents import Document, DocumentKind
from gateway.core.fact_records import policy_document
from gateway.core.json_fields import canonical
from gateway.core.model import DecisionId, OrderKey, OrderState, Side
from gateway.core.records import order_from
from gateway.doctor import diagnose
from gateway.exporting import export_journal
from gateway.policies import keep_policy


@pytest.fixture
async def path(tmp_path):
    """The journal of a world that approved, clipped, refused and reduced."""
    path = tmp_path / "journal.sqlite3"
    async with running(path) as journal:
        world = World()
        world.journal = journal
        world.restart()
        await journal.claim("paper")
        policy = policy_document(world.policy, world.account.name, 0)
        await keep_policy(journal, policy)
        await keep_policy(journal, policy)
        await journal.append_decisions([a_decision()])
        for order in (
            an_order(key=OrderKey("one")),
            an_order(key=OrderKey("two"), requested_usd=Decimal(9000)),
            an_order(key=OrderKey("low"), confidence=Decimal("0.1")),
            an_order(key=OrderKey("named"), confidence=None, decision_id=DecisionId("d1")),
            an_order(key=OrderKey("close"), side=Side.SELL, reduce_only=True),
        ):
            await world.path.execute(order)
        await journal.append_risk(a_change())
        await journal.append_document(
            Document(kind=DocumentKind.TWIN, subject="one", text=canonical({"v": 1}), at_ms=5)
        )
    assert problems(path) == []
    return path


def change(path, where, *, body):
    """Rewrite one record's body, as an intruder would."""
    with opened(path) as connection:
        connection.execute("DROP TRIGGER IF EXISTS records_are_not_changed")
        seq, text = connection.execute(f"SELECT seq, body FROM records WHERE {where} ORDER BY seq").fetchone()  # noqa: S608
        assert body(text) != text
        connection.execute("UPDATE records SET body = ? WHERE seq = ?", (body(text), seq))
    return seq


def bodies(path):
    with opened(path) as connection:
        return [order_from(row[0]) for row in connection.execute("SELECT body FROM records WHERE kind = 'order'")]


def test_the_first_record_of_an_order_alone_tells_what_it_was_judged_by(path):
    with opened(path) as connection:
        rows = connection.execute("SELECT subject, body FROM records WHERE kind = 'order' ORDER BY seq").fetchall()
    told = {}
    for key, body in rows:
        told.setdefault(key, []).append(json.loads(body)["facts"] is not None)
    assert told == {"one": [True, False], "two": [True, False], "low": [True], "named": [True], "close": [True, False]}


def test_the_limits_are_kept_once_while_they_stay_the_same(path):
    with opened(path) as connection:
        assert connection.execute("SELECT count(*) FROM records WHERE kind = 'policy'").fetchone() == (1,)


def test_a_replay_of_a_real_journal_finds_every_verdict_identical(path, capsys):
    assert main(["replay", "--journal", str(path)]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"journal  {path}"
    assert lines[2:] == [
        "again    5 verdicts are identical, 0 differ",
        "not      0 tell no facts, 0 tell those of another version",
        "OK       every verdict follows from what was recorded",
    ]
    states = [record.state for record in bodies(path)]
    assert OrderState.REFUSED in states
    assert OrderState.FILLED in states


def test_a_replay_claims_nothing_of_what_it_cannot_judge(path, capsys):
    change(path, "subject = 'two'", body=lambda text: text.replace('"form":"', '"form":"x'))
    assert main(["replay", "--journal", str(path)]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "not      0 tell no facts, 1 tell those of another version"
    assert lines[-1] == "OK       4 verdicts follow from what was recorded; the others cannot be judged again"


def test_a_replay_begins_and_ends_where_it_is_told(path, capsys):
    assert main(["replay", "--journal", str(path), "--json", "--limit", "2"]) == DONE
    first = json.loads(capsys.readouterr().out)
    assert (first["ok"], first["orders"]) == (True, 2)
    assert main(["replay", "--journal", str(path), "--json", "--from", str(first["last_seq"] + 1)]) == DONE
    assert json.loads(capsys.readouterr().out)["orders"] == 3


def test_a_changed_fact_is_found_by_replay_and_located_by_verify(path, capsys):
    seq = change(path, "subject = 'one'", body=lambda text: text.replace('"position_qty":"0"', '"position_qty":"0.08"'))
    assert main(["replay", "--journal", str(path)]) == REFUSED
    assert f"DIFFERS  record {seq}, order one: approved_usd was recorded as 1800" in capsys.readouterr().out
    assert main(["journal", "verify", "--journal", str(path)]) == REFUSED
    assert f"BROKEN   record {seq}: its digest is not that of its columns" in capsys.readouterr().out
    assert main(["journal", "verify", "--journal", str(path), "--json"]) == REFUSED
    assert json.loads(capsys.readouterr().out)["faults"][0]["seq"] == seq


def test_a_whole_chain_is_verified(path, capsys):
    assert main(["journal", "verify", "--journal", str(path)]) == DONE
    assert capsys.readouterr().out.startswith("OK       12 records, each follows from the one before; head ")
    assert main(["journal", "verify", "--journal", str(path), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["records"] == 12


def test_facts_in_a_later_record_break_the_journal(path):
    change(path, "body LIKE '%\"filled\"%'", body=lambda text: text.replace('"policy_id":""', '"policy_id":"x"'))
    assert any("which its first record alone may" in problem for _, problem in problems(path))


@pytest.mark.parametrize("command", [["replay"], ["journal", "verify"], ["journal", "export", "never-made"]])
def test_a_missing_journal_is_told(command, tmp_path, capsys):
    assert main([*command, "--journal", str(tmp_path / "none")]) == REFUSED
    assert "There is no journal at" in capsys.readouterr().err


def test_every_kind_is_exported_as_csv(path, tmp_path, capsys):
    target = tmp_path / "out"
    assert main(["journal", "export", str(target), "--journal", str(path), "--json"]) == DONE
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert sorted(rows) == sorted(f"{kind}.csv" for kind in KINDS)
    assert (rows["order.csv"], rows["decision.csv"], rows["policy.csv"], rows["watch.csv"]) == (8, 1, 1, 0)
    with (target / "order.csv").open(encoding="utf8", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["subject"], first["order_symbol"], first["state"]) == ("one", BTC, "pending")
    assert (first["order_requested_usd"], first["approved_usd"]) == ("2000", "1800")
    assert json.loads(first["facts"])["values"]["position_qty"] == "0"
    assert first["failure"] == ""
    with (target / "twin.csv").open(encoding="utf8", newline="") as file:
        assert next(csv.DictReader(file))["body"] == '{"v":1}'


def test_every_kind_is_exported_as_parquet(path, tmp_path):
    target = tmp_path / "out"
    assert main(["journal", "export", str(target), "--journal", str(path), "--format", "parquet"]) == DONE
    orders = pyarrow.parquet.read_table(target / "order.parquet").to_pylist()
    assert orders[0]["seq"] == 3
    assert (orders[0]["approved_usd"], orders[0]["order_reduce_only"]) == ("1800", False)
    assert pyarrow.parquet.read_table(target / "decision.parquet").to_pylist()[0]["confidence"] == 0.65
    assert pyarrow.parquet.read_table(target / "outcome.parquet").num_rows == 0


def test_an_export_overwrites_nothing_and_leaves_nothing_half_made(path, tmp_path, capsys):
    target = tmp_path / "out"
    target.mkdir()
    assert main(["journal", "export", str(target), "--journal", str(path)]) == REFUSED
    assert "is there already" in capsys.readouterr().err
    change(path, "kind = 'risk'", body=lambda _: "[]")
    other = tmp_path / "other"
    assert main(["journal", "export", str(other), "--journal", str(path)]) == REFUSED
    assert "Nothing was exported: record 11 is no object" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir() if "journal" not in entry.name] == ["out"]


def test_parquet_without_its_library_is_a_clear_sentence(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["journal", "export", str(tmp_path / "out"), "--journal", str(path), "--format", "parquet"]) == REFUSED
    assert "Parquet files need pyarrow, which this installation does not have" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_limits_that_rule_are_told(path, capsys):
    assert main(["journal", "limits", "--journal", str(path)]) == DONE
    first, *lines = capsys.readouterr().out.splitlines()
    limits = dict(line.split(maxsplit=1) for line in lines)
    assert first.startswith("limits ")
    assert first.endswith(", since 1970-01-01T00:00:00Z")
    assert (limits["symbols"], limits["symbol_cap_usd"], limits["real_market"]) == ("BTCUSDT", "5000", "False")
    assert main(["journal", "limits", "--journal", str(path), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["values"]["symbol_cap_usd"] == "5000"


async def test_a_journal_without_limits_says_so(tmp_path, capsys):
    async with running(tmp_path / "new.sqlite3"):
        pass
    assert main(["journal", "limits", "--journal", str(tmp_path / "new.sqlite3")]) == REFUSED
    assert "tells no limits" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["replay", "--from", "0"], ["replay", "--limit", "-1"]])
def test_a_number_out_of_range_is_wrong_usage(wrong):
    with pytest.raises(SystemExit) as exit_code:
        main(wrong)
    assert exit_code.value.code == 2


async def test_a_person_at_a_terminal_is_told_how_far_a_long_work_is(tmp_path):
    path = tmp_path / "journal.sqlite3"
    async with running(path) as journal:
        await journal.append_decisions([a_decision(decision_id=DecisionId(f"d{number}")) for number in range(10_001)])
    told = []
    assert diagnose(path, lambda done, total: told.append((done, total))).ok
    assert told == [(10_000, 10_001), (10_001, 10_001)]
    told.clear()
    export_journal(path, tmp_path / "out", "csv", lambda done, total: told.append((done, total)))
    assert told == [(10_000, 10_001), (10_001, 10_001)]


async def test_an_open_order_keeps_no_facts_in_memory():
    world = World()
    await world.path.execute(an_order())
    first = world.journal.records[0]
    assert (first.facts.at_ms, first.policy_id != "") == (the_facts().at_ms, True)
    assert all(record.facts is None for record in world.account.open_orders())
    assert world.journal.records[1] == replace(world.journal.records[1], facts=None, policy_id="")
