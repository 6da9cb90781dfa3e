"""`tollgate` says what the gateway and the journal say, and tells by its exit code whether all is well."""
# ruff: noqa: N802 - the contract names the methods

import json
import os
import pty
import socket
import subprocess
import sys
from concurrent import futures
from dataclasses import replace

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from journal_kit import FILL, a_change, a_filled, a_record, a_refusal, keep, opened, running
from rpc_kit import a_venue_health
from trading.v1 import risk_pb2, risk_pb2_grpc, system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from gateway.cli import DONE, REFUSED, UNREACHABLE, main
from gateway.core.model import Evidence
from gateway.rpc.calibration_lines import calibration_lines
from gateway.rpc.cli_client import _order_lines
from gateway.rpc.convert import order_message, venue_health

RISK = risk_pb2.RiskSummary(
    state="halted", drawdown=0.031, max_drawdown_pct=0.15, equity_usd=96_900.0, peak_equity_usd=100_000.0
)

PREVIEW = risk_pb2.RiskPreview(
    from_state="halted",
    to_state="active",
    equity_usd=96_900.0,
    peak_equity_usd=100_000.0,
    peak_after_usd=100_000.0,
    drawdown=0.031,
    drawdown_after=0.031,
    positions=[risk_pb2.HeldPosition(symbol="BTCUSDT", qty=0.03)],
)


CALIBRATION_HEALTH = system_pb2.CalibrationHealth(
    state="raised", effective_threshold=0.65, matured=640, ece=0.0812, drifted_features=["rsi_14"]
)
CALIBRATION = system_pb2.GetCalibrationResponse(
    model_version="20261123_000000",
    state="raised",
    effective_threshold=0.65,
    matured=640,
    window=500,
    figures=system_pb2.CalibrationFigures(
        mean_confidence=0.653,
        hit_rate=0.572,
        coverage=0.81,
        hit_rate_at_threshold=0.58,
        mean_confidence_at_threshold=0.671,
        ece=system_pb2.Interval(value=0.0812, low=0.03, high=0.13),
        slope=system_pb2.Interval(value=0.45, low=0.1, high=0.8),
        brier=0.2466,
        log_loss=0.6863,
    ),
    reliability=[
        system_pb2.ReliabilityBucket(
            low=0.55,
            high=0.62,
            mean_confidence=0.6,
            hit_rate=system_pb2.Interval(value=0.56, low=0.42, high=0.69),
            count=50,
        )
    ],
    confidences=[system_pb2.HistogramBin(low=0.55, high=0.6, count=20), system_pb2.HistogramBin(low=0.6, high=0.65)],
    features=[
        system_pb2.FeatureDrift(
            name="rsi_14", psi=0.912, psi_limit=0.35, ks=0.31, ks_limit=0.22, effective_rows=101.4, drifted=True
        )
    ],
    evidence=311_000.0,
    alarm_at=20_000.0,
    recalibration_slope=1.0,
    moves=[
        system_pb2.CalibrationMove(
            from_state="warned", to_state="raised", model_version="20261123_000000", reason="promised too much"
        )
    ],
    shadow=system_pb2.ShadowCalibration(
        version="20261124_000000",
        matured=400,
        hit_rate=0.6,
        active_hit_rate=0.57,
        log_loss=0.67,
        active_log_loss=0.69,
        advantage=system_pb2.Interval(value=0.02, low=-0.01, high=0.05),
    ),
)


class System(system_pb2_grpc.SystemServiceServicer):
    def __init__(self):
        self.venue = None

    def GetHealth(self, request, context):
        return system_pb2.GetHealthResponse(
            venue=self.venue,
            ok=False,
            mode="paper",
            version="0.1.0",
            model=system_pb2.ModelHealth(ok=False),
            market_data=system_pb2.MarketDataHealth(ok=True, source="simulated", age_ms=12),
            journal=system_pb2.JournalHealth(ok=True, records=7),
            risk=RISK,
            calibration=CALIBRATION_HEALTH,
        )

    def GetCalibration(self, request, context):
        return CALIBRATION


class Trade(trade_pb2_grpc.TradeServiceServicer):
    def ListOrders(self, request, context):
        orders = [order_message(a_filled("one")), order_message(a_refusal("two"))]
        return trade_pb2.ListOrdersResponse(orders=orders[: request.page_size])

    def GetOrder(self, request, context):
        if request.idempotency_key == "slow":
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
        if request.idempotency_key == "plain":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")
        if request.idempotency_key != "one":
            refuse(context, grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND", "No order has this key.")
        return trade_pb2.GetOrderResponse(order=order_message(a_filled("one")))


class Risk(risk_pb2_grpc.RiskServiceServicer):
    def __init__(self):
        self.asked = []

    def Halt(self, request, context):
        self.asked.append(("halt", request.actor, request.reason, request.flatten))
        return risk_pb2.HaltResponse(ok=True, risk=RISK, message="Trading is halted.")

    def Flatten(self, request, context):
        self.asked.append(("flatten", request.actor, request.reason))
        closed = risk_pb2.FlattenedPosition(symbol="BTCUSDT", qty_before=0.03)
        left = risk_pb2.FlattenedPosition(symbol="ETHUSDT", qty_before=-2, qty_left=-1, why="cancelled")
        positions = [closed, left] if request.reason == "thin" else [closed]
        return risk_pb2.FlattenResponse(
            ok=request.reason != "thin", risk=RISK, message="Trading is halted.", positions=positions
        )

    def Resume(self, request, context):
        self.asked.append(("resume", request.actor, request.reason, request.confirm_token))
        if not request.confirm_token:
            return risk_pb2.ResumeResponse(risk=RISK, preview=PREVIEW, confirm_token="t1")  # noqa: S106 - of a test
        return risk_pb2.ResumeResponse(ok=True, risk=RISK, message="The halt is lifted.")

    def Reset(self, request, context):
        self.asked.append(("reset", request.actor, request.reason, request.confirm_token))
        if not request.two_step:
            refuse(context, grpc.StatusCode.UNAVAILABLE, "JOURNAL_UNAVAILABLE", "Nothing was changed.")
        return risk_pb2.ResetResponse(risk=RISK, preview=PREVIEW, confirm_token="t2")  # noqa: S106 - of a test


def refuse(context, code, reason, message):
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tollgate"))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


@pytest.fixture
def risk():
    return Risk()


@pytest.fixture
def system():
    return System()


@pytest.fixture
def address(risk, system):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
    trade_pb2_grpc.add_TradeServiceServicer_to_server(Trade(), server)
    risk_pb2_grpc.add_RiskServiceServicer_to_server(risk, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_status_tells_of_every_part(address, capsys):
    assert main(["status", "--addr", address]) == DONE
    assert capsys.readouterr().out.splitlines() == [
        "gateway   NOT OK, paper, version 0.1.0",
        "model     NOT OK, version not known",
        "market    ok, simulated, 12 ms old",
        "journal   ok, 7 records",
        "promise   raised, asks for 0.65, 640 decisions matured, calibration error 0.081, drifted: rsi_14",
        "risk      halted, drawdown 3.10% of at most 15.00%",
        "equity    96900.00 USD, peak 100000.00 USD",
    ]


@pytest.mark.parametrize(
    ("venue", "line"),
    [
        (
            a_venue_health(),
            "venue     ok, simulator, stream 40 ms old, compared 9 s ago, 0 unknown orders",
        ),
        (
            a_venue_health(env="demo", blocked="a ban"),
            "venue     NOT OK, demo, stream 40 ms old, compared 9 s ago, 0 unknown orders, takes no order: a ban",
        ),
        (
            a_venue_health(
                env="testnet",
                stream_connected=False,
                compared_age_ms=None,
                unknown_orders=2,
                oldest_unknown_age_ms=60_000,
            ),
            "venue     NOT OK, testnet, stream NOT connected, NOT compared yet, 2 unknown orders, the oldest for 60 s",
        ),
    ],
)
def test_status_tells_of_the_venue_in_live_trading(address, system, capsys, venue, line):
    system.venue = venue_health(venue)
    assert main(["status", "--addr", address]) == DONE
    assert line in capsys.readouterr().out.splitlines()


def test_a_live_order_tells_how_its_end_is_known():
    filled = a_filled(evidence=Evidence.STREAM, venue_order_id="v-1", fills=(replace(FILL, exec_id="e-1"),))
    lines = _order_lines(order_message(filled))
    assert "  filled by stream  " in lines[0]
    assert "venue id  v-1, ours tg-key-1" in lines
    assert "fill      0.029 at 60003, fee 0.957048 USD, id e-1" in lines


def test_calibration_tells_of_the_promise_and_the_watch(address, capsys):
    assert main(["calibration", "--addr", address]) == DONE
    assert capsys.readouterr().out.splitlines() == [
        "model     20261123_000000",
        "watch     raised, asks for 0.65",
        "evidence  3.11e+05 to 1 against the promise",
        "levels    warns at 20000, raises at 200000, abstains at 2000000",
        "matured   640 decisions, figures of the newest 500",
        "promised  0.653, came true 0.572",
        "ece       0.081 (0.030 to 0.130)",
        "slope     0.450 (0.100 to 0.800); 1 is perfect, below 1 promises too much",
        "losses    Brier 0.2466 (a coin 0.25), log 0.6863 (a coin 0.6931)",
        "traded    81.0% at or above the threshold: promised 0.671, came true 0.580",
        "rescaled  1.000 times the model's log odds",
        "promised       mean    came true (95 %)         count",
        "0.550-0.620    0.600   0.560 (0.420 to 0.690)   50",
        "0.55-0.60          20  ########################################",
        "0.60-0.65           0",
        "feature                   psi (limit)      ks (limit)     rows",
        "rsi_14                    0.912 (0.350)  0.310 (0.220)  101  DRIFTED",
        "shadow    20261124_000000, 400 decisions of both",
        "          right 0.600, the active one 0.570",
        "          log loss 0.6700, the active one 0.6900",
        "          advantage 0.0200 (-0.0100 to 0.0500); above 0 the shadow is better",
        "moved     1970-01-01T00:00:00Z 20261123_000000 warned to raised",
        "          promised too much",
    ]
    assert main(["calibration", "--addr", address, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["figures"]["ece"]["high"] == 0.13


def test_calibration_says_when_there_is_nothing_to_say():
    lines = calibration_lines(system_pb2.GetCalibrationResponse(state="ok", effective_threshold=0.6, alarm_at=20_000))
    assert lines[0] == "model     not known"
    assert lines[-1] == "figures   too few decisions have matured"


def test_answers_come_as_json_on_demand(address, capsys):
    assert main(["status", "--addr", address, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["marketData"]["ageMs"] == 12


def test_orders_are_listed(address, capsys):
    assert main(["orders", "--addr", address, "--limit", "1"]) == DONE
    assert capsys.readouterr().out == "2023-11-14T22:13:20Z  one  buy BTCUSDT  filled  1740.09 of 1800.00 USD\n"


def test_an_order_is_told_in_full(address, capsys):
    assert main(["order", "one", "--addr", address]) == DONE
    assert capsys.readouterr().out.splitlines()[1:] == [
        "asked     2000.00 USD at confidence 0.9",
        "adjusted  confidence: 2000.00 to 1800.00 USD",
        f"fill      {FILL.qty} at 60003, fee 0.957048 USD",
    ]


def test_a_refusal_is_told_with_its_reason(address, capsys):
    assert main(["order", "none", "--addr", address]) == REFUSED
    assert capsys.readouterr().err == "tollgate: ORDER_NOT_FOUND: No order has this key.\n"
    assert main(["order", "plain", "--addr", address]) == REFUSED
    assert capsys.readouterr().err == "tollgate: PERMISSION_DENIED: not for you\n"


def test_moves_of_the_risk_state_carry_actor_and_reason(address, risk, capsys):
    assert main(["halt", "--addr", address, "--actor", "ada", "--reason", "drill"]) == DONE
    assert main(["halt", "--flatten", "--addr", address, "--actor", "ada", "--reason", "drill"]) == DONE
    assert main(["resume", "--yes", "--addr", address, "--actor", "ada", "--reason", "over"]) == DONE
    assert capsys.readouterr().out.startswith("Trading is halted.\nrisk      halted")
    assert main(["reset", "--yes", "--addr", address, "--actor", "ada", "--reason", "new day"]) == REFUSED
    assert capsys.readouterr().err.endswith("tollgate: JOURNAL_UNAVAILABLE: Nothing was changed.\n")
    assert risk.asked == [
        ("halt", "ada", "drill", False),
        ("halt", "ada", "drill", True),
        ("resume", "ada", "over", ""),
        ("resume", "ada", "over", "t1"),
        ("reset", "ada", "new day", ""),
        ("reset", "ada", "new day", "t2"),
    ]


def test_a_resume_shows_what_it_will_do_and_does_nothing_unasked_where_there_is_no_terminal(address, risk, capsys):
    assert main(["resume", "--addr", address, "--actor", "ada", "--reason", "over"]) == REFUSED
    told = capsys.readouterr()
    assert told.out == "Nothing was changed.\n"
    assert told.err.splitlines() == [
        "risk      halted -> active",
        "drawdown  3.10% -> 3.10%",
        "peak      100000.00 -> 100000.00 USD",
        "equity    96900.00 USD",
        "orders    0 without a known end; held: 0.03 BTCUSDT",
        "tollgate: this is no terminal to ask at; say --yes",
    ]
    assert [asked[-1] for asked in risk.asked] == [""]


@pytest.mark.parametrize(("typed", "code", "steps"), [(b"y\n", DONE, 2), (b"\n", REFUSED, 1), (b"no\n", REFUSED, 1)])
def test_at_a_terminal_a_person_is_asked(address, risk, typed, code, steps):
    ours, theirs = pty.openpty()
    line = "import sys; from gateway.cli import main; raise SystemExit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", line, "resume", "--addr", address, "--reason", "over"]
    os.write(ours, typed)
    assert subprocess.run(command, stdin=theirs, capture_output=True, check=False, timeout=20).returncode == code
    os.close(ours)
    os.close(theirs)
    assert len(risk.asked) == steps


def test_a_flatten_tells_what_is_closed_and_what_is_left(address, capsys):
    command = ["flatten", "--addr", address, "--actor", "ada", "--reason"]
    assert main([*command, "out"]) == DONE
    assert capsys.readouterr().out.splitlines()[1] == "BTCUSDT  0.03  closed"
    assert main([*command, "thin"]) == REFUSED
    assert capsys.readouterr().out.splitlines()[2] == "ETHUSDT  -2  -1 LEFT: cancelled"


@pytest.mark.parametrize("command", ["halt", "resume", "reset", "flatten"])
def test_a_move_of_the_risk_state_needs_a_reason(command, capsys):
    with pytest.raises(SystemExit) as exit_code:
        main([command])
    assert exit_code.value.code == 2
    assert "--reason" in capsys.readouterr().err


def test_a_gateway_that_does_not_answer_is_told_apart_from_a_refusal(address, capsys):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert main(["status", "--addr", f"127.0.0.1:{nobody.getsockname()[1]}"]) == UNREACHABLE
    assert "No gateway answers" in capsys.readouterr().err
    assert main(["order", "slow", "--addr", address]) == UNREACHABLE


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
def test_a_limit_out_of_range_is_wrong_usage(limit):
    with pytest.raises(SystemExit) as exit_code:
        main(["orders", "--limit", limit])
    assert exit_code.value.code == 2


@pytest.fixture
async def path(tmp_path):
    path = tmp_path / "journal.sqlite3"
    async with running(path) as journal:
        await journal.claim("live-simulator-1")
        await keep(journal, a_record("one"), a_filled("one"), a_record("two"))
        await journal.append_risk(a_change())
    return path


async def test_the_doctor_tells_what_the_journal_adds_up_to(path, capsys):
    async with running(path):
        assert main(["doctor", "--journal", str(path)]) == DONE
    told = capsys.readouterr().out
    lines = told[told.index("journal  ") :].splitlines()[:10]
    assert lines[0] == f"journal  {path}"
    assert lines[1] == "account  live-simulator-1"
    assert lines[2].startswith("records  4 (3 order, 1 risk), head ")
    money = "realised 0.0 USD, fees 0.957047850 USD"
    assert lines[3:] == [
        "orders   2 (1 filled, 1 pending)",
        f"ledger   {money}, equity is the start and -0.957047850 USD, open positions aside",
        "risk     halted",
        "watch    never moved, 0 decisions wait for their outcome",
        "position BTCUSDT +0.029 at 60003.0",
        "open     two BTCUSDT pending",
        "OK       the chain is whole, the orders follow from it, and every move is allowed",
    ]


def test_the_doctor_tells_programs_too(path, capsys):
    assert main(["doctor", "--journal", str(path), "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found.pop("head_digest")
    assert found == {
        "ok": True,
        "journal": str(path),
        "faults": [],
        "account": "live-simulator-1",
        "records": 4,
        "kinds": {"order": 3, "risk": 1},
        "states": {"filled": 1, "pending": 1},
        "last_seq": 4,
        "risk_state": "halted",
        "watch_states": {},
        "unmatured": 0,
        "realised_usd": "0.0",
        "fees_usd": "0.957047850",
        "earned_usd": "-0.957047850",
        "positions": {"BTCUSDT": {"qty": "0.029", "entry_price": "60003.0"}},
        "open_orders": [{"key": "two", "symbol": "BTCUSDT", "state": "pending"}],
    }


def test_a_broken_journal_names_its_first_broken_record(path, capsys):
    with opened(path) as connection:
        connection.execute("DROP TRIGGER records_are_not_changed")
        connection.execute("UPDATE records SET at_ms = 1 WHERE seq = 2")
    assert main(["doctor", "--journal", str(path)]) == REFUSED
    assert "BROKEN   record 2: its key or time is not that of its body" in capsys.readouterr().out
    assert main(["doctor", "--journal", str(path), "--json"]) == REFUSED
    assert json.loads(capsys.readouterr().out)["faults"][0]["seq"] == 2


def test_a_file_that_cannot_be_read_through_is_broken(tmp_path, capsys):
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"no database at all" * 500)
    assert main(["doctor", "--journal", str(path)]) == REFUSED
    assert "BROKEN   the file cannot be read: file is not a database" in capsys.readouterr().out
    assert main(["doctor", "--journal", str(path), "--json"]) == REFUSED
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_missing_journal_is_told(tmp_path, capsys):
    assert main(["doctor", "--journal", str(tmp_path / "none")]) == REFUSED
    assert "There is no journal at" in capsys.readouterr().err
    assert main(["backup", str(tmp_path / "copy"), "--journal", str(tmp_path / "none")]) == REFUSED
    assert "There is no journal at" in capsys.readouterr().err


async def test_a_backup_of_a_journal_in_use_is_made_and_checked(path, tmp_path, capsys):
    target = tmp_path / "backup.sqlite3"
    async with running(path):
        assert main(["backup", str(target), "--journal", str(path)]) == DONE
        assert main(["backup", str(target), "--journal", str(path)]) == REFUSED
    told = capsys.readouterr()
    assert f"journal  {target}" in told.out
    assert "is there already" in told.err
    assert main(["doctor", "--journal", str(target)]) == DONE
    assert "account  live-simulator-1" in capsys.readouterr().out


def test_a_reader_that_has_read_enough_is_no_failure(address):
    program = "import sys; from gateway.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "calibration", "--addr", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        assert (running.stderr.read(), running.wait(timeout=30)) == (b"", 0)
