"""The health endpoint of a worker: `/healthz` says that it lives, `/readyz` that it can work."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus

from temporalio.client import Client

from kern.client.temporal.workers import ComponentWorkers
from kern.contracts.reports import AwaitedWorker
from kern.db.engine.store import Store
from kern.db.runs.awaited_workers import awaited_workers
from kern.errors import InvalidInput, KernError
from kern.process.clock import utc_now
from kern.process.logs import get_logger

_log = get_logger("kern.health")

_PROBE_SECONDS = 2.0
_REQUEST_BYTES = 8192
_REQUEST_SECONDS = 5.0
_MAX_CONNECTIONS = 64
_OK = "ok"
# So often a probe reads what runs wait for, and shows so many of them.
_LOOK_SECONDS = 5.0
_MOST_WAITING = 20


class _Probe:
    """Asks one part, one request at a time, so that a dead part occupies at most one thread."""

    def __init__(self, part: str, ask: Callable[[], Awaitable[object]]) -> None:
        self._part = part
        self._ask = ask
        self._asking: asyncio.Future[object] | None = None
        self._answer = _OK

    async def answer(self) -> str:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        await asyncio.wait({self._asking}, timeout=_PROBE_SECONDS)
        error: BaseException | None = TimeoutError(f"no answer within {_PROBE_SECONDS:g} s")
        if self._asking.done():
            error = self._asking.exception()
        answer = _OK if error is None else "does not answer"
        if answer != self._answer:
            level = _log.info if error is None else _log.warning
            level("readiness_changed", part=self._part, now=answer, why=str(error or "").strip())
        self._answer = answer
        return answer


class _Awaited:
    """What active runs wait for that no worker has, as it was seconds ago at most."""

    def __init__(self, db: Store) -> None:
        self._db = db
        self._looked_at = -_LOOK_SECONDS
        self.items: list[AwaitedWorker] = []

    async def look(self) -> None:
        """Read it again if it is too old, and the database answers."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        with suppress(KernError, TimeoutError):
            self.items = await asyncio.wait_for(
                self._db.read(lambda tx: awaited_workers(tx, utc_now())), _PROBE_SECONDS
            )


class Health:
    """The state of a worker's parts; it contains no addresses and no secrets."""

    def __init__(self) -> None:
        self.workers: ComponentWorkers | None = None
        self.stopping = False
        self._probes: dict[str, _Probe] = {}
        self._awaited: _Awaited | None = None

    def watch_database(self, db: Store) -> None:
        """Report the state of this database from now on."""
        self._probes["database"] = _Probe("database", lambda: asyncio.to_thread(_ask, db))
        self._awaited = _Awaited(db)

    def watch_temporal(self, client: Client) -> None:
        """Report the state of this Temporal from now on."""

        async def ask() -> None:
            await client.service_client.check_health(timeout=timedelta(seconds=_PROBE_SECONDS))

        self._probes["temporal"] = _Probe("temporal", ask)

    async def parts(self) -> dict[str, str]:
        """Return the state of each part: `ok`, or a word on what is wrong."""
        answers = await asyncio.gather(*(probe.answer() for probe in self._probes.values()))
        states = dict.fromkeys(("database", "temporal"), "not connected yet")
        states |= dict(zip(self._probes, answers, strict=True))
        return {**states, "workers": self._workers_state(), **self._blocked()}

    async def waiting(self) -> list[str]:
        """Return what active runs wait for that no worker has; nothing while nobody can say.

        That is no fault of this worker, which stays ready.
        """
        if self._awaited is None:
            return []
        await self._awaited.look()
        return [_waiting_text(item) for item in self._awaited.items[:_MOST_WAITING]]

    def _blocked(self) -> dict[str, str]:
        """Return `tools` or `models` with the reason, if nothing more of it can be executed."""
        return {} if self.workers is None else self.workers.blocked()

    def _workers_state(self) -> str:
        if self.stopping:
            return "stopping"
        if self.workers is None:
            return "not started yet"
        return _OK if self.workers.is_running else "ended"


class HealthServer:
    """Answers small GET requests; their size, time and number are bounded."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; port 0 chooses a free one.

        Raises:
            InvalidInput: The address cannot be listened on.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=_REQUEST_BYTES)
        except OSError as error:
            message = (
                f"The health port {port} on {host!r} cannot be used: {error.strerror or error}. "
                "Choose another (KERN_HEALTH_HOST, KERN_HEALTH_PORT)."
            )
            raise InvalidInput(message) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        _log.info("health_listening", host=host, port=bound)
        return bound

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_REQUEST_SECONDS):
                    await self._reply(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # The client has gone, or sends too slowly.
            writer.transport.abort()
        finally:
            self._open -= 1
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            status, body = await self._answer(head)
        except asyncio.LimitOverrunError:
            status, body = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, {"error": "too long"}
            head = b""
        text = json.dumps(body).encode()
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(text)}",
            "Cache-Control: no-store",
            "Connection: close",
        )
        writer.write("\r\n".join([*lines, "\r\n"]).encode())
        writer.write(b"" if head.startswith(b"HEAD ") else text)
        await writer.drain()

    async def _answer(self, head: bytes) -> tuple[HTTPStatus, dict[str, object]]:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004  as HTTP says
            return HTTPStatus.BAD_REQUEST, {"error": "not HTTP/1.1"}
        method, target, _ = words
        if method not in {"GET", "HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": "only GET and HEAD"}
        match target.partition("?")[0]:
            case "/healthz":
                return HTTPStatus.OK, {"alive": True}
            case "/readyz":
                parts = await self._health.parts()
                ready = all(state == _OK for state in parts.values())
                status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
                waiting = await self._health.waiting() if ready else []
                more = {"waiting": waiting} if waiting else {}
                return status, {"ready": ready, **parts, **more}
            case _:
                return HTTPStatus.NOT_FOUND, {"error": "there are /healthz and /readyz"}


def _waiting_text(item: AwaitedWorker) -> str:
    since = f"{item.since:%Y-%m-%dT%H:%M:%SZ}"
    return f"run {item.run_id} waits for a worker that has {item.missing} since {since}"


def _ask(db: Store) -> None:
    with db.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
