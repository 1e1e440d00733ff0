"""Principals: who acts, as whoever authenticated them says."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from kern.errors import InvalidInput
from kern.values.invisible import first_invisible
from kern.values.names import name_key, person_name
from kern.values.states import PrincipalKind
from kern.values.tenants import DEFAULT_TENANT, tenant_name

# The issuer of a name that somebody typed: a claim that nobody has checked.
LOCAL = "local"
# The actor, and the issuer, of a decision that a deadline or a late result makes.
KERN = "kern"
_LONGEST = 500
# So much of an id is repeated in a message.
_MESSAGE_LENGTH = 200


class Principal(BaseModel):
    """Who acts: stored with each decision.

    A server fills it in from how the caller authenticated. A name alone, `by="dana"`, is a local
    claim: its issuer is `local`, it is a person's, and it is in no group.

    Attributes:
        issuer: Who vouches for it, such as the address of a sign-on.
        subject: Its id there, which never changes and belongs to nobody else.
        name: The name that people are shown.
        kind: Only a person resolves what asks for a person.
        groups: The groups that the issuer puts it in.
        tenant: The tenant that it belongs to; the default one is empty.

    Raises:
        InvalidInput: the issuer or the subject is empty, has a blank at its ends or an invisible
            character, or a name has what no name may have.
    """

    model_config = ConfigDict(frozen=True)

    issuer: str = Field(max_length=_LONGEST)
    subject: str = Field(max_length=_LONGEST)
    name: str
    kind: PrincipalKind = PrincipalKind.person
    groups: tuple[str, ...] = ()
    tenant: str = DEFAULT_TENANT

    @field_validator("issuer", "subject")
    @classmethod
    def _exact(cls, value: str) -> str:
        if not value.strip():
            message = "A principal needs an issuer and a subject: one of them is empty."
            raise InvalidInput(message)
        hidden = first_invisible(value)
        if hidden is None and value == value.strip():
            return value
        why = (
            "it has a blank at an end"
            if hidden is None
            else f"U+{ord(hidden):04X} in it cannot be seen"
        )
        message = (
            f"The issuer or the subject of a principal is {ascii(value)[:_MESSAGE_LENGTH]}: {why}. "
            "Pass it as the issuer spells it."
        )
        raise InvalidInput(message)

    @field_validator("name")
    @classmethod
    def _clean(cls, name: str) -> str:
        return person_name("the name of a principal", name)

    @field_validator("groups")
    @classmethod
    def _clean_groups(cls, groups: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(person_name("a group of a principal", group) for group in groups)

    @field_validator("tenant")
    @classmethod
    def _clean_tenant(cls, tenant: str) -> str:
        return tenant_name("the tenant of a principal", tenant)

    @property
    def is_local(self) -> bool:
        """Whether it is a claim that nobody has checked."""
        return self.issuer == LOCAL


def keys_of(principal: Principal) -> tuple[str, ...]:
    """Return the keys by which rows name a principal: those of its name and of its id, sorted."""
    return tuple(sorted({name_key(principal.name), name_key(principal.subject)}))


def is_one_person(principal: Principal, other: Principal) -> bool:
    """Whether two principals count as one: by their name, or by who vouches for them.

    Two people of one name count as one, and so does a name that is the id of who is vouched for: it
    is better to ask for another than to let one pass for two.
    """
    return (
        name_key(principal.name) == name_key(other.name)
        or (principal.issuer, principal.subject) == (other.issuer, other.subject)
        or _claims(principal, other)
        or _claims(other, principal)
    )


def _claims(claim: Principal, other: Principal) -> bool:
    """Whether a name that nobody has checked is the id of somebody else."""
    return claim.is_local and name_key(claim.name) == name_key(other.subject)


def principal_of(actor: str | Principal, tenant: str = DEFAULT_TENANT) -> Principal:
    """Return the principal of whoever acts; of a name, the local claim in a tenant."""
    if isinstance(actor, Principal):
        return actor
    # Names are checked where they come in.
    if actor == KERN:
        return Principal.model_construct(
            issuer=KERN, subject=KERN, name=actor, kind=PrincipalKind.system, tenant=tenant
        )
    return Principal.model_construct(
        issuer=LOCAL, subject=name_key(actor), name=actor, tenant=tenant
    )
