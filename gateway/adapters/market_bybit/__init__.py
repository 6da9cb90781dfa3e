"""Prices from Bybit's public linear stream, or from anything that speaks it.

market.py keeps the connections, local_book.py builds a book from messages, messages.py checks what they say.
"""

from gateway.adapters.market_bybit.market import BybitMarket

__all__ = ["BybitMarket"]
