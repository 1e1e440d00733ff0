"""Tells what happened in a run, in the order of its turns."""

from dataclasses import dataclass

from pydantic import JsonValue
from sqlmodel import Session

from kern.client.cli import durations, store
from kern.client.cli.inbox import how_to_decide, what_waits
from kern.client.cli.printing import (
    count,
    indented,
    one_line,
    safe,
    say,
    say_json,
    show_age,
    show_call,
    show_length,
    show_time,
    show_value,
    styled,
    where_it_stands,
)
from kern.client.cli.progress import MOST, tell_progress, tell_steps
from kern.contracts.viewer import OPERATOR
from kern.db.reading import listings, run_outputs, step_progress
from kern.db.reading.listings import Decision
from kern.db.turns import late_results
from kern.db.turns.late_results import LateResult
from kern.process.settings import read_settings
from kern.requirements import Requirement
from kern.run import Message, RunOutput, StepExecution, ToolExecution
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus, ToolOutcome

_COLOURS = {
    RunStatus.completed: "green",
    RunStatus.paused: "yellow",
    RunStatus.error: "red",
    RunStatus.cancelled: "red",
}
_SAID = {
    "approve": "approved",
    "reject": "rejected",
    "answer": "answered",
    "choose": "chosen",
    "result": "result given",
    "happened": "it happened, said",
    "run_again": "to be run again, said",
    "fail": "run ended",
    "skip": "left out",
}
_LONGEST = 2000
_STEP = 9


@dataclass(frozen=True)
class Story:
    """A run with what was decided in it; `undelivered` counts what Temporal has not heard of.

    `inside` holds the stories of the runs that executed calls of this one, by their ids.
    """

    run: RunOutput
    decisions: list[Decision]
    late: list[LateResult]
    undelivered: int
    inside: dict[str, "Story"]
    steps: list[StepExecution]
    opened: int


def read_story(tx: Session, given: str) -> Story:
    """Read a run by its id or the end of it.

    Raises:
        NotFound: there is no such run.
    """
    return _read(tx, listings.full_run_id(tx, given))


def _read(tx: Session, run_id: str) -> Story:
    run = run_outputs.run_output(tx, run_id, OPERATOR)
    waiting = listings.backlog(tx, run_id).undelivered
    inside = [call.child_run_id for call in run.tools if call.child_run_id]
    # A workflow tells of everything that was asked in it, at whatever depth.
    decided = dict.fromkeys([run_id, *(item.run_id for item in run.requirements)])
    return Story(
        run,
        [one for asked in decided for one in listings.decisions_of(tx, asked)],
        late_results.results_of(tx, run_id),
        waiting,
        {one: _read(tx, one) for one in inside},
        step_progress.steps_of(tx, run_id, MOST) if run.progress else [],
        step_progress.count_of(tx, run_id) if run.progress else 0,
    )


def print_story(given: str, *, as_json: bool) -> None:
    """Print the story of a run."""
    with store.existing_database(read_settings()) as db:
        story = db.read_now(lambda tx: read_story(tx, given))
    if as_json:
        say_json(_as_json(story))
        return
    _head(story.run)
    if story.run.progress is None:
        _turns(story)
    else:
        _steps(story)
    _end(story)


def _as_json(story: Story) -> dict[str, JsonValue]:
    return {
        **story.run.model_dump(mode="json"),
        "decisions": [one.model_dump(mode="json") for one in story.decisions],
        "late_results": [one.model_dump(mode="json") for one in story.late],
        "undelivered": story.undelivered,
        "steps": [one.model_dump(mode="json") for one in story.steps],
        "inside": {run_id: _as_json(one) for run_id, one in story.inside.items()},
    }


def _head(run: RunOutput) -> None:
    say(
        styled(f"Run {run.run_id}  ", "bold"),
        styled(where_it_stands(run), _COLOURS.get(run.status, "cyan")),
    )
    owner = f", user {one_line(run.user_id)}" if run.user_id else ""
    number = "" if run.parent_run_id else f", run {run.number} in it"
    say(f"  {one_line(run.component_id)}{owner}, session {one_line(run.session_id)}{number}")
    if run.parent_run_id:
        say(f"  part of run {run.parent_run_id}")
    took = f", took {show_age(run.created_at, run.finished_at)}" if run.finished_at else ""
    asking = durations.asking(run)
    asked = f", a person being asked for {show_length(asking)} of it" if asking else ""
    say(f"  begun {show_time(run.created_at)}{took}{asked}")
    say("")
    _block("user", run.input)
    for file in (one for message in run.messages[:1] for one in message.files):
        size = f", {file.size:,} bytes" if file.url is None else f", {one_line(file.url)}"
        say(f"  file   {one_line(file.name)}  ({file.media_type}{size})")


def _turns(story: Story) -> None:
    turn = 0
    for position, message in enumerate(story.run.messages):
        if message.role == "assistant":
            turn += 1
            _turn(story, turn, message)
        elif message.role == "user" and position > 0:
            _block("told", message.content)


def _steps(story: Story) -> None:
    """Tell what a workflow did, what it came to, and what people were asked on the way."""
    if story.run.progress is None:
        return
    tell_progress(story.run.progress)
    tell_steps(story.steps, story.opened)
    for message in story.run.messages:
        if message.role == "assistant":
            _block("result", message.content)
    for item in story.run.requirements:
        say("")
        say(styled(f"  {' / '.join(one_line(name) for name in item.path)}", "bold"))
        _requirement(story, item)


def _turn(story: Story, turn: int, message: Message) -> None:
    when = f"  {show_time(message.created_at)}" if message.created_at else ""
    say(styled(f"Turn {turn}", "bold"), styled(when, "dim"))
    if message.content:
        _block("model", message.content)
    for call in story.run.tools:
        if call.turn == turn:
            _call(story, call)


def _call(story: Story, call: ToolExecution) -> None:
    say("  call   ", styled(show_call(call.name, call.arguments), "cyan"))
    for item in story.run.requirements:
        if item.tool_call_id == call.id:
            _requirement(story, item)
    if call.child_run_id is not None:
        _inside(story.inside[call.child_run_id])
    _result(story, call)
    for one in story.late:
        if one.tool_call_id == call.id:
            _late(one)


def _inside(story: Story) -> None:
    """Tell what happened in a run that executed a call."""
    run = story.run
    with indented(_STEP):
        say(
            styled(f"{one_line(run.component_id)}  ", "bold"),
            styled(where_it_stands(run), _COLOURS.get(run.status, "cyan")),
            styled(f"  run {run.run_id}", "dim"),
        )
        _block("asked", run.input)
        _turns(story)
        _error(run)


def _requirement(story: Story, item: Requirement) -> None:
    say(styled(f"         asked  {show_time(item.created_at)}  {what_waits(item)}", "dim"))
    for decision in story.decisions:
        if decision.requirement_id == item.id:
            _decision(decision)
    if item.status is RequirementStatus.pending:
        due = f" until {show_time(item.due_at)}" if item.due_at else ""
        say("         ", styled(f"waits for a person{due}", "yellow"), f": {how_to_decide(item)}")
    elif item.status is not RequirementStatus.resolved:
        at = f" {show_time(item.resolution.at)}" if item.resolution else ""
        say(f"         {item.status.value}{at}")


def _decision(decision: Decision) -> None:
    said = _SAID.get(decision.verdict.value, decision.verdict.value)
    note = f": {one_line(decision.note)}" if decision.note else ""
    edit = f", changed to {show_value(decision.edit)}" if decision.edit else ""
    given = f", {show_value(decision.given)}" if decision.given is not None else ""
    say(
        f"         {said} by ",
        styled(one_line(decision.by), "bold"),
        f"  {show_time(decision.at)}{edit}{given}{note}",
    )


def _result(story: Story, call: ToolExecution) -> None:
    if call.status is not ToolCallStatus.done:
        if call.status is ToolCallStatus.running:
            ended = story.run.status.is_final
            how = "begun, and nobody has told how it ended" if ended else "executing"
            say(f"         {how}, attempt {call.attempts}")
        return
    tries = f" at attempt {call.attempts}" if call.attempts > 1 else ""
    worked = durations.execution(call, story.run.requirements)
    waited = durations.waiting(call, story.run.requirements)
    took = "" if worked is None else f" in {show_length(worked)}"
    asked = f" (asked about for {show_length(waited)})" if waited else ""
    outcome = call.outcome or ToolOutcome.result
    colour = "green" if outcome is ToolOutcome.result else "red"
    say(
        "         ",
        styled(f"{outcome.value}{tries}{took}{asked}", colour),
        f": {_cut(call.result or '')}",
    )


def _late(found: LateResult) -> None:
    say(
        "         ",
        styled(f"too late  {show_time(found.at)}, and not kept", "yellow"),
        f": an earlier attempt came to a {found.outcome.value} after all: {_cut(found.result)}",
    )


def _end(story: Story) -> None:
    run = story.run
    _error(run)
    say("")
    used = run.metrics
    executed = _executed(story)
    cached = f", {used.cached_tokens:,} of it cached" if used.cached_tokens else ""
    reasoned = f", {used.reasoning_tokens:,} for reasoning" if used.reasoning_tokens else ""
    say(
        f"Cost: {count(used.model_calls, 'model call')}, {count(executed, 'tool call')}, "
        f"{count(used.total_tokens, 'token')} ({used.input_tokens:,} in{cached}, "
        f"{used.output_tokens:,} out{reasoned})"
    )
    if story.undelivered:
        say(
            styled(
                "Temporal has not heard of the latest yet: it will when a worker runs.", "yellow"
            )
        )


def _error(run: RunOutput) -> None:
    if run.error is not None:
        say(
            styled("Error", "bold red"),
            f"  {one_line(run.error.code)}: {one_line(run.error.message)}",
        )


def _executed(story: Story) -> int:
    if story.run.progress is not None:
        # What ran in its steps' runs is not told here, but counted.
        return story.run.metrics.tool_calls
    # The metrics count what reported its end; a call of which a person says so was executed too.
    own = sum(1 for call in story.run.tools if call.attempts or call.child_run_id)
    return own + sum(_executed(one) for one in story.inside.values())


def _block(who: str, text: str) -> None:
    lines = safe(text).splitlines() or [""]
    say(f"  {who:<5}  {lines[0]}")
    for line in lines[1:]:
        say(f"         {line}")


def _cut(text: str) -> str:
    whole = one_line(text)
    if len(whole) <= _LONGEST:
        return whole
    return f"{whole[:_LONGEST]}… ({len(text):,} characters; all of it with --json)"
