"""A live gateway as a process, and the promotion that it asks for: refused, told, or overridden in the open."""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

import grpc
import pytest
from builders import NOW_MS, VERSION
from canary import CANARY_SECRET
from trading.v1 import system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from gateway.adapters.promotion_key import promotion_key
from gateway.core.promotion import Stage
from gateway.core.promotion_records import Move, PromotionRecord, limits_of, signed_text
from gateway.policy import policy_of
from gateway.settings import load
from tools.stack import is_free

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS_MAX = 20.0
KEY = "GOODKEY0001"


def free_port():
    return next(port for port in range(22_000 + os.getpid() % 5_000, 33_000) if is_free(port))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """The port of a simulator with one account."""
    port = free_port()
    command = ["simulator", "serve", "--port", str(port), "--account", "1:100000", "--key", f"{KEY}:{CANARY_SECRET}:1"]
    with (tmp_path_factory.mktemp("exchange") / "log").open("w") as log, child(command, {}, log):
        end = time.monotonic() + SECONDS_MAX
        while is_free(port):
            assert time.monotonic() < end
            time.sleep(0.02)
        yield port


@contextlib.contextmanager
def child(arguments, environment, log):
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def live(tmp_path):
    """The environment of a live gateway that has a port and a journal of its own."""
    return {
        "TRADING_MODE": "live",
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": CANARY_SECRET,
        "GATEWAY_LISTEN_ADDR": f"127.0.0.1:{free_port()}",
        "MODEL_SERVICE_ADDR": "127.0.0.1:1",
        "JOURNAL_PATH": str(tmp_path / "journal.sqlite3"),
        "SYMBOLS": "BTCUSDT",
    }


@pytest.fixture
def sandbox(live, exchange):
    """The same on the simulator."""
    return live | {
        "BYBIT_ENV": "simulator",
        "BYBIT_REST_URL": f"http://127.0.0.1:{exchange}",
        "BYBIT_PRIVATE_WS_URL": f"ws://127.0.0.1:{exchange}/v5/private",
        "MARKET_REST_URL": f"http://127.0.0.1:{exchange}",
        "MARKET_WS_URL": f"ws://127.0.0.1:{exchange}/v5/public/linear",
    }


def refused(environment):
    """What a gateway that does not start tells; its exit code is 2."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 2, done.stderr
    return done.stderr.strip().splitlines()[-1]


def told(environment, tmp_path):
    """What /health and `tollgate status` tell of the promotion of a gateway that starts."""
    address = environment["GATEWAY_LISTEN_ADDR"]
    with (
        (tmp_path / "log").open("a") as log,
        child(["gateway"], environment, log),
        grpc.insecure_channel(address) as channel,
    ):
        health = system_pb2_grpc.SystemServiceStub(channel).GetHealth(
            system_pb2.GetHealthRequest(), wait_for_ready=True, timeout=SECONDS_MAX
        )
        command = ["-c", "import sys; from gateway.cli import main; sys.exit(main())", "status", "--addr", address]
        said = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
        return health.promotion, said.stdout.splitlines()[-1]


def a_record(tmp_path, environment, **changes):
    """The path of a record that was signed with the key beside the journal."""
    values = {
        "move": Move.PROMOTION,
        "from_stage": Stage.PAPER,
        "to_stage": Stage.PAPER_TINY,
        "model_version": VERSION,
        "model_sha256": "",
        "limits": limits_of(policy_of(load(environment))),
        "real_market": False,
        "from_ms": 0,
        "criteria": (),
        "actor": "ann",
        "reason": "reviewed",
        "at_ms": NOW_MS,
    }
    path = tmp_path / "record.json"
    text = signed_text(PromotionRecord(**values | changes), promotion_key(tmp_path / "promotion.key"))
    path.write_text(text, encoding="ascii")
    return path


@pytest.mark.parametrize("env", ["demo", "mainnet"])
def test_live_is_refused_without_a_promotion_before_anything_is_sent(live, env):
    """There is no network here: what was sent would be told as another fault."""
    assert refused(live | {"BYBIT_ENV": env, "MARKET_DATA": "bybit"}) == (
        f"tollgate: the gateway cannot start: live trading on {env} is refused: it has no record of a promotion."
        " Promote the model on paper and name its exported record in PROMOTION_RECORD, or give a person's reason in"
        " LIVE_WITHOUT_PROMOTION."
    )


def test_live_is_refused_with_evidence_of_a_simulated_market(live, tmp_path):
    environment = live | {"BYBIT_ENV": "demo", "MARKET_DATA": "bybit"}
    record = a_record(tmp_path, environment, to_stage=Stage.LIVE_TINY)
    assert "its evidence is of a simulated market, which never counts for live" in refused(
        environment | {"PROMOTION_RECORD": str(record)}
    )


def test_a_tampered_record_is_refused(sandbox, tmp_path):
    record = a_record(tmp_path, sandbox)
    record.write_text(record.read_text().replace("PAPER_TINY", "LIVE"))
    assert refused(sandbox | {"PROMOTION_RECORD": str(record)}) == (
        "tollgate: the gateway cannot start: live trading is refused: PROMOTION_RECORD: promotion record: its signature"
        " is not that of this installation's key."
    )


def test_a_record_is_taken_up_and_holds_orders_back_until_its_model_is_known(sandbox, tmp_path):
    record = a_record(tmp_path, sandbox)
    promotion, status = told(sandbox | {"PROMOTION_RECORD": str(record)}, tmp_path)
    assert (promotion.stage, promotion.cap_usd, promotion.override) == ("PAPER_TINY", 100.0, False)
    assert promotion.refusal == "no model is known to be served, and a promotion is for one model"
    assert status.startswith("stage     PAPER_TINY, at most 100 USD; NO order may open: no model is known")


def test_an_order_that_opens_is_refused_where_it_is_not_earned(sandbox, tmp_path):
    environment = sandbox | {"PROMOTION_RECORD": str(a_record(tmp_path, sandbox)), "REQUIRE_DECISION": "off"}
    order = trade_pb2.ExecuteRequest(symbol="BTCUSDT", side="buy", qty_usd=50, confidence=0.9, idempotency_key="k1")
    with (
        (tmp_path / "log").open("a") as log,
        child(["gateway"], environment, log),
        grpc.insecure_channel(environment["GATEWAY_LISTEN_ADDR"]) as channel,
        pytest.raises(grpc.RpcError) as refusal,
    ):
        trade_pb2_grpc.TradeServiceStub(channel).Execute(order, wait_for_ready=True, timeout=SECONDS_MAX)
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "no model is known to be served, and a promotion is for one model" in refusal.value.details()


def test_an_override_starts_and_is_told_everywhere(sandbox, tmp_path):
    promotion, status = told(sandbox | {"LIVE_WITHOUT_PROMOTION": "ann answers for a drill"}, tmp_path)
    assert (promotion.override, promotion.override_reason) == (True, "ann answers for a drill")
    assert status == "stage     LIVE WITHOUT A PROMOTION: ann answers for a drill"
    assert b"ann answers for a drill" in (tmp_path / "journal.sqlite3").read_bytes() + _log_of(tmp_path)
    assert "live_without_promotion" in (tmp_path / "log").read_text()


def _log_of(tmp_path):
    wal = tmp_path / "journal.sqlite3-wal"
    return wal.read_bytes() if wal.exists() else b""
