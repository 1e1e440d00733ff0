"""The database contract: what is executed again, because nobody heard of its commit, is done once.

The lives in `test_session_interleavings` repeat nearly everything; these are the cases by name.
"""

from kern.contracts.answers import Answer
from kern.contracts.viewer import OPERATOR
from kern.db.runs import lifecycle
from kern.db.sessions import forks, records
from kern.db.turns import model_turns
from kern.models.base import ModelResponse, Usage
from kern.values.ids import new_id
from tests.support.stored_runs import NOW, Stored


def test_an_answer_that_came_too_late_is_paid_for_once(stored: Stored) -> None:
    run_id, _ = stored.accept()
    stored.do(lambda tx: lifecycle.cancel(tx, run_id, OPERATOR, NOW))
    answer = Answer(
        ModelResponse(content="Late.", provider="scripted", usage=Usage(input_tokens=7))
    )
    for _time in range(2):
        stored.do(lambda tx: model_turns.store(tx, run_id, 1, answer, NOW))
    used = stored.output(run_id).metrics
    assert (used.model_calls, used.input_tokens) == (1, 7)


def test_a_fork_is_made_once(stored: Stored) -> None:
    session_id, fork_id = new_id(), new_id()
    run_id, _ = stored.accept(session_id=session_id)
    stored.answer(run_id, content="Done")
    for _time in range(2):
        stored.do(lambda tx: forks.fork(tx, session_id, OPERATOR, NOW, fork_id=fork_id))
    assert stored.look(lambda tx: records.read(tx, fork_id, OPERATOR)).run_count == 1
    assert len(stored.look(lambda tx: records.latest_runs(tx, fork_id, 10))) == 1
