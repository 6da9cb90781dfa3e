import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.cli import main


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
