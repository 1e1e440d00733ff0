"""From what a provider claims about somebody to who they are, and what they may do."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kern.client.identity.claims import ClaimMapping, claim_in
from kern.client.identity.configuration import ClaimNames
from kern.errors import NotAllowed, Unauthenticated
from kern.values.roles import Role
from kern.values.states import PrincipalKind

ISSUER = "https://sso.example"
ROLES = {
    "leads": (Role.operator,),
    "SRE": (Role.administrator,),
    "halden/auditors": (Role.auditor,),
    "*/all/of/us": (Role.viewer,),
}
PERSON: dict[str, Any] = {"sub": "1", "preferred_username": "dana", "groups": ["leads"]}


def mapping(**names: str) -> ClaimMapping:
    return ClaimMapping(ClaimNames(**names), ROLES)


def test_claims_become_a_principal_with_roles() -> None:
    caller = mapping().person({**PERSON, "groups": ["leads", "sre", "leads"]}, ISSUER)
    principal = caller.principal
    assert (principal.issuer, principal.subject, principal.name) == (ISSUER, "1", "dana")
    assert (principal.groups, principal.tenant) == (("leads", "sre"), "")
    assert principal.kind is PrincipalKind.person
    # As everywhere, capitals make no other group.
    assert caller.roles == (Role.operator, Role.administrator)
    assert not caller.all_tenants


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "dana", "email": "d@example.com", "name": "Mia"}, "dana"),
        ({"email": "d@example.com", "email_verified": True, "name": "Mia"}, "d@example.com"),
        # Whoever may choose a name must not pass for somebody else.
        ({"email": "d@example.com", "name": "Mia"}, "1"),
        ({"email": "d@example.com", "email_verified": "true"}, "1"),
        ({"name": "Mia"}, "1"),
        ({"preferred_username": " ", "name": "Mia"}, "1"),
        ({"preferred_username": 7}, "1"),
    ],
)
def test_a_name_is_one_that_people_cannot_choose(claims: dict[str, Any], name: str) -> None:
    caller = mapping().person({"sub": "1", "groups": ["leads"], **claims}, ISSUER)
    assert caller.principal.name == name


def test_another_claim_can_be_the_name_and_the_id() -> None:
    names = mapping(name="name", subject="oid")
    caller = names.person({**PERSON, "name": "Dana  W", "oid": "o-1"}, ISSUER)
    assert (caller.principal.name, caller.principal.subject) == ("Dana W", "o-1")
    for missing in ("name", "oid"):
        claims = {**PERSON, "name": "Dana", "oid": "o-1", missing: ""}
        with pytest.raises(Unauthenticated, match=f"'{missing}'.*missing"):
            names.person(claims, ISSUER)


def test_groups_are_found_in_nested_claims_and_under_addresses() -> None:
    nested = {**PERSON, "realm_access": {"roles": ["leads"]}, "groups": None}
    assert mapping(groups="realm_access.roles").person(nested, ISSUER).roles == (Role.operator,)
    address = "https://kern.example/groups"
    at_address = {**PERSON, address: "leads", "groups": None}
    assert mapping(groups=address).person(at_address, ISSUER).principal.groups == ("leads",)
    assert claim_in({"a": {"b": 1}}, "a.b.c") is None
    assert claim_in({"a.b": 2, "a": {"b": 1}}, "a.b") == 2


@pytest.mark.parametrize("groups", [5, {"leads": True}, [["leads"]], [None], True])
def test_groups_that_are_no_texts_are_refused(groups: object) -> None:
    with pytest.raises(Unauthenticated, match=r"'groups'.*no list of texts"):
        mapping().person({**PERSON, "groups": groups}, ISSUER)


def test_groups_that_the_provider_leaves_out_are_missed_aloud() -> None:
    for mark in ({"hasgroups": True}, {"_claim_names": {"groups": "src1"}}):
        with pytest.raises(Unauthenticated, match="groups are too many"):
            mapping().person({"sub": "1", **mark}, ISSUER)


def test_whoever_has_no_role_is_told_with_which_groups_they_came() -> None:
    with pytest.raises(NotAllowed, match=r"dana \(1\) came with the groups a, b, .*KERN_ROLES"):
        mapping().person({**PERSON, "groups": ["a", "b"]}, ISSUER)
    many = [f"g{number}" for number in range(50)]
    with pytest.raises(NotAllowed, match="g19 and 30 more"):
        mapping().person({**PERSON, "groups": many}, ISSUER)
    with pytest.raises(NotAllowed, match="no groups"):
        mapping().person({**PERSON, "groups": []}, ISSUER)


@pytest.mark.parametrize(
    ("tenant", "group", "role"),
    [
        ("halden", "auditors", Role.auditor),
        ("morrow", "auditors", None),
        ("morrow", "halden/auditors", None),
        ("halden", "halden/auditors", None),
        ("halden", "leads", Role.operator),
        ("morrow", "all/of/us", Role.viewer),
        ("*", "auditors", None),
    ],
)
def test_roles_are_those_of_a_tenant(tenant: str, group: str, role: Role | None) -> None:
    claims = {**PERSON, "org": tenant, "groups": [group]}
    names = mapping(tenant="org")
    if role is None:
        with pytest.raises(NotAllowed):
            names.person(claims, ISSUER)
    else:
        caller = names.person(claims, ISSUER)
        assert (caller.roles, caller.principal.tenant) == ((role,), tenant)


def test_without_a_tenants_claim_a_slash_belongs_to_the_group() -> None:
    caller = mapping().person({**PERSON, "groups": ["halden/auditors"]}, ISSUER)
    assert (caller.roles, caller.principal.tenant) == ((Role.auditor,), "")
    with pytest.raises(NotAllowed):
        mapping().person({**PERSON, "groups": ["auditors"]}, ISSUER)


@pytest.mark.parametrize("tenant", [None, "", " ", 5, ["halden"], "hal\u200bden", " halden"])
def test_a_tenant_that_is_none_is_not_the_default_one(tenant: object) -> None:
    with pytest.raises(Unauthenticated, match="'org'"):
        mapping(tenant="org").person({**PERSON, "org": tenant}, ISSUER)


@pytest.mark.parametrize(
    ("person", "claims", "kind"),
    [
        (None, {"scp": "x"}, PrincipalKind.service),
        ("scp", {"scp": "x"}, PrincipalKind.person),
        ("scp", {}, PrincipalKind.service),
        ("scp", {"scp": ""}, PrincipalKind.service),
        ("scp", {"scp": []}, PrincipalKind.service),
        ("idtyp=user", {"idtyp": "user"}, PrincipalKind.person),
        ("idtyp=user", {"idtyp": "users"}, PrincipalKind.service),
        ("scp", {"scp": "x", "idtyp": "app"}, PrincipalKind.service),
        ("scp", {"scp": "x", "act": {"sub": "agent"}}, PrincipalKind.service),
        ("scp", {"scp": "x", "cid": "1"}, PrincipalKind.service),
        (
            "scp",
            {"scp": "x", "preferred_username": "service-account-bot"},
            PrincipalKind.service,
        ),
    ],
)
def test_only_what_is_surely_a_person_is_one(
    person: str | None, claims: dict[str, Any], kind: PrincipalKind
) -> None:
    names = ClaimMapping(ClaimNames(person=person), ROLES)
    assert names.caller({**PERSON, **claims}, ISSUER).principal.kind is kind


def test_a_service_is_called_as_its_client() -> None:
    claims = {"sub": "5f0c", "azp": "robots", "groups": "leads"}
    assert mapping().caller(claims, ISSUER).principal.name == "robots"
    assert mapping().person(claims, ISSUER).principal.name == "5f0c"


@pytest.mark.parametrize(
    ("auth_time", "moment"),
    [
        (1_700_000_000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (None, None),
        (True, None),
        ("1700000000", None),
        (10**30, None),
    ],
)
def test_when_somebody_authenticated(auth_time: object, moment: datetime | None) -> None:
    caller = mapping().person({**PERSON, "auth_time": auth_time}, ISSUER)
    assert caller.authenticated_at == moment


def test_what_is_missing_is_looked_for_elsewhere() -> None:
    assert mapping().are_complete(PERSON)
    assert not mapping().are_complete({**PERSON, "groups": None})
    assert not mapping().are_complete({"sub": "1", "groups": [], "name": "Mia"})
    assert mapping(name="name").are_complete({"sub": "1", "groups": [], "name": "Mia"})
    assert not mapping(tenant="org").are_complete(PERSON)
