"""Offline training of models. Nothing that serves imports this package."""
