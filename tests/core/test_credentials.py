"""A secret shows itself to nobody who did not ask for it by name."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest
from canary import CANARY_SECRET
from structlog.tracebacks import extract

from gateway.core.credentials import Credentials, Secret

CANARY = CANARY_SECRET


def credentials():
    return Credentials(key="KEY0001", secret=Secret(CANARY))


def test_the_secret_is_given_to_whoever_signs_with_it():
    assert credentials().secret.reveal() == CANARY


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        lambda value: f"{value}",
        lambda value: f"{value!r:>40}",
        lambda value: f"{value!s:>40}",
        lambda value: "%s %r" % (value, value),  # noqa: UP031 - the old way must not print it either
        lambda value: f"{[value]} { {'a': (value,)} }",
        lambda value: logging.makeLogRecord({"msg": "%s", "args": (value,)}).getMessage(),
        lambda value: json.dumps({"value": value}, default=str),
        lambda value: str(dir(value)),
    ],
)
@pytest.mark.parametrize("held", [Secret(CANARY), credentials()])
def test_no_way_of_printing_shows_the_secret(show, held):
    assert CANARY not in show(held)


def test_a_secret_takes_a_width_like_any_text():
    assert f"{Secret(CANARY):>10}" == "  <secret>"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, dataclasses.asdict])
def test_neither_a_pickle_nor_a_copy_is_made(take):
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        take(credentials() if take is dataclasses.asdict else Secret(CANARY))


def test_a_traceback_with_its_locals_does_not_show_it():
    def sign(held):
        raise ValueError(f"could not sign with {held}")

    try:
        sign(credentials())
    except ValueError as fault:
        shown = str(traceback.TracebackException.from_exception(fault, capture_locals=True).stack.format())
        shown += "".join(traceback.format_exception(fault))
        shown += str(extract(type(fault), fault, fault.__traceback__, show_locals=True))
    assert "held" in shown
    assert CANARY not in shown


def test_secrets_are_equal_when_their_texts_are_and_have_no_hash():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret("a"))


def test_the_key_is_not_printed_either():
    assert "KEY0001" not in repr(credentials())
