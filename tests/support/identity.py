"""An identity provider of a test's own, which can be made to lie, and one that others wrote."""

import base64
import hashlib
import json
import secrets
import time
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from kern.client.identity.configuration import ClaimNames, IdentityConfig
from kern.values.roles import Role
from tests.support.threaded_server import ThreadedServer

CLIENT, SECRET, API = "kern-desk", "a secret of the client", "kern-api"
ROLES = {
    "finance-leads": (Role.operator,),
    "sre": (Role.administrator,),
    "lookers": (Role.viewer,),
}


def config(issuer: str, **changes: Any) -> IdentityConfig:  # noqa: ANN401  any of its fields
    """Return how Kern knows a provider in tests."""
    values: dict[str, Any] = {
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "scopes": "openid profile email",
        "audience": API,
        "claims": ClaimNames(person="scp"),
        "roles": ROLES,
        "public_url": None,
    }
    return IdentityConfig(**{**values, **changes})


class IdentityProvider(ThreadedServer):
    """A provider that signs everybody in as one person, and checks what it is sent.

    Attributes:
        person: The claims about whoever signs in next.
        more: Claims that only UserInfo has.
        changes: Claims that the next ID tokens have instead of the right ones; None leaves one out.
        header: What stands in the head of the next ID tokens.
        refusal: The error with which it sends people back; None for none.
        is_down: Whether it answers everything with 500.
        requests: The paths that were asked for.
        authorizations: The queries with which people came.
    """

    def __init__(self) -> None:
        self.keys = [_new_key()]
        self.person: dict[str, Any] = {
            "sub": "248289",
            "preferred_username": "dana",
            "groups": ["finance-leads"],
        }
        self.more: dict[str, Any] = {}
        self.changes: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.refusal: str | None = None
        self.is_down = False
        self.requests: list[str] = []
        self.authorizations: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.answer(self, "")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                provider.answer(self, self.rfile.read(length).decode())

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    def rotate(self) -> None:
        """Sign with another key from now on, and forget the one before."""
        self.keys = [_new_key()]

    def token(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return a token with claims, besides the usual ones."""
        now = int(time.time())
        usual = {"iss": self.address, "iat": now, "exp": now + 300}
        every = {**usual, **claims}
        kept = {name: value for name, value in every.items() if value is not None}
        key = self.keys[-1]
        head = {"alg": "RS256", "kid": key.kid, **(header or {})}
        return jwt.encode({k: v for k, v in head.items() if v is not None}, kept, key)

    def access_token(self, **claims: Any) -> str:  # noqa: ANN401  JSON
        """Return an access token for the API."""
        return self.token({"sub": "svc-1", "aud": API, "groups": ["finance-leads"], **claims})

    def answer(self, request: BaseHTTPRequestHandler, body: str) -> None:
        """Answer a request."""
        url = urlsplit(request.path)
        self.requests.append(url.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.is_down:
            _send(request, 500, {})
        elif url.path == "/.well-known/openid-configuration":
            _send(request, 200, self._discovery())
        elif url.path == "/jwks":
            _send(request, 200, {"keys": [key.as_dict(private=False) for key in self.keys]})
        elif url.path == "/authorize":
            self._authorize(request, query)
        elif url.path == "/token":
            _send(request, *self._exchange(form, request.headers.get("Authorization") or ""))
        elif url.path == "/userinfo":
            _send(request, 200, {"sub": self.person["sub"], **self.more})
        else:
            _send(request, 404, {})

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "userinfo_endpoint": f"{self.address}/userinfo",
            **self.document,
        }

    def _authorize(self, request: BaseHTTPRequestHandler, query: dict[str, str]) -> None:
        self.authorizations.append(query)
        back = {"state": query["state"]}
        if self.refusal is None:
            code = secrets.token_urlsafe(8)
            self._codes[code] = query
            back["code"] = code
        else:
            back["error"] = self.refusal
        request.send_response(302)
        request.send_header("Location", f"{query['redirect_uri']}?{urlencode(back)}")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _exchange(self, form: dict[str, str], credentials: str) -> tuple[int, dict[str, Any]]:
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if credentials != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        query = self._codes.pop(form.get("code", ""), None)
        if query is None or not _is_verified(query, form):
            return 400, {"error": "invalid_grant"}
        claims = {"aud": CLIENT, "nonce": query["nonce"], **self.person, **self.changes}
        return 200, {
            "access_token": "opaque",
            "token_type": "Bearer",
            "id_token": self.token(claims, self.header),
        }


@contextmanager
def provider_of_others() -> Generator[str]:
    """Run the provider of the package `oidc-provider-mock`, and return its issuer."""
    with warnings.catch_warnings():
        # It imports what its own libraries have moved.
        warnings.simplefilter("ignore")
        import oidc_provider_mock  # pyright: ignore[reportMissingTypeStubs]

        with oidc_provider_mock.run_server_in_thread() as server:
            yield f"http://localhost:{server.server_port}"


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, auto_kid=True)


def _is_verified(query: dict[str, str], form: dict[str, str]) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return (
        query.get("code_challenge_method") == "S256"
        and query.get("code_challenge") == challenge
        and form.get("redirect_uri") == query["redirect_uri"]
    )


def _send(request: BaseHTTPRequestHandler, status: int, content: object) -> None:
    body = json.dumps(content).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
