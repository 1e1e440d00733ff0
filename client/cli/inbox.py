"""Prints pages of runs and of what waits for people."""

from collections.abc import Iterator

from kern.client.cli.access import perform
from kern.client.cli.identifiers import run_named
from kern.client.cli.printing import (
    count,
    say,
    say_json,
    say_table,
    show_age,
    show_call,
    show_id,
    show_time,
    status_text,
    styled,
    with_tenants,
)
from kern.client.service.operations import OperatorService
from kern.contracts.reports import RequirementPage
from kern.contracts.viewer import present_operator
from kern.requirements import Proposal, Requirement
from kern.run import RunOutput
from kern.values.states import RequirementKind, Risk, RunStatus, Verdict
from kern.values.visible_text import plain, spelled

# As much of a digest as people compare, and as `--digest` takes at least.
DIGEST_LENGTH = 8
# What a page of runs shows of each; `kern show` shows the rest.
_OF_A_RUN = {
    "run_id", "session_id", "tenant", "user_id", "parent_run_id", "component_id", "number",
    "status", "input", "content", "metrics", "metadata", "created_at", "finished_at", "error",
}  # fmt: skip


# With these a list of choices is written.
_AROUND_CHOICES = "|[]"
# Of each value in a list; `kern show` and `kern approve` show all of it.
_LONGEST_VALUE = 60


def print_runs(
    *,
    status: RunStatus | None,
    user: str | None,
    component: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Print a page of runs."""
    page = perform(
        lambda service: service.runs.page(
            present_operator(),
            limit=limit,
            cursor=after,
            status=status,
            user_id=user,
            component_id=component,
        )
    )
    if as_json:
        runs = [run.model_dump(mode="json", include=_OF_A_RUN) for run in page.runs]
        say_json({"runs": runs, "next": page.next_cursor})
        return
    if not page.runs:
        say("No such runs." if status or user or component else "No runs.")
        return
    headings = ("RUN", "STATUS", "COMPONENT", "USER", "AGE", "INPUT")
    tenants = [run.tenant for run in page.runs]
    say_table(*with_tenants(headings, [_run_row(run) for run in page.runs], tenants))
    _say_more(len(page.runs), page.next_cursor, "runs")


def print_pending(
    *,
    user: str | None,
    run: str | None,
    kind: RequirementKind | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Print a page of what waits for people."""

    async def read(service: OperatorService) -> RequirementPage:
        return await service.inbox.pending(
            present_operator(),
            limit=limit,
            cursor=after,
            user_id=user,
            run_id=None if run is None else await run_named(service, run),
            kind=kind,
        )

    page = perform(read)
    if as_json:
        requirements = [item.model_dump(mode="json") for item in page.requirements]
        say_json({"requirements": requirements, "next": page.next_cursor})
        return
    print_page(page, "pending")


def print_page(page: RequirementPage, command: str) -> None:
    """Print requirements as a table; `command` lists the next ones."""
    if not page.requirements:
        say("Of what was asked for, nothing waits for a person.")
        return
    headings = ("ID", "RUN", "SINCE", "DUE", "DIGEST", "WHAT")
    rows = [(item.tenant, row) for item in page.requirements for row in _pending_rows(item)]
    tenants = [tenant if row[0] else "" for tenant, row in rows]
    say_table(*with_tenants(headings, [row for _, row in rows], tenants), wraps=True)
    _say_more(len(page.requirements), page.next_cursor, command)


# Those for which an author may have said in words what is asked.
_WITH_QUESTION = {
    RequirementKind.confirmation,
    RequirementKind.user_input,
    RequirementKind.output_review,
}


def question_of(item: Requirement, limit: int | None = None) -> str:
    """Say in one line what a requirement asks of a person; `limit` shortens each value."""
    call = show_call(item.tool_name, item.arguments, limit)
    # What stands behind it could be a part of it.
    why = plain(item.question, "[]") if item.question else ""
    approvals = f" ({item.approvals} of {item.quorum} approvals)" if item.quorum > 1 else ""
    again = f" ({item.approvals} of {item.quorum} to run it again)" if item.quorum > 1 else ""
    known = "" if item.attempt is None else f", once more: {plain(item.attempt.sentence)}"
    fields = ", ".join(plain(field.name, ",") for field in item.fields)
    choices = " | ".join(plain(choice, _AROUND_CHOICES) for choice in item.choices)
    request = {
        RequirementKind.confirmation: f"approve {call}?{approvals}",
        RequirementKind.user_input: f"fill in {fields} of {call}",
        RequirementKind.user_feedback: f"{why or 'choose'} [{choices}]",
        RequirementKind.external_execution: f"execute {call} and give its result{known}",
        RequirementKind.unknown_outcome: f"did {call} happen?{_known_of(item)}{again}",
        RequirementKind.output_review: f"review the output of {call}",
        RequirementKind.error: f"the step {plain(item.tool_name or '', ':')} failed: {why}{again}",
    }[item.kind]
    if item.question and item.kind in _WITH_QUESTION:
        return f"{plain(item.question, '()')} ({request})"
    return request


def title_of(item: Requirement) -> str:
    """Say in one line what the author calls it, and how risky, where that is worth saying."""
    risk = "" if item.risk is Risk.normal else f"{item.risk.value} risk"
    title = "" if item.title is None else spelled(item.title, is_escaped=True)
    return f"{title} ({risk})" if title and risk else title or risk


def _known_of(item: Requirement) -> str:
    return "" if item.attempt is None else f" {plain(item.attempt.sentence)}"


def short_digest(digest: str) -> str:
    """Return as much of a digest as people are shown, and give back."""
    return digest[:DIGEST_LENGTH]


def print_whole(item: Requirement) -> None:
    """Print all that a person needs to decide, with nothing cut: the call, and what is known."""
    if title_of(item):
        say(styled(title_of(item), "bold"), exact_blanks=True)
    say(styled("Waiting for you: ", "bold yellow"), question_of(item), exact_blanks=True)
    say(f"  digest  {short_digest(item.digest)}")
    for line in [*attempt_lines(item), *earlier_lines(item)]:
        say(f"  {line}", exact_blanks=True)
    for line in proposal_lines(item):
        say(f"  proposed  {line}", exact_blanks=True)


def earlier_lines(item: Requirement) -> list[str]:
    """Say in a line each what the session has done with the tool before."""
    return [
        f"before {show_time(earlier.at)}  {show_call(item.tool_name, earlier.arguments)}: "
        f"{earlier.outcome}"
        for earlier in item.earlier_calls
    ]


def attempt_lines(item: Requirement) -> list[str]:
    """Say in a line each by what a call can be looked up, and what its reconciler has said."""
    if item.attempt is None:
        return []
    key = f"idempotency key  {plain(item.attempt.idempotency_key)}"
    return [key, *(f"reconciler  {plain(text)}" for text in item.attempt.evidence)]


def proposal_lines(item: Requirement) -> list[str]:
    """Say in a line each what people have proposed, and how many of how many."""
    return [
        f"{proposal.approvals} of {proposal.quorum} {_proposal(item, proposal)} "
        f"(by {', '.join(plain(name, ',()') for name in proposal.by)}, "
        f"{short_digest(proposal.digest)})"
        for proposal in item.proposals
    ]


def _proposal(item: Requirement, proposal: Proposal) -> str:
    if proposal.verdict is Verdict.choose:
        return " | ".join(plain(choice, _AROUND_CHOICES) for choice in proposal.choices)
    if proposal.verdict is Verdict.run_again:
        return "run it again"
    call = show_call(item.tool_name, proposal.arguments)
    return f"{call}, edited" if proposal.edit is not None else call


def how_to_decide(item: Requirement) -> str:
    """Return the command that decides a requirement."""
    short_id = show_id(item.id).removeprefix("…")
    match item.kind:
        case RequirementKind.confirmation | RequirementKind.output_review:
            return f"kern approve {short_id}   or   kern reject {short_id} --note '…'"
        case RequirementKind.user_input:
            values = " ".join(f"--value {plain(field.name)}=…" for field in item.fields)
            return f"kern answer {short_id} {values}"
        case RequirementKind.user_feedback:
            return f"kern answer {short_id} --choice '…'"
        case RequirementKind.external_execution:
            return f"kern answer {short_id} --result '…' | --unknown --note '…'"
        case RequirementKind.error:
            return f"kern answer {short_id} --run-again | --skip | --fail"
        case _:
            return f"kern answer {short_id} --happened '…' | --run-again | --fail"


def _run_row(run: RunOutput) -> tuple[str, ...]:
    age = show_age(run.created_at)
    owner = run.user_id or "-"
    return show_id(run.run_id), status_text(run), run.component_id, owner, age, run.input


def _pending_rows(item: Requirement) -> Iterator[tuple[str, ...]]:
    due = "-" if item.due_at is None else f"{item.due_at:%m-%d %H:%M} UTC"
    since = show_age(item.created_at)
    # A run that is nobody's part has a path of its own name and the tool's, which say nothing new.
    inside = (
        f"{' → '.join(plain(name, '→:') for name in item.path[:-1])}: "
        if len(item.path) > len(("run", "tool"))
        else ""
    )
    title = f"{title_of(item)}\n" if title_of(item) else ""
    question = f"{title}{inside}{question_of(item, _LONGEST_VALUE)}"
    digest = short_digest(item.digest)
    yield show_id(item.id), show_id(item.run_id), since, due, digest, question
    for line in proposal_lines(item):
        yield "", "", "", "", "", line


def _say_more(row_count: int, next_cursor: str | None, command: str) -> None:
    if next_cursor is not None:
        rows = count(row_count, "row")
        say(f"{rows}; continue with `kern {command} --after {next_cursor}` and the same filters.")
