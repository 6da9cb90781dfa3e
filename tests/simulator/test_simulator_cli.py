import argparse
import re
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from simulator import serve_options
from simulator.cli import main
from simulator.faults import FaultRule, Kind
from simulator.trading.contract import Lags


def test_bars_are_written_to_a_file_and_to_standard_output_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bars", "--count", "30", "--out", str(tmp_path / "bars.csv")]) == 0
    assert main(["bars", "--count", "30"]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "bars.csv").read_text() == text
    assert len(text.splitlines()) == 31


def test_the_edge_of_the_market_can_be_made_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bars", "--count", "60"]) == 0
    usual = capsys.readouterr().out.splitlines()
    assert main(["bars", "--count", "60", "--edge-from", "25=-0.22", "--edge-from", "50=0"]) == 0
    turned = capsys.readouterr().out.splitlines()
    assert turned[:26] == usual[:26]
    assert turned != usual
    assert main(["bars", "--count", "60", "--edge-from", "50=0", "--edge-from", "25=0.1"]) == 2
    assert "must rise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["bars", "--count", "0"], "must be 1 to"),
        (["bars", "--symbol", "DOGEUSDT"], "invalid choice"),
        (["bars", "--interval-minutes", "7"], "invalid choice"),
        (["bars", "--origin-ms", "5"], "whole hour"),
        (["bars", "--edge-from", "5"], "HOUR=EDGE"),
        (["bars", "--edge-from", "-5=0.1"], "HOUR=EDGE"),
        (["bars", "--edge-from", "5=0.5"], "between -0.5 and 0.5"),
        (["bars", "--edge-from", "5=nan"], "between -0.5 and 0.5"),
        (["serve", "--symbols", "BTCUSDT,DOGE"], "unknown symbol 'DOGE'"),
        (["serve", "--port", "70000"], "must be 0 to 65535"),
        (["serve", "--speed", "0"], "must be 0.1"),
        (["serve", "--speed", "nan"], "must be 0.1"),
        (["serve", "--account", "me:5"], "must be UID:USDT"),
        (["serve", "--account", "1:lots"], "must be a number"),
        (["serve", "--key", "K:S"], "must be KEY:SECRET:UID"),
        (["serve", "--fee", "broker=0.1"], "with a name of taker, maker, spot"),
        (["serve", "--fee", "taker=2"], "must be a number from -1 to 1"),
        (["serve", "--lags", "apply=5-1"], "must be low-high"),
        (["serve", "--lags", "lunch=1-5"], "with a name of apply, visible"),
        (["serve", "--rate-limits", "some"], "invalid choice"),
        (["serve", "--fault-file", "/nowhere.json"], "No such file"),
        ([], "command"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_says_where_it_listens_and_stops_on_a_signal(number: signal.Signals) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "simulator", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        assert re.search(r"listening host=127\.0\.0\.1 port=\d+ symbols=BTCUSDT,ETHUSDT,SOLUSDT", line), line
        started = time.monotonic()
        server.send_signal(number)
        _, rest = server.communicate(timeout=5)
        assert server.returncode == 0
        assert "stopped" in rest
        assert time.monotonic() - started < 3
    finally:
        server.kill()
        server.wait()


def options_of(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serve_options.add_trading(parser)
    return parser.parse_args(arguments)


def test_without_options_there_is_one_rich_account_with_two_keys_and_bybits_limits() -> None:
    options = options_of()
    [account] = serve_options.accounts(options)
    assert (account.uid, account.balances) == (1, {"USDT": Decimal(100_000)})
    assert [(key.key, key.uid) for key in serve_options.keys(options)] == [("SIMKEY0001", 1), ("SIMKEY0002", 1)]
    assert serve_options.limits(options).enabled
    assert options.lags == Lags()
    assert options.fault_file.rules == ()


def test_accounts_keys_fees_lags_limits_and_faults_are_chosen(tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('{"seed": 5, "rules": [{"kind": "redirect", "times": 0}]}')
    options = options_of(
        "--account", "7:1.5", "--account", "8:2", "--key", "K:S:8:10.0.0.1,::1", "--fee", "taker=0.001", "--lags",
        "apply=3,push=4-9", "--rate-limits", "off", "--fault-file", str(faults),
    )  # fmt: skip
    accounts = serve_options.accounts(options)
    assert [(each.uid, each.balances["USDT"], each.taker_rate) for each in accounts] == [
        (7, Decimal("1.5"), Decimal("0.001")),
        (8, Decimal(2), Decimal("0.001")),
    ]
    [key] = serve_options.keys(options)
    assert (key.key, key.uid, key.ips) == ("K", 8, ("10.0.0.1", "::1"))
    assert options.lags == Lags(apply_ms=(3, 3), push_ms=(4, 9))
    assert not serve_options.limits(options).enabled
    assert (options.fault_file.seed, options.fault_file.rules) == (5, (FaultRule(kind=Kind.REDIRECT, times=None),))
    assert options_of("--lags", "none").lags.history_ms == (0, 0)


def test_the_usual_keys_are_those_of_the_first_account() -> None:
    assert {key.uid for key in serve_options.keys(options_of("--account", "7:1"))} == {7}


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", "Expecting"), ("[]", "must hold an object"), ('{"seed": "x"}', "seed"), ('{"rules": [5]}', "rules[0]")],
)
def test_a_wrong_fault_file_is_named(tmp_path: Path, text: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(SystemExit):
        options_of("--fault-file", str(path))
    told = capsys.readouterr().err
    assert str(path) in told
    assert error in told


def test_a_key_without_its_account_is_told_in_one_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "simulator", "serve", "--port", "0", "--key", "K:S:9"],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "cannot serve: there is no account 9 for the key K" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_taken_port_is_told_in_one_line() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-m", "simulator", "serve", "--port", str(port)],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    assert run.returncode == 1
    assert "cannot serve" in run.stderr
    assert "Traceback" not in run.stderr
