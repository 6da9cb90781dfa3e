"""Live calibration on the wire says what the report says."""

import random

import pytest
from calibration_kit import VERSION, Life
from fakes import FakeJournal

from gateway.rpc.calibration import calibration_health, calibration_message


def rights(count):
    source = random.Random(8)  # noqa: S311 - outcomes, not secrets
    return [source.random() < 0.65 for _ in range(count)]


@pytest.fixture
def life():
    life = Life(FakeJournal(), alarm_at=100.0)
    life.calibration.load(VERSION)
    return life


async def test_with_few_outcomes_the_figures_are_absent(life):
    await life.live(0, rights(20))
    message = calibration_message(life.calibration.report())
    assert (message.state, message.effective_threshold, message.matured) == ("ok", 0.6, 20)
    assert not message.HasField("figures")
    assert not message.HasField("shadow")
    assert not calibration_health(life.calibration.report()).HasField("ece")


async def test_with_enough_outcomes_they_are_there(life):
    await life.live(0, rights(150))
    report = life.calibration.report()
    message, short = calibration_message(report), calibration_health(report)
    assert message.figures.hit_rate == pytest.approx(report.summary.figures.hit_rate, abs=1e-6)
    assert message.figures.ece.low <= message.figures.ece.value <= message.figures.ece.high
    assert short.ece == message.figures.ece.value
    assert sum(bucket.count for bucket in message.reliability) == sum(one.count for one in message.confidences) == 150
    assert message.recalibration_slope == 1.0


async def test_a_move_of_the_watch_is_told_with_its_reason(life):
    await life.live(0, [False] * 60)
    message = calibration_message(life.calibration.report())
    assert (message.state, message.effective_threshold) == ("abstaining", 0.65)
    assert message.evidence >= 100 * message.alarm_at == 10_000
    assert [(move.from_state, move.to_state) for move in message.moves] == [
        ("raised", "abstaining"),
        ("warned", "raised"),
        ("ok", "warned"),
    ]
    assert all("was promised" in move.reason for move in message.moves)
    assert all(move.time.seconds for move in message.moves)
