"""The database contract: a session's summary tells of each run once, on every database."""

import pytest

from kern.db import naming, sessions, summaries
from kern.db.summaries import Material
from kern.db.viewer import OPERATOR
from kern.errors import NotFound
from kern.ids import new_id
from kern.models.base import Usage
from tests.support.stored_runs import NOW, Stored

USAGE = Usage(input_tokens=5, output_tokens=2)


def said(stored: Stored, session_id: str, text: str) -> str:
    run_id, _ = stored.accept(session_id=session_id, input=text)
    stored.answer(run_id, content=f"heard {text}")
    return run_id


def material(stored: Stored, run_id: str) -> Material:
    found = stored.look(lambda tx: summaries.load(tx, run_id))
    assert found is not None
    return found


def keep(stored: Stored, found: Material, text: str) -> bool:
    return stored.do(lambda tx: summaries.store(tx, found, text, USAGE, NOW))


def test_a_summary_is_made_of_the_one_before_and_what_came_since(stored: Stored) -> None:
    session_id = new_id()
    first = said(stored, session_id, "one")
    assert keep(stored, material(stored, first), "They said one.")
    second = said(stored, session_id, "two")
    found = material(stored, second)
    assert found.before == "They said one."
    assert [message.content for message in found.messages] == ["two", "heard two"]


def test_a_run_is_told_of_once(stored: Stored) -> None:
    run_id = said(stored, new_id(), "one")
    found = material(stored, run_id)
    assert keep(stored, found, "First.")
    assert keep(stored, found, "Again."), "the same attempt twice does no harm"
    assert stored.look(lambda tx: summaries.load(tx, run_id)) is None


def test_what_a_summary_took_is_counted_with_its_run(stored: Stored) -> None:
    run_id = said(stored, new_id(), "one")
    keep(stored, material(stored, run_id), "First.")
    metrics = stored.output(run_id).metrics
    assert (metrics.model_calls, metrics.input_tokens, metrics.output_tokens) == (2, 5, 2)


def test_a_run_whose_summary_failed_is_told_of_with_the_next_one(stored: Stored) -> None:
    session_id = new_id()
    said(stored, session_id, "one")
    found = material(stored, said(stored, session_id, "two"))
    assert [message.content for message in found.messages if message.role == "user"] == [
        "one",
        "two",
    ]


def test_of_two_summaries_at_once_the_later_is_made_anew(stored: Stored) -> None:
    session_id = new_id()
    first, second = (said(stored, session_id, text) for text in ("one", "two"))
    early, late = material(stored, first), material(stored, second)
    assert keep(stored, early, "One.")
    assert not keep(stored, late, "Two, without one.")
    assert material(stored, second).before == "One."


def test_a_run_that_has_no_answer_is_not_told_of(stored: Stored) -> None:
    run_id, _ = stored.accept()
    assert stored.look(lambda tx: summaries.load(tx, run_id)) is None


def test_a_session_is_named_after_its_first_runs(stored: Stored) -> None:
    session_id = new_id()
    for number in range(5):
        said(stored, session_id, f"text {number}")
    component_id, messages = stored.look(lambda tx: naming.load(tx, session_id))
    assert component_id == "agent"
    assert [one.content for one in messages if one.role == "user"] == [
        f"text {number}" for number in range(3)
    ]
    stored.do(lambda tx: sessions.rename(tx, session_id, OPERATOR, "Texts", NOW))
    with pytest.raises(NotFound):
        stored.do(lambda tx: sessions.rename(tx, new_id(), OPERATOR, "Texts", NOW))
