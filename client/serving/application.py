"""The application that a server serves: the API, over one service."""

from fastapi import FastAPI

from kern import __version__
from kern.client.api.routes import router
from kern.client.service.service import Service
from kern.client.web import problems
from kern.client.web.body_limit import BodyLimit
from kern.client.web.headers import SecurityHeaders
from kern.client.web.rates import DecisionRate

_DESCRIPTION = """Runs of agents, what they wait for from people, and the decisions about it.

Call it with `Authorization: Bearer kern_…`. Every refusal is a problem as RFC 9457 describes them;
its `code` is stable. Times are UTC in RFC 3339, ids are text."""


def application(service: Service) -> FastAPI:
    """Return the application over a service, which whoever opened it closes."""
    app = FastAPI(
        title="Kern",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.rate = DecisionRate()
    problems.install(app)
    app.include_router(router)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    return app
