"""The trading side of the exchange: accounts, orders, matching, positions and wallets. Pure: no socket, no clock."""
