"""Shows what happened in a run, in the order of its turns."""

from collections.abc import Sequence

from pydantic import JsonValue

from kern.client.cli import durations
from kern.client.cli.access import perform
from kern.client.cli.awaited import awaited_text
from kern.client.cli.history import is_printed, print_entry
from kern.client.cli.identifiers import find_run
from kern.client.cli.inbox import (
    attempt_lines,
    earlier_lines,
    how_to_decide,
    proposal_lines,
    question_of,
    short_digest,
    title_of,
)
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
    status_text,
    styled,
)
from kern.client.cli.progress import print_progress, print_steps
from kern.client.service.operations import OperatorService
from kern.contracts.reports import Decision, LateResult, RunPolicy, RunReport
from kern.contracts.triage import HistoryEntry
from kern.contracts.viewer import present_operator
from kern.requirements import Principal, PrincipalKind, Requirement
from kern.run import Message, RunOutput, ToolExecution
from kern.values.states import RequirementStatus, RunStatus, ToolCallStatus, ToolOutcome
from kern.values.visible_text import plain

_COLOURS = {
    RunStatus.completed: "green",
    RunStatus.paused: "yellow",
    RunStatus.error: "red",
    RunStatus.cancelled: "red",
}
_VERDICT_TEXTS = {
    "approve": "approved",
    "reject": "rejected",
    "answer": "answered",
    "choose": "chosen",
    "result": "result given",
    "unknown": "outcome reported as unknown",
    "happened": "it happened, said",
    "run_again": "to be run again, said",
    "fail": "run ended",
    "skip": "left out",
    "withdraw": "withdrawn",
}
_LONGEST = 2000
_STEP = 9
_DIGEST = 8


def print_report(run_id: str, *, as_json: bool) -> None:
    """Print the report of a run, found by its id or that of a decision in it, or their ends."""

    async def read(service: OperatorService) -> RunReport:
        viewer = present_operator()
        return await service.runs.report(viewer, await find_run(service, run_id))

    report = perform(read)
    if as_json:
        say_json(_as_json(report))
    else:
        print_run(report)


def print_run(report: RunReport) -> None:
    """Print what happened in a run, for people."""
    _head(report.run)
    for change in report.changes:
        by = f" by {plain(change.by, ':')}" if change.by else ""
        note = f": {plain(change.note)}" if change.note else ""
        say(f"  {change.kind}{by} {show_time(change.at)}{note}")
    if report.waits_behind is not None:
        say(styled(f"  waits behind run {report.waits_behind} of its session", "yellow"))
    _policy(report.policy)
    for awaited in report.awaited_workers:
        say(styled(f"  {awaited_text(awaited, report.run.run_id)}", "yellow"))
    say("")
    _input(report.run)
    if report.run.progress is None:
        _turns(report)
    else:
        _steps(report)
    _end(report)


def _as_json(report: RunReport) -> dict[str, JsonValue]:
    return {
        **report.run.model_dump(mode="json"),
        "decisions": [decision.model_dump(mode="json") for decision in report.decisions],
        "late_results": [late.model_dump(mode="json") for late in report.late_results],
        "undelivered": report.undelivered,
        "awaited_workers": [item.model_dump(mode="json") for item in report.awaited_workers],
        "waits_behind": report.waits_behind,
        "changes": [change.model_dump(mode="json") for change in report.changes],
        "history": [entry.model_dump(mode="json") for entry in report.history],
        "policy": None if report.policy is None else report.policy.model_dump(mode="json"),
        "steps": [step.model_dump(mode="json") for step in report.steps],
        "inside": {run_id: _as_json(child) for run_id, child in report.children.items()},
    }


def _head(run: RunOutput) -> None:
    say(
        styled(f"Run {run.run_id}  ", "bold"),
        styled(status_text(run), _COLOURS.get(run.status, "cyan")),
    )
    tenant = f", tenant {one_line(run.tenant)}" if run.tenant else ""
    owner = f", user {one_line(run.user_id)}" if run.user_id else ""
    number = "" if run.parent_run_id else f", run {run.number} in it"
    session = f", session {one_line(run.session_id)}"
    say(f"  {one_line(run.component_id)}{tenant}{owner}{session}{number}")
    if run.parent_run_id:
        say(f"  part of run {run.parent_run_id}")
    took = f", took {show_age(run.created_at, run.finished_at)}" if run.finished_at else ""
    waited = durations.asking(run)
    waiting = f", {show_length(waited)} waiting for people" if waited else ""
    say(f"  begun {show_time(run.created_at)}{took}{waiting}")


def _policy(policy: RunPolicy | None) -> None:
    """Tell which policy was pinned, and where the worker that executed the run last differs."""
    if policy is None:
        return
    say(f"  policy {policy.digest[:_DIGEST]}")
    if policy.fault is not None:
        say(styled(f"  {policy.fault}", "bold red"))
    if policy.executed is not None:
        parts = f" in {_listed(policy.changes)}" if policy.changes else ""
        executed = f"executed last by a worker with policy {policy.executed[:_DIGEST]}"
        strict = "the stricter of both applies"
        say(styled(f"  {executed}, which differs{parts}: {strict}", "yellow"))
    for name, changes in policy.workers.items():
        say(styled(f"  worker {one_line(name)} differs: {_listed(changes)}", "yellow"))


def _listed(changes: Sequence[str]) -> str:
    return ", ".join(one_line(change) for change in changes)


def _input(run: RunOutput) -> None:
    _block("user", run.input)
    for file in run.messages[0].files if run.messages else []:
        size = f", {file.size:,} bytes" if file.url is None else f", {one_line(file.url)}"
        say(f"  file   {one_line(file.name)}  ({file.media_type}{size})")


def _turns(report: RunReport) -> None:
    turn = 0
    for position, message in enumerate(report.run.messages):
        if message.role == "assistant":
            turn += 1
            _turn(report, turn, message)
        elif message.role == "user" and position > 0:
            _block("notice", message.content)
    called = {call.id for call in report.run.tools}
    for item in report.run.requirements:
        # About the model itself, which no call asked for.
        if item.run_id == report.run.run_id and item.tool_call_id not in called:
            _requirement(report, item)
    _outage(report.run)


def _outage(run: RunOutput) -> None:
    outage = run.provider_outage
    if outage is None:
        return
    following = f", next try {show_time(outage.next_try_at)}" if outage.next_try_at else ""
    tries = count(outage.attempts, "try", "tries")
    say(
        styled(f"Provider away since {show_time(outage.since)}", "yellow"),
        f" ({tries}{following}): {_cut(outage.message)}",
    )


def _steps(report: RunReport) -> None:
    """Show what a workflow did, its outcome, and what people were asked on the way."""
    if report.run.progress is None:
        return
    print_progress(report.run.progress)
    print_steps(report.steps, report.step_count)
    for message in report.run.messages:
        if message.role == "assistant":
            _block("result", message.content)
    for item in report.run.requirements:
        say("")
        say(styled(f"  {' / '.join(plain(name, '/') for name in item.path)}", "bold"))
        _requirement(report, item)


def _turn(report: RunReport, turn: int, message: Message) -> None:
    when = f"  {show_time(message.created_at)}" if message.created_at else ""
    say(styled(f"Turn {turn}", "bold"), styled(when, "dim"))
    if message.content:
        _block("model", message.content)
    for call in report.run.tools:
        if call.turn == turn:
            _call(report, call)


def _call(report: RunReport, call: ToolExecution) -> None:
    text = styled(show_call(call.tool_name, call.arguments), "cyan")
    say("  call   ", text, exact_blanks=True)
    for item in report.run.requirements:
        if item.tool_call_id == call.id:
            _requirement(report, item)
    if call.child_run_id is not None:
        _inside(report.children[call.child_run_id])
    _result(report, call)
    for late_result in report.late_results:
        if late_result.tool_call_id == call.id:
            _late(late_result)


def _inside(report: RunReport) -> None:
    """Show what happened in a run that executed a call."""
    run = report.run
    with indented(_STEP):
        say(
            styled(f"{one_line(run.component_id)}  ", "bold"),
            styled(status_text(run), _COLOURS.get(run.status, "cyan")),
            styled(f"  run {run.run_id}", "dim"),
        )
        _block("asked", run.input)
        _turns(report)
        _error(run)


def _requirement(report: RunReport, item: Requirement) -> None:
    if title_of(item):
        say("         ", styled(title_of(item), "bold"), exact_blanks=True)
    say(
        styled(f"         asked  {show_time(item.created_at)}  {question_of(item)}", "dim"),
        exact_blanks=True,
    )
    for line in [*attempt_lines(item), *earlier_lines(item)]:
        say("         ", styled(line, "dim"), exact_blanks=True)
    _history(report, item)
    if item.not_executed is not None:
        why = plain(item.not_executed)
        say("         ", styled("approved, not executed", "bold red"), f": {why}")
    if item.status is RequirementStatus.pending:
        for line in proposal_lines(item):
            say(f"         {line}", exact_blanks=True)
        say(f"         digest  {short_digest(item.digest)}")
        due = f" until {show_time(item.due_at)}" if item.due_at else ""
        say("         ", styled(f"waits for a person{due}", "yellow"), f": {how_to_decide(item)}")
    elif item.status is not RequirementStatus.resolved:
        at = f" {show_time(item.resolution.at)}" if item.resolution else ""
        say(f"         {item.status.value}{at}")


def _history(report: RunReport, item: Requirement) -> None:
    """Show what was decided and done about a requirement, in order."""
    acts: list[Decision | HistoryEntry] = [
        *report.decisions,
        *(entry for entry in report.history if is_printed(entry)),
    ]
    for act in sorted(acts, key=lambda act: act.at):
        if act.requirement_id != item.id:
            continue
        if isinstance(act, Decision):
            _decision(act)
        else:
            print_entry(act)


def _decision(decision: Decision) -> None:
    verdict = _VERDICT_TEXTS.get(decision.verdict.value, decision.verdict.value)
    note = f": {plain(decision.note)}" if decision.note else ""
    edit = f", changed to {show_value(decision.edit)}" if decision.edit else ""
    values = f", {show_value(decision.given)}" if decision.given is not None else ""
    say(
        f"         {verdict} by ",
        styled(plain(decision.by, ",:()"), "bold"),
        _vouched(decision.principal),
        f"  {show_time(decision.at)}{edit}{values}{note}",
        exact_blanks=True,
    )


def _vouched(principal: Principal) -> str:
    """Name who vouches for a principal, if it is more than a name that somebody typed."""
    if principal.is_local or principal.kind is PrincipalKind.system:
        return ""
    return f" ({plain(principal.subject)} of {plain(principal.issuer)})"


def _result(report: RunReport, call: ToolExecution) -> None:
    if call.status is not ToolCallStatus.done:
        if call.status in {ToolCallStatus.running, ToolCallStatus.unknown}:
            ended = report.run.status.is_final or call.status is ToolCallStatus.unknown
            how = "started; its outcome is unknown" if ended else "executing"
            say(f"         {how}, attempt {call.attempts}")
        return
    tries = f" at attempt {call.attempts}" if call.attempts > 1 else ""
    worked = durations.execution(call, report.run.requirements)
    waited = durations.waiting(call, report.run.requirements)
    took = "" if worked is None else f" in {show_length(worked)}"
    waiting = f" (asked about for {show_length(waited)})" if waited else ""
    outcome = call.outcome or ToolOutcome.result
    colour = "green" if outcome is ToolOutcome.result else "red"
    say(
        "         ",
        styled(f"{outcome.value}{tries}{took}{waiting}", colour),
        f": {_cut(call.result or '')}",
    )


def _late(late: LateResult) -> None:
    say(
        "         ",
        styled(f"too late  {show_time(late.at)}, and not kept", "yellow"),
        f": an earlier attempt ended late with a {late.outcome.value}: {_cut(late.result)}",
    )


def _end(report: RunReport) -> None:
    run = report.run
    _error(run)
    say("")
    used = run.metrics
    executed = _executed(report)
    cached = f", {used.cached_tokens:,} of it cached" if used.cached_tokens else ""
    reasoned = f", {used.reasoning_tokens:,} for reasoning" if used.reasoning_tokens else ""
    say(
        f"Cost: {count(used.model_calls, 'model call')}, {count(executed, 'tool call')}, "
        f"{count(used.total_tokens, 'token')} ({used.input_tokens:,} in{cached}, "
        f"{used.output_tokens:,} out{reasoned})"
    )
    if report.undelivered:
        say(
            styled(
                "Temporal has not heard of the latest yet: it will when a worker runs.",
                "yellow",
            )
        )


def _error(run: RunOutput) -> None:
    if run.error is not None:
        say(
            styled("Error", "bold red"),
            f"  {one_line(run.error.code)}: {one_line(run.error.message)}",
        )


def _executed(report: RunReport) -> int:
    if report.run.progress is not None:
        # What ran in its steps' runs is not shown here, but counted.
        return report.run.metrics.tool_calls
    # The metrics count what reported its end; a call of which a person says so was executed too.
    executed_count = sum(1 for call in report.run.tools if call.attempts or call.child_run_id)
    return executed_count + sum(_executed(child) for child in report.children.values())


def _block(label: str, text: str) -> None:
    lines = safe(text).splitlines() or [""]
    say(f"  {label:<5}  {lines[0]}")
    for line in lines[1:]:
        say(f"         {line}")


def _cut(text: str) -> str:
    whole = one_line(text)
    if len(whole) <= _LONGEST:
        return whole
    return f"{whole[:_LONGEST]}… ({len(text):,} characters; all of it with --json)"
