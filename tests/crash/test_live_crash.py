"""kill -9 in live trading, at every labelled step and in flight, while the exchange fails the order.

Real processes. `python -m bench.live_crash` has every way in which the exchange fails, this the ones that differ most.
"""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from bench.crash.case import Ending, Way
from bench.crash.checks import Rule
from bench.crash.matrix import Column, run_matrix, totals
from bench.crash.modes import IN_FLIGHT, KILLS, MODES
from gateway.ports import Step

QUICK = [mode for mode in MODES if mode.quick]
CONTROL = [mode for mode in MODES if mode.name in {"none", "accept_then_drop"}]
MATRIX_SECONDS_MAX = 900
"""Of all cases together; two quiet cores need a fifth of it."""

pytestmark = pytest.mark.timeout(MATRIX_SECONDS_MAX)

Columns = Mapping[str, Column]


def of(columns: Columns) -> Sequence[Ending]:
    return [ending for column in columns.values() for ending in column.endings]


def run(modes, request, folder, *, naive: bool) -> Columns:
    columns = {column.mode.name: column for column in asyncio.run(run_matrix(modes, folder, naive=naive))}
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    reporter.write_line(f"\n{'control' if naive else 'live'}: {totals(of(columns))}")
    return columns


@pytest.fixture(scope="module")
def ours(request, tmp_path_factory) -> Columns:
    return run(QUICK, request, tmp_path_factory.mktemp("live"), naive=False)


@pytest.fixture(scope="module")
def control(request, tmp_path_factory) -> Columns:
    return run(CONTROL, request, tmp_path_factory.mktemp("control"), naive=True)


@pytest.mark.parametrize("mode", [mode.name for mode in QUICK])
def test_after_a_kill_there_is_one_order_or_none_that_is_proven_and_the_journal_is_the_venues(ours, mode):
    endings = ours[mode].endings
    assert {ending.case.kill: ending.broken for ending in endings} == dict.fromkeys(KILLS, ())
    assert all(len(ending.link_ids) <= 1 and None not in ending.link_ids for ending in endings)


@pytest.mark.parametrize("mode", [mode.name for mode in QUICK if mode.rules])
def test_every_order_that_was_sent_met_the_fault_of_its_mode(ours, mode):
    column = ours[mode]
    sent = sum(ending.sends_before + ending.sends_after > 0 for ending in column.endings)
    assert sent >= len(KILLS) - 2
    for rule in column.mode.rules:
        met = column.injected[str(rule["kind"])]
        assert met == sent if rule.get("times", 1) == 1 else met > 0, rule["kind"]


def test_the_matrix_has_every_step_and_more_modes_than_were_asked_for():
    assert set(KILLS) == {*Step, IN_FLIGHT}
    assert len(QUICK) >= 8


def test_each_way_out_of_a_crash_was_taken(ours):
    ways = totals(of(ours)).ways
    assert all(ways[way] for way in (Way.BEFORE, Way.ADOPTED, Way.FIRST, Way.RESENT, Way.EXPIRED))
    assert ways[Way.FAILED] == 0


def test_what_was_never_sent_expires_or_goes_out_once_more_by_its_age_alone(ours):
    fresh, stale = (
        {ending.case.kill: ending for ending in ours[mode].endings}
        for mode in ("drop_before_accept", "drop_before_accept_stale")
    )
    for kill in (Step.SUBMITTED, Step.OUTCOME_STAGED, IN_FLIGHT):
        assert (fresh[kill].way, fresh[kill].sends_before, fresh[kill].sends_after) == (Way.RESENT, 1, 1)
        assert (stale[kill].way, stale[kill].evidence, stale[kill].sends_after) == (Way.EXPIRED, "absence", 0)
    for kill in (Step.JOURNALED, Step.SENDING):
        assert (stale[kill].way, stale[kill].sends_before, stale[kill].sends_after) == (Way.EXPIRED, 0, 0)


def test_the_same_checks_catch_a_gateway_that_sends_as_examples_of_pybit_do(control):
    told = totals(of(control))
    assert told.duplicates >= 10
    assert {Rule.ONE_ORDER, Rule.SENT_ONCE, Rule.ORDER_OR_PROOF, Rule.FILLS, Rule.ACCOUNT} <= set(told.broken)
    lost = {ending.case.kill: ending.orders for ending in control["accept_then_drop"].endings}
    assert all(orders >= 2 for orders in lost.values()), "pybit alone sends what got no answer again"
    calm = {ending.case.kill: ending for ending in control["none"].endings}
    assert calm[Step.SUBMITTED].orders == calm[IN_FLIGHT].orders == 2, (
        "the restart sends what it knows nothing of again"
    )
    assert calm[Step.RECORDED].broken == calm[Step.RECEIVED].broken == (), "nothing but the sending is at fault"
