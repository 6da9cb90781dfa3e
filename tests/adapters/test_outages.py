"""Outages of the exchange under trading, over real sockets, with a tenth of the gateway's patience.

All of them at once, each on an exchange of its own; `python -m bench.outages` measures them one by one, as they are in
earnest, a minute without an exchange included.
"""

import asyncio
from collections.abc import Mapping

import pytest

from bench.outage_desk import QUICK, a_desk, an_exchange
from bench.outages import Result, measure, outages
from gateway.core.model import OrderState, Side

CREATE = "/v5/order/create"
OUTAGES = {outage.name: outage for outage in outages(quick=True)}
SILENCE_SECONDS = QUICK.patience.silence
MARGIN_SECONDS = 2.0
"""For a machine that does other things as well."""


async def _measured() -> Mapping[str, Result]:
    results = await asyncio.gather(*(measure(outage, QUICK) for outage in OUTAGES.values()))
    return {result.name: result for result in results}


@pytest.fixture(scope="module")
def results() -> Mapping[str, Result]:
    return asyncio.run(_measured())


@pytest.mark.parametrize("name", OUTAGES)
def test_no_fill_is_lost_and_every_order_ends_as_the_exchange_has_it(results: Mapping[str, Result], name: str) -> None:
    result = results[name]
    assert result.wrong == []
    assert result.fills > 0
    assert sum(result.evidence.values()) == result.orders
    assert "none" not in result.evidence


@pytest.mark.parametrize("name", [name for name, outage in OUTAGES.items() if outage.deafens])
def test_a_deaf_stream_is_noticed_and_made_anew(results: Mapping[str, Result], name: str) -> None:
    result = results[name]
    assert result.noticed_s is not None
    assert result.recovered_s is not None
    assert result.noticed_s <= SILENCE_SECONDS + MARGIN_SECONDS
    # A listener's failure is made good by the next sweep, of which there is at most one every five seconds.
    slowest = 5.0 if OUTAGES[name].lone_fault else SILENCE_SECONDS + QUICK.patience.refused[1]
    assert result.recovered_s <= slowest + MARGIN_SECONDS


@pytest.mark.parametrize("name", [name for name, outage in OUTAGES.items() if outage.blinds])
def test_prices_are_too_old_for_risk_and_come_back(results: Mapping[str, Result], name: str) -> None:
    result = results[name]
    assert result.stale_s is not None
    assert result.priced_s is not None
    assert result.stale_s <= QUICK.price_age_ms_max / 1000 + MARGIN_SECONDS
    assert result.priced_s <= QUICK.market_silence_seconds + 2 * MARGIN_SECONDS


async def test_a_reduction_passes_while_the_answers_to_openings_do_not_come() -> None:
    """The thread of the openings hangs; the reductions have one of their own."""
    async with an_exchange() as exchange, a_desk(exchange, QUICK) as desk:
        assert (await desk.submit("position")).state is OrderState.FILLED
        rule = {"kind": "delay_before", "path": CREATE, "linkId": "hung", "ms": 5000}
        await exchange.control("faults", rules=[rule])
        hung = asyncio.create_task(desk.submit("hung"))
        await asyncio.sleep(0.05)
        begun = asyncio.get_running_loop().time()
        waiting = asyncio.create_task(desk.submit("behind"))
        assert (await desk.submit("reduction", side=Side.SELL, reduce_only=True)).state is OrderState.FILLED
        assert asyncio.get_running_loop().time() - begun < QUICK.answer_ms / 1000 * 0.5
        assert (await hung).state is OrderState.UNKNOWN
        # What waited behind the hung one was sent when that was given up, or never.
        assert (await waiting).state in {OrderState.FILLED, OrderState.EXPIRED}


def test_orders_that_went_into_the_outage_are_proven_absent_or_found(results: Mapping[str, Result]) -> None:
    down = results["server down 3 s"]
    assert down.unknown > 0
    assert down.evidence["absence"] > 0
    deaf = results["streams down 1 s"]
    assert deaf.evidence["realtime"] + deaf.evidence.get("history", 0) > 0
