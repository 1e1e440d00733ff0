"""How long Postgres is waited for, when it is away in the ways in which networks lose a server."""

import socket
from contextlib import closing

import psycopg
import pytest

from kern.db.engine import store as engine
from kern.db.engine.stores import PostgresStore
from kern.errors import Unavailable
from tests.support.postgres import fresh_database


def test_a_server_that_says_nothing_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_UNREACHABLE_SECONDS", 0.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}/kern?connect_timeout=2"
        with (
            closing(PostgresStore(f"postgresql://kern:sesame@{where}")) as database,
            pytest.raises(Unavailable, match="timeout"),
        ):
            database.read_now(lambda tx: None)


def test_connections_have_time_limits_unless_the_url_sets_others() -> None:
    def parameters(url: str) -> dict[str, str]:
        with closing(PostgresStore(url)) as database, database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            return driver.info.get_parameters()

    url = fresh_database()
    limits = parameters(url)
    assert (limits["connect_timeout"], limits["keepalives_idle"]) == ("5", "30")
    own = parameters(f"{url}?connect_timeout=20")
    assert (own["connect_timeout"], own["keepalives_idle"]) == ("20", "30")
