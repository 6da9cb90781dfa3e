"""A live gateway as a process, on the simulator: what it checks, which journal it takes, and what it tells."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

import grpc
import pytest
from canary import CANARY_KEY, CANARY_SECRET, assert_secret_hidden
from google.rpc import error_details_pb2, status_pb2
from trading.v1 import risk_pb2, risk_pb2_grpc, system_pb2, system_pb2_grpc, trade_pb2, trade_pb2_grpc

from gateway.adapters.journal_sqlite.reading import snapshot
from gateway.replaying import replay_journal
from tools.stack import is_free

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS_MAX = 20.0
SECRET = CANARY_SECRET
KEYS = {"good": f"GOODKEY0001:{SECRET}:1", "unbound": f"UNBOUND0001:{SECRET}:1:*", "foreign": f"FOREIGN0001:{SECRET}:1"}


def free_port():
    return next(port for port in range(21_000 + os.getpid() % 5_000, 32_000) if is_free(port))


def start(*arguments, environment, log):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
    )


@contextlib.contextmanager
def ended(child):
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """The port of a simulator with one account and three keys."""
    port = free_port()
    keys = [argument for key in KEYS.values() for argument in ("--key", key)]
    with (tmp_path_factory.mktemp("exchange") / "log").open("w") as log:
        arguments = ("simulator", "serve", "--port", str(port), "--seed", "7", "--account", "1:100000", *keys)
        with ended(start(*arguments, environment={}, log=log)):
            wait_until(lambda: not is_free(port))
            yield port


def wait_until(true):
    end = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


class Gateways:
    """Gateway processes, one after the other, over one journal."""

    def __init__(self, exchange, folder):
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log"
        self.journal = folder / "journal.sqlite3"
        self.environment = {
            "TRADING_MODE": "live",
            "BYBIT_ENV": "simulator",
            "BYBIT_API_KEY": "GOODKEY0001",
            "BYBIT_API_SECRET": SECRET,
            "BYBIT_REST_URL": f"http://127.0.0.1:{exchange}",
            "BYBIT_PRIVATE_WS_URL": f"ws://127.0.0.1:{exchange}/v5/private",
            "MARKET_REST_URL": f"http://127.0.0.1:{exchange}",
            "MARKET_WS_URL": f"ws://127.0.0.1:{exchange}/v5/public/linear",
            "GATEWAY_LISTEN_ADDR": f"127.0.0.1:{self.port}",
            "MODEL_SERVICE_ADDR": "127.0.0.1:1",
            "JOURNAL_PATH": str(self.journal),
            "SYMBOLS": "BTCUSDT",
            "RECONCILE_SECONDS": "1",
            "VENUE_LAG_MS_MAX": "500",
            "DUPLICATE_WINDOW_MS": "0",  # orders are alike on purpose
            "REQUIRE_DECISION": "off",  # there is no model
        }

    @contextlib.contextmanager
    def running(self, **environment):
        with (
            self.log.open("a") as log,
            ended(start("gateway", environment=self.environment | environment, log=log)),
            grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel,
        ):
            health = system_pb2_grpc.SystemServiceStub(channel).GetHealth
            wait_until(lambda: fit(health(system_pb2.GetHealthRequest(), wait_for_ready=True, timeout=SECONDS_MAX)))
            yield channel

    def kept(self, kind):
        """The subjects of a kind of record in the journal."""
        with snapshot(self.journal) as at_once:
            return [record.subject for record in at_once.records(kind)]

    def refused(self, **environment):
        """What a gateway that does not start tells; its exit code is 2."""
        command = [sys.executable, "-m", "gateway"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )
        assert done.returncode == 2, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stderr.strip().splitlines()[-1]


def fit(health):
    """Ready for orders but for the model service, which there is none of."""
    return health.market_data.ok and (health.venue.ok or health.mode == "paper")


@pytest.fixture
def gateways(exchange, tmp_path):
    return Gateways(exchange, tmp_path)


def bought(channel, key, usd=1000.0, **changes):
    order = {"symbol": "BTCUSDT", "side": "buy", "qty_usd": usd, "confidence": 1.0, "idempotency_key": key} | changes
    return trade_pb2_grpc.TradeServiceStub(channel).Execute(trade_pb2.ExecuteRequest(**order), timeout=SECONDS_MAX)


def flattened(channel, key):
    """Close what is open, so that the next test finds the account as this one did.

    The key is to be a new one for the account, whatever the journal: Bybit knows the order of an old one, and that is
    what became of the key.
    """
    answer = bought(channel, key, usd=100_000.0, side="sell", reduce_only=True)
    assert answer.order.state == "filled"


def test_an_order_is_filled_by_the_exchange_and_outlives_a_restart_with_its_evidence(gateways):
    with gateways.running() as channel:
        answer = bought(channel, "one")
        assert (answer.ok, answer.dry_run, answer.order.state) == (True, False, "filled")
        assert answer.order.evidence in {"stream", "realtime", "history"}
        assert answer.order.venue_order_id
        assert all(fill.exec_id for fill in answer.order.fills)
        wait_until(lambda: gateways.kept("twin") == ["one"])
    with gateways.running() as channel:
        again = bought(channel, "one")
        assert again.replayed
        assert again.order == answer.order
        positions = trade_pb2_grpc.TradeServiceStub(channel).ListPositions(trade_pb2.ListPositionsRequest()).positions
        assert [held.qty for held in positions] == [sum(fill.qty for fill in answer.order.fills)]
        health = system_pb2_grpc.SystemServiceStub(channel).GetHealth(system_pb2.GetHealthRequest())
        assert (health.mode, health.config.trading_mode, health.venue.env) == ("live", "live", "simulator")
        flattened(channel, "out-outlived")
    told = gateways.log.read_text(encoding="utf8")
    assert "private_stream_connected" in told
    assert SECRET not in told
    assert SECRET.encode() not in gateways.journal.read_bytes()
    again = replay_journal(gateways.journal, from_seq=1, limit=None, progress=print)
    assert (again.found.identical, again.found.orders) == (2, 2)
    assert len(gateways.kept("policy")) == 1  # a restart with the same limits keeps none


def test_paper_and_another_account_take_no_journal_of_live(gateways):
    with gateways.running():
        pass
    told = gateways.refused(TRADING_MODE="paper")
    assert "is the journal of account live-simulator-1, and this gateway trades for paper" in told
    gateways.journal.unlink()
    with gateways.running(TRADING_MODE="paper") as channel:
        assert bought(channel, "one").dry_run
    assert "is the journal of account paper, and this gateway trades for live-simulator-1" in gateways.refused()


def test_a_key_that_is_not_bound_to_an_address_is_refused_until_it_is_accepted(gateways):
    unbound = {"BYBIT_API_KEY": "UNBOUND0001"}
    told = gateways.refused(**unbound)
    assert told.startswith(
        "tollgate: the gateway cannot start: live trading on simulator is refused: The API key works"
    )
    assert "set ACCEPT_KEY_UNBOUND=on to trade with it all the same" in told
    with gateways.running(**unbound, ACCEPT_KEY_UNBOUND="on"):
        pass


def test_a_wrong_secret_is_refused_and_not_shown(gateways):
    told = gateways.refused(BYBIT_API_SECRET=f"{SECRET}wrong")
    assert "refused" in told
    assert not gateways.journal.exists() or b"wrong" not in gateways.journal.read_bytes()


@pytest.mark.parametrize(
    "address",
    [
        {"BYBIT_REST_URL": "https://api.bybit.com"},
        {"BYBIT_PRIVATE_WS_URL": "wss://stream.bybit.com/v5/private"},
        {"BYBIT_REST_URL": "http://192.0.2.1:15050"},
    ],
)
def test_an_address_off_the_list_is_refused_before_anything_is_sent(gateways, address):
    assert "no address of this machine" in gateways.refused(**address)


def test_a_foreign_trade_on_the_account_stops_openings_and_is_journaled(gateways, foreign_trade):
    with gateways.running() as channel:
        foreign_trade("Buy")
        risk = risk_pb2_grpc.RiskServiceStub(channel)
        wait_until(lambda: risk.GetRisk(risk_pb2.GetRiskRequest()).changes)  # journaled shortly after it holds
        change = risk.GetRisk(risk_pb2.GetRiskRequest()).changes[0]
        assert (change.actor, change.to_state) == ("tollgate", "reducing")
        assert "a foreign hand uses this account" in change.reason
        with pytest.raises(grpc.RpcError) as refused:
            bought(channel, "two")
        assert "differs from the journal" in refused.value.details()
        foreign_trade("Sell")
        time.sleep(2.5)
        shown = risk.Resume(risk_pb2.ResumeRequest(actor="ada", reason="closed by hand"))
        again = risk_pb2.ResumeRequest(actor="ada", reason="closed by hand", confirm_token=shown.confirm_token)
        assert risk.Resume(again).ok
        wait_until(lambda: system_ok(channel))
        assert bought(channel, "three").ok
        flattened(channel, "out-closed-by-hand")
    assert "account_differs" in gateways.log.read_text(encoding="utf8")


def resumed(risk):
    asked = {"actor": "ada", "reason": "the test is over"}
    token = risk.Resume(risk_pb2.ResumeRequest(**asked)).confirm_token
    assert risk.Resume(risk_pb2.ResumeRequest(**asked, confirm_token=token)).ok


def test_a_flatten_closes_at_the_exchange_past_a_halt_and_is_flat_by_its_own_word(gateways, foreign):
    with gateways.running() as channel:
        risk = risk_pb2_grpc.RiskServiceStub(channel)
        assert bought(channel, "to-flatten", usd=3000.0).ok
        risk.Halt(risk_pb2.HaltRequest(actor="ada", reason="now"))
        with pytest.raises(grpc.RpcError, match="trading is halted"):
            bought(channel, "mine", usd=100.0, side="sell", reduce_only=True)
        told = risk.Flatten(risk_pb2.FlattenRequest(actor="ada", reason="out"), timeout=SECONDS_MAX)
        assert (told.ok, told.risk.state, told.positions[0].qty_left) == (True, "halted", 0), told
        positions = foreign.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
        assert [row for row in positions if float(row["size"])] == []
        resumed(risk)
        assert bought(channel, "after-flatten").ok
        flattened(channel, "out-after-flatten")


def test_a_halt_cancels_what_rests_on_the_account_and_the_journal_tells_of_it(gateways, foreign):
    with gateways.running() as channel:
        risk = risk_pb2_grpc.RiskServiceStub(channel)
        foreign.place_order(
            category="linear",
            symbol="BTCUSDT",
            side="Buy",
            orderType="Limit",
            qty="0.001",
            price="10000",
            positionIdx=0,
        )
        risk.Halt(risk_pb2.HaltRequest(actor="ada", reason="now"))
        told = "after the halt: 1 orders cancelled; the venue has none open"
        wait_until(lambda: told in {one.reason for one in risk.GetRisk(risk_pb2.GetRiskRequest()).changes})
        assert foreign.get_open_orders(category="linear", settleCoin="USDT")["result"]["list"] == []
        resumed(risk)


def test_during_a_ban_nothing_at_all_is_sent_and_the_api_says_until_when(exchange, gateways):
    """The ban is met by an order; orders, questions, bars and filters all wait for its end."""
    ban_seconds = 4
    with gateways.running(VENUE_BAN_SECONDS=str(ban_seconds), VENUE_ANSWER_MS="1000") as channel:
        bought(channel, "position")
        rule = {"kind": "http_before_accept", "status": 403, "path": "/v5/order/create"}
        control(exchange, "faults", {"rules": [rule]})
        assert bought(channel, "cut-off").order.state == "unknown"
        for key, changes in (("opening", {}), ("closing", {"side": "sell", "reduce_only": True})):
            reason, retry_seconds = refused(channel, key, **changes)
            assert reason == "VENUE_UNAVAILABLE"
            assert 0 < retry_seconds <= ban_seconds
        wait_until(lambda: system_ok(channel))
        flattened(channel, "out-banned")
    asked = control(exchange, "requests")["requests"]
    [banned_ms] = [entry["time"] for entry in asked if entry["status"] == 403]
    # What was on its way when the answer came is no wonder.
    inside = [entry for entry in asked if banned_ms + 50 < entry["time"] < banned_ms + ban_seconds * 1000]
    assert inside == []


def refused(channel, key, **changes):
    """How an order was refused: reason, and after how many seconds it may be tried again."""
    with pytest.raises(grpc.RpcError) as fault:
        bought(channel, key, **changes)
    status = status_pb2.Status.FromString(dict(fault.value.trailing_metadata())["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert any(detail.Unpack(retry) for detail in status.details)
    return info.reason, retry.retry_delay.seconds


def control(exchange, name, body=None):
    """The simulator's control API; without a body it is asked."""
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{exchange}/_control/{name}", content) as answer:
        return json.load(answer)


def system_ok(channel):
    return fit(system_pb2_grpc.SystemServiceStub(channel).GetHealth(system_pb2.GetHealthRequest()))


@pytest.fixture
def foreign(exchange):
    """The other key of the account, as a person at the exchange's own page has it."""
    from pybit.unified_trading import HTTP

    session = HTTP(api_key="FOREIGN0001", api_secret=SECRET)
    session.endpoint = f"http://127.0.0.1:{exchange}"
    session.client.trust_env = False
    yield session
    session.client.close()


@pytest.fixture
def foreign_trade(foreign):
    """Trades by the other key."""
    return lambda side: foreign.place_order(
        category="linear", symbol="BTCUSDT", side=side, orderType="Market", qty="0.01"
    )


ECHO = f"error sign! origin_string[1700000000000{CANARY_KEY}5000] {SECRET}"
ORDER_FAULTS = (
    {"kind": "code_before_accept", "code": 110007, "text": ECHO},
    {"kind": "code_after_accept", "code": 10016, "text": ECHO},
    {"kind": "http_after_accept", "status": 502, "text": ECHO},
    {"kind": "http_after_accept", "status": 200, "text": ECHO},
    {"kind": "accept_then_drop"},
    {"kind": "drop_before_accept"},
    {"kind": "truncated_json"},
    {"kind": "redirect"},
    {"kind": "delay_after", "ms": 1_500},
    {"kind": "code_before_accept", "code": 10004, "text": ECHO},
)
"""On the orders of the gateway; the last one blocks all that come after it."""


def inject(exchange, *rules):
    """Faults that meet this gateway alone."""
    control(exchange, "faults", {"seed": 1, "rules": [{"key": CANARY_KEY, **rule} for rule in rules]})


def tollgate(*arguments):
    """What the command line tells."""
    command = [sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    return done.stdout + done.stderr


def answered(channel, key):
    """The answer to an order, whatever it is."""
    try:
        return str(bought(channel, key, usd=200.0))
    except grpc.RpcError as refused:
        return f"{refused.details()} {refused.trailing_metadata()}"


def listed(channel):
    return trade_pb2_grpc.TradeServiceStub(channel).ListOrders(trade_pb2.ListOrdersRequest(page_size=50)).orders


def test_a_run_that_logs_everything_and_meets_every_fault_shows_no_secret(gateways, exchange):
    told = []
    control(exchange, "accounts", {"uid": 2, "balances": {"USDT": "100000"}})
    control(exchange, "keys", {"key": CANARY_KEY, "secret": CANARY_SECRET, "uid": 2})
    quick = {
        "BYBIT_API_KEY": CANARY_KEY,
        "VENUE_ANSWER_MS": "500",
        "RECV_WINDOW_MS": "1000",
        "CLOCK_SKEW_MS_MAX": "300",
    }
    with gateways.running(LOG_LEVEL="debug", **quick) as channel:
        address = f"--addr=127.0.0.1:{gateways.port}"
        for number, fault in enumerate(ORDER_FAULTS):
            inject(exchange, {"path": "/v5/order/create", **fault})
            told.append(answered(channel, f"fault-{number}"))
            wait_until(lambda: not any(order.state == "unknown" for order in listed(channel)))
        inject(exchange, {"kind": "ws_refuse_auth"}, {"kind": "ws_disconnect"})
        wait_until(lambda: "private_stream_refused" in gateways.log.read_text(encoding="utf8"))
        told += [
            str(system_pb2_grpc.SystemServiceStub(channel).GetHealth(system_pb2.GetHealthRequest())),
            str(risk_pb2_grpc.RiskServiceStub(channel).GetRisk(risk_pb2.GetRiskRequest())),
            *(tollgate(*command, address) for command in (["status"], ["status", "--json"], ["orders", "--json"])),
        ]
        states = {order.idempotency_key: order.state for order in listed(channel)}
    told += [tollgate("doctor", "--json", f"--journal={gateways.journal}")]
    told += [path.read_bytes() for path in gateways.folder.iterdir()]
    assert states == {f"fault-{n}": "rejected" if n in {0, 9} else "filled" for n in range(len(ORDER_FAULTS))}
    log = gateways.log.read_text(encoding="utf8")
    assert log.count("error sign! origin_string[...] ***") >= 2, "the echo was told, without what is secret"
    assert_secret_hidden(*told)
    assert not [text for text in told if CANARY_KEY in (text if isinstance(text, str) else text.decode("latin-1"))]
