"""One whole stack for all end-to-end tests: the real Envoy, gateway, model service and simulator on free ports.

TOLLGATE_E2E_URLS="http://127.0.0.1:8000,http://127.0.0.1:9000,http://127.0.0.1:3000" takes one that compose runs
instead; start that with the settings of UNLIMITED, as this file starts its own.
"""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest
from running import Containers, Tollgate, ended

from tools.stack import Ports, Stack

UNLIMITED = {"RATE_LIMIT_MAX": "1000000", "ORDER_RATE_MAX": "0", "OPEN_ORDERS_MAX": "100000"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = pathlib.Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def start_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Tollgate]]:
    """Starts a stack of one's own, with further settings as keywords; all are stopped at the end of the session."""
    with contextlib.ExitStack() as running:

        def start(**settings: str) -> Tollgate:
            stack = Stack(ports=Ports.free(), env=UNLIMITED | settings, state_dir=tmp_path_factory.mktemp("stack"))
            stack.start()
            running.callback(ended, stack)
            return Tollgate(
                gateway=stack.gateway_url, model=stack.model_url, dashboard=stack.dashboard_url, controls=stack
            )

        yield start


@pytest.fixture(scope="session")
def tollgate(start_stack: Callable[..., Tollgate]) -> Tollgate:
    """The stack that the end-to-end tests share."""
    given = os.environ.get("TOLLGATE_E2E_URLS")
    if given is None:
        return start_stack()
    gateway, model, dashboard = given.split(",")
    shared = Tollgate(gateway=gateway, model=model, dashboard=dashboard, controls=Containers())
    shared.wait_well()
    return shared
