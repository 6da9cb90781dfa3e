"""Shared by all tests: the test folder itself is an import root for fakes and builders."""

from hypothesis import settings

settings.register_profile("long", max_examples=2_000, stateful_step_count=40)
