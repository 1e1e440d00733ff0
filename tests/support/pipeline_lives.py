"""Real runs of random pipelines, and the people who decide in them as their specs say."""

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import bindparam, select

from kern.components.steps.blocks import StepFunction
from kern.db.engine.plain_rows import execute
from kern.db.engine.store import Store
from kern.db.engine.typed_tables import TOOL_CALLS
from kern.requirements import Requirement
from kern.values.states import RequirementKind
from kern.workflow import StepInput, StepOutput
from tests.support.pipeline_specs import Spec, edited, made, note, replaced, troubled

_calls = TOOL_CALLS.table
_STEP_OF = select(_calls.c.step_id).where(_calls.c.id == bindparam("call_id"))


def every(spec: Spec) -> Iterator[Spec]:
    """Yield a spec and all that it holds."""
    yield spec
    for one in (*spec.inside, *spec.otherwise):
        yield from every(one)


class Work:
    """The functions of steps, which fail as often as their specs say, for each instance."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._tried: Counter[str] = Counter()

    def __call__(self, spec: Spec) -> StepFunction:
        def work(told: StepInput) -> StepOutput:
            self._tried[told.step_id] += 1
            if self._tried[told.step_id] <= spec.fails:
                message = f"{spec.name} fails"
                raise ValueError(message)
            self.done[told.idempotency_key] += 1
            content = made(spec, told.previous_content, told.feedback)
            return StepOutput(content=content, stop=spec.stops)

        return work


class People:
    """Fills in what the specs say about what a run waits for."""

    def __init__(self, spec: Spec, db: Store) -> None:
        self._specs = {one.name: one for one in every(spec)}
        self._db = db
        self._asked: Counter[tuple[str, str]] = Counter()

    def decide(self, asked: Requirement) -> None:
        spec = self._specs[asked.tool_name or ""]
        match asked.kind:
            case RequirementKind.confirmation if spec.gate == "no":
                asked.reject()
            case RequirementKind.confirmation if spec.gate == "edit":
                asked.edit({"input": edited(spec)})
            case RequirementKind.confirmation:
                asked.confirm()
            case RequirementKind.output_review:
                self._review(asked, spec)
            case _:
                said = troubled(spec, self._count(asked))
                {"again": asked.run_again, "skip": asked.skip, "fail": asked.fail}[said]()

    def _review(self, asked: Requirement, spec: Spec) -> None:
        if spec.review == "replace":
            asked.edit({"output": replaced(spec)})
        elif spec.review == "again" and self._count(asked) == 1:
            # A rejection does nothing again that must happen only once.
            does_again = spec.on_reject is None
            asked.run_again(note(spec)) if does_again else asked.reject(note(spec))
        elif spec.review == "no":
            asked.reject(note(spec))
        else:
            asked.confirm()

    def _count(self, asked: Requirement) -> int:
        """Return how often a person was asked this about this step."""
        step = self._db.read_now(
            lambda tx: execute(tx, _STEP_OF, call_id=asked.tool_call_id).scalar()
        )
        self._asked[str(step), asked.kind.value] += 1
        return self._asked[str(step), asked.kind.value]
