"""Viewers: whom they reach, and how they refuse."""

from dataclasses import dataclass

import pytest

from kern.contracts.viewer import OPERATOR, Viewer, present_operator
from kern.errors import InvalidInput, NotAllowed, NotFound
from kern.process.tenants import acting_for
from kern.values.principals import Principal

DANA = Principal(issuer="https://id.example.org", subject="u-17", name="Dana", tenant="acme")
MISSING = NotFound("There is no such thing.")


@dataclass
class Row:
    """Something that belongs to somebody."""

    tenant: str = ""
    user_id: str | None = "ann"


def check(viewer: Viewer, row: Row | None, component_id: str | None = None) -> Row:
    return viewer.check(row, MISSING, subject="It", component_id=component_id)


def test_an_owner_is_a_user_of_a_tenant() -> None:
    of_acme = Row("acme")
    assert check(Viewer("ann", tenant="acme"), of_acme) is of_acme
    with pytest.raises(NotAllowed, match="another user"):
        check(Viewer("eve", tenant="acme"), of_acme)
    with pytest.raises(NotAllowed, match="no user_id was given"):
        check(Viewer(tenant="acme"), of_acme)


@pytest.mark.parametrize("is_operator", [True, False])
def test_what_is_of_another_tenant_is_not_there(*, is_operator: bool) -> None:
    for tenant, row in (("globex", Row("acme")), ("", Row("acme")), ("acme", Row()), ("", None)):
        with pytest.raises(NotFound) as refused:
            check(Viewer("ann", is_operator=is_operator, tenant=tenant), row, "another")
        assert refused.value is MISSING


def test_the_operator_of_the_installation_reaches_every_tenant() -> None:
    for row in (Row(), Row("acme", None)):
        assert check(OPERATOR, row) is row
    with pytest.raises(NotFound):
        check(OPERATOR, None)
    with pytest.raises(InvalidInput, match="only an operator reaches all"):
        Viewer("ann", tenant=None)


def test_a_component_reaches_its_own() -> None:
    with pytest.raises(InvalidInput, match="component 'other', not to 'agent'"):
        check(Viewer("ann", component_id="agent"), Row(), "other")


def test_a_principal_is_of_the_tenant_of_its_viewer() -> None:
    assert Viewer(principal=DANA, tenant="acme").acting_as(DANA).tenant == "acme"
    with pytest.raises(NotAllowed, match="belongs to the tenant 'acme', and acts for 'globex'"):
        Viewer(principal=DANA, tenant="globex")
    with pytest.raises(NotAllowed, match="acts for ''"):
        Viewer().acting_as(DANA)
    assert OPERATOR.acting_as(DANA) == Viewer(is_operator=True, tenant="acme")
    assert OPERATOR.acting_as("dana") is OPERATOR


def test_the_operator_of_a_process_is_of_the_tenant_that_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert present_operator() == OPERATOR
    monkeypatch.setenv("KERN_TENANT", "acme")
    assert present_operator() == Viewer(is_operator=True, tenant="acme")
    with acting_for(""):
        assert present_operator() == Viewer(is_operator=True, tenant="")
