"""What integration tests share: databases, the HTTP API, and who is around them."""

from collections.abc import Iterator

import pytest

from kern.client.processes.runtime import Runtime
from tests.support.api import Api, serving
from tests.support.desk import Visitor, at_the_desk
from tests.support.http_receiver import Receiver
from tests.support.identity import IdentityProvider
from tests.support.stored_runs import NAMES, Stored, opened


@pytest.fixture(params=NAMES, scope="module")
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stored]:
    """Each of the databases, with its tables and no rows, for a module."""
    with opened(request.param, tmp_path_factory.mktemp("db")) as database:
        yield database


@pytest.fixture
def api(runtime: Runtime) -> Iterator[Api]:
    """The HTTP API and the console of this process's runtime."""
    with serving(runtime) as served:
        yield served


@pytest.fixture
def dana(api: Api) -> Iterator[Visitor]:
    """A person who has signed in to the console."""
    with at_the_desk(api, "dana") as visitor:
        yield visitor


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An identity provider that signs everybody in as dana."""
    with IdentityProvider() as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks."""
    with Receiver() as received:
        yield received
