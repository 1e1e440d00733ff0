"""Random lives of sessions, each step made in a database and in the model of `session_model`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlmodel import Session

from kern.contracts import ExpiryOutcome
from kern.db import calls, deciding, forks, order, outbox, runs, sessions, turns
from kern.db.calls import Settled
from kern.db.deciding import Submission
from kern.db.turns import Answer
from kern.db.viewer import OPERATOR
from kern.errors import AlreadyResolved, InvalidInput, RunEnded, SessionBusy
from kern.ids import new_id
from kern.models.base import ModelResponse, Usage
from kern.requirements import DecisionDraft
from kern.run import RequestedCall
from kern.runner import RunRequest
from kern.states import OnBusy, ToolOutcome, Verdict
from kern.tools import Approval
from tests.support.session_checks import expected, found
from tests.support.session_model import HAPPENED, Ask, Call, Change, ModelSession, Run, Turn
from tests.support.session_strategies import (
    DUE,
    asked_for_calls,
    attempts,
    changes_of_state,
    new_call,
    operations,
    people,
    picks,
    told,
)
from tests.support.stored_runs import Stored, after

Result = TypeVar("Result")
One = TypeVar("One")

_MOST_SESSIONS = 3


class Interleavings(RuleBasedStateMachine):
    """Each rule is one transaction; `again` repeats it, as when its commit was not heard of."""

    stored: ClassVar[Stored]

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.sessions: list[ModelSession] = []
        self.latest: list[ModelSession] = []
        self.told: dict[str, list[str]] = {}

    @initialize()
    def begin(self) -> None:
        self.sessions = [ModelSession(new_id())]
        self._accept(self.sessions[0], OnBusy.reject, [], again=False)

    @rule(place=picks, on_busy=st.sampled_from(OnBusy), state=changes_of_state, again=st.booleans())
    def accept(self, place: int, on_busy: OnBusy, state: list[Change], *, again: bool) -> None:
        self._accept(_one(self.sessions, place), on_busy, state, again=again)

    @precondition(lambda self: self._runs(lambda run: run.may_answer))
    @rule(
        place=picks,
        asked_for=asked_for_calls,
        content=st.sampled_from(["", "Said."]),
        ends=st.sampled_from(["well", "well", "well", "failure", "correction"]),
        again=st.booleans(),
    )
    def answer(
        self,
        place: int,
        asked_for: list[tuple[Approval | None, str]],
        content: str,
        ends: str,
        *,
        again: bool,
    ) -> None:
        self._answer(
            _one(self._runs(lambda run: run.may_answer), place),
            [] if ends == "correction" else asked_for,
            content,
            ends,
            again=again,
        )

    @precondition(lambda self: self._runs(lambda run: run.ended_early))
    @rule(place=picks, again=st.booleans())
    def answer_too_late(self, place: int, *, again: bool) -> None:
        self._answer(
            _one(self._runs(lambda run: run.ended_early), place), [], "Late.", "well", again=again
        )

    @precondition(lambda self: self._calls())
    @rule(place=picks, token=attempts, again=st.booleans())
    def begin_call(self, place: int, token: str, *, again: bool) -> None:
        call = _one(self._calls(), place)
        now = self._tick(call.run.session)
        done = self._write(lambda tx: calls.begin(tx, call.id, token, after(now)), again=again)
        gate = done.gate.requirement_id if isinstance(done, Settled) and done.gate else None
        assert call.run.begin(call, token, now, gate) == told(done)

    @precondition(lambda self: self._calls())
    @rule(place=picks, token=attempts, changes=changes_of_state, again=st.booleans())
    def finish_call(self, place: int, token: str, changes: list[Change], *, again: bool) -> None:
        call = _one(self._calls(), place)
        now = self._tick(call.run.session)
        result = f"by the {token} at {now}"
        kept = self._write(
            lambda tx: calls.finish(
                tx,
                call.id,
                token,
                outcome=ToolOutcome.result,
                result=result,
                changes=operations(changes),
                now=after(now),
            ),
            again=again,
        )
        assert call.run.finish(call, token, result, changes, now) == kept.value

    @precondition(lambda self: self._asks())
    @rule(
        place=picks,
        allows=st.booleans(),
        by=people,
        amount=st.sampled_from([None, 50]),
        rest=st.sampled_from(["run_again", "happened", "fail"]),
        again=st.booleans(),
    )
    def resolve(
        self, place: int, by: str, rest: str, amount: int | None, *, allows: bool, again: bool
    ) -> None:
        call, ask = _one(self._asks(), place)
        verdict = "reject" if not allows else rest if ask.is_doubt else "approve"
        edit = None if amount is None or verdict != "approve" else {"amount": amount}
        runs_with = amount if edit is not None and amount is not None else ask.amount
        draft = DecisionDraft(
            verdict=Verdict(verdict),
            edit=dict(edit) if edit else None,
            result=HAPPENED if verdict == "happened" else None,
        )
        digest = self.stored.requirement(call.id).digest if ask is call.asks[-1] else ""
        submission, now = Submission(ask.id, digest, draft, by), self._tick(call.run.session)
        taken = call.run.resolve(call, ask, verdict, (by, runs_with), now)
        try:
            self._write(
                lambda tx: deciding.resolve(tx, submission, OPERATOR, after(now)), again=again
            )
        except AlreadyResolved:
            assert not taken
        else:
            assert taken

    @precondition(lambda self: self._asks())
    @rule(place=picks, passed=st.integers(0, DUE), again=st.booleans())
    def expire(self, place: int, passed: int, *, again: bool) -> None:
        call, ask = _one(self._asks(), place)
        self.now += passed
        now = self._tick(call.run.session)
        was_open, had_ended = ask.status == "pending", call.run.has_ended
        done = self._write(lambda tx: deciding.expire(tx, ask.id, after(now)), again=again)
        is_early = was_open and not had_ended and not call.run.expire(call, ask, now)
        assert (done.gate is not None) == is_early
        assert done == ExpiryOutcome(gate=done.gate, run_ended=call.run.has_ended)

    @rule(place=picks, again=st.booleans())
    def cancel(self, place: int, *, again: bool) -> None:
        run = _one(self._runs(lambda run: not run.is_copy), place)
        now = self._tick(run.session)
        for has_effect in [run.cancel(now), *([False] if again else [])]:
            try:
                self.stored.do(lambda tx: runs.cancel(tx, run.id, OPERATOR, after(now)))
            except RunEnded:
                assert not has_effect
            else:
                assert has_effect

    @rule(place=picks)
    def hear_of_everything(self, place: int) -> None:
        """Temporal confirms what it was told of a run."""
        run = _one(self._runs(lambda run: not run.is_copy), place)
        self.latest = [run.session]
        waiting = self.stored.look(lambda tx: outbox.deliveries_of(tx, run.id))
        self.stored.do(lambda tx: outbox.confirm(tx, *(one.id for one in waiting)))
        run.owed = []

    @rule(place=picks)
    def look_for_what_was_left_behind(self, place: int) -> None:
        """The relay looks for queued runs that nobody released, and finds none."""
        session = _one(self.sessions, place)
        now = self._tick(session)
        self._write(lambda tx: order.let_next_begin(tx, session.id, "", after(now)), again=False)

    @rule(place=picks, changes=changes_of_state)
    def change_state(self, place: int, changes: list[Change]) -> None:
        session = _one(self.sessions, place)
        now = self._tick(session)
        asked = operations(changes)
        if session.change(changes):
            self.stored.do(
                lambda tx: sessions.update_state(tx, session.id, OPERATOR, asked, after(now))
            )
            return
        try:
            self.stored.do(
                lambda tx: sessions.update_state(tx, session.id, OPERATOR, asked, after(now))
            )
        except InvalidInput:
            return
        raise AssertionError(changes)

    @rule(place=picks, name=st.sampled_from(["Refunds", "Ärger"]), again=st.booleans())
    def rename(self, place: int, name: str, *, again: bool) -> None:
        session = _one(self.sessions, place)
        now = self._tick(session)
        self._write(
            lambda tx: sessions.rename(tx, session.id, OPERATOR, name, after(now)), again=again
        )
        session.name = name

    @precondition(lambda self: len(self.sessions) < _MOST_SESSIONS)
    @rule(place=picks, until=st.none() | picks, again=st.booleans())
    def fork(self, place: int, until: int | None, *, again: bool) -> None:
        source, fork_id = _one(self.sessions, place), new_id()
        now = self._tick(source)
        last = None if until is None or not source.runs else _one(source.runs, until)
        self._write(
            lambda tx: forks.fork(
                tx,
                source.id,
                OPERATOR,
                after(now),
                fork_id=fork_id,
                run_id=None if last is None else last.id,
            ),
            again=again,
        )
        copy = source.fork(fork_id, None if last is None else last.number)
        copied = self.stored.look(lambda tx: sessions.latest_runs(tx, fork_id, 1000))
        assert len(copied) == len(copy.runs)
        for run, output in zip(copy.runs, reversed(copied), strict=True):
            run.id = output.run_id
        self.sessions.append(copy)
        self.latest.append(copy)

    @invariant()
    def agrees(self) -> None:
        """What the database says of the session is what the model says."""
        self._agree(self.latest)

    def teardown(self) -> None:
        """See that the last steps left the other sessions alone."""
        self._agree(self.sessions)

    @invariant()
    def goes_in_order(self) -> None:
        """One run moves, of those that neither paused nor would go beside others."""
        for session in self.sessions:
            queued = [run for run in session.runs if run.is_queued]
            moving = [run for run in session.runs if run.moves and not run.is_queued]
            assert moving or not queued
            assert (
                sum("run_dequeued" in run.told and "run_paused" not in run.told for run in moving)
                <= 1
            )

    def _accept(
        self, session: ModelSession, on_busy: OnBusy, state: Sequence[Change], *, again: bool
    ) -> None:
        run_id, now = new_id(), self._tick(session)
        given = {key: value for _, key, value in state}
        request = RunRequest.model_validate(
            {
                "component_id": "agent",
                "input": f"Input at {now}",
                "session_id": session.id,
                "run_id": run_id,
                "on_busy": on_busy,
                "session_state": given,
            }
        )
        run = session.accept(run_id, request.input, on_busy.value)
        deliveries: list[bool] = []
        for _time in range(1 + again):
            try:
                delivery = self.stored.do(
                    lambda tx: runs.accept(
                        tx,
                        request,
                        component_kind="agent",
                        initial_state={},
                        now=after(now),
                        run_id=run_id,
                        session_id=session.id,
                    )
                )
            except SessionBusy:
                assert run is None
                return
            deliveries.append(delivery is not None)
        assert run is not None
        assert deliveries == [not run.is_queued, False][: len(deliveries)]
        session.change([("set", key, value) for key, value in given.items()])

    def _answer(
        self,
        run: Run,
        asked_for: list[tuple[Approval | None, str]],
        content: str,
        ends: str,
        *,
        again: bool,
    ) -> None:
        now, turn, tokens = self._tick(run.session), run.turn + 1, self.now % 7
        new = [
            new_call(f"{turn}.{place}", approval, effect)
            for place, (approval, effect) in enumerate(asked_for)
        ]
        answer = Answer(
            ModelResponse(
                content=content,
                provider="scripted",
                usage=Usage(input_tokens=tokens, output_tokens=1),
                tool_calls=[
                    RequestedCall(id=one.provider_call_id, name=one.name, arguments="{}")
                    for one in new
                ],
            ),
            new,
            correction="Again." if ends == "correction" else None,
            failure=("code", "why") if ends == "failure" else None,
        )
        self._write(lambda tx: turns.store(tx, run.id, turn, answer, after(now)), again=again)
        taken = Turn(content, self._stored_calls(run, turn, asked_for, now), answer.correction)
        run.answer(taken, tokens, now, fails=ends == "failure")

    def _stored_calls(
        self, run: Run, turn: int, asked_for: list[tuple[Approval | None, str]], now: int
    ) -> list[Call]:
        """Return a turn's calls with the ids that the database gave to them and their asks."""
        output = self.stored.output(run.id)
        ids = [one.id for one in output.tools if one.turn == turn]
        made: list[Call] = []
        for place, (call_id, (approval, effect)) in enumerate(zip(ids, asked_for, strict=True)):
            call = Call(call_id, f"{turn}.{place}", 80, effect, run)
            about = [one.id for one in output.requirements if one.tool_call_id == call_id]
            assert len(about) == (approval is not None)
            if approval is not None:
                due = None if approval.due is None else now + DUE
                on_expiry = str(approval.on_expiry)
                call.asks.append(Ask(about[0], 80, approval.quorum, due, on_expiry))
            made.append(call)
        return made

    def _agree(self, sessions: Sequence[ModelSession]) -> None:
        for session in sessions:
            really, told = self.stored.look(partial(found, session.id, after(self.now)))
            assert really == expected(session, self.now)
            for run_id, kinds in told.items():
                before = self.told.get(run_id, [])
                assert kinds[: len(before)] == before, "an event was changed after it was told"
            self.told |= told

    def _tick(self, session: ModelSession) -> int:
        self.latest = [session]
        self.now += 1
        return self.now

    def _write(self, transaction: Callable[[Session], Result], *, again: bool) -> Result:
        """Commit, and execute the same once more where nobody heard of the commit."""
        done = self.stored.do(transaction)
        if again:
            assert self.stored.do(transaction) == done
        return done

    def _runs(self, fits: Callable[[Run], bool]) -> list[Run]:
        return [run for session in self.sessions for run in session.runs if fits(run)]

    def _calls(self) -> list[Call]:
        return [call for run in self._runs(lambda run: not run.is_copy) for call in run.calls()]

    def _asks(self) -> list[tuple[Call, Ask]]:
        return [(call, ask) for call in self._calls() for ask in call.asks]


def _one(among: Sequence[One], place: int) -> One:
    """Choose the latest for 0, where most can happen."""
    return among[-1 - place % len(among)]
