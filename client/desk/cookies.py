"""The cookies of the console: the session's, and the one that a visitor's sign-in form is bound to.

Over TLS their names begin with `__Host-`, under which browsers keep them for this host alone
(https://www.rfc-editor.org/rfc/rfc6265#section-4.1.2). On loopback they cannot; there the port is
part of the name, since browsers send cookies to all ports of a host.
"""

import hashlib
import secrets

from fastapi import Request, Response

_SECONDS = 24 * 60 * 60
_FORM_SECONDS = 60 * 60
THEME = "desk_theme"


def session_secret(request: Request) -> str | None:
    """Return the secret of the session's cookie; None if there is none."""
    return request.cookies.get(_name(request, "kern"))


def keep_session(request: Request, response: Response, secret: str) -> None:
    """Have the browser keep a session's secret."""
    _keep(request, response, "kern", secret, _SECONDS)
    response.delete_cookie(_name(request, "kern-form"), secure=is_secure(request), httponly=True)


def forget_session(request: Request, response: Response) -> None:
    """Have the browser forget its session."""
    response.delete_cookie(_name(request, "kern"), secure=is_secure(request), httponly=True)


def form_secret(request: Request) -> str | None:
    """Return what a visitor's forms are bound to before they sign in."""
    return request.cookies.get(_name(request, "kern-form"))


def keep_form_secret(request: Request, response: Response) -> str:
    """Have the browser keep what the visitor's forms are bound to, and return it."""
    secret = form_secret(request) or secrets.token_urlsafe(32)
    _keep(request, response, "kern-form", secret, _FORM_SECONDS)
    return secret


def csrf_token(secret: str) -> str:
    """Return the token that a form carries; whoever does not hold the cookie cannot make it."""
    return hashlib.sha256(f"csrf\n{secret}".encode()).hexdigest()[:32]


def is_secure(request: Request) -> bool:
    """Whether the browser reaches the console over TLS."""
    return bool(request.app.state.is_secure)


def _keep(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        _name(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def _name(request: Request, name: str) -> str:
    return f"__Host-{name}" if is_secure(request) else f"{name}-{request.url.port or 80}"
