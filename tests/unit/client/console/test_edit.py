"""An edit changes what somebody changed, within the bounds, and nothing else."""

from kern.client.console.edit import edit_fields, edit_view, read_edit
from kern.client.console.facts import Facts
from kern.client.console.form_fields import FormField
from kern.values.canonical import arguments_digest
from tests.support.console_samples import requirement

ITEM = requirement(
    arguments={"amount": 14250, "account": "DE02", "note": "a\u200bb\nc", "tags": [1]}
)
BOUNDS = Facts(bounds={"amount": {"maximum": 14250}, "note": {}, "tags": {}})


def untouched(fields: list[FormField]) -> dict[str, list[str]]:
    return {item.name: [item.value.replace("\n", "\r\n")] for item in fields}


def test_a_form_that_nobody_touched_changes_nothing() -> None:
    assert read_edit(ITEM, Facts(), untouched(edit_fields(ITEM, Facts()))).changes == {}


def test_what_is_fixed_stays_whatever_is_posted() -> None:
    fields = edit_fields(ITEM, BOUNDS)
    assert [item.argument for item in fields if item.is_fixed] == ["account"]
    posted = untouched(fields) | {"edit.account": ["DE66"], "edit.amount": ["12000"]}
    assert read_edit(ITEM, BOUNDS, posted).changes == {"amount": 12000}


def test_bounds_are_checked_and_what_was_typed_is_kept() -> None:
    posted = untouched(edit_fields(ITEM, BOUNDS)) | {"edit.amount": ["14251"], "edit.tags": ["{"]}
    result = read_edit(ITEM, BOUNDS, posted)
    assert [problem.argument for problem in result.problems] == ["amount", "tags"]
    assert result.changes == {}
    assert result.fields[0].value == "14251"


def test_an_invisible_character_can_be_deleted() -> None:
    posted = untouched(edit_fields(ITEM, BOUNDS)) | {"edit.note": ["ab\r\nc"]}
    assert read_edit(ITEM, BOUNDS, posted).changes == {"note": "ab\nc"}


def test_the_schema_of_the_tool_decides_what_fits() -> None:
    schema = {"properties": {"amount": {"type": "integer", "minimum": 1}}}
    posted = {
        "edit.amount": ["0"],
        "edit.account": ["DE02"],
        "edit.note": ["x"],
        "edit.tags": ["[1]"],
    }
    result = read_edit(ITEM, Facts(), posted, schema)  # type: ignore[arg-type]
    assert [problem.message for problem in result.problems] == ["Has to be 1 or more."]


def test_comparing_shows_the_digest_and_the_value_that_will_run() -> None:
    facts = Facts(confirm_value="14250", risk="high")
    posted = untouched(edit_fields(ITEM, facts)) | {"edit.amount": ["12000"]}
    result = read_edit(ITEM, facts, posted)
    view = edit_view(ITEM, "Dana", "c", "d", facts=facts, result=result)
    assert view.digest == arguments_digest("refund", {**ITEM.arguments, "amount": 12000})
    assert view.form.confirm_value == "12000"
    assert view.rows is not None
    assert [row.name for row in view.rows if row.is_changed] == ["amount"]
    assert edit_view(ITEM, "Dana", "c", "d", facts=facts).rows is None


def test_of_an_edited_float_the_new_value_is_typed_as_it_is_shown() -> None:
    item, facts = requirement(arguments={"amount": 14250.0}), Facts(confirm_value="14250")
    result = read_edit(item, facts, {"edit.amount": ["12000.50"]})
    assert result.changes == {"amount": 12000.5}
    view = edit_view(item, "Dana", "c", "d", facts=facts, result=result)
    assert view.form.confirm_value == "12000.5"
