"""Values that the wire tells of a live gateway."""

from typing import Any

from gateway.venue_health import VenueHealth


def a_venue_health(**changes: Any) -> VenueHealth:
    """A venue that is well."""
    values: dict[str, Any] = {
        "env": "simulator",
        "stream_connected": True,
        "stream_age_ms": 40,
        "compared_age_ms": 9_000,
        "comparison_age_ms_max": 90_000,
        "reconciled": True,
        "unknown_orders": 0,
        "oldest_unknown_age_ms": 0,
        "unknown_age_ms_max": 46_500,
        "blocked": "",
    }
    return VenueHealth(**values | changes)
