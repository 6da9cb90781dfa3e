"""`tollgate` shows what a running gateway does and holds, and completes its own commands in a shell."""
# ruff: noqa: N802 - the contract names the methods

import json
import signal
import socket
import subprocess
import sys
import threading
from concurrent import futures

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from trading.v1 import consensus_pb2, consensus_pb2_grpc, system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from gateway.cli import DONE, REFUSED, UNREACHABLE, main

EVENTS = (
    system_pb2.WatchEventsResponse(
        sequence=7, kind="order", time=Timestamp(seconds=1_700_000_000), subject="one", state="filled", symbol="BTCUSDT"
    ),
    system_pb2.WatchEventsResponse(sequence=8, kind="policy", time=Timestamp(seconds=1_700_000_001), subject="ab12"),
)
HELD = trade_pb2.Position(
    symbol="BTCUSDT",
    side="buy",
    qty=0.029,
    notional_usd=1740.087,
    entry_price=60_003.0,
    mark_price=60_003.5,
    unrealised_pnl_usd=0.0145,
)


class System(system_pb2_grpc.SystemServiceServicer):
    def __init__(self):
        self.stopped = threading.Event()
        self.lasts = False

    def GetHealth(self, request, context):
        return system_pb2.GetHealthResponse(
            config=system_pb2.ConfigSummary(
                confidence_threshold=0.6, rate_limit_max=240, per_symbol_usd_cap=5000.0, trading_mode="paper"
            )
        )

    def WatchEvents(self, request, context):
        yield from EVENTS
        if self.lasts:
            context.add_callback(self.stopped.set)
            self.stopped.wait(20)
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too slow")


class Trade(trade_pb2_grpc.TradeServiceServicer):
    def __init__(self):
        self.positions = [HELD]

    def ListPositions(self, request, context):
        return trade_pb2.ListPositionsResponse(
            positions=self.positions,
            equity_usd=99_999.06,
            realised_pnl_usd=0.0,
            unrealised_pnl_usd=0.0145,
            fees_usd=0.957,
        )


class Consensus(consensus_pb2_grpc.ConsensusServiceServicer):
    def ListDecisions(self, request, context):
        said = consensus_pb2.GetConsensusResponse(
            decision_id="d1", signal="long", confidence=0.65, threshold=0.6, allow=True
        )
        barred = consensus_pb2.GetConsensusResponse(
            decision_id="d0", signal="flat", confidence=0.5, threshold=0.6, reasons=["LOW_CONFIDENCE"]
        )
        made = [
            consensus_pb2.RecordedDecision(decision=one, symbol="BTCUSDT", time=Timestamp(seconds=1_700_000_000))
            for one in (said, barred)
        ]
        return consensus_pb2.ListDecisionsResponse(decisions=made[: request.page_size])


@pytest.fixture
def system():
    return System()


@pytest.fixture
def trade():
    return Trade()


@pytest.fixture
def address(system, trade):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    system_pb2_grpc.add_SystemServiceServicer_to_server(system, server)
    trade_pb2_grpc.add_TradeServiceServicer_to_server(trade, server)
    consensus_pb2_grpc.add_ConsensusServiceServicer_to_server(Consensus(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    system.stopped.set()
    server.stop(0).wait()


def test_watch_tells_each_record_as_it_becomes_durable(address, capsys):
    assert main(["watch", "--addr", address]) == REFUSED
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "2023-11-14T22:13:20Z         7  order      filled  BTCUSDT  one",
        "2023-11-14T22:13:21Z         8  policy     ab12",
    ]
    assert told.err == "tollgate: RESOURCE_EXHAUSTED: too slow\n"


def test_watch_tells_programs_one_object_a_line(address, capsys):
    main(["watch", "--addr", address, "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["sequence"], line["kind"]) for line in lines] == [(7, "order"), (8, "policy")]


def test_watch_ends_well_when_it_is_interrupted(address, system):
    system.lasts = True
    program = "import sys; from gateway.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "watch", "--addr", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert b"order" in running.stdout.readline()
        running.send_signal(signal.SIGINT)
        assert (running.stderr.read(), running.wait(timeout=30)) == (b"", 0)


def test_positions_are_a_table_with_what_they_earned(address, capsys):
    assert main(["positions", "--addr", address]) == DONE
    head, held, money = capsys.readouterr().out.splitlines()
    assert head.split() == ["symbol", "side", "qty", "entry", "mark", "notional", "open", "p&l"]
    assert held.split() == ["BTCUSDT", "buy", "0.029", "60003", "60003.5", "1740.09", "+0.01"]
    assert money == "equity 99999.06 USD, realised +0.00 USD, open +0.01 USD, fees 0.96 USD"
    assert main(["positions", "--addr", address, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["positions"][0]["qty"] == 0.029


def test_an_account_without_positions_and_a_price_that_is_not_known_are_told(address, trade, capsys):
    trade.positions = [trade_pb2.Position(symbol="ETHUSDT", side="sell", qty=1.0, entry_price=2000.0)]
    assert main(["positions", "--addr", address]) == DONE
    assert "not known" in capsys.readouterr().out
    trade.positions = []
    assert main(["positions", "--addr", address]) == DONE
    assert capsys.readouterr().out.startswith("no positions\nequity ")


def test_decisions_are_told_newest_first(address, capsys):
    assert main(["decisions", "--addr", address]) == DONE
    assert capsys.readouterr().out.splitlines() == [
        "2023-11-14T22:13:20Z  d1  long  BTCUSDT  confidence 0.650 of 0.600  allowed",
        "2023-11-14T22:13:20Z  d0  flat  BTCUSDT  confidence 0.500 of 0.600  forbidden: LOW_CONFIDENCE",
    ]
    assert main(["decisions", "--addr", address, "--json", "--limit", "1"]) == DONE
    [only] = json.loads(capsys.readouterr().out)["decisions"]
    assert only["decision"]["decision_id"] == "d1"


def test_config_tells_the_settings_that_rule_orders(address, capsys):
    assert main(["config", "--addr", address]) == DONE
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    assert lines["confidence_threshold"] == "0.6"
    assert lines["per_symbol_usd_cap"] == "5000"
    assert lines["trading_mode"] == "paper"
    assert main(["config", "--addr", address, "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["rateLimitMax"] == 240


@pytest.mark.parametrize("command", ["watch", "positions", "decisions", "config"])
def test_a_gateway_that_does_not_answer_is_told(command, capsys):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert main([command, "--addr", f"127.0.0.1:{nobody.getsockname()[1]}"]) == UNREACHABLE
    assert "No gateway answers" in capsys.readouterr().err


def completed(script, *words):
    """What bash offers after these words; the last is the one that is being written."""
    line = " ".join(f"'{word}'" for word in words)
    program = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _tollgate; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.split()


def test_bash_completes_commands_and_options(capsys):
    assert main(["completion", "bash"]) == DONE
    script = capsys.readouterr().out
    assert completed(script, "tollgate", "re") == ["replay", "reset", "resume"]
    assert completed(script, "tollgate", "journal", "") == ["--help", "export", "limits", "verify"]
    assert completed(script, "tollgate", "journal", "export", "--f") == ["--format"]
    assert completed(script, "tollgate", "orders", "--limit", "5", "--j") == ["--json"]
    assert completed(script, "tollgate", "completion", "z") == ["zsh"]


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_every_shell_is_offered_every_command(shell, capsys):
    assert main(["completion", shell]) == DONE
    script = capsys.readouterr().out
    for command in ("watch", "replay", "journal export", "models activate"):
        assert f'"{command}"' in script
