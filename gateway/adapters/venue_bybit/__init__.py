"""The live venue: Bybit's linear perpetuals through pybit, and the private stream beside it."""
