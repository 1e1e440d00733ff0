"""Activities and workflows of one pipeline in the places of Temporal's, in an order that is told.

Each step of them is one real transaction, so that every order in which they may come can be played,
also that of activities whose workflow has ended without their having heard of it.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Generator
from functools import partial

from sqlmodel import Session

from kern.components.component import definition_of
from kern.contracts.messages import PipelineOutcome, Work
from kern.contracts.viewer import OPERATOR
from kern.db.steps import retry as retrying
from kern.db.steps import transactions
from kern.db.steps.tasks import Evaluate, Execute, Finished, Task
from kern.db.turns import calls
from kern.db.turns.attempts import Claim
from kern.values.ids import new_id
from kern.values.states import RunStatus, ToolOutcome
from kern.workflow import Workflow
from tests.support.stored_runs import NOW, Stored

_HEARS = 0.1

Activity = Generator[None, bool | None, PipelineOutcome]


class Lanes:
    """A run of a workflow, one step of which fails until it is told not to.

    `failing`: the step's name, and its item's number if it is in a `for_each`, which gives `items`.
    `run_id`: a run that was accepted before, or begun.
    """

    def __init__(
        self,
        stored: Stored,
        workflow: Workflow,
        *,
        items: int = 0,
        failing: str = "",
        run_id: str | None = None,
    ) -> None:
        if run_id is None:
            run_id, _ = stored.accept(kind="workflow", component_id=workflow.id or "")
        self.run_id = run_id
        self.executed: Counter[str] = Counter()
        self.is_good = False
        self._stored = stored
        self._shape = definition_of(workflow).layout.shape
        self._items, self._failing = items, failing

    @property
    def status(self) -> RunStatus:
        return self._stored.output(self.run_id).status

    def retry(self) -> None:
        self.is_good = True
        self._stored.do(lambda tx: retrying.retry(tx, self.run_id, OPERATOR, NOW))

    def is_resolved(self, requirement_id: str) -> bool:
        found = self._stored.output(self.run_id).requirements
        return all(one.is_resolved for one in found if one.id == requirement_id)

    def begin(self) -> Activity:
        """The activity that asks for everything that is open."""
        yield
        begun = self._stored.do(lambda tx: transactions.begin(tx, self.run_id, self._shape, NOW))
        if begun.ended or len(begun.work) != 1 or begun.work[0].gate is not None:
            return begun
        return (yield from self.serve(begun.work[0].lane))

    def serve(self, lane: str) -> Activity:
        """The activity that serves a lane; told to stop, it lets the step end that it executes."""
        yield
        token = new_id()
        task = self._stored.do(partial(self._take, lane=lane, token=token))
        while not isinstance(task, PipelineOutcome):
            assert isinstance(task, Execute | Evaluate)
            # Others may come between taking a step and beginning it.
            is_stopped = yield
            if not self._stored.do(partial(_begin, task=task, token=token, gives_up=is_stopped)):
                if is_stopped:
                    return PipelineOutcome()
                token = new_id()
                task = self._stored.do(partial(self._take, lane=lane, token=token))
                continue
            # Here its step is executed.
            is_stopped = yield
            end = partial(self._end, done=task, token=token)
            if is_stopped:
                self._stored.do(end)
                return PipelineOutcome()
            token = new_id()
            take = partial(self._take, lane=lane, token=token)
            task = self._stored.do(partial(_both, end=end, take=take))
        return task

    def finish(self, activity: Activity) -> PipelineOutcome:
        """Play an activity to its end, and nothing beside it; return what it reports."""
        try:
            while True:
                next(activity)
        except StopIteration as stop:
            outcome: PipelineOutcome = stop.value
            return outcome

    def _take(self, tx: Session, lane: str, token: str) -> Task:
        return transactions.take(tx, self.run_id, lane, Claim(token), NOW)

    def _end(self, tx: Session, done: Execute | Evaluate, token: str) -> None:
        if isinstance(done, Evaluate):
            transactions.answer(tx, done, list(range(self._items)), NOW)
        else:
            item = done.execution.arguments.get("item")
            name = done.node.rpartition("/")[-1] + ("" if item is None else str(item))
            ended = Finished(ToolOutcome.result, content=item)
            if name == self._failing and not self.is_good:
                ended = Finished(ToolOutcome.error, error="not this one")
            else:
                self.executed[name] += 1
            transactions.finish(tx, done.call, token, ended, NOW)


def _begin(tx: Session, task: Execute | Evaluate, token: str, *, gives_up: bool | None) -> bool:
    """Mark a step as begun, unless its activity has heard before that it has to stop."""
    if isinstance(task, Evaluate):
        return not gives_up
    if gives_up:
        calls.release(tx, task.execution.tool_call_id, token, "It was not begun.", NOW, begun=False)
        return False
    return calls.may_begin(tx, task.execution.tool_call_id, token, NOW)


def _both(tx: Session, end: Callable[[Session], None], take: Callable[[Session], Task]) -> Task:
    end(tx)
    return take(tx)


class Player:
    """Plays activities in an order that a seed tells, and has a workflow serve what they name.

    `frozen`: how probable it is, at each step, that an activity is thought dead and begins anew.
    """

    def __init__(self, lanes: Lanes, seed: int, *, frozen: float = 0.0) -> None:
        self._lanes = lanes
        self._frozen = frozen
        self._random = random.Random(seed)  # noqa: S311  nothing is secret here
        # Each activity of the workflow that runs, with the lane that it serves.
        self._mine: list[tuple[Activity, str | None]] = []
        # Those whose answer nobody waits for any more, and who have not heard of it.
        self._late: list[Activity] = []
        self._gated: list[Work] = []

    def start(self) -> None:
        """Have another workflow take the place of the one before."""
        self._late += [one for one, _ in self._mine]
        self._mine, self._gated = [], []
        self._begin(None)

    def restart(self) -> None:
        """Have all activities die, and begin again in other workers."""
        died, self._mine, self._late = self._mine, [], []
        for _, lane in died:
            self._begin(lane)

    def play(self, most: int | None = None) -> bool:
        """Go on until the workflow hears that the run has ended; it is never left with nothing.

        False if that takes more than so many steps.
        """
        for _ in itertools.count() if most is None else range(most):
            self._wake()
            place = self._random.randrange(len(self._mine) + len(self._late) or 1)
            if place >= len(self._mine):
                assert self._late, "The workflow waits, and nothing will come."
                self._go_on_late(self._late[place - len(self._mine)])
                continue
            one, lane = self._mine[place]
            if self._random.random() < self._frozen:
                self._mine.remove((one, lane))
                self._late.append(one)
                self._begin(lane)
                continue
            try:
                one.send(None)
            except StopIteration as stop:
                self._mine.remove((one, lane))
                if stop.value.ended:
                    return True
                self._hear(stop.value)
        return False

    def _begin(self, lane: str | None) -> None:
        activity = self._lanes.begin() if lane is None else self._lanes.serve(lane)
        next(activity)
        self._mine.append((activity, lane))

    def _go_on_late(self, one: Activity) -> None:
        try:
            one.send(self._random.random() < _HEARS)
        except StopIteration:
            self._late.remove(one)

    def _hear(self, outcome: PipelineOutcome) -> None:
        known = {lane for _, lane in self._mine} | {work.lane for work in self._gated}
        for work in outcome.work:
            if work.lane in known:
                continue
            if work.gate is None:
                self._begin(work.lane)
            else:
                self._gated.append(work)

    def _wake(self) -> None:
        for work in list(self._gated):
            if work.gate is not None and self._lanes.is_resolved(work.gate.requirement_id):
                self._gated.remove(work)
                self._begin(work.lane)
