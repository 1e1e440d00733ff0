"""The health endpoint: what it says of each part, and that no request can occupy it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from temporalio.client import Client

from kern.client.processes import health as health_module
from kern.client.processes.health import Health
from kern.client.server.start import free_port
from kern.client.serving.companion import HealthCompanion
from kern.client.temporal import connection
from kern.client.temporal.workers import ComponentWorkers
from kern.components.registry import Registry
from kern.db.engine.store import Store
from kern.errors import InvalidInput
from kern.process.settings import Settings
from tests.support.templates import sqlite_with_tables
from tests.support.temporal_server import temporal_server

HOST = "127.0.0.1"


class Endpoint:
    """A health endpoint in this process."""

    def __init__(self) -> None:
        self.health = Health()
        self.companion = companion(0)
        self.port = 0

    async def start(self) -> None:
        """Serve the health of this endpoint."""
        await self.companion.start(self.health)
        self.port = self.companion.bound_port or 0

    async def ask(self, request: bytes) -> bytes:
        """Send raw bytes, and return what comes back until the connection is closed."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            writer.write(request)
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionResetError:
            return b""
        finally:
            await close(writer)

    async def get(self, path: str) -> tuple[int, dict[str, object]]:
        head, _, body = (await self.ask(request(f"GET {path}"))).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), json.loads(body)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    await endpoint.start()
    yield endpoint
    await endpoint.companion.stop()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return sqlite_with_tables(tmp_path / "kern.db")


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def request(line: str) -> bytes:
    return f"{line} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n".encode()


def companion(port: int, host: str = HOST) -> HealthCompanion:
    return HealthCompanion(Settings(), host, port)


def workers(*, running: bool = True) -> ComponentWorkers:
    class Workers:
        is_running = running

        def blocked(self) -> dict[str, str]:
            return {}

    return cast("ComponentWorkers", Workers())


def answering(error: Exception | None = None) -> Client:
    """Return a client of a Temporal that answers its health check, or fails it."""

    class Service:
        async def check_health(self, timeout: object) -> bool:  # noqa: ARG002, ASYNC109  the SDK's
            if error is not None:
                raise error
            return True

    class Temporal:
        service_client = Service()

    return cast("Client", Temporal())


async def test_a_worker_that_has_opened_nothing_yet_lives_and_is_not_ready(
    endpoint: Endpoint,
) -> None:
    assert await endpoint.get("/healthz") == (200, {"alive": True})
    assert await endpoint.get("/readyz") == (
        503,
        {
            "ready": False,
            "database": "not connected yet",
            "temporal": "not connected yet",
            "workers": "not started yet",
        },
    )


async def test_readiness_needs_database_temporal_and_workers(
    endpoint: Endpoint, store: Store
) -> None:
    health = endpoint.health
    health.watch_database(store)
    health.watch_temporal(answering())
    assert (await endpoint.get("/readyz"))[0] == 503
    health.workers = workers()
    assert await endpoint.get("/readyz") == (
        200,
        {"ready": True, "database": "ok", "temporal": "ok", "workers": "ok"},
    )
    health.workers = workers(running=False)
    assert await endpoint.get("/readyz") == (
        503,
        {"ready": False, "database": "ok", "temporal": "ok", "workers": "ended"},
    )
    health.workers, health.stopping = workers(), True
    status, body = await endpoint.get("/readyz")
    assert (status, body["workers"]) == (503, "stopping")
    assert (await endpoint.get("/healthz"))[0] == 200


async def test_readiness_follows_a_real_temporal(
    endpoint: Endpoint, store: Store, settings: Settings
) -> None:
    health = endpoint.health
    with temporal_server() as temporal:
        client = await connection.connect(temporal.address)
        health.watch_database(store)
        health.watch_temporal(client)
        health.workers = ComponentWorkers(client, store, Registry(), settings)
        assert (await endpoint.get("/readyz"))[0] == 200
        temporal.kill()
        status, body = await endpoint.get("/readyz")
        assert (status, body["temporal"]) == (503, "does not answer")
        temporal.restart()
        async with asyncio.timeout(60):
            while (await endpoint.get("/readyz"))[0] != 200:
                pass


async def test_the_reason_is_logged_once_and_never_shown(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="kern.health")
    endpoint.health.watch_temporal(answering(RuntimeError("refused by db.internal:7233")))
    for _ in range(3):
        body = (await endpoint.get("/readyz"))[1]
        assert "internal" not in str(body)
        assert body["temporal"] == "does not answer"
    endpoint.health.watch_temporal(answering())
    assert caplog.text.count("db.internal") == 1


async def test_a_part_that_hangs_is_asked_once_however_many_want_to_know(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "_PROBE_SECONDS", 0.2)
    free, requests = asyncio.Event(), list[int]()

    class Service:
        async def check_health(self, timeout: object) -> None:  # noqa: ARG002, ASYNC109  the SDK's
            requests.append(1)
            await free.wait()

    class Temporal:
        service_client = Service()

    endpoint.health.watch_temporal(cast("Client", Temporal()))
    answers = await asyncio.gather(*(endpoint.get("/readyz") for _ in range(10)))
    answers.append(await endpoint.get("/readyz"))
    assert {body["temporal"] for _, body in answers} == {"does not answer"}
    assert len(requests) == 1
    free.set()
    await asyncio.sleep(0)
    assert (await endpoint.get("/readyz"))[1]["temporal"] == "ok"


async def test_other_paths_are_unknown(endpoint: Endpoint) -> None:
    for path in ("/", "/elsewhere", "/readyz/more"):
        status, body = await endpoint.get(path)
        assert (status, body["code"]) == (404, "not_found")
    assert (await endpoint.get("/healthz?verbose=1"))[0] == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (request("POST /healthz"), 405),
        (b"GET /healthz FTP/1.0\r\n\r\n", 400),
    ],
)
async def test_malformed_requests_are_refused_and_harm_nothing(
    endpoint: Endpoint, line: bytes, status: int
) -> None:
    assert (await endpoint.ask(line)).startswith(f"HTTP/1.1 {status} ".encode())
    assert (await endpoint.get("/healthz"))[0] == 200


async def test_head_returns_the_headers_alone(endpoint: Endpoint) -> None:
    answer = await endpoint.ask(request("HEAD /healthz"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 14\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_slow_clients_keep_nobody_from_an_answer(endpoint: Endpoint) -> None:
    slow = [await asyncio.open_connection(HOST, endpoint.port) for _ in range(100)]
    try:
        for _, writer in slow:
            writer.write(b"GET /healthz HTTP/1.1\r\n")
        assert (await endpoint.get("/healthz"))[0] == 200
    finally:
        for _, writer in slow:
            await close(writer)


async def test_it_listens_on_the_address_that_was_asked_for_and_no_other() -> None:
    port = free_port()
    server = companion(port)
    await server.start(Health())
    try:
        with socket.create_connection((HOST, port), timeout=5):
            pass
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", port), timeout=5)
    finally:
        await server.stop()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, port), timeout=5)


@pytest.mark.parametrize("host", ["192.0.2.1", HOST])
async def test_an_address_that_cannot_be_used_is_refused_by_name(
    endpoint: Endpoint, host: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"port {endpoint.port} on '{host}'.*KERN_HEALTH"):
        await companion(endpoint.port, host).start(Health())
