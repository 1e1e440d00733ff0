"""Values are asked for one by one, checked at once, and kept where they are asked for again."""

from typing import Any

import pytest
from pydantic import JsonValue

from kern.client.cli.walk.fields import Form
from kern.requirements import Bounds, Requirement, RequirementKind, UserInputField
from tests.support.walk_samples import ScriptedPerson, requirement


def field(name: str, schema: dict[str, JsonValue], **more: Any) -> UserInputField:  # noqa: ANN401
    return UserInputField(
        name=name, type=str(schema.get("type", "object")), json_schema=schema, **more
    )


def asking(*fields: UserInputField) -> Requirement:
    return requirement(RequirementKind.user_input, fields=list(fields))


FLOOR = field("floor", {"type": "integer", "minimum": 0, "maximum": 9})
PIN = field("pin", {"type": "string", "minLength": 4, "writeOnly": True})


def test_a_wrong_value_is_asked_for_again_with_what_was_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    person = ScriptedPerson(["12", "eight", "8"])
    assert Form(person).fill_in(asking(FLOOR)) == {"floor": 8}
    assert person.starts == ["", "12", "eight"]
    said = capsys.readouterr().out
    assert "Has to be 9 or less." in said
    assert "Enter a whole number in digits only" in said


def test_a_secret_is_not_kept_on_the_screen() -> None:
    person = ScriptedPerson(["123", "1234"])
    assert Form(person).fill_in(asking(PIN)) == {"pin": "1234"}
    assert person.starts == ["", ""]
    assert len(person.secrets) == 2


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        ({"type": "boolean"}, "y", True),
        ({"type": "boolean"}, "no", False),
        ({"enum": ["red", "blue"]}, "2", "blue"),
        ({"enum": [1, 2]}, "2", 2),
        ({"type": "array", "items": {"enum": ["a", "b", "c"]}}, "1, 3", ["a", "c"]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"type": "number"}, "12.5", 12.5),
        ({"type": "string"}, "0123", "0123"),
    ],
)
def test_a_value_is_read_as_its_schema_says(
    schema: dict[str, JsonValue], typed: str, value: JsonValue
) -> None:
    person = ScriptedPerson([typed])
    assert Form(person).fill_in(asking(field("value", schema))) == {"value": value}


def test_an_optional_value_may_be_left_out() -> None:
    note = field("note", {"type": "integer"}, required=False)
    person = ScriptedPerson(["", "3"])
    assert Form(person).fill_in(asking(note, FLOOR)) == {"floor": 3}


def test_whoever_leaves_finds_again_what_they_typed() -> None:
    item = asking(field("street", {"type": "string"}), FLOOR)
    person = ScriptedPerson(["Main Street", None, "Main Street 1", "3"])
    form = Form(person)
    assert form.fill_in(item) is None
    assert form.fill_in(item) == {"street": "Main Street 1", "floor": 3}
    assert person.starts == ["", "", "Main Street", ""]


def test_only_the_field_that_was_refused_is_asked_for_again() -> None:
    item = asking(field("street", {"type": "string"}), FLOOR)
    person = ScriptedPerson(["Main Street", "3", "4"])
    form = Form(person)
    form.fill_in(item)
    answer = form.fill_in(item, "The arguments do not fit: floor: nobody lives there.")
    assert answer == {"street": "Main Street", "floor": 4}
    assert person.starts[-1] == "3"


BOUNDED = {"amount": Bounds(only="down"), "currency": Bounds(one_of=["EUR", "USD"])}


def test_an_edit_keeps_to_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    item = requirement(bounds=BOUNDED)
    person = ScriptedPerson(["15000", "12.500,0", "12500", "GBP", "USD"])
    values = Form(person).edit(item, ["amount", "currency"])
    assert values == {"amount": 12500, "currency": "USD"}
    said = capsys.readouterr().out
    assert "may only go down from 14250" in said
    assert "This is not valid JSON" in said
    assert 'has to be one of "EUR", "USD"' in said
    assert person.questions[0] == "   amount <only down>: "


def test_an_edit_begins_with_the_version_under_review_in_which_everything_can_be_seen() -> None:
    reference = "a\u200b\\"
    item = requirement(arguments={"reference": reference, "parts": ["\u202e"]})
    person = ScriptedPerson(["a\\u200b\\\\", '["\\u202e"]'])
    values = Form(person).edit(item, ["reference", "parts"])
    assert values == {"reference": reference, "parts": ["\u202e"]}
    assert person.starts == ["a\\u200b\\\\", '["\\u202e"]']
