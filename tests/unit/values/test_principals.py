"""Principals: what may be one, and what a name alone says."""

import pytest

from kern.errors import InvalidInput
from kern.values.principals import Principal, is_one_person, keys_of, principal_of
from kern.values.states import PrincipalKind


def test_a_name_is_a_local_claim_of_a_person_without_groups() -> None:
    claim = principal_of("Dana Smith")
    assert (claim.issuer, claim.subject, claim.name) == ("local", "dana smith", "Dana Smith")
    assert (claim.kind, claim.groups, claim.tenant) == (PrincipalKind.person, (), "")
    assert claim.is_local
    assert principal_of(claim) is claim


def test_kern_itself_is_a_system() -> None:
    assert principal_of("kern").kind is PrincipalKind.system
    assert not principal_of("kern").is_local


def test_rows_name_a_principal_by_its_name_and_its_id() -> None:
    assert keys_of(Principal(issuer="https://id", subject="S9", name="Dana ")) == ("dana", "s9")
    assert keys_of(principal_of("Dana")) == ("dana",)


DANA = Principal(issuer="https://id", subject="s9", name="Dana")


@pytest.mark.parametrize(
    ("other", "is_one"),
    [
        (Principal(issuer="https://id", subject="s9", name="Somebody"), True),
        (Principal(issuer="https://other", subject="s1", name="DANA"), True),
        (principal_of("dana"), True),
        (principal_of("S9"), True),
        (Principal(issuer="https://other", subject="s9", name="Eli"), False),
        (Principal(issuer="https://other", subject="s1", name="s9"), False),
        (principal_of("eli"), False),
    ],
)
def test_two_of_one_name_or_of_one_id_are_one_person(other: Principal, *, is_one: bool) -> None:
    assert is_one_person(DANA, other) is is_one
    assert is_one_person(other, DANA) is is_one


@pytest.mark.parametrize(
    "values",
    [
        {"issuer": " "},
        {"subject": ""},
        {"subject": "s9\n"},
        {"subject": " s9"},
        {"subject": "s\ufe0f9"},
        {"subject": "s\u28009"},
        {"issuer": "https://id.example.org "},
        {"issuer": "https://id\u200b.example.org"},
        {"issuer": "https://id.example.org\n"},
        {"name": "da\u200bna"},
        {"name": " "},
        {"groups": ("fin\u0430nce",)},
    ],
)
def test_what_could_be_mistaken_is_refused(values: dict[str, object]) -> None:
    whole = {"issuer": "https://id.example.org", "subject": "u1", "name": "Dana", **values}
    with pytest.raises(InvalidInput):
        Principal.model_validate(whole)
