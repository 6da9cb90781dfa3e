"""Adapters: one world-facing thing in each file."""
