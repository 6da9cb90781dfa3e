"""Shared by all tests: the test folder itself is an import root for fakes and builders."""
