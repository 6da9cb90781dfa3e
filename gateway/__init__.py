"""The gateway: decides, sizes, risk-checks, journals and executes orders."""

__version__ = "0.1.0"
