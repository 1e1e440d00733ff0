"""From what a provider claims about somebody to who they are here, and what they may do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from pydantic import ValidationError

from kern.client.identity.configuration import ClaimNames
from kern.contracts.caller import Caller
from kern.errors import InvalidInput, NotAllowed, Unauthenticated
from kern.values.names import name_key, person_name
from kern.values.principals import Principal
from kern.values.roles import Role
from kern.values.states import PrincipalKind
from kern.values.tenants import DEFAULT_TENANT, tenant_name

Claims = Mapping[str, object]

_ANY_TENANT = "*"
# How providers mark tokens that programs fetched for themselves.
_SERVICE_MARKS = (("idtyp", "app"), ("gty", "client-credentials"))
_SERVICE_ACCOUNT = "service-account-"
_CLIENT_CLAIMS = ("client_id", "azp", "cid", "appid")
_SHOWN_GROUPS = 20


class ClaimMapping:
    """Reads principals and their roles from claims.

    Args:
        names: Which claims say what.
        roles: The roles of each group. With a tenant's claim, `halden/sre` is the group of one
            tenant, and `*/sre` or `sre` that of any; the names of groups may have slashes.
    """

    def __init__(self, names: ClaimNames, roles: Mapping[str, Sequence[Role]]) -> None:
        self._names = names
        self._roles: dict[tuple[str, str], list[Role]] = {}
        for entry, granted in roles.items():
            place, slash, group = entry.partition("/")
            is_scoped = names.tenant is not None and bool(slash) and bool(place)
            key = (place, name_key(group)) if is_scoped else (_ANY_TENANT, name_key(entry))
            self._roles.setdefault(key, []).extend(granted)

    def are_complete(self, claims: Claims) -> bool:
        """Whether nothing that is looked for is missing."""
        names = [self._names.subject, self._names.groups, self._names.tenant, self._names.name]
        if any(name is not None and claim_in(claims, name) is None for name in names):
            return False
        return self._names.name is not None or bool(_usual_name(claims))

    def person(self, claims: Claims, issuer: str) -> Caller:
        """Return a person who has signed in. Raises as `caller`."""
        return self._caller(claims, issuer, PrincipalKind.person)

    def caller(self, claims: Claims, issuer: str) -> Caller:
        """Return who calls with a token of theirs.

        Raises:
            Unauthenticated: a claim is missing, or can be no name, group or tenant.
            NotAllowed: none of their groups has a role here.
        """
        is_person = self._is_person(claims)
        kind = PrincipalKind.person if is_person else PrincipalKind.service
        return self._caller(claims, issuer, kind)

    def _caller(self, claims: Claims, issuer: str, kind: PrincipalKind) -> Caller:
        subject = _text(claims, self._names.subject)
        if subject is None:
            raise _refused(self._names.subject, "it is missing")
        name, groups = self._name(claims, kind, subject), self._groups(claims)
        tenant = self._tenant(claims)
        try:
            principal = Principal(
                issuer=issuer, subject=subject, name=name, kind=kind, groups=groups, tenant=tenant
            )
        except InvalidInput as error:
            raise _refused(self._names.subject, str(error)) from None
        except ValidationError:
            raise _refused(self._names.subject, "it is too long") from None
        roles = self._roles_of(principal)
        if not roles:
            raise NotAllowed(_without_role(principal))
        return Caller(principal, roles, "oidc", authenticated_at=_authenticated_at(claims))

    def _name(self, claims: Claims, kind: PrincipalKind, subject: str) -> str:
        claim = self._names.name
        if claim is not None:
            name = _text(claims, claim)
            if name is None:
                raise _refused(claim, "it is missing")
        else:
            claim, name = _usual_name(claims) or (self._names.subject, subject)
            if kind is not PrincipalKind.person and name == subject:
                claim, name = _first_text(claims, _CLIENT_CLAIMS) or (claim, name)
        return _checked(claim, person_name, name)

    def _groups(self, claims: Claims) -> tuple[str, ...]:
        claim = self._names.groups
        value = claim_in(claims, claim)
        if value is None and _are_elsewhere(claims, claim):
            raise _refused(
                claim,
                "the provider leaves it out because the groups are too many. Have it send fewer, "
                "or roles of the application",
            )
        groups = [value] if isinstance(value, str) else ([] if value is None else value)
        if not isinstance(groups, list) or not all(isinstance(item, str) for item in groups):
            raise _refused(claim, "it is no list of texts")
        return tuple(dict.fromkeys(_checked(claim, person_name, group) for group in groups))

    def _tenant(self, claims: Claims) -> str:
        claim = self._names.tenant
        if claim is None:
            return DEFAULT_TENANT
        tenant = _text(claims, claim)
        if tenant is None:
            raise _refused(claim, "it is missing, or no text")
        return _checked(claim, tenant_name, tenant)

    def _roles_of(self, principal: Principal) -> tuple[Role, ...]:
        places = (_ANY_TENANT, principal.tenant)
        keys = [(place, name_key(group)) for group in principal.groups for place in places]
        return tuple(dict.fromkeys(role for key in keys for role in self._roles.get(key, ())))

    def _is_person(self, claims: Claims) -> bool:
        """Whether a token is surely a person's: a program must not pass for one.

        What acts on behalf of somebody (https://www.rfc-editor.org/rfc/rfc8693#section-4.1) is a
        program, whoever that is.
        """
        if self._names.person is None or claims.get("act") is not None:
            return False
        is_marked = any(claims.get(name) == value for name, value in _SERVICE_MARKS)
        username = _text(claims, "preferred_username") or ""
        is_client = any(claims.get(name) == claims.get("sub") for name in _CLIENT_CLAIMS)
        if is_marked or is_client or username.startswith(_SERVICE_ACCOUNT):
            return False
        claim, equals, expected = self._names.person.partition("=")
        value = claim_in(claims, claim)
        return value == expected if equals else value not in (None, "", False, [])


def claim_in(claims: Claims, name: str) -> object:
    """Return a claim by its name, or by the path to it with dots; None if there is none."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(claims: Claims, name: str) -> str | None:
    value = claim_in(claims, name)
    return value if isinstance(value, str) and value.strip() else None


def _first_text(claims: Claims, names: Sequence[str]) -> tuple[str, str] | None:
    texts: Iterator[tuple[str, str | None]] = ((name, _text(claims, name)) for name in names)
    return next(((name, text) for name, text in texts if text is not None), None)


def _usual_name(claims: Claims) -> tuple[str, str] | None:
    """Return the claim that names somebody, and the name.

    In many providers people change their `name` themselves, and some send any address as `email`;
    whoever could choose a name could pass for somebody else among the candidates of a decision.
    """
    is_verified = claims.get("email_verified") is True
    return _first_text(claims, ("preferred_username", *(["email"] if is_verified else [])))


def _are_elsewhere(claims: Claims, name: str) -> bool:
    """Whether a claim is left out and only referred to, as Entra ID does with many groups.

    https://openid.net/specs/openid-connect-core-1_0.html#AggregatedDistributedClaims
    """
    names = claims.get("_claim_names")
    has_groups = name == "groups" and claims.get("hasgroups") is True
    return has_groups or (isinstance(names, Mapping) and name in names)


def _checked(claim: str, check: Callable[[str, object], str], value: str) -> str:
    try:
        return check("it", value)
    except InvalidInput as error:
        raise _refused(claim, str(error)) from None


def _refused(claim: str, why: str) -> Unauthenticated:
    message = (
        f"The claim {claim!r} of the identity provider is refused: {why.rstrip('.')}. Ask an "
        "administrator to mend it there, or to name another claim."
    )
    return Unauthenticated(message)


def _without_role(principal: Principal) -> str:
    groups = ", ".join(principal.groups[:_SHOWN_GROUPS])
    more = len(principal.groups) - _SHOWN_GROUPS
    came = f"came with the groups {groups}" if groups else "came with no groups"
    ending = f" and {more} more" if more > 0 else ""
    tenant = f" in the tenant {principal.tenant}" if principal.tenant else ""
    return (
        f"{principal.name} ({principal.subject}) {came}{ending}, which have no role here{tenant}. "
        "Ask an administrator to put you into a group that has one, or to give one to yours "
        "(KERN_ROLES)."
    )


def _authenticated_at(claims: Claims) -> datetime | None:
    moment = claims.get("auth_time")
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return None
    try:
        return datetime.fromtimestamp(cast("float", moment), UTC)
    except (ValueError, OverflowError, OSError):
        return None
