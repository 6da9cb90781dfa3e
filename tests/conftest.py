"""Shared by all tests: the test folder itself is an import root for fakes and builders."""

from canary_hooks import pytest_configure, pytest_sessionfinish, pytest_sessionstart, pytest_terminal_summary

__all__ = ["pytest_configure", "pytest_sessionfinish", "pytest_sessionstart", "pytest_terminal_summary"]
