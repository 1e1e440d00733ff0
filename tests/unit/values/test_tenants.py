"""Names of tenants."""

import pytest

from kern.errors import InvalidInput
from kern.values.principals import Principal
from kern.values.tenants import DEFAULT_TENANT, tenant_name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "acme",
        "Ácme & Söhne",
        "a" * 240,
        "Акме",
        "Iş\u0131k",
        "山田さん",
        "O\u2019Brien\u2013Lee",
    ],
)
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert tenant_name("tenant", name) == name


@pytest.mark.parametrize(
    "value",
    [
        " ",
        " acme",
        "acme ",
        "ac\u0000me",
        "\uff21cme",
        "A\u0301cme",
        None,
        7,
        "a" * 241,
        "acme\u200b",
        "acme\u202e",
        "ac\u00adme",
        "acme\ufe0f",
        "acme\U0001bc9d",
        "ac\tme",
        "ac\u00a0me",
        "\u0430cme",
        "acm\u0435",
        "\u0430\u03bd",
        "\u0251cme",
        "ac\u2010me",
        "ac\u2215me",
        "acme\u05bf",
        "acme 1\u041e0",
    ],
)
def test_what_could_be_taken_for_another_name_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="tenant"):
        tenant_name("tenant", value)


def test_a_principal_has_one() -> None:
    dana = {"issuer": "i", "subject": "s", "name": "Dana"}
    assert Principal.model_validate(dana).tenant == DEFAULT_TENANT
    with pytest.raises(InvalidInput, match="the tenant of a principal"):
        Principal.model_validate({**dana, "tenant": " acme"})
