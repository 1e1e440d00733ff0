"""Makes, lists and revokes tokens."""

from dataclasses import dataclass
from datetime import timedelta

from kern.client.cli.access import decider, perform
from kern.client.cli.printing import say, say_json, say_table, show_time
from kern.contracts.tokens import Token, token_principal
from kern.contracts.viewer import present_operator
from kern.process.clock import utc_now
from kern.process.tenants import present_tenant
from kern.values.roles import role_names
from kern.values.states import PrincipalKind


@dataclass(frozen=True)
class TokenOptions:
    """What a new token is to be, as the command line says it."""

    subject: str
    roles: tuple[str, ...]
    name: str | None
    groups: tuple[str, ...]
    is_service: bool
    label: str | None
    days: int


def create_token(options: TokenOptions, *, as_json: bool) -> None:
    """Make a token, and show its secret.

    Raises:
        InvalidInput: a role or a name makes no sense.
    """
    principal = token_principal(
        options.subject,
        name=options.name,
        kind=PrincipalKind.service if options.is_service else PrincipalKind.person,
        groups=options.groups,
        tenant=present_tenant(),
    )
    roles, created_by = role_names(options.roles), decider(None)
    new_token = perform(
        lambda service: service.access.make_token(
            principal,
            roles,
            label=options.label or options.subject,
            life=timedelta(days=options.days),
            created_by=created_by,
        )
    )
    token = new_token.token
    if as_json:
        say_json({**token.model_dump(mode="json"), "secret": new_token.secret})
        return
    until = show_time(token.expires_at)
    say(f"Token {token.id} for {principal.name}: {_roles(token)}, until {until}.")
    say(new_token.secret)
    say("It is shown this once. Call with `Authorization: Bearer` and it; revoke it with")
    say(f"`kern token revoke {token.id}`.")


def list_tokens(*, as_json: bool) -> None:
    """List the tokens of the tenant, or of all."""
    tokens = perform(lambda service: service.access.tokens(present_operator()))
    if as_json:
        say_json({"tokens": [token.model_dump(mode="json") for token in tokens]})
        return
    if not tokens:
        say("There are no tokens. `kern token create SUBJECT` makes one.")
        return
    say_table(
        ("ID", "FOR", "LABEL", "BEGINS", "ROLES", "STATE"),
        [
            (
                token.id,
                token.principal.name,
                token.label,
                token.prefix,
                _roles(token),
                _state(token),
            )
            for token in tokens
        ],
    )


def revoke_token(token_id: str, by: str | None) -> None:
    """Let nobody in with a token from now on.

    Raises:
        NotFound: there is no such token.
    """
    name = decider(by)
    token = perform(lambda service: service.access.revoke_token(present_operator(), token_id, name))
    say(f"Token {token.id} of {token.principal.name} lets nobody in any more.")


def _roles(token: Token) -> str:
    return ", ".join(role.value for role in token.roles)


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked {show_time(token.revoked_at)} by {token.revoked_by}"
    if not token.is_valid(utc_now()):
        return f"expired {show_time(token.expires_at)}"
    used = "" if token.used_at is None else f", used {show_time(token.used_at)}"
    return f"until {show_time(token.expires_at)}{used}"
