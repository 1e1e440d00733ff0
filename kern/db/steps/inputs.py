"""The arguments of a step, frozen in its call, and what a person sees of it before it begins."""

from pydantic import JsonValue

from kern.db.engine.step_records import StepRecord
from kern.db.runs.frames import StoredFrames, held_by
from kern.pipeline.frames import RUN, into, is_edited, origin
from kern.pipeline.nodes import RESERVED, NodeKind
from kern.values.canonical import canonical_json


def arguments_of(frames: StoredFrames, frame: StepRecord) -> dict[str, JsonValue]:
    """Return a step's input, and what it inherits from the containers around it.

    A person's edit replaces the original wherever the step would read it: as the run's input
    (`run_input`) or as the item.
    """
    arguments: dict[str, JsonValue] = {"input": frames.input_of(frame)}
    values: dict[str, JsonValue] = {}
    edits: dict[str, JsonValue] = {}
    for ancestor in (frame, *frames.above(frame)):
        if is_edited(ancestor.id, ancestor.source):
            edits.setdefault(origin(ancestor.source), ancestor.input_value)
        kind = held_by(frames, ancestor)
        if kind is NodeKind.each and "index" not in arguments:
            arguments |= {
                "item": edits.get(into(ancestor.id), ancestor.input_value),
                "index": ancestor.place,
            }
        if kind is NodeKind.loop and "iteration" not in arguments:
            arguments["iteration"] = ancestor.place
        if ancestor.feedback is not None and "feedback" not in arguments:
            arguments["feedback"] = ancestor.feedback
        values = {**(ancestor.values or {}), **values}
    if RUN in edits:
        arguments["run_input"] = as_text(edits[RUN])
    return {**arguments, "values": values} if values else arguments


def shown_before(frames: StoredFrames, frame: StepRecord) -> dict[str, JsonValue]:
    """Return what a person sees of a frame before it begins: its input and, in a loop, the item.

    The item is left out where it is the input.
    """
    arguments = arguments_of(frames, frame)
    visible = {name: value for name, value in arguments.items() if name in RESERVED}
    containers = frames.above(frame)
    item_of = next((row for row in containers if held_by(frames, row) is NodeKind.each), None)
    if item_of is not None and origin(frame.source) == into(item_of.id):
        del visible["item"]
    return visible


def as_text(content: JsonValue) -> str:
    """Return a content as a model, or a person, reads it."""
    if content is None:
        return ""
    return content if isinstance(content, str) else canonical_json(content)


def question_for_run(arguments: dict[str, JsonValue], before: JsonValue) -> str:
    """Return the input of a run that executes a step.

    `before` is the earlier answer, if a person had the step repeated.
    """
    parts = [as_text(arguments.get("input"))]
    if "values" in arguments:
        parts.append(f"What a person filled in: {as_text(arguments['values'])}")
    if "feedback" in arguments:
        if before is not None:
            parts.append(f"What you answered before: {as_text(before)}")
        feedback = as_text(arguments["feedback"]) or "It has to be done again."
        parts.append(f"That was not accepted. What a person said about it: {feedback}")
    return "\n\n".join(parts)
