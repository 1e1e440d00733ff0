"""Ids that callers give have to be ids everywhere: in SQL and in Temporal."""

import pytest

from kern.agent import Agent
from kern.errors import InvalidInput
from kern.models.scripted import ScriptedModel
from kern.values.ids import require_id


@pytest.mark.parametrize("given", ["order-1042", "ann@example.org", "ü" * 240, "a b/c"])
def test_ids_of_callers_are_taken_as_they_are(given: str) -> None:
    assert require_id("run_id", given) == given


@pytest.mark.parametrize("given", ["", "  ", "q" * 241, "a\x00b", "a\nb", "\ud800", "kern:x"])
@pytest.mark.parametrize("name", ["run_id", "session_id", "user_id"])
def test_what_cannot_be_an_id_is_refused_before_anything_is_accepted(name: str, given: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        Agent(model=ScriptedModel(["Hi"])).run("Hi", **{name: given})  # type: ignore[call-overload]
