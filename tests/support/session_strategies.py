"""What the random lives of sessions are made of, and how it is put to Kern."""

from collections.abc import Sequence
from datetime import timedelta

from hypothesis import strategies as st
from pydantic import JsonValue

from kern.contracts.answers import NewCall, Question
from kern.db.turns.attempts import Execution, Settled
from kern.session_state import StateChange
from kern.tools import Approval
from kern.values.states import OnExpiry, RequirementKind
from tests.support.session_model import Change
from tests.support.stored_runs import SCHEMA

DUE = 20

picks = st.integers(0, 50)
attempts = st.sampled_from(["first attempt", "second attempt"])
people = st.sampled_from(["dana", "eli", "fay"])
_ops: st.SearchStrategy[Change] = st.one_of(
    st.tuples(st.just("increment"), st.sampled_from(["n", "x"]), st.integers(1, 5)),
    st.tuples(st.just("append"), st.sampled_from(["l", "x"]), st.integers(0, 9)),
    st.tuples(
        st.just("set"),
        st.sampled_from(["n", "l", "x"]),
        st.one_of(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=2)),
    ),
)
changes_of_state = st.lists(_ops, max_size=3)
# A call that is asked for: who has to approve it, and its effect.
AskedFor = tuple[Approval | None, str]
_effects = st.sampled_from(["once", "read"])
ungated: st.SearchStrategy[AskedFor] = st.tuples(st.none(), _effects)
gated: st.SearchStrategy[AskedFor] = st.tuples(
    st.builds(
        Approval,
        quorum=st.integers(1, 2),
        due=st.none() | st.just(timedelta(seconds=DUE)),
        on_expiry=st.sampled_from(OnExpiry),
    ),
    _effects,
)


def told(done: Execution | Settled) -> tuple[object, ...]:
    if isinstance(done, Execution):
        return ("execute", done.attempt, done.arguments["amount"])
    if done.run_ended:
        return ("ended",)
    return ("settled", done.gate.requirement_id if done.gate else None)


def operations(changes: Sequence[Change]) -> list[StateChange]:
    return [StateChange.model_validate({"op": o, "key": k, "value": v}) for o, k, v in changes]


def new_call(name: str, approval: Approval | None, effect: str) -> NewCall:
    asked = None
    if approval is not None:
        kind = RequirementKind.confirmation
        asked = Question(kind=kind, arguments_schema=SCHEMA, approval=approval)
    arguments: dict[str, JsonValue] = {"order_id": "1042", "amount": 80}
    return NewCall(name, "refund", arguments, effect=effect, question=asked)
