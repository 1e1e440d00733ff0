"""Entries of rules: names, groups and whoever asked."""

import pytest

from kern.errors import InvalidDefinition
from kern.tools import Approval, Escalation, Requester, tool
from kern.values.deciders import REQUESTER, decider, is_group, is_name


@pytest.mark.parametrize(
    ("entry", "stored"),
    [
        (" Dana  Smith ", "Dana Smith"),
        ("group:finance", "group:finance"),
        ("Group:  Finance", "group:Finance"),
        ("\uff27roup:finance", "group:finance"),
        (Requester, REQUESTER),
        ("@REQUESTER ", REQUESTER),
    ],
)
def test_entries_have_one_form(entry: str, stored: str) -> None:
    assert decider("a name", entry) == stored
    assert Approval(excluded=entry).excluded == (stored,)
    assert Approval(candidates=("eli", entry)).candidates == ("eli", stored)
    assert is_name(stored) == (stored == "Dana Smith")
    assert is_group(stored) == stored.startswith("group:")


@pytest.mark.parametrize("entry", ["", "group:", "group: ", "group:fin\u200bance", "da\u200bna"])
def test_what_names_nobody_is_refused(entry: str) -> None:
    for field in ("candidates", "excluded"):
        with pytest.raises(InvalidDefinition, match=f"a name in {field}"):
            Approval.model_validate({field: (entry,)})


def test_a_quorum_of_a_group_is_not_counted_beforehand() -> None:
    @tool(requires_confirmation=True, approval=Approval(candidates="group:finance", quorum=3))
    def pay() -> None:
        """Pay."""

    assert pay.approval.candidates == ("group:finance",)
    with pytest.raises(InvalidDefinition, match="more approvals than it has candidates"):

        @tool(requires_confirmation=True, approval=Approval(candidates=Requester, quorum=2))
        def wire() -> None:
            """Wire."""


def test_an_escalation_to_who_is_excluded_is_refused() -> None:
    from datetime import timedelta

    with pytest.raises(InvalidDefinition, match="escalate asks 'group:Ops'"):
        Approval(
            candidates=("ann",),
            excluded="group:ops",
            escalate=Escalation(after=timedelta(hours=1), to="group:Ops"),
        )
