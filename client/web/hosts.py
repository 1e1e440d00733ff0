"""Which names of itself a server answers to: a page of another site cannot reach it by a name.

A name of somebody else's may lead to this machine's loopback address (DNS rebinding), and a browser
then takes that server for the other site. So a server on loopback answers to the names of loopback
alone, and to that of its public address.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from kern.client.web.problems import ProblemError, answer

# Probes ask by addresses, and learn nothing that anybody may not know.
_HEALTH = frozenset({"/healthz", "/readyz"})


class KnownHosts:
    """Refuses requests under another name.

    Args:
        app: The application.
        names: The names of hosts that are answered; None for any.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str] | None) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_free = scope["type"] != "http" or self._names is None or scope["path"] in _HEALTH
        if is_free or _host(scope) in (self._names or ()):
            await self._app(scope, receive, send)
            return
        detail = "Use the address that Kern printed, or set KERN_PUBLIC_URL to this one."
        refusal = ProblemError(421, "unknown_host", detail)
        await answer(Request(scope), refusal)(scope, receive, send)


def _host(scope: Scope) -> str:
    try:
        return urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
    except ValueError:
        return ""
