"""Bars from the wire."""

import numpy as np
from trading.v1 import model_pb2

from inference.core.bars import Bars, BarsFaultError
from inference.core.refusal import Refused, invalid_field


def read_bars(message: model_pb2.Bars) -> Bars | Refused:
    """The message's columns as bars, or which of them is none and why."""
    try:
        return Bars(
            bar_seconds=message.bar_seconds,
            open_time_ms=np.array(message.open_time_ms, np.int64),
            open=np.array(message.open, np.float64),
            high=np.array(message.high, np.float64),
            low=np.array(message.low, np.float64),
            close=np.array(message.close, np.float64),
            volume=np.array(message.volume, np.float64),
        )
    except BarsFaultError as fault:
        return invalid_field("bars", f"are no bars: {fault}", undone="computed")
