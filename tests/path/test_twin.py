"""Live orders get their paper twins without waiting for them."""

import asyncio
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS, a_book, an_instrument, an_order
from fakes import FakeClock, FakeJournal, FakeMarket
from journal_kit import a_filled, a_record
from live_kit import Live, approved

from gateway.adapters.venue_paper import PaperVenue
from gateway.core.documents import DocumentKind
from gateway.core.model import Evidence, Fill, OrderKey, OrderState
from gateway.core.twin_records import twin_from
from gateway.twin import WAITING_MAX, Twins

LIVE_FILL = Fill(price=Decimal("60063.003"), qty=Decimal("0.01"), fee_usd=Decimal("0.33"), exec_id="e1")


class Bench:
    """Twins over a market, a journal and the paper venue."""

    def __init__(self):
        self.journal = FakeJournal()
        self.market = FakeMarket(books={BTC: a_book()}, instruments={BTC: an_instrument()})
        paper = PaperVenue(market=self.market)
        self.twins = Twins(market=self.market, fill=paper.fill, clock=FakeClock(NOW_MS + 50))

    def keep(self, state, **changes):
        self.journal.stage(a_record())
        self.journal.stage(a_record(state=state, **changes))

    def kept(self):
        return [twin_from(document) for document in self.journal.documents(DocumentKind.TWIN, 10)]


@pytest.fixture
def bench():
    return Bench()


async def test_a_twin_is_filled_in_the_market_of_the_moment_of_sending(bench):
    bench.twins.sending(approved())
    bench.market.books[BTC] = a_book("70000")
    bench.keep(OrderState.FILLED, evidence=Evidence.STREAM, fills=(LIVE_FILL,))
    await bench.twins.run(bench.journal)
    (twin,) = bench.kept()
    assert (twin.key, twin.live.price, twin.paper.price) == ("key-1", Decimal("60063.003"), Decimal(60_003))
    assert (twin.price_worse_bps, twin.at_ms) == (Decimal(10).quantize(Decimal("0.0001")), NOW_MS + 50)


async def test_a_twin_is_recorded_once_and_only_when_the_order_has_ended(bench):
    bench.twins.sending(approved())
    await bench.twins.run(bench.journal)
    bench.journal.stage(a_record())
    await bench.twins.run(bench.journal)
    assert bench.kept() == []
    bench.journal.stage(a_filled(evidence=Evidence.STREAM))
    await bench.twins.run(bench.journal)
    await bench.twins.run(bench.journal)
    assert len(bench.kept()) == 1


@pytest.mark.parametrize("state", [OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED])
async def test_an_order_without_fills_leaves_no_twin(bench, state):
    bench.twins.sending(approved())
    bench.keep(state, evidence=Evidence.REPLY)
    await bench.twins.run(bench.journal)
    assert bench.kept() == []


async def test_what_has_ended_when_the_gateway_stops_still_gets_its_twin(bench):
    bench.twins.sending(approved())
    watch = asyncio.create_task(bench.twins.watch(bench.journal))
    await asyncio.sleep(0)
    bench.keep(OrderState.FILLED, evidence=Evidence.STREAM, fills=(LIVE_FILL,))
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert len(bench.kept()) == 1


async def test_a_twin_waits_for_a_journal_that_cannot_be_written(bench):
    bench.twins.sending(approved())
    bench.keep(OrderState.FILLED, evidence=Evidence.STREAM, fills=(LIVE_FILL,))
    bench.journal.full = True
    await bench.twins.run(bench.journal)
    bench.journal.full = False
    assert bench.kept() == []
    await bench.twins.run(bench.journal)
    assert len(bench.kept()) == 1


async def test_numbers_that_nobody_foresaw_end_nothing(bench):
    bench.twins.sending(approved())
    nothing = Fill(price=Decimal(0), qty=Decimal(1), fee_usd=Decimal(0), exec_id="e1")
    bench.keep(OrderState.FILLED, evidence=Evidence.STREAM, fills=(nothing,))
    await bench.twins.run(bench.journal)
    assert bench.kept() == []


async def test_the_oldest_are_given_up_when_too_many_wait(bench):
    for number in range(WAITING_MAX + 1):
        bench.twins.sending(approved(link=f"tg{number}", key=OrderKey(f"key-{number}")))
    for number in (0, 1):
        bench.journal.stage(a_record(f"key-{number}"))
        bench.journal.stage(a_filled(f"key-{number}", evidence=Evidence.STREAM))
    await bench.twins.run(bench.journal)
    assert [twin.key for twin in bench.kept()] == ["key-1"]


async def test_a_market_without_prices_gives_a_twin_without_fills(bench):
    bench.market.books.clear()
    bench.twins.sending(approved())
    bench.keep(OrderState.FILLED, evidence=Evidence.STREAM, fills=(LIVE_FILL,))
    await bench.twins.run(bench.journal)
    assert bench.kept()[0].price_worse_bps is None


def test_the_venue_tells_of_an_order_when_it_sends_it():
    told = []
    live = Live(sending=told.append)
    live.run(live.venue.submit(approved()))
    assert [one.order for one in told] == [an_order()]
