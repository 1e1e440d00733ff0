"""What a worker process serves beside its work: its health, and with `kern up` the console."""

from collections.abc import Callable

from fastapi import FastAPI

from kern.client.console.addresses import DESK
from kern.client.identity.sign_on import configured_sign_on
from kern.client.processes.health import Health
from kern.client.processes.worker import Companion
from kern.client.service.service import Service
from kern.client.serving.application import application
from kern.client.serving.links import desk_link, site
from kern.client.serving.process import check_address
from kern.client.web import problems
from kern.client.web.health import health_router
from kern.client.web.server import WebServer
from kern.errors import InvalidInput
from kern.process.logs import get_logger
from kern.process.settings import Settings

_log = get_logger("kern.health")


class HealthCompanion(Companion):
    """Serves the health of a worker on an address of its own, before anything is opened.

    Args:
        settings: Kern's settings.
        host: The address; default: the settings'.
        port: The port; default: the settings'. Without one nothing is served.
    """

    def __init__(self, settings: Settings, host: str | None, port: int | None) -> None:
        self._host = host or settings.health_host
        self._port = settings.health_port if port is None else port
        self._server: WebServer | None = None
        # Where it is served.
        self.bound_port: int | None = None

    async def start(self, health: Health) -> None:
        """Serve what is known of the worker's parts.

        Raises:
            InvalidInput: the address cannot be listened on.
        """
        if self._port is None:
            return
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        problems.install(app)
        app.include_router(health_router(health.readiness))
        self._server = WebServer(
            app, options="KERN_HEALTH_PORT, and an address with KERN_HEALTH_HOST"
        )
        self.bound_port = await self._server.start(self._host, self._port)
        _log.info("health_listening", host=self._host, port=self.bound_port)

    async def ready(self, service: Service) -> None:
        """Nothing more is served once the services are open."""

    async def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            await self._server.stop()


class DeskCompanion(HealthCompanion):
    """Serves the console and the API beside the worker, and says with which link they open.

    Args:
        settings: Kern's settings.
        host: The address of the health endpoint; default: the settings'.
        port: Its port; default: the settings'.
        say: Tells the person who started the process.
    """

    def __init__(
        self, settings: Settings, host: str | None, port: int | None, say: Callable[[str], None]
    ) -> None:
        super().__init__(settings, host, port)
        self._settings = settings
        self._say = say
        self._health: Health | None = None
        self._desk: WebServer | None = None

    async def start(self, health: Health) -> None:
        """As of its base; the console is served once there is a service.

        Raises:
            InvalidInput: the address of either cannot be used.
        """
        check_address(self._settings.host, is_open=self._settings.open)
        self._health = health
        await super().start(health)

    async def ready(self, service: Service) -> None:
        """Serve the console, on another port if the usual one is in use."""
        settings = self._settings
        app = application(
            service,
            public_url=settings.public_url,
            is_open=settings.open,
            readiness=None if self._health is None else self._health.readiness,
            sign_on=configured_sign_on(settings, is_open=settings.open),
            fresh_seconds=settings.fresh_sign_in_seconds,
        )
        await service.feed.start()
        self._desk = WebServer(app)
        try:
            port = await self._desk.start(settings.host, settings.port)
        except InvalidInput:
            if "port" in settings.model_fields_set:
                raise
            port = await self._desk.start(settings.host, 0)
        if settings.open:
            self._say(f"People sign in at {site(settings, port)}{DESK} to decide what waits.")
            return
        link = await desk_link(service, settings, port)
        self._say(f"Open {link} to decide what waits. The link works once, for an hour.")

    async def stop(self) -> None:
        """Stop serving."""
        if self._desk is not None:
            await self._desk.stop()
        await super().stop()
