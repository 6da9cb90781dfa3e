"""The venue is well while it is heard, was compared lately without a difference, and takes orders."""

from dataclasses import dataclass

import pytest
from builders import an_order
from world import COMPARISON_AGE_MS_MAX, World

from gateway.core.model import OrderState
from gateway.core.venue import VenueBlock
from gateway.venue_health import VenueLook

UNKNOWN_AGE_MS_MAX = 46_500


@dataclass
class FakeStream:
    connected: bool = True
    age_ms: int | None = 12


@dataclass
class Watched:
    world: World
    stream: FakeStream
    look: VenueLook


@pytest.fixture
async def watched():
    world, stream = World(live=True), FakeStream()
    look = VenueLook(
        env="simulator",
        account=world.account,
        venue=world.venue,
        stream=stream,
        clean_ms=lambda: world.account_watch.clean_ms,
        clock=world.clock,
        comparison_age_ms_max=COMPARISON_AGE_MS_MAX,
        unknown_age_ms_max=UNKNOWN_AGE_MS_MAX,
    )
    return Watched(world, stream, look)


async def test_a_venue_that_was_never_compared_is_not_well(watched):
    health = watched.look.health()
    assert (health.ok, health.reconciled, health.compared_age_ms) == (False, False, None)
    await watched.world.account_watch.run()
    health = watched.look.health()
    assert (health.ok, health.reconciled, health.compared_age_ms) == (True, True, 0)


async def test_a_comparison_counts_for_three_intervals(watched):
    await watched.world.account_watch.run()
    watched.world.clock.at_ms += COMPARISON_AGE_MS_MAX
    assert watched.look.health().ok
    watched.world.clock.at_ms += 1
    assert not watched.look.health().ok


async def test_a_stream_that_is_gone_is_not_well(watched):
    await watched.world.account_watch.run()
    watched.stream.connected = False
    assert not watched.look.health().ok


async def test_a_block_is_told_and_not_well(watched):
    await watched.world.account_watch.run()
    watched.world.venue.blocked = VenueBlock(what="it has banned this address", retry_after_seconds=600)
    health = watched.look.health()
    assert (health.ok, health.blocked) == (False, "it has banned this address")


async def test_an_unknown_order_is_told_and_not_well_once_it_is_too_old(watched):
    await watched.world.account_watch.run()
    watched.world.venue.answer = OrderState.UNKNOWN
    await watched.world.path.execute(an_order())
    watched.world.clock.at_ms += UNKNOWN_AGE_MS_MAX
    health = watched.look.health()
    assert (health.ok, health.unknown_orders, health.oldest_unknown_age_ms) == (True, 1, UNKNOWN_AGE_MS_MAX)
    watched.world.clock.at_ms += 1
    assert not watched.look.health().ok
