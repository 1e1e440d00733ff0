"""The database contract: a session's summary tells of each run once, on every database."""

import pytest

from kern.contracts.viewer import OPERATOR
from kern.db.reading import session_metrics
from kern.db.sessions import deletions, forks, naming, records, summaries
from kern.db.sessions.summaries import Material
from kern.errors import InvalidInput, NotFound
from kern.models.base import Usage
from kern.values.ids import new_id
from tests.support.stored_runs import NOW, Stored, after

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
    found = to_name(stored, session_id)
    assert found.component_id == "agent"
    assert [one.content for one in found.messages if one.role == "user"] == [
        f"text {number}" for number in range(3)
    ]
    stored.do(lambda tx: records.rename(tx, session_id, OPERATOR, "Texts", NOW))
    with pytest.raises(NotFound):
        stored.do(lambda tx: records.rename(tx, new_id(), OPERATOR, "Texts", NOW))


def to_name(stored: Stored, session_id: str) -> naming.Material:
    ask = naming.name_request(stored.look(lambda tx: records.read(tx, session_id, OPERATOR)))
    found = stored.look(lambda tx: naming.load(tx, ask))
    assert found is not None
    return found


def name(stored: Stored, found: naming.Material, text: str) -> bool:
    return stored.do(lambda tx: naming.store(tx, found, text, USAGE, NOW))


def name_of(stored: Stored, session_id: str) -> str | None:
    return stored.look(lambda tx: records.read(tx, session_id, OPERATOR)).name


def test_what_a_name_took_is_counted_with_the_sessions_first_run(stored: Stored) -> None:
    session_id = new_id()
    first, second = said(stored, session_id, "one"), said(stored, session_id, "two")
    assert name(stored, to_name(stored, session_id), "Numbers")
    assert stored.output(first).metrics.model_calls == 2
    assert stored.output(second).metrics.model_calls == 1
    sums = stored.look(lambda tx: session_metrics.metrics(tx, session_id, OPERATOR, NOW))
    assert (sums.model_calls, sums.input_tokens) == (3, 5)


def test_a_name_that_a_person_gave_meanwhile_stands(stored: Stored) -> None:
    session_id = new_id()
    said(stored, session_id, "one")
    ask = naming.name_request(stored.look(lambda tx: records.read(tx, session_id, OPERATOR)))
    found = to_name(stored, session_id)
    stored.do(lambda tx: records.rename(tx, session_id, OPERATOR, "Mine", NOW))
    assert not name(stored, found, "Numbers")
    assert name_of(stored, session_id) == "Mine"
    assert stored.look(lambda tx: naming.load(tx, ask)) is None, "the model need not be asked"
    assert name(stored, to_name(stored, session_id), "Numbers"), "asked for after that"
    assert name_of(stored, session_id) == "Numbers"


def test_what_was_made_for_a_deleted_session_reaches_none_with_its_id(stored: Stored) -> None:
    session_id = new_id()
    told = material(stored, said(stored, session_id, "ann's secret"))
    ask = naming.name_request(stored.look(lambda tx: records.read(tx, session_id, OPERATOR)))
    found = to_name(stored, session_id)
    stored.do(lambda tx: deletions.delete(tx, session_id, OPERATOR, NOW))
    stored.accept(session_id=session_id, input="bob's", user_id="bob", at=after(1))
    assert not name(stored, found, "Ann's secret")
    with pytest.raises(NotFound):
        keep(stored, told, "Ann has a secret.")
    assert stored.look(lambda tx: naming.load(tx, ask)) is None
    session = stored.look(lambda tx: records.read(tx, session_id, OPERATOR))
    assert (session.name, session.summary) == (None, None)


def test_a_copy_is_named_and_pays_for_it_with_a_run_of_its_own(stored: Stored) -> None:
    session_id, fork_id = new_id(), new_id()
    copied = said(stored, session_id, "one")
    stored.do(lambda tx: forks.fork(tx, session_id, OPERATOR, NOW, fork_id=fork_id))
    assert name(stored, to_name(stored, fork_id), "Copy")
    own = said(stored, fork_id, "two")
    assert name(stored, to_name(stored, fork_id), "My copy")
    assert name_of(stored, fork_id) == "My copy"
    assert stored.output(copied).metrics.model_calls == 1
    assert stored.output(own).metrics.model_calls == 2


@pytest.mark.parametrize("given", ["x" * 201, "", "  "])
def test_a_name_has_something_to_say_and_an_end(stored: Stored, given: str) -> None:
    session_id = new_id()
    said(stored, session_id, "one")
    with pytest.raises(InvalidInput, match="name "):
        stored.do(lambda tx: records.rename(tx, session_id, OPERATOR, given, NOW))
    stored.do(lambda tx: records.rename(tx, session_id, OPERATOR, f" {'x' * 200} ", NOW))
