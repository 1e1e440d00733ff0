"""The machine of frames comes to what a plain interpreter of the same pipeline comes to."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from kern.components.steps.blocks import Step, Steps
from kern.components.steps.compile import compile_steps
from kern.components.steps.containers import Condition, Parallel
from kern.components.steps.review import HumanReview
from kern.db.engine.mutable_rows import MutableStep
from kern.pipeline.frames import SERVED, Ending, Outcome, Phase
from kern.pipeline.machine import Machine
from tests.support.pipeline_frames import MemoryFrames
from tests.support.pipeline_lives import every
from tests.support.pipeline_specs import (
    Interpreter,
    Spec,
    block_of,
    edited,
    items,
    made,
    note,
    pipelines,
    pure_work,
    replaced,
    roll,
    routes,
    troubled,
)

GIVEN = "the input"


def test_a_condition_that_begins_again_has_not_chosen_yet() -> None:
    """What it chose before counts as known no more, if it is stopped before it chooses again."""
    again = HumanReview(requires_output_review=True, on_reject="retry")
    chosen = Condition(
        lambda: True, [Step("a", str), Step("b", str)], name="if", human_review=again
    )
    block = Steps([Parallel(chosen, Step("c", str), name="both", on_error="skip")])
    frames = MemoryFrames(compile_steps(block).shape, GIVEN)
    machine = Machine(frames)
    machine.begin()

    def frame(name: str) -> MutableStep:
        return next(row for row in reversed(frames.rows.values()) if row.name == name)

    machine.on_answer(frame("if"), [0])
    machine.worked(frame("a"), "A")
    machine.worked(frame("b"), "B")
    machine.disapproved(frame("if"), "once more", "rejected", silent=False)
    assert frame("if").phase == Phase.ask
    machine.failed(frame("c"), "broken", "it failed")
    assert machine.ending is not None
    assert (frames.done, frames.known) == (2, 2)


class Drive:
    """Plays everybody from outside: the code, the people, and the order in which they come."""

    def __init__(self, spec: Spec, order: st.DataObject | None = None) -> None:
        block = block_of(spec, pure_work)
        assert isinstance(block, Steps)
        self.layout = compile_steps(block)
        self.frames = MemoryFrames(self.layout.shape, GIVEN)
        self.specs = {one.name: one for one in every(spec)}
        self.order = order
        self.counts: Counter[tuple[str, str]] = Counter()
        self.worked: Counter[str] = Counter()

    def run(self) -> Ending:
        machine = Machine(self.frames)
        machine.begin()
        while machine.ending is None:
            assert self.frames.is_bounded()
            waiting = [one for one in self.frames.rows.values() if Phase(one.phase) in SERVED]
            assert waiting, "nothing goes on, and the pipeline has not ended"
            machine = Machine(self.frames)
            self.serve(machine, self.choose(waiting))
        return machine.ending

    def choose(self, waiting: list[MutableStep]) -> MutableStep:
        return waiting[0] if self.order is None else self.order.draw(st.sampled_from(waiting))

    def count(self, frame: MutableStep, what: str) -> int:
        self.counts[frame.id, what] += 1
        return self.counts[frame.id, what]

    def serve(self, machine: Machine[MutableStep], frame: MutableStep) -> None:
        spec, told = self.specs[frame.name], self.frames.input_of(frame)
        match Phase(frame.phase):
            case Phase.gate if spec.gate == "no":
                machine.refused(frame, "no")
            case Phase.gate:
                if spec.gate == "edit":
                    machine.edited(frame, edited(spec))
                machine.on_pass(frame)
            case Phase.ask:
                machine.on_answer(frame, self.answer(spec, told))
            case Phase.work if self.count(frame, "work") <= spec.fails:
                frame.call_id = "call"
                machine.failed(frame, "broken", "it failed")
            case Phase.work:
                frame.call_id = "call"
                content = made(spec, told, self.frames.feedback(frame))
                machine.worked(frame, content, stop=spec.stops)
            case Phase.until:
                told = told if frame.last_id is None else self.frames.content(frame.last_id)
                machine.end_decided(frame, is_over=bool(roll(spec.name, told, 2)))
            case Phase.review:
                self.review(machine, frame, spec)
            case _:
                self.decide(machine, frame, spec)

    def answer(self, spec: Spec, told: JsonValue) -> list[JsonValue]:
        if spec.kind == "each":
            return items(spec, told)
        if spec.kind == "router":
            return list(routes(spec, told))
        if roll(spec.name, told, 2):
            return [0]
        return [1] if spec.otherwise else []

    def review(self, machine: Machine[MutableStep], frame: MutableStep, spec: Spec) -> None:
        verdict = spec.review
        if verdict == "again":
            verdict = "no" if self.count(frame, "review") == 1 else "approve"
        elif verdict == "no":
            # Nobody says more: that is no wish for another try.
            machine.disapproved(frame, None, "no", silent=True)
            return
        if verdict == "no":
            machine.disapproved(frame, note(spec), "no", silent=False)
        elif verdict == "replace":
            machine.replaced(frame, replaced(spec))
        else:
            machine.approved(frame)

    def decide(self, machine: Machine[MutableStep], frame: MutableStep, spec: Spec) -> None:
        said = troubled(spec, self.count(frame, "trouble"))
        if said == "again":
            machine.again(frame)
        elif said == "skip":
            machine.skipped(frame)
        else:
            machine.failed(frame, "broken", "it failed", final=True)


@settings(max_examples=600, deadline=None)
@given(spec=pipelines(), order=st.data())
def test_it_comes_to_what_a_plain_interpreter_comes_to(spec: Spec, order: st.DataObject) -> None:
    drive = Drive(spec, order)
    ending = drive.run()
    expected = Interpreter().run(spec, GIVEN)
    assert ending.outcome == expected.outcome
    if ending.outcome is Outcome.completed:
        assert ending.holder is not None
        assert drive.frames.content(ending.holder) == expected.content
        assert drive.frames.done == drive.frames.known, "steps that are left out are still counted"
