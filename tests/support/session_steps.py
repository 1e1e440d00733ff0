"""The steps in the life of a session, each made in a database and in the model."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import ClassVar, TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from sqlmodel import Session

from kern.contracts.answers import Answer
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Submission
from kern.db.journal import outbox
from kern.db.journal.outbox import Delivery
from kern.db.runs import accepting
from kern.db.sessions import records
from kern.db.turns import calls, model_turns
from kern.db.turns.attempts import Claim, Execution, Settled
from kern.errors import AlreadyResolved, InvalidInput, SessionBusy
from kern.models.base import ModelResponse, Usage
from kern.requirements import DecisionDraft
from kern.run import RequestedCall
from kern.values.ids import new_id
from kern.values.states import OnBusy, ToolOutcome, Verdict
from tests.support.session_checks import expected, found
from tests.support.session_model import HAPPENED, Ask, Call, Change, ModelSession, Run, Turn
from tests.support.session_strategies import DUE, AskedFor, new_call, operations, told
from tests.support.stored_runs import Stored, after

Result = TypeVar("Result")
One = TypeVar("One")

# The model knows no leases: a person may have a call executed again as soon as it was lost.
_NO_LEASE = timedelta(0)
# Above it, what is picked need not make sense.
SELDOM = 40


class SessionSteps(RuleBasedStateMachine):
    """What the rules are made of. `latest` are the sessions that the last step was about."""

    stored: ClassVar[Stored]

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.sessions: list[ModelSession] = []
        self.latest: list[ModelSession] = []
        self.told: dict[str, list[str]] = {}

    def do_begin(self, call: Call, token: str, *, again: bool) -> None:
        now = self.tick(call.run.session)

        def begin(tx: Session) -> Execution | Settled:
            taken = calls.begin(tx, call.id, Claim(token, lease=_NO_LEASE), after(now))
            if isinstance(taken, Execution):
                calls.may_begin(tx, call.id, token, after(now), _NO_LEASE)
            return taken

        done = self.write(begin, again=again)
        gate = done.gate.requirement_id if isinstance(done, Settled) and done.gate else None
        assert call.run.begin(call, token, now, gate) == told(done)

    def do_finish(self, call: Call, token: str, changes: list[Change], *, again: bool) -> None:
        now = self.tick(call.run.session)
        result = f"by the {token} at {now}"
        kept = self.write(
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

    def do_resolve(
        self, call: Call, ask: Ask, verdict: str, given: tuple[str, int], *, again: bool
    ) -> None:
        person, amount = given
        draft = DecisionDraft(
            verdict=Verdict(verdict),
            edit={"amount": amount} if amount != ask.amount else None,
            result=HAPPENED if verdict == "happened" else None,
        )
        digest = self.stored.requirement(call.id).digest if ask is call.asks[-1] else ""
        submission, now = Submission(ask.id, digest, draft, person), self.tick(call.run.session)
        taken = call.run.resolve(call, ask, verdict, given, now)
        try:
            self.write(
                lambda tx: deciding.resolve(tx, submission, OPERATOR, after(now)), again=again
            )
        except AlreadyResolved:
            assert not taken
        else:
            assert taken

    def do_change(self, session: ModelSession, changes: list[Change], now: int) -> None:
        asked = operations(changes)
        fits = session.change(changes)
        update = partial(records.update_state, changes=asked, now=after(now), update_id=new_id())
        try:
            self.stored.do(lambda tx: update(tx, session.id, OPERATOR))
        except InvalidInput:
            assert not fits
        else:
            assert fits

    def do_hear(self, session: ModelSession) -> None:
        """Temporal confirms what it was told."""
        for run in session.runs:
            waiting = self.stored.look(partial(_owed, run.id))
            self.stored.do(partial(_confirm, waiting))
            run.owed = []

    def do_accept(
        self, session: ModelSession, on_busy: OnBusy, state: Sequence[Change], *, again: bool
    ) -> None:
        run_id, now = new_id(), self.tick(session)
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
                    lambda tx: accepting.accept(
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

    def do_answer(
        self,
        run: Run,
        asked_for: list[AskedFor],
        content: str,
        ends: str,
        *,
        again: bool,
    ) -> None:
        now, turn, tokens = self.tick(run.session), run.turn + 1, self.now % 7
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
        self.write(lambda tx: model_turns.store(tx, run.id, turn, answer, after(now)), again=again)
        taken = Turn(content, self._stored_calls(run, turn, asked_for, now), answer.correction)
        run.answer(taken, tokens, now, fails=ends == "failure")

    def _stored_calls(self, run: Run, turn: int, asked_for: list[AskedFor], now: int) -> list[Call]:
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

    def compare(self, sessions: Sequence[ModelSession]) -> None:
        for session in sessions:
            really, told = self.stored.look(partial(found, session.id, after(self.now)))
            assert really == expected(session, self.now)
            for run_id, kinds in told.items():
                before = self.told.get(run_id, [])
                assert kinds[: len(before)] == before, "an event was changed after it was told"
            self.told |= told

    def tick(self, session: ModelSession) -> int:
        self.latest = [session]
        self.now += 1
        return self.now

    def write(self, transaction: Callable[[Session], Result], *, again: bool) -> Result:
        """Commit, and execute the same once more where nobody heard of the commit."""
        done = self.stored.do(transaction)
        if again:
            assert self.stored.do(transaction) == done
        return done

    def runs_that(self, fits: Callable[[Run], bool]) -> list[Run]:
        return [run for session in self.sessions for run in session.runs if fits(run)]

    def ready(self) -> list[Run]:
        return self.runs_that(lambda run: run.may_answer)

    def calls_that(self, fits: Callable[[Call], bool] = bool) -> list[Call]:
        own = self.runs_that(lambda run: not run.is_copy)
        return [call for run in own for call in run.calls() if fits(call)]

    def call_that(self, fits: Callable[[Call], bool], place: int) -> Call:
        """Return a call that fits, and now and then any."""
        return one_of(self.calls_that(bool if place > SELDOM else fits), place)

    def asks_that(self, fits: Callable[[Ask], bool]) -> list[tuple[Call, Ask]]:
        return [(call, ask) for call in self.calls_that() for ask in call.asks if fits(ask)]


def one_of(among: Sequence[One], place: int) -> One:
    """Choose the latest for 0, where most can happen."""
    return among[-1 - place % len(among)]


def _owed(run_id: str, tx: Session) -> list[Delivery]:
    return outbox.deliveries_of(tx, run_id)


def _confirm(heard: Sequence[Delivery], tx: Session) -> None:
    outbox.confirm(tx, *(one.id for one in heard))
