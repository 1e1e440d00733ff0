"""The settings in the environment, read once per runtime: every variable begins with `KERN_`."""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kern.errors import InvalidInput
from kern.values.names import person_name
from kern.values.roles import Role, role_names
from kern.values.tenants import tenant_name

# The names and addresses by which only this machine reaches a server.
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
DEFAULT_SCHEMA = "kern"
DEFAULT_TOOL_SLOTS = 64
DEFAULT_MODEL_SLOTS = 100
DEFAULT_WORKER_LIMIT = 500
# Who makes the tables and brings them up to date: whoever opens the database, or `kern migrate`.
Migrates = Literal["auto", "command"]

# What Postgres takes without quotes. It cuts names after 63 bytes, and the name of the channel for
# notifications is a few characters longer than the schema's.
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,49}")


def schema_problem(name: object) -> str | None:
    """Return why a name cannot be the schema of Kern's tables on Postgres; None if it can."""
    if not isinstance(name, str) or _SCHEMA.fullmatch(name) is None:
        return (
            "use lower-case letters, digits and underscores, at most 50, beginning with a letter "
            "or an underscore"
        )
    if name.startswith("pg_") or name == "information_schema":
        return "Postgres keeps this name for itself; use another, such as `kern`"
    return None


def _schema(name: str) -> str:
    problem = schema_problem(name)
    if problem is not None:
        raise PydanticCustomError("schema", "{problem}", {"problem": problem})
    return name


def _tenant(name: str | None) -> str | None:
    try:
        return None if not name else tenant_name("it", name)
    except InvalidInput as error:
        raise PydanticCustomError("tenant", "{problem}", {"problem": str(error)}) from None


def _public_url(url: str | None) -> str | None:
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        problem = "use the address of a site without a path, such as https://kern.example"
        raise PydanticCustomError("public_url", "{problem}", {"problem": problem})
    return url.rstrip("/")


def _or_none(text: str | None) -> str | None:
    """Return nothing for an empty text, which is how a compose file leaves a variable out."""
    return text or None


def _roles(value: object) -> dict[str, tuple[Role, ...]]:
    """Return the roles of each group from JSON: an object of lists."""
    try:
        parsed = json.loads(value or "{}") if isinstance(value, str) else value
        groups = cast("Mapping[str, str | list[str]]", parsed)
        return {
            person_name("a group", group): role_names(
                [roles] if isinstance(roles, str) else [str(role) for role in roles]
            )
            for group, roles in groups.items()
        }
    except InvalidInput as error:
        problem = str(error)
    except (AttributeError, TypeError, ValueError):
        problem = 'use a JSON object with lists of roles, such as {"sre": ["administrator"]}'
    raise PydanticCustomError("roles", "{problem}", {"problem": problem})


OptionalText = Annotated[str | None, AfterValidator(_or_none)]
GroupRoles = Annotated[dict[str, tuple[Role, ...]], NoDecode, BeforeValidator(_roles)]


def _networks(text: str) -> str:
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise PydanticCustomError("network", "{problem}", {"problem": str(error)}) from None
    return text


class Settings(BaseSettings):
    """Kern's own settings. Temporal's are the SDK's: `TEMPORAL_ADDRESS` and so on.

    Attributes:
        home: The folder of the embedded runtime.
        database_url: The database that holds the runs, `postgresql://…` or `sqlite:///path`;
            default: SQLite in `home`.
        database_schema: The schema of Kern's tables on Postgres. SQLite has no schemas.
        listen_url: Where notifications of Postgres are heard, if `database_url` is that of a pooler
            in transaction mode; default: the same.
        migrate: Who brings the tables up to date: `auto` (whoever opens the database) or `command`
            (only `kern migrate`); default: `command` on Postgres, `auto` on SQLite.
        audit_head: The hash of a seal in the log of decisions, which the database has to hold
            before anything is executed on it: an older one, restored from a backup, is refused.
        heartbeat_seconds: An attempt without a heartbeat for this long is considered dead.
        shutdown_grace_seconds: How long a stopping worker lets tool calls finish.
        tool_slots: How many tool calls and steps a process executes at once; more wait.
        model_slots: How many models a process asks at once; more wait.
        worker_limit: How many components a script may execute, each of which costs a worker: one
            that makes ever more of them is stopped before the machine is full.
        turns_per_history: A run's workflow continues with a new history after this many turns.
        model_outage_seconds: How long a run waits for a model's provider that is away, before it
            pauses for a person.
        relay_seconds: How often a worker looks for deliveries that are overdue.
        secret_key: Encrypts the secrets of webhooks and the addresses of channels: 32 characters or
            more at random. Default: a file in `home`, if the database is there too.
        outbound_allow: The networks beyond the public ones that webhooks may reach, separated by
            commas, such as `10.1.0.0/16`; there they may use plain HTTP.
        feed_days: For how many days the feed is kept. Who comes back later starts over.
        by: In whose name the command line decides; default: the user of the machine.
        tenant: The tenant for which a program and the command line act. Default: a program acts for
            the default tenant; the command line and `kern.inbox` reach all. Workers execute the
            runs of all.
        app: The components that a worker executes: `package.module:attribute`.
        host: The address at which `kern serve` and `kern up` serve the API and the console.
        port: The port for them; 0 for any that is free.
        open: Whether they may be served on an address that other machines reach. Then put a proxy
            with TLS in front.
        public_url: The address at which people reach the console, such as `https://kern.example`.
        api_url: The address of Kern's API, such as `https://kern.example.com`. With it the command
            line and `kern.inbox` work over HTTP, and need no database.
        api_token: The token for it.
        api_token_file: A file that holds the token, instead of `api_token`.
        oidc_issuer: The identity provider with which people sign in, `https://…`, as its discovery
            document names it; default: none.
        oidc_client_id: The client that the console is there; without one, only the API takes tokens
            of the provider.
        oidc_client_secret: Its secret; a public client has none.
        oidc_scopes: What the console asks the provider for.
        oidc_audience: For whom tokens are made with which the API is called: another name than that
            of the client. Without one, the API takes only Kern's own tokens.
        oidc_subject_claim: The claim with the id of a person or service, which never changes.
        oidc_name_claim: The claim with the name under which people decide, one that they cannot
            change themselves; default: `preferred_username`, else a verified `email`, else the id.
        oidc_groups_claim: The claim with the groups; a dot leads into a claim:
            `realm_access.roles`.
        oidc_tenant_claim: The claim with the tenant; default: all are in the default tenant.
        oidc_person_claim: What tokens of people have in the API and those of programs do not: a
            claim, or `claim=value`. Without one, all of them are services, which decide nothing.
        roles: The roles of groups, as JSON: `{"sre": ["administrator"]}`. With a tenant's claim,
            `halden/sre` is a group of one tenant, and `*/sre` that of any.
        fresh_sign_in_seconds: How recently somebody must have authenticated before they decide what
            has a high risk; default: at any time.
        health_host: The address at which a worker serves `/healthz` and `/readyz`.
        health_port: The port for them; without one they are not served.
    """

    model_config = SettingsConfigDict(env_prefix="KERN_", frozen=True)

    home: Path = Path(".kern")
    database_url: SecretStr | None = None
    database_schema: Annotated[str, AfterValidator(_schema)] = DEFAULT_SCHEMA
    listen_url: SecretStr | None = None
    migrate: Migrates | None = None
    audit_head: str | None = None
    heartbeat_seconds: float = Field(default=10.0, ge=0.5, le=600)
    shutdown_grace_seconds: float = Field(default=30.0, ge=0, le=3600)
    tool_slots: int = Field(default=DEFAULT_TOOL_SLOTS, ge=1, le=10_000)
    model_slots: int = Field(default=DEFAULT_MODEL_SLOTS, ge=1, le=10_000)
    worker_limit: int = Field(default=DEFAULT_WORKER_LIMIT, ge=1, le=100_000)
    turns_per_history: int = Field(default=500, ge=1, le=2000)
    model_outage_seconds: float = Field(default=14_400.0, ge=0, le=2_592_000)
    relay_seconds: float = Field(default=1.0, ge=0.05, le=60)
    secret_key: SecretStr | None = None
    outbound_allow: Annotated[str, AfterValidator(_networks)] = ""
    feed_days: float = Field(default=30.0, ge=0.01, le=3650)
    by: str | None = None
    tenant: Annotated[str | None, AfterValidator(_tenant)] = None
    app: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8420, ge=0, le=65535)
    open: bool = False
    public_url: Annotated[str | None, AfterValidator(_public_url)] = None
    api_url: str | None = None
    api_token: SecretStr | None = None
    api_token_file: Path | None = None
    oidc_issuer: OptionalText = None
    oidc_client_id: OptionalText = None
    oidc_client_secret: SecretStr | None = None
    oidc_scopes: str = "openid profile email"
    oidc_audience: OptionalText = None
    oidc_subject_claim: str = "sub"
    oidc_name_claim: OptionalText = None
    oidc_groups_claim: str = "groups"
    oidc_tenant_claim: OptionalText = None
    oidc_person_claim: OptionalText = None
    roles: GroupRoles = {}
    fresh_sign_in_seconds: float | None = Field(default=None, ge=30, le=86_400)
    health_host: str = "127.0.0.1"
    health_port: int | None = Field(default=None, ge=0, le=65535)


def read_settings() -> Settings:
    """Return the settings in the environment.

    Raises:
        InvalidInput: the value of a variable is invalid; the message names both.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"KERN_{'.'.join(str(part) for part in item['loc']).upper()} is {item['input']!r}: "
            f"{item['msg']}"
            for item in error.errors(include_url=False)
        )
        message = f"The environment cannot be used. {problems}. Correct it or unset it."
        raise InvalidInput(message) from None
