"""Random histories of votes, edits, withdrawals and deadlines come to what a plain model says."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kern.db.decisions import deciding
from kern.db.journal import verification
from kern.db.turns import calls
from kern.db.turns.attempts import Execution
from kern.errors import KernError
from kern.requirements import Requirement
from kern.tools import Approval
from kern.values.ids import new_id
from kern.values.states import OnExpiry, RequirementStatus, Verdict
from tests.support.stored_runs import Stored, after, opened
from tests.support.vote_model import ENTITLED, Act, Model, acts

_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
BEGUN, WITHDRAWN = Act("begin"), Act("withdraw", "Ann ")
_HISTORIES = st.lists(acts(), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    folder: Path = tmp_path_factory.mktemp("votes")
    with opened("sqlite", folder) as database:
        yield database


class Play:
    """Plays a history on the rows of one call."""

    def __init__(self, stored: Stored, quorum: int, on_expiry: OnExpiry) -> None:
        self._stored = stored
        self._is_doubtful = False
        approval = Approval(
            candidates=(*ENTITLED, "eve"),
            excluded=("eve",),
            quorum=quorum,
            due=timedelta(hours=1),
            on_expiry=on_expiry,
        )
        self._call_id = stored.gated(approval=approval).tool_call_id or ""
        self._token = ""
        self.executions: list[object] = []

    @property
    def seen(self) -> Requirement:
        """The requirement as it is now."""
        return self._stored.requirement(self._call_id)

    def act(self, act: Act) -> bool:
        """Do something; whether it was accepted, or has changed anything."""
        if act.name == "begin":
            return self._begin()
        if act.name == "die":
            return self._die()
        if act.name in {"retry", "give_back"}:
            return self._release(is_begun=act.name == "retry")
        if act.name == "expire":
            before = self.seen
            self._stored.do(lambda tx: deciding.expire(tx, before.id, after(7200)))
            return self.seen.status is not before.status
        approving = Verdict.run_again if self._is_doubtful else Verdict.approve
        verdict = {"approve": approving, "reject": Verdict.reject, "withdraw": Verdict.withdraw}
        edit = None if act.amount is None or self._is_doubtful else {"amount": act.amount}
        edit = edit if act.name == "approve" else None
        try:
            self._stored.resolve(self.seen, verdict[act.name], by=act.by, edit=edit)
        except KernError:
            return False
        return True

    def _begin(self) -> bool:
        if self._stored.execution(self._call_id).status == "running":
            return False
        self._token = new_id()
        begun = self._stored.begin(self._call_id, self._token)
        if not isinstance(begun, Execution):
            return False
        self.executions.append(begun.arguments["amount"])
        return True

    def _release(self, *, is_begun: bool) -> bool:
        """Give a call back: to be tried again, or because it was not begun after all."""
        if self._is_doubtful or self._stored.execution(self._call_id).status != "running":
            return False
        self._stored.do(
            lambda tx: calls.release(
                tx, self._call_id, self._token, "failed", after(1), begun=is_begun
            )
        )
        return True

    def _die(self) -> bool:
        """Have another attempt find a call that was begun, and nobody there."""
        if self._stored.execution(self._call_id).status != "running":
            return False
        self._is_doubtful = True
        self._stored.begin(self._call_id, new_id())
        return True


def play(stored: Stored, quorum: int, on_expiry: OnExpiry, history: list[Act]) -> None:
    """Play a history on the rows and on the model, and compare them after each act."""
    model, rows = Model(quorum, on_expiry), Play(stored, quorum, on_expiry)
    for number, act in enumerate(history):
        assert rows.act(act) == model.act(act), (number, act)
        seen = rows.seen
        assert (seen.status is RequirementStatus.pending) == (model.decided is None), act
        if seen.resolution is not None:
            verdict = seen.resolution.verdict
            expected = "run_again" if model.is_doubtful and model.decided == "approve" else None
            assert verdict == (expected or model.decided), act
        if quorum > 1 and model.decided is None:
            shown = {p.arguments["amount"]: p.approvals for p in seen.proposals}
            if not model.is_doubtful:
                assert shown == model.counts(), act
            assert seen.approvals == max(model.counts().values(), default=0), act
        assert rows.executions == model.executions, act
    stored.look(verification.verify)


@example(1, OnExpiry.reject, [Act("approve", "ann"), BEGUN, Act("retry"), WITHDRAWN, Act("begin")])
@example(1, OnExpiry.reject, [Act("approve", "ann"), BEGUN, Act("give_back"), WITHDRAWN])
@settings(max_examples=100, deadline=None, suppress_health_check=_CHECKS, database=None)
@given(quorum=st.integers(1, 3), on_expiry=st.sampled_from(list(OnExpiry)), history=_HISTORIES)
def test_votes_come_to_what_a_plain_model_says(
    kept: Stored, quorum: int, on_expiry: OnExpiry, history: list[Act]
) -> None:
    play(kept, quorum, on_expiry, history)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=2500, deadline=None, suppress_health_check=_CHECKS, database=None)
@given(quorum=st.integers(1, 3), on_expiry=st.sampled_from(list(OnExpiry)), history=_HISTORIES)
def test_many_more_votes_come_to_what_a_plain_model_says(
    kept: Stored, quorum: int, on_expiry: OnExpiry, history: list[Act]
) -> None:
    play(kept, quorum, on_expiry, history)
