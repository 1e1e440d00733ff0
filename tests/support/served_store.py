"""The API over a store, served in this process, and the environment of those who call it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import pytest

from kern.client.processes.loop_thread import LoopThread
from kern.client.service.installation import OnDemandDeliverer
from kern.client.service.service import Service
from kern.client.serving.application import application
from kern.client.web.server import WebServer
from kern.contracts.tokens import NewToken, token_principal
from kern.db.engine.store import Store
from kern.process.settings import read_settings
from kern.values.roles import Role
from kern.values.states import PrincipalKind

EVERYTHING = (Role.operator, Role.auditor, Role.administrator)


class ServedStore:
    """An API, and tokens for it."""

    def __init__(self, service: Service, thread: LoopThread, address: str) -> None:
        self._service = service
        self._thread = thread
        self.address = address

    def token(
        self,
        subject: str,
        roles: Sequence[Role] = EVERYTHING,
        *,
        tenant: str = "",
        kind: PrincipalKind = PrincipalKind.person,
    ) -> NewToken:
        """Make a token for somebody."""
        principal = token_principal(subject, kind=kind, tenant=tenant)

        async def make() -> NewToken:
            life = timedelta(days=1)
            return await self._service.access.make_token(
                principal, roles, label="a test", life=life, created_by="test"
            )

        return self._thread.call(make)

    def enter(self, monkeypatch: pytest.MonkeyPatch, subject: str, *, tenant: str = "") -> None:
        """Have this process work over HTTP, as somebody, from now on."""
        monkeypatch.setenv("KERN_API_URL", self.address)
        monkeypatch.setenv("KERN_API_TOKEN", self.token(subject, tenant=tenant).secret)


@contextmanager
def served(store: Store) -> Generator[ServedStore]:
    """Serve a store's API on a free port as long as the block lasts."""
    thread = LoopThread("served")
    service = Service(store, OnDemandDeliverer(read_settings(), store))
    server = WebServer(application(service))
    try:
        port = thread.call(lambda: server.start("127.0.0.1", 0))
        yield ServedStore(service, thread, f"http://127.0.0.1:{port}")
    finally:
        thread.call(server.stop)
        thread.call(service.close)
        thread.end()
