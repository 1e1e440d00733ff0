"""The step machine: which frames open when something ends. It knows no database and no clock.

A *frame* is one instance of a node: each iteration of a loop has a frame of its own. It goes from
phase to phase. In the phase `open` it waits for its children; in every other phase but `done` it
needs something from outside, a person or code. The caller reports that by the method named after
it (`worked`, `passed`, `judged`, …), and the machine moves the frame, its container, and so on up.
It reads these and the ends of their children, never all frames of a run: a step costs the same at
any length. An example, `[draft, Parallel(legal, sales), publish]`, with a gate at `publish`:

    call             phases afterwards                              served
    begin()          workflow open, draft work                      draft
    worked(draft)    draft done, parallel open, legal + sales work  legal, sales
    worked(legal)    legal done; parallel waits for sales
    worked(sales)    sales done, parallel done, publish gate        publish
    passed(publish)  publish work                                   publish
    worked(publish)  publish done, workflow done                    (`ending` is set)

`worked(sales)` settles the frame (`_settle`) and reports its end to the parallel container
(`_child_ended`). That has no open child left, so it gathers the contents and ends in turn. Its own
container opens the next child (`_open_next`), which arrives at its gate (`_arrive`).
"""

from collections.abc import Sequence
from typing import Generic

from pydantic import JsonValue

from kern.pipeline.frames import RUN, Ending, Frames, FrameT, Outcome, Phase, edited, out_of
from kern.pipeline.nodes import Node, NodeKind, OnError, OnRefusal
from kern.pipeline.progress import places_of, unopened_steps

EVALUATION_FAILED = "evaluation_failed"
REJECTED = "rejected"
# Temporal allows a workflow two thousand open activities, and as many open child workflows.
MOST_AT_ONCE = 1000
_STILL_OPEN = "A child ended whose container is not open"


class Machine(Generic[FrameT]):
    """Moves the frames of one run.

    Attributes:
        served: The frames that need something from outside now, in the order of their phases'
            beginning.
        ended: The frames that have ended.
        ending: How the pipeline has ended; None while it has not.
    """

    def __init__(self, frames: Frames[FrameT]) -> None:
        self._frames = frames
        self.work_frames: list[FrameT] = []
        self.ended: list[FrameT] = []
        self.ending: Ending | None = None

    def begin(self) -> FrameT:
        """Open the root."""
        shape = self._frames.shape
        root = self._frames.add(shape.root, None, 0, RUN)
        self._frames.count(known=shape.leaves(shape.root.id))
        self._arrive(root)
        return root

    def on_pass(
        self,
        frame: FrameT,
        values: dict[str, JsonValue] | None = None,
        routes: Sequence[str] | None = None,
    ) -> None:
        """A person let the frame begin, with the values filled in or the routes chosen."""
        if values is not None:
            frame.values = values
        self._enter(frame, routes)

    def edited(self, frame: FrameT, value: JsonValue) -> None:
        """A person edited the input of the frame before it began."""
        frame.input_value, frame.source = value, edited(frame.id, frame.source)

    def refused(self, frame: FrameT, message: str) -> None:
        """A person rejected the frame before it began."""
        gate = self.node(frame).gate
        if gate is not None and gate.on_reject is OnRefusal.skip:
            self.skipped(frame)
        else:
            # Final: a decision about a failure could otherwise let it begin without its gate.
            self.failed(frame, REJECTED, message, final=True)

    def on_answer(self, frame: FrameT, answer: Sequence[JsonValue]) -> None:
        """The code of a condition or router chose these places, or `for_each` these items."""
        node = self.node(frame)
        if node.kind is not NodeKind.each:
            self._choose(frame, [place for place in answer if isinstance(place, int)])
            return
        body = self._child(node, 0)
        self._frames.count(known=len(answer) * self._frames.shape.leaves(body.id))
        self._frames.prepare(frame, body, answer)
        self._phase(frame, Phase.open)
        frame.width = len(answer)
        self._fill(frame)

    def worked(self, frame: FrameT, content: JsonValue, *, stop: bool = False) -> None:
        """The frame was executed."""
        frame.content, frame.last_id, frame.is_stopped = content, None, stop
        self._settle(frame)

    def end_decided(self, frame: FrameT, *, is_over: bool) -> None:
        """The end condition of a loop said whether it is over."""
        if is_over:
            self._settle(frame)
        else:
            self._phase(frame, Phase.open)
            self._iterate(frame)

    def judged(self, frame: FrameT, *, needs_review: bool) -> None:
        """The predicate of a review said whether a person has to review the output."""
        if needs_review:
            self._serve(frame, Phase.review)
        else:
            self._finish(frame, Outcome.completed)

    def approved(self, frame: FrameT) -> None:
        """A person approved the output."""
        self._finish(frame, Outcome.completed)

    def replaced(self, frame: FrameT, content: JsonValue) -> None:
        """A person replaced the output."""
        frame.content, frame.last_id = content, None
        self._finish(frame, Outcome.completed)

    def disapproved(
        self, frame: FrameT, note: str | None, message: str, *, silent: bool, repeats: bool = False
    ) -> None:
        """A person rejected the output; `silent`: the deadline passed without a decision.

        A rejection says that the output is not wanted, and not that what `repeats` what must happen
        only once is to be done again: `done_again` says that.
        """
        review = self.node(frame).review
        refusal = OnRefusal.fail if review is None else review.on_reject
        remaining = 0 if review is None else review.revisions - frame.revisions
        if not silent:
            # Kept even if the frame fails now: a retried run may execute it again.
            frame.feedback = note
        if refusal is OnRefusal.skip:
            self._finish(frame, Outcome.skipped)
        elif refusal is OnRefusal.retry and remaining > 0 and not (silent or repeats):
            frame.revisions += 1
            self.again(frame)
        else:
            self.failed(frame, REJECTED, message)

    def done_again(self, frame: FrameT, note: str | None) -> None:
        """A person asked in words to have a reviewed frame done once more."""
        frame.feedback = note
        frame.revisions += 1
        self.again(frame)

    def again(self, frame: FrameT) -> None:
        """Begin a frame once more, without its gate."""
        node = self.node(frame)
        if not node.is_leaf:
            self._frames.count(known=self._frames.shape.leaves(node.id) - self._remaining(frame))
        frame.round += 1
        frame.tries = frame.cursor = frame.open_children = frame.width = 0
        frame.content = frame.last_id = frame.error_code = frame.error_message = None
        frame.outcome, frame.is_stopped = None, False
        # A person's choice of routes stands; code chooses again, and nothing counts until then.
        routes, frame.chosen = frame.chosen if node.gate and node.gate.choices else None, None
        if routes is not None:
            self._choose(frame, routes)
        else:
            self._enter(frame, None)

    def skipped(self, frame: FrameT) -> None:
        """Continue without a frame."""
        # A step that was executed counts as done, even if it failed.
        is_leaf = self.node(frame).is_leaf
        remaining = int(frame.call_id is None) if is_leaf else self._remaining(frame)
        self._frames.count(known=-remaining)
        self._finish(frame, Outcome.skipped)

    def failed(self, frame: FrameT, code: str, message: str, *, final: bool = False) -> None:
        """A frame failed, and its open children stop. `final`: no person is asked about it."""
        self._stop_children(frame)
        frame.error_code, frame.error_message = code, message
        match self.node(frame).on_error:
            case OnError.skip:
                self.skipped(frame)
            case OnError.pause if not final:
                self._serve(frame, Phase.trouble)
            case _:
                self._finish(frame, Outcome.failed)

    def doubted(self, frame: FrameT, code: str, message: str) -> None:
        """Ask a person whether a frame is executed again, whatever its `on_error` says."""
        frame.error_code, frame.error_message = code, message
        self._serve(frame, Phase.trouble)

    def widened(self, frame: FrameT) -> None:
        """Open as many further branches as the bound allows: all open ones wait for people."""
        self._open_up_to(frame, frame.open_children + (self.node(frame).bound or frame.width))

    def regained(self, frame: FrameT) -> None:
        """Continue a container of a retried run whose opened children have all ended."""
        self._phase(frame, Phase.open)
        self._continue_after_child(frame)

    def resumed(self, frame: FrameT, phase: Phase) -> None:
        """Return a frame that has ended to a phase, from which it continues."""
        self._phase(frame, phase)

    def node(self, frame: FrameT) -> Node:
        """Return a frame's node."""
        return self._frames.shape.by_id[frame.node]

    def _arrive(self, frame: FrameT) -> None:
        if self.node(frame).gate is not None:
            self._serve(frame, Phase.gate)
        else:
            self._enter(frame, None)

    def _enter(self, frame: FrameT, routes: Sequence[str] | None) -> None:
        node = self.node(frame)
        if routes is not None:
            names = [self._child(node, place).name for place in range(len(node.children))]
            self._choose(frame, [names.index(route) for route in routes])
        elif node.kind is NodeKind.step:
            self._serve(frame, Phase.work)
        elif node.kind.asks_first:
            self._serve(frame, Phase.ask)
        elif node.kind is NodeKind.parallel:
            self._phase(frame, Phase.open)
            frame.width = len(node.children)
            self._fill(frame)
        elif node.kind is NodeKind.loop:
            self._phase(frame, Phase.open)
            self._iterate(frame)
        else:
            self._choose(frame, list(range(len(node.children))))

    def _choose(self, frame: FrameT, places: list[int]) -> None:
        """Open the frame with the children at these places, one after another."""
        node = self.node(frame)
        if node.kind is not NodeKind.steps:
            # None stands for all children, so that a thousand steps need no list of places.
            frame.chosen = places
            leaves = (self._frames.shape.leaves(node.children[place]) for place in places)
            self._frames.count(known=sum(leaves))
        self._phase(frame, Phase.open)
        self._open_next(frame)

    def _open_next(self, frame: FrameT) -> None:
        """Open the next child of a sequence, or settle the sequence."""
        places = places_of(self.node(frame), frame)
        if frame.cursor >= len(places):
            self._settle(frame)
            return
        self._open(frame, self._child(self.node(frame), places[frame.cursor]), frame.cursor)

    def _iterate(self, frame: FrameT) -> None:
        node = self.node(frame)
        body = self._child(node, 0)
        if frame.cursor > 0:
            self._frames.count(known=self._frames.shape.leaves(body.id))
        self._open(frame, body, frame.cursor)

    def _open(self, frame: FrameT, node: Node, place: int) -> None:
        source = frame.source if frame.last_id is None else out_of(frame.last_id)
        frame.cursor += 1
        frame.open_children += 1
        self._arrive(self._frames.add(node, frame, place, source))

    def _fill(self, frame: FrameT) -> None:
        """Open branches up to the bound; once all have ended, gather their contents."""
        self._open_up_to(frame, self.node(frame).bound or frame.width)
        if frame.open_children == 0:
            self._gather(frame)

    def _open_up_to(self, frame: FrameT, most: int) -> None:
        node = self.node(frame)
        while frame.open_children < min(most, MOST_AT_ONCE) and frame.cursor < frame.width:
            place = frame.cursor
            frame.cursor += 1
            frame.open_children += 1
            if node.kind is NodeKind.each:
                self._arrive(self._frames.prepared(frame, place))
            else:
                child = self._child(node, place)
                self._arrive(self._frames.add(child, frame, place, frame.source))

    def _gather(self, frame: FrameT) -> None:
        node = self.node(frame)
        contents = self._frames.contents(frame)
        if node.kind is NodeKind.each:
            frame.content = contents
        else:
            names = (self._child(node, place).name for place in range(len(contents)))
            frame.content = dict(zip(names, contents, strict=True))
        self._settle(frame)

    def _settle(self, frame: FrameT) -> None:
        """End a frame that has its content, after a review if one is declared."""
        node = self.node(frame)
        if frame.is_stopped and not node.is_leaf:
            self._frames.count(known=-unopened_steps(self._frames.shape, frame))
            frame.cursor += len(places_of(self.node(frame), frame)[frame.cursor :])
        is_sequence = node.kind not in {NodeKind.step, NodeKind.parallel, NodeKind.each}
        if is_sequence and frame.last_id is None:
            self._finish(frame, Outcome.skipped)
        elif node.review is None:
            self._finish(frame, Outcome.completed)
        else:
            self._serve(frame, Phase.review if node.review.always else Phase.judge)

    def _remaining(self, frame: FrameT) -> int:
        """Return the number of known steps in a frame that have not ended."""
        if frame.outcome in {Outcome.completed.value, Outcome.skipped.value}:
            return 0
        if self.node(frame).is_leaf:
            return 1
        opened = self._frames.opened(frame)
        return unopened_steps(self._frames.shape, frame) + sum(
            self._remaining(child) for child in opened
        )

    def _finish(self, frame: FrameT, outcome: Outcome) -> None:
        self._phase(frame, Phase.done)
        frame.outcome = outcome.value
        frame.is_stopped = frame.is_stopped and outcome is Outcome.completed
        self.ended.append(frame)
        if self.node(frame).is_leaf and outcome in {Outcome.completed, Outcome.skipped}:
            # A step that was skipped at its gate was subtracted from the known ones instead.
            self._frames.count(done=int(outcome is Outcome.completed or frame.call_id is not None))
        if frame.parent_id is None:
            holder = (frame.last_id or frame.id) if outcome is Outcome.completed else None
            self.ending = Ending(
                outcome, holder, frame.error_code or "error", frame.error_message or ""
            )
            return
        parent = self._frames.get(frame.parent_id)
        if parent.phase != Phase.open.value:
            raise RuntimeError(_STILL_OPEN)
        self._child_ended(parent, frame, outcome)

    def _child_ended(self, parent: FrameT, child: FrameT, outcome: Outcome) -> None:
        parent.open_children -= 1
        parent.is_stopped = parent.is_stopped or child.is_stopped
        kind = self.node(parent).kind
        if outcome is Outcome.failed:
            self.failed(parent, child.error_code or "error", child.error_message or "")
            return
        if outcome is Outcome.completed and kind not in {NodeKind.parallel, NodeKind.each}:
            parent.last_id = child.last_id or child.id
        self._continue_after_child(parent)

    def _continue_after_child(self, frame: FrameT) -> None:
        kind = self.node(frame).kind
        if kind in {NodeKind.parallel, NodeKind.each}:
            self._fill(frame)
        elif frame.is_stopped:
            self._settle(frame)
        elif kind is NodeKind.loop:
            self._after_iteration(frame)
        else:
            self._open_next(frame)

    def _after_iteration(self, frame: FrameT) -> None:
        node = self.node(frame)
        if frame.cursor >= node.max_iterations:
            self._settle(frame)
        elif node.asks_end:
            self._serve(frame, Phase.until)
        else:
            self._iterate(frame)

    def _stop_children(self, frame: FrameT) -> None:
        if self.node(frame).is_leaf:
            return
        for child in list(self._frames.unfinished(frame)):
            self._stop_children(child)
            self._phase(child, Phase.done)
            child.outcome = Outcome.cancelled.value
            self._frames.dropped(child)
        frame.open_children = 0

    def _child(self, node: Node, place: int) -> Node:
        return self._frames.shape.by_id[node.children[place]]

    def _serve(self, frame: FrameT, phase: Phase) -> None:
        self._phase(frame, phase)
        self.work_frames.append(frame)

    @staticmethod
    def _phase(frame: FrameT, phase: Phase) -> None:
        frame.phase = phase.value
        frame.version += 1
        frame.is_waiting = False
