"""The application that a server serves: the API and the console, over one service."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from kern import __version__
from kern.client.api.routes import router
from kern.client.console.addresses import DESK, INBOX
from kern.client.desk.application import desk_application
from kern.client.identity.sign_on import SignOn
from kern.client.service.service import Service
from kern.client.web import problems
from kern.client.web.body_limit import BodyLimit
from kern.client.web.headers import SecurityHeaders
from kern.client.web.health import Readiness, health_router
from kern.client.web.hosts import KnownHosts
from kern.client.web.rates import DecisionRate
from kern.process.settings import LOOPBACK

_DESCRIPTION = """Runs of agents, what they wait for from people, and the decisions about it.

Call it with `Authorization: Bearer` and a token: one of `kern token create`, or an access token of
the identity provider. Every refusal is a problem as RFC 9457 describes them;
its `code` is stable. Times are UTC in RFC 3339, ids are text."""


def application(
    service: Service,
    *,
    public_url: str | None = None,
    is_open: bool = False,
    readiness: Readiness | None = None,
    sign_on: SignOn | None = None,
    fresh_seconds: float | None = None,
) -> FastAPI:
    """Return the application over a service, which whoever opened it closes.

    Args:
        service: The service.
        public_url: The address at which people reach it, such as `https://kern.example`.
        is_open: Whether other machines reach it, through a proxy with TLS.
        readiness: Says whether the process can work; default: whether the database answers.
        sign_on: Knows people and programs by an identity provider; None without one.
        fresh_seconds: How recently somebody must have authenticated before they decide what has a
            high risk; None for at any time.
    """
    app = FastAPI(
        title="Kern",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    rate = DecisionRate()
    app.state.service, app.state.rate, app.state.sign_on = service, rate, sign_on
    app.state.fresh_seconds = fresh_seconds
    problems.install(app)
    app.include_router(router)
    app.include_router(health_router(readiness or _readiness_of(service)))
    app.add_api_route("/", _to_the_desk, include_in_schema=False)
    address = urlsplit(public_url or "")
    is_secure = address.scheme == "https" if public_url else is_open
    desk = desk_application(
        service,
        rate,
        sign_on,
        is_secure=is_secure,
        is_local=not is_open,
        fresh_seconds=fresh_seconds,
    )
    app.mount(DESK, desk)
    app.add_middleware(BodyLimit)
    app.add_middleware(KnownHosts, names=_names(address.hostname, is_open=is_open))
    # What is added last is outermost: refusals of the others have the headers, too.
    app.add_middleware(SecurityHeaders)
    return app


def _names(public_name: str | None, *, is_open: bool) -> frozenset[str] | None:
    """Return the names that the server answers to; None for any, behind a proxy that checks."""
    names = frozenset() if public_name is None else frozenset({public_name})
    if is_open and not names:
        return None
    return names | LOOPBACK


def _readiness_of(service: Service) -> Readiness:
    async def readiness() -> tuple[bool, Mapping[str, object]]:
        is_there = await service.answers()
        return is_there, {"database": "ok" if is_there else "does not answer"}

    return readiness


async def _to_the_desk() -> RedirectResponse:
    return RedirectResponse(INBOX, 303)
