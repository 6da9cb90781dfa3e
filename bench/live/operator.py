"""What an operator does in a story: ends the faults, sets clocks right, restarts what cannot go on, and resumes."""

from bench.live.world import World
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import RiskState

CALM_MS = 240_000
"""Everything must be known and whole this long after the last fault: a ban of a minute, the time in which an order can
still arrive, a lock's two comparisons, and the longest pause of a stream that was refused."""
LOOK_MS = 500


class Operator:
    """Looks after one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.resumed = 0
        self.restarted = 0

    def end_faults(self) -> None:
        """Nothing goes wrong from now on."""
        world = self._world
        world.local.faults.clear()
        world.local.clock.skew_ms = 0
        world.clock.off_ms = 0
        if world.life is not None:
            world.life.dies_at = None
        for market in world.local.exchange.markets.values():
            market.depth_factor = 1.0

    def settle(self) -> bool:
        """Let time pass until all is known and the gateway takes orders; False when that takes too long."""
        end_ms = self._world.time.now_ms() + CALM_MS
        while not self.is_quiet():
            if self._world.time.now_ms() >= end_ms:
                return False
            self.look()
            self._world.pass_ms(LOOK_MS)
        return True

    def look(self) -> None:
        """Restart a gateway whose key is not taken any more, and resume one that stands still."""
        life, health = self._world.gateway, self._world.health()
        if life is None or health is None:
            return
        if "restart" in health.blocked:
            self.restarted += 1
            self._world.kill()
        elif life.guard.standing().state is not RiskState.ACTIVE:
            self.resumed += 1
            self._world.call(life.guard.resume("operator", "the story goes on"))

    def is_quiet(self) -> bool:
        """Whether every order has ended, and the account was compared and found whole."""
        life, health = self._world.gateway, self._world.health()
        if life is None or health is None:
            return False
        still_open = any(record.state in OPEN_STATES for record in self._world.disk.newest.values())
        active = life.guard.standing().state is RiskState.ACTIVE
        return active and not still_open and not life.account.open_orders() and health.ok
