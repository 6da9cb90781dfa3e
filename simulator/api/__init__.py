"""The REST side of the exchange, on bytes: signatures, limits, routes, cursors, faults. No socket in it."""
