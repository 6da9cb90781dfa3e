"""How far this machine's clock is from Bybit's: a request whose time stamp is off is refused, or good for too long."""

from dataclasses import dataclass

from gateway.adapters.venue_bybit.reads import Reads, asked
from gateway.ports import VenueUnavailableError

SAMPLES = 3
"""The one that took the shortest tells most; the first also makes the connection."""
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """One comparison of the clocks."""

    ms: int
    """Bybit's clock less ours, when half of the round trip is taken for the way back."""
    round_trip_ms: int
    """The true skew lies within half of this on either side."""


async def measure_skew(reads: Reads) -> Skew:
    """Compare the clocks. Raises VenueUnavailableError."""
    return min([await _sample(reads) for _ in range(SAMPLES)], key=lambda skew: skew.round_trip_ms)


def skew_fault(skew: Skew, clock_skew_ms_max: int) -> str | None:
    """What is wrong with the clock and what to do; None when nothing is."""
    if skew.round_trip_ms > 2 * clock_skew_ms_max:
        return (
            f"Bybit's time took {skew.round_trip_ms} ms to arrive, too long to tell this clock within "
            f"{clock_skew_ms_max} ms (CLOCK_SKEW_MS_MAX): use a faster line to Bybit, or a machine nearer to it."
        )
    if abs(skew.ms) > clock_skew_ms_max:
        side = "behind" if skew.ms > 0 else "ahead of"
        return (
            f"this machine's clock is {abs(skew.ms)} ms {side} Bybit's, more than {clock_skew_ms_max} ms "
            f"(CLOCK_SKEW_MS_MAX): synchronise it by NTP."
        )
    return None


async def _sample(reads: Reads) -> Skew:
    reply = await asked(reads, "get_server_time")
    nanoseconds = reply.result.get("timeNano")
    if not isinstance(nanoseconds, str) or not nanoseconds.isdecimal() or not nanoseconds.isascii():
        raise VenueUnavailableError("get_server_time: the answer has no time")
    if len(nanoseconds) > 20:  # noqa: PLR2004 - until the year 5138
        raise VenueUnavailableError("get_server_time: the answer has no time")
    arrived_ms = reply.signed_ms + reply.elapsed_ms // 2
    return Skew(ms=int(nanoseconds) // NS_PER_MS - arrived_ms, round_trip_ms=reply.elapsed_ms)
