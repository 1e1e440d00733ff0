"""Whether and how people sign in with an identity provider, as the settings say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from kern.errors import InvalidInput
from kern.process.settings import LOOPBACK, Settings
from kern.values.roles import Role


@dataclass(frozen=True)
class ClaimNames:
    """Which claims say who somebody is.

    Attributes:
        name: None for the first of `preferred_username`, a verified `email`, and the subject.
        tenant: None puts everybody into the default tenant.
        person: What only tokens of people have, as a name or `name=value`; None for nothing, so
            that every token of the API is a service's.
    """

    subject: str = "sub"
    name: str | None = None
    groups: str = "groups"
    tenant: str | None = None
    person: str | None = None


@dataclass(frozen=True)
class IdentityConfig:
    """How Kern knows an identity provider.

    Attributes:
        issuer: The provider's address, where its discovery document lies.
        client_id: The client that Kern is for the console; None if only the API takes tokens.
        client_secret: None for a public client.
        audience: For whom tokens of the API are made; None if the API takes none.
        roles: The roles of each group.
        public_url: The address of the console; None on loopback, where it is that of the request.
    """

    issuer: str
    client_id: str | None
    client_secret: str | None
    scopes: str
    audience: str | None
    claims: ClaimNames
    roles: Mapping[str, tuple[Role, ...]]
    public_url: str | None


def identity_config(settings: Settings, *, is_open: bool = False) -> IdentityConfig | None:
    """Return how the settings name an identity provider; None if they name none.

    Args:
        settings: Kern's settings.
        is_open: Whether other machines reach the server.

    Raises:
        InvalidInput: they contradict each other, or something is missing.
    """
    if settings.oidc_issuer is None:
        _refuse_without_issuer(settings)
        return None
    secret = settings.oidc_client_secret
    config = IdentityConfig(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=None if secret is None else secret.get_secret_value() or None,
        scopes=settings.oidc_scopes,
        audience=settings.oidc_audience,
        claims=ClaimNames(
            subject=settings.oidc_subject_claim,
            name=settings.oidc_name_claim,
            groups=settings.oidc_groups_claim,
            tenant=settings.oidc_tenant_claim,
            person=settings.oidc_person_claim,
        ),
        roles=settings.roles,
        public_url=settings.public_url,
    )
    _check(config, is_open=is_open)
    return config


def is_safe_address(url: SplitResult) -> bool:
    """Whether what is sent to an address stays secret: over TLS, or on this machine."""
    return url.scheme == "https" or (url.scheme == "http" and url.hostname in LOOPBACK)


def _refuse_without_issuer(settings: Settings) -> None:
    secret = settings.oidc_client_secret
    has_secret = secret is not None and bool(secret.get_secret_value())
    if has_secret or settings.oidc_client_id is not None or settings.oidc_audience is not None:
        message = (
            "KERN_OIDC_CLIENT_ID, KERN_OIDC_CLIENT_SECRET or KERN_OIDC_AUDIENCE is set, and "
            "KERN_OIDC_ISSUER is not. Set it to the provider's address, or unset the others."
        )
        raise InvalidInput(message)


def _check(config: IdentityConfig, *, is_open: bool) -> None:
    address = urlsplit(config.issuer)
    problem: str | None = None
    if not address.hostname or address.query or address.fragment or not is_safe_address(address):
        problem = (
            f"KERN_OIDC_ISSUER is {config.issuer!r}: use the provider's https address, without a "
            "query (http only on this machine)"
        )
    elif config.client_id is None and config.audience is None:
        problem = (
            "KERN_OIDC_ISSUER is set alone: set KERN_OIDC_CLIENT_ID for the console, "
            "KERN_OIDC_AUDIENCE for the API, or both"
        )
    elif config.client_id == config.audience:
        # Whoever has somebody's ID token could call the API with it.
        problem = (
            "KERN_OIDC_AUDIENCE is the same as KERN_OIDC_CLIENT_ID, which is the audience of ID "
            "tokens: register the API apart from the console"
        )
    elif not config.roles:
        problem = (
            "KERN_ROLES is empty, so nobody who signs in may do anything: set it, such as to "
            '{"finance-leads": ["operator"], "sre": ["administrator"]}'
        )
    elif is_open and config.client_id is not None and config.public_url is None:
        problem = (
            "KERN_PUBLIC_URL is missing: the provider sends people back to it after their sign-in"
        )
    if problem is not None:
        message = f"Single sign-on cannot be used. {problem}."
        raise InvalidInput(message)
