"""Random lives of sessions, each step made in a database and in the model of `session_model`."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from kern.contracts.messages import ExpiryOutcome
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import deciding
from kern.db.runs import lifecycle, session_queue
from kern.db.sessions import forks, records
from kern.values.ids import new_id
from kern.values.states import OnBusy
from tests.support.session_model import Ask, Call, Change, ModelSession
from tests.support.session_steps import SELDOM, SessionSteps, one_of
from tests.support.session_strategies import (
    DUE,
    AskedFor,
    attempts,
    changes_of_state,
    gated,
    people,
    picks,
    ungated,
)
from tests.support.stored_runs import after

_MOST_SESSIONS = 3


class Interleavings(SessionSteps):
    """Each rule is one transaction; `again` repeats it, as when its commit was not heard of."""

    @initialize()
    def begin(self) -> None:
        self.sessions = [ModelSession(new_id())]
        self.do_accept(self.sessions[0], OnBusy.reject, [], again=False)

    @rule(place=picks, again=st.booleans())
    def queue(self, place: int, *, again: bool) -> None:
        self.do_accept(one_of(self.sessions, place), OnBusy.queue, [], again=again)

    @rule(
        place=picks,
        on_busy=st.sampled_from(OnBusy),
        state=changes_of_state,
        again=st.booleans(),
    )
    def accept(self, place: int, on_busy: OnBusy, state: list[Change], *, again: bool) -> None:
        self.do_accept(one_of(self.sessions, place), on_busy, state, again=again)

    @precondition(lambda self: self.ready())
    @rule(place=picks, asked_for=st.lists(gated, min_size=1, max_size=2), again=st.booleans())
    def ask_people(self, place: int, asked_for: list[AskedFor], *, again: bool) -> None:
        self.do_answer(one_of(self.ready(), place), asked_for, "", "well", again=again)

    @precondition(lambda self: self.ready())
    @rule(place=picks, asked_for=st.lists(gated | ungated, min_size=1, max_size=3))
    def ask_for_calls(self, place: int, asked_for: list[AskedFor]) -> None:
        self.do_answer(one_of(self.ready(), place), asked_for, "Let me see.", "well", again=False)

    @precondition(lambda self: self.ready())
    @rule(place=picks, again=st.booleans())
    def answer(self, place: int, *, again: bool) -> None:
        self.do_answer(one_of(self.ready(), place), [], "Said.", "well", again=again)

    @precondition(lambda self: self.ready())
    @rule(
        place=picks,
        ends=st.sampled_from(["correction", "failure"]),
        asked_for=st.lists(gated | ungated, max_size=2),
    )
    def answer_badly(self, place: int, ends: str, asked_for: list[AskedFor]) -> None:
        asked_for = asked_for if ends == "failure" else []
        self.do_answer(one_of(self.ready(), place), asked_for, "", ends, again=False)

    @precondition(lambda self: self.runs_that(lambda run: run.ended_early))
    @rule(place=picks, again=st.booleans())
    def answer_too_late(self, place: int, *, again: bool) -> None:
        run = one_of(self.runs_that(lambda run: run.ended_early), place)
        self.do_answer(run, [], "Late.", "well", again=again)

    @precondition(lambda self: self.ready())
    @rule(place=picks, changes=changes_of_state, again=st.booleans())
    def use_a_tool(self, place: int, changes: list[Change], *, again: bool) -> None:
        """Three steps at once, since few lives would take them one by one."""
        run = one_of(self.ready(), place)
        self.do_answer(run, [(None, "once")], "", "well", again=again)
        call = run.calls()[-1]
        self.do_begin(call, "only attempt", again=again)
        self.do_finish(call, "only attempt", changes, again=again)

    @precondition(lambda self: self.calls_that(_is_open))
    @rule(place=picks, token=attempts, again=st.booleans())
    def begin_call(self, place: int, token: str, *, again: bool) -> None:
        self.do_begin(self.call_that(_is_open, place), token, again=again)

    @precondition(lambda self: self.calls_that(_is_held))
    @rule(place=picks, token=attempts, changes=changes_of_state, again=st.booleans())
    def finish_call(self, place: int, token: str, changes: list[Change], *, again: bool) -> None:
        self.do_finish(self.call_that(_is_held, place), token, changes, again=again)

    @precondition(lambda self: self.calls_that(lambda call: call.may_begin))
    @rule(place=picks, changes=changes_of_state, again=st.booleans())
    def execute_call(self, place: int, changes: list[Change], *, again: bool) -> None:
        call = self.call_that(lambda call: call.may_begin, place)
        self.do_begin(call, "only attempt", again=again)
        self.do_finish(call, "only attempt", changes, again=again)

    @precondition(lambda self: self.asks_that(_is_asked))
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
        call, ask = one_of(self.asks_that(bool if place > SELDOM else _is_asked), place)
        verdict = "reject" if not allows else rest if ask.is_doubt else "approve"
        given = (by, amount if verdict == "approve" and amount is not None else ask.amount)
        self.do_resolve(call, ask, verdict, given, again=again)

    @precondition(lambda self: self.asks_that(_is_asked))
    @rule(place=picks, amounts=st.lists(st.sampled_from([50, 60]), min_size=2, max_size=3))
    def agree(self, place: int, amounts: list[int]) -> None:
        """Several people approve one call, perhaps with different edits."""
        call, ask = one_of(self.asks_that(_is_asked), place)
        if not ask.is_doubt:
            for person, amount in zip(("dana", "eli", "fay"), amounts, strict=False):
                self.do_resolve(call, ask, "approve", (person, amount), again=False)

    @precondition(lambda self: self.asks_that(_is_asked))
    @rule(place=picks, passed=st.integers(0, DUE), again=st.booleans())
    def expire(self, place: int, passed: int, *, again: bool) -> None:
        call, ask = one_of(self.asks_that(bool if place > SELDOM else _is_asked), place)
        self.now += passed
        now = self.tick(call.run.session)
        was_open, had_ended = ask.status == "pending", call.run.has_ended
        done = self.write(lambda tx: deciding.expire(tx, ask.id, after(now)), again=again)
        is_early = was_open and not had_ended and not call.run.expire(call, ask, now)
        assert (done.gate is not None) == is_early
        assert done == ExpiryOutcome(gate=done.gate, run_ended=call.run.has_ended)

    @precondition(lambda self: self.runs_that(lambda run: not run.has_ended))
    @rule(place=picks, again=st.booleans())
    def cancel(self, place: int, *, again: bool) -> None:
        run = one_of(self.runs_that(lambda run: not run.has_ended), place)
        now = self.tick(run.session)
        assert run.cancel(now)
        self.write(lambda tx: lifecycle.cancel(tx, run.id, OPERATOR, after(now)), again=again)

    @rule(
        place=picks,
        what=st.sampled_from(["state", "name", "told", "left"]),
        changes=changes_of_state,
    )
    def meanwhile(self, place: int, what: str, changes: list[Change]) -> None:
        """Somebody does something beside the runs; one rule, so that it is not done most often."""
        session = one_of(self.sessions, place)
        now = self.tick(session)
        match what:
            case "state":
                self.do_change(session, changes, now)
            case "name":
                session.name = f"Name at {now}"
                self.write(
                    lambda tx: records.rename(
                        tx, session.id, OPERATOR, session.name or "", after(now)
                    ),
                    again=True,
                )
            case "told":
                self.do_hear(session)
            case _:
                # The relay looks for queued runs that nobody released, and finds none.
                self.write(
                    lambda tx: session_queue.start_next_run(tx, session.id, "", after(now)),
                    again=True,
                )

    @precondition(lambda self: len(self.sessions) < _MOST_SESSIONS)
    @rule(place=picks, until=st.none() | picks, again=st.booleans())
    def fork(self, place: int, until: int | None, *, again: bool) -> None:
        source, fork_id = one_of(self.sessions, place), new_id()
        now = self.tick(source)
        last = None if until is None or not source.runs else one_of(source.runs, until)
        self.write(
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
        copied = self.stored.look(lambda tx: records.latest_runs(tx, fork_id, 1000))
        assert len(copied) == len(copy.runs)
        for run, output in zip(copy.runs, reversed(copied), strict=True):
            run.id = output.run_id
        self.sessions.append(copy)
        self.latest.append(copy)

    @invariant()
    def agrees(self) -> None:
        """What the database says of the session is what the model says."""
        self.compare(self.latest)

    def teardown(self) -> None:
        """See that the last steps left the other sessions alone."""
        self.compare(self.sessions)

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


def _is_open(call: Call) -> bool:
    return call.status != "done" and not call.run.has_ended


def _is_held(call: Call) -> bool:
    return call.status != "done" and call.holder is not None


def _is_asked(ask: Ask) -> bool:
    return ask.status == "pending"
