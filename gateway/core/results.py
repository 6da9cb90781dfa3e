"""What closed trades came to: the earnings of a UTC day, and losses in a row.

Both are made from the fills that the ledger is made from, so a restart finds them in the journal. Deposits and
withdrawals are no fills, and count for nothing here.
"""

from dataclasses import dataclass
from decimal import Decimal

from gateway.core.ledger import Ledger
from gateway.core.model import ZERO, OrderRecord

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The account's results up to its newest fill."""

    day: int = 0
    """The UTC day of the newest fill, counted from 1 January 1970."""
    earned_before_usd: Decimal = ZERO
    """What the ledger had earned when that day began."""
    losing_streak: int = 0
    """How many closing orders in a row have lost, fees taken off, up to the newest."""
    last_loss_ms: int = 0
    """When the newest of them ended."""

    def after(self, record: OrderRecord, before: Ledger, after: Ledger) -> "Results":
        """The results after one order, which took the ledger from `before` to `after`."""
        day = record.updated_ms // DAY_MS
        rolled = day > self.day
        held = before.position_qty(record.order.symbol)
        streak, last_loss_ms = self.losing_streak, self.last_loss_ms
        if record.fills and held * record.order.side.sign < 0:
            lost = after.earned_usd < before.earned_usd
            streak = streak + 1 if lost else 0
            last_loss_ms = record.updated_ms if lost else 0
        return Results(
            day=max(day, self.day),
            earned_before_usd=before.earned_usd if rolled else self.earned_before_usd,
            losing_streak=streak,
            last_loss_ms=last_loss_ms,
        )

    def earned_today_usd(self, ledger: Ledger, now_ms: int) -> Decimal:
        """What the ledger has earned since 00:00 UTC, fees taken off."""
        return ledger.earned_usd - self.earned_before_usd if now_ms // DAY_MS <= self.day else ZERO
