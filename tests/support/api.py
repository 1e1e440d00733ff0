"""The API of a test's runtime, served over HTTP, and clients of it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import httpx2

from kern.client.identity.sign_on import SignOn
from kern.client.processes.runtime import Runtime
from kern.client.service.runtime_service import RuntimeService
from kern.client.serving.application import application
from kern.client.web.server import WebServer
from kern.contracts.tokens import NewToken, token_principal
from kern.values.roles import Role
from kern.values.states import PrincipalKind


class Api:
    """The API of a runtime, at an address."""

    def __init__(self, runtime: Runtime, address: str) -> None:
        self._runtime = runtime
        self.address = address

    def token(
        self,
        subject: str,
        *roles: Role,
        kind: PrincipalKind = PrincipalKind.person,
        groups: Sequence[str] = (),
        tenant: str = "",
        life: timedelta = timedelta(days=1),
    ) -> NewToken:
        """Make a token for somebody."""
        principal = token_principal(subject, kind=kind, groups=groups, tenant=tenant)

        async def make(service: RuntimeService) -> NewToken:
            return await service.access.make_token(
                principal, roles or (Role.operator,), label="a test", life=life, created_by="test"
            )

        return self._runtime.call(make)

    def client(self, token: str | None) -> httpx2.Client:
        """Return a client that calls with a token, or without one."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=30)

    def as_person(self, subject: str, *roles: Role, tenant: str = "") -> httpx2.Client:
        """Return a client that calls as a person."""
        return self.client(self.token(subject, *roles, tenant=tenant).secret)


@contextmanager
def serving(
    runtime: Runtime,
    sign_on: SignOn | None = None,
    *,
    public_url: str | None = None,
    fresh_seconds: float | None = None,
) -> Generator[Api]:
    """Serve a runtime's API on a free port as long as the block lasts."""

    async def start(service: RuntimeService) -> tuple[WebServer, int]:
        app = application(
            service, public_url=public_url, sign_on=sign_on, fresh_seconds=fresh_seconds
        )
        server = WebServer(app)
        return server, await server.start("127.0.0.1", 0)

    server, port = runtime.call(start)
    try:
        yield Api(runtime, f"http://127.0.0.1:{port}")
    finally:
        runtime.call(lambda _service: server.stop())
