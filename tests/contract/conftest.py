"""Each Journal that a contract is held against: the one on disk, and the fake that other tests use."""

import contextlib

import pytest
from fakes import FakeJournal
from journal_kit import problems, running


@contextlib.asynccontextmanager
async def fake(_folder):
    yield FakeJournal()


ADAPTERS = {"sqlite": lambda folder: running(folder / "journal.sqlite3"), "fake": fake}


@pytest.fixture(params=sorted(ADAPTERS))
async def journal(request, tmp_path):
    async with ADAPTERS[request.param](tmp_path) as opened:
        yield opened
    if request.param == "sqlite":
        assert problems(tmp_path / "journal.sqlite3") == []
