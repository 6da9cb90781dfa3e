"""Shared by all tests: the test folder itself is an import root for fakes and builders."""

from canary_hooks import pytest_configure, pytest_sessionfinish, pytest_sessionstart, pytest_terminal_summary
from hypothesis import settings

__all__ = ["pytest_configure", "pytest_sessionfinish", "pytest_sessionstart", "pytest_terminal_summary"]

settings.register_profile("long", max_examples=2_000, stateful_step_count=40)
