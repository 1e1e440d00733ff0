"""Runs as rows, without any Temporal: what the tests of the database contract work on."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue
from sqlmodel import Session

from kern.contracts.answers import Answer, NewCall, Question
from kern.contracts.messages import TurnOutcome
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.decisions import deciding
from kern.db.decisions.deciding import Accepted, Submission
from kern.db.engine.store import Store
from kern.db.journal.events import events_of
from kern.db.journal.outbox import Delivery
from kern.db.reading import run_outputs
from kern.db.runs import accepting
from kern.db.turns import calls, model_turns
from kern.db.turns.attempts import Claim, Execution, Settled, Storing
from kern.media import File, Image, read_all
from kern.models.base import ModelResponse
from kern.requirements import DecisionDraft, Principal, Requirement, submitted_digest
from kern.run import RequestedCall, RunOutput, ToolExecution
from kern.session_state import StateChange
from kern.tools import Approval
from kern.tools.signature import Signature
from kern.values.ids import new_id
from kern.values.states import RequirementKind, ToolOutcome, Verdict
from tests.support.raw_sql import execute_sql
from tests.support.templates import with_tables

TOKEN = "attempt"
# Memory speaks SQLite's dialect; what may differ in it has a file of its own.
NAMES = ("sqlite", "postgres")
NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
ARGUMENTS: dict[str, JsonValue] = {"order_id": "1042", "amount": 80.0}

Result = TypeVar("Result")


def refund(order_id: str, amount: float) -> str:
    """Pay back."""
    return f"{order_id}: {amount}"


SCHEMA = Signature(refund, "refund").schema


def after(seconds: float) -> datetime:
    """Return a moment after the one at which everything begins."""
    return NOW + timedelta(seconds=seconds)


@contextmanager
def opened(name: str, folder: Path) -> Generator["Stored"]:
    """Open an empty database of the given sort."""
    with closing(with_tables(name, folder)) as database:
        yield Stored(database)


def at_once(work: Sequence[Callable[[], Result]]) -> list[Result | Exception]:
    """Do everything in threads at the same time; an error is returned in its place."""

    def one(act: Callable[[], Result]) -> Result | Exception:
        try:
            return act()
        except Exception as error:  # noqa: BLE001  the test looks at it
            return error

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(one, work))


def question(kind: RequirementKind = RequirementKind.confirmation, **options: object) -> Question:
    """Return a question about a call of `refund`."""
    return Question(kind=kind, arguments_schema=SCHEMA, **options)  # type: ignore[arg-type]


class Stored:
    """Shorthands for the transactions of runs; each takes the moment at which it happens."""

    def __init__(self, database: Store) -> None:
        self.database = database

    def do(self, transaction: Callable[[Session], Result]) -> Result:
        return self.database.write_now(transaction)

    def look(self, transaction: Callable[[Session], Result]) -> Result:
        return self.database.read_now(transaction)

    def sql(self, statement: str, **values: object) -> None:
        """Change rows behind Kern's back."""
        self.do(lambda tx: execute_sql(tx, statement, **values))

    def accept(
        self,
        *,
        run_id: str | None = None,
        session_id: str | None = None,
        at: datetime = NOW,
        media: Sequence[Image | File] = (),
        kind: str = "agent",
        tenant: str = "",
        caller: str | None = None,
        **request: object,
    ) -> tuple[str, Delivery | None]:
        asked = RunRequest.model_validate(
            {
                "component_id": "agent",
                "input": "Hi",
                "session_id": session_id,
                "run_id": run_id,
                **request,
            }
        )
        run_id = run_id or new_id()
        delivery = self.do(
            lambda tx: accepting.accept(
                tx,
                asked,
                component_kind=kind,
                initial_state={},
                now=at,
                run_id=run_id,
                session_id=session_id or new_id(),
                attachments=read_all(media),
                tenant=tenant,
                caller=caller,
            )
        )
        return run_id, delivery

    def answer(
        self,
        run_id: str,
        *new: NewCall,
        turn: int = 1,
        content: str = "",
        at: datetime = NOW,
        began: datetime | None = None,
    ) -> TurnOutcome:
        response = ModelResponse(
            content=content,
            provider="scripted",
            tool_calls=[
                RequestedCall(id=c.provider_call_id, name=c.name, arguments="") for c in new
            ],
        )
        return self.do(
            lambda tx: model_turns.store(tx, run_id, turn, Answer(response, new, began=began), at)
        )

    def call(self, gate: Question | None = None, effect: str = "once", **request: object) -> str:
        """Make a run that has asked for one call of `refund`; return the call's id."""
        run_id, _ = self.accept(**request)  # type: ignore[arg-type]
        new = NewCall("c1", "refund", dict(ARGUMENTS), effect=effect, question=gate)
        return self.answer(run_id, new).calls[0].tool_call_id

    def gated(
        self,
        kind: RequirementKind = RequirementKind.confirmation,
        approval: Approval | None = None,
        **options: object,
    ) -> Requirement:
        """Make a run that waits for a person about one call of `refund`."""
        asked = question(kind, approval=approval or Approval(), **options)
        return self.requirement(self.call(asked, user_id="ann"))

    def doubtful(self) -> Requirement:
        """Make a run whose one call may or may not have happened."""
        call_id = self.call(user_id="ann")
        self.begin(call_id, "first")
        self.begin(call_id, "second")
        return self.requirement(call_id)

    def begin(self, call_id: str, token: str = TOKEN, at: datetime = NOW) -> Execution | Settled:
        """Take a call and begin it; nobody has to wait for the end of a lease."""
        claim = Claim(token, lease=timedelta(0))

        def begin(tx: Session) -> Execution | Settled:
            taken = calls.begin(tx, call_id, claim, at)
            if isinstance(taken, Execution):
                assert calls.may_begin(tx, call_id, token, at, timedelta(0))
            return taken

        return self.do(begin)

    def take(self, call_id: str, token: str = TOKEN, at: datetime = NOW) -> Execution | Settled:
        """Take a call that does not begin yet."""
        claim = Claim(token, lease=timedelta(0))
        return self.do(lambda tx: calls.begin(tx, call_id, claim, at))

    def finish(
        self,
        call_id: str,
        token: str = TOKEN,
        *changes: StateChange,
        result: str = "done",
        at: datetime = NOW,
    ) -> Storing:
        return self.do(
            lambda tx: calls.finish(
                tx,
                call_id,
                token,
                outcome=ToolOutcome.result,
                result=result,
                changes=list(changes),
                now=at,
            )
        )

    def resolve(
        self,
        seen: Requirement,
        verdict: Verdict = Verdict.approve,
        by: str | Principal = "dana",
        at: datetime = NOW,
        viewer: Viewer = OPERATOR,
        **draft: object,
    ) -> Accepted:
        decision = DecisionDraft(verdict=verdict, **draft)  # type: ignore[arg-type]
        submission = Submission(seen.id, submitted_digest(seen), decision, by)
        return self.do(lambda tx: deciding.resolve(tx, submission, viewer, at))

    def output(self, run_id: str) -> RunOutput:
        return self.look(lambda tx: run_outputs.run_output(tx, run_id, OPERATOR))

    def requirement(self, call_id: str) -> Requirement:
        """Return the newest requirement about a call."""
        found = [
            r for r in self.output(self.run_of(call_id)).requirements if r.tool_call_id == call_id
        ]
        return found[-1]

    def execution(self, call_id: str) -> ToolExecution:
        return next(c for c in self.output(self.run_of(call_id)).tools if c.id == call_id)

    def run_of(self, call_id: str) -> str:
        statement = "SELECT run_id FROM kern_tool_calls WHERE id = :id"
        found = self.look(lambda tx: execute_sql(tx, statement, id=call_id).scalar())
        assert isinstance(found, str)
        return found

    def events(self, run_id: str) -> list[str]:
        """Return the kinds of a run's events, having checked that their numbers have no gaps."""
        found = self.look(lambda tx: events_of(tx, run_id))
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return [event.kind for event in found]
