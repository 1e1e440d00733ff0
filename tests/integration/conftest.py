"""What tests of the database contract share: an empty database of each sort, for a module."""

from collections.abc import Iterator

import pytest

from tests.support.stored_runs import NAMES, Stored, opened


@pytest.fixture(params=NAMES, scope="module")
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stored]:
    """Each of the databases, with its tables and no rows."""
    with opened(request.param, tmp_path_factory.mktemp("db")) as database:
        yield database
