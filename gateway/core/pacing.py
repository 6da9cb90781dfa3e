"""When to send what has been collected: few large batches under load, and no wait for a lone request.

While callers come one at a time, each leaves at once. When many are under way
together, most of them are waited for: two groups then take turns, one being
answered while the other gathers. Whoever collects also sets a timer, since a
caller that was expected may never come.
"""

from dataclasses import dataclass

SHARE_AWAITED = 0.75
"""The share of what is expected that is waited for. Measured: more adds delay, and saves little."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """A count of what is under way, and an estimate of how much comes together."""

    batches_max: int
    """Batches under way at once; what comes meanwhile waits for one to end."""
    expected: float = 1.0
    """How many are under way together, smoothed: quick to fall, so that a burst delays nobody after it."""
    batches: int = 0
    rows: int = 0

    def may_send(self) -> bool:
        """Whether another batch may leave at all."""
        return self.batches < self.batches_max

    def is_due(self, waiting: int) -> bool:
        """Whether `waiting` items should leave now."""
        return self.may_send() and waiting >= max(1.0, self.expected * SHARE_AWAITED)

    def sent(self, rows: int) -> None:
        """A batch of `rows` has left."""
        self.batches += 1
        self.rows += rows
        weight = 0.5 if self.rows < self.expected else 0.25
        self.expected += (self.rows - self.expected) * weight

    def ended(self, rows: int) -> None:
        """A batch of `rows` has come back."""
        self.batches -= 1
        self.rows -= rows
