"""Prices from Bybit's public linear stream, or from anything that speaks it.

market.py keeps the connections: reader.py reads the stream, rest.py asks. local_book.py, mark_price.py and bars.py
build what is shown from messages; messages.py checks what they say.
"""

from gateway.adapters.market_bybit.market import BybitMarket

__all__ = ["BybitMarket"]
