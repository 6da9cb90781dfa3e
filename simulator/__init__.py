"""A local exchange with the shapes of Bybit's public v5 API, driven by a market that is drawn from a seed."""
