"""Real bars for tests and measurements; they are no part of the project and may be absent."""

from pathlib import Path

import pytest


def market_bars(name: str) -> Path:
    """A file of ../shared/data/market, beside the project or above it; skips the test where it is not there."""
    root = Path(__file__).parents[1]
    found = [folder / "shared" / "data" / "market" / name for folder in root.parents]
    path = next((path for path in found if path.exists()), None)
    if path is None:
        pytest.skip(f"{found[0]} is not here")
    return path
