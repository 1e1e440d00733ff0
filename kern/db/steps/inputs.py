"""What a step is given, frozen as the arguments of its call, and where it stands in the whole."""

from pydantic import JsonValue

from kern.db.engine.step_tables import StepRow
from kern.db.runs.frames import StoredFrames, held_by
from kern.pipeline.frames import RUN, into, is_edited, origin
from kern.pipeline.nodes import RESERVED, NodeKind
from kern.values.canonical import canonical_json


def arguments_of(frames: StoredFrames, frame: StepRow) -> dict[str, JsonValue]:
    """Return what a step begins with, and what it has from those that hold it.

    What a person edited stands wherever the step would find what it took the place of: what the
    run was asked (`run_input`), or the item.
    """
    given: dict[str, JsonValue] = {"input": frames.given(frame)}
    values: dict[str, JsonValue] = {}
    edits: dict[str, JsonValue] = {}
    for one in (frame, *frames.above(frame)):
        if is_edited(one.id, one.source):
            edits.setdefault(origin(one.source), one.given)
        kind = held_by(frames, one)
        if kind is NodeKind.each and "index" not in given:
            given |= {"item": edits.get(into(one.id), one.given), "index": one.place}
        if kind is NodeKind.loop and "iteration" not in given:
            given["iteration"] = one.place
        if one.feedback is not None and "feedback" not in given:
            given["feedback"] = one.feedback
        values = {**(one.values or {}), **values}
    if RUN in edits:
        given["run_input"] = as_text(edits[RUN])
    return {**given, "values": values} if values else given


def shown_before(frames: StoredFrames, frame: StepRow) -> dict[str, JsonValue]:
    """Return what a person sees of a frame that is to begin: its input, and the item if it is one.

    An item with which the frame begins is its input already.
    """
    given = arguments_of(frames, frame)
    shown = {name: value for name, value in given.items() if name in RESERVED}
    above = frames.above(frame)
    item_of = next((one for one in above if held_by(frames, one) is NodeKind.each), None)
    if item_of is not None and origin(frame.source) == into(item_of.id):
        del shown["item"]
    return shown


def as_text(content: JsonValue) -> str:
    """Return a content as a model, or a person, reads it."""
    if content is None:
        return ""
    return content if isinstance(content, str) else canonical_json(content)


def question_for_run(arguments: dict[str, JsonValue], before: JsonValue) -> str:
    """Return what a run is asked that executes a step.

    `before` is what it answered when a person had it done again.
    """
    parts = [as_text(arguments.get("input"))]
    if "values" in arguments:
        parts.append(f"What a person filled in: {as_text(arguments['values'])}")
    if "feedback" in arguments:
        if before is not None:
            parts.append(f"What you answered before: {as_text(before)}")
        said = as_text(arguments["feedback"]) or "It has to be done again."
        parts.append(f"That was not accepted. What a person said about it: {said}")
    return "\n\n".join(parts)
