"""What the API shows of runs: stable names for programs."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, JsonValue

from kern.client.api.resources import DecisionResource, RequirementResource
from kern.contracts.reports import (
    Acceptance,
    AwaitedWorker,
    LateResult,
    RunChange,
    RunPolicy,
    RunReport,
)
from kern.contracts.triage import HistoryEntry
from kern.run import (
    Message,
    Metrics,
    Progress,
    ProviderOutage,
    RunError,
    RunOutput,
    StepExecution,
    ToolExecution,
)
from kern.values.states import RunStatus

# What the API calls by other names than `RunOutput` does.
_RENAMED = {
    "id": "run_id",
    "session": "session_id",
    "user": "user_id",
    "component": "component_id",
    "parent": "parent_run_id",
    "state": "session_state",
    "outage": "provider_outage",
    "calls": "tools",
}


class RunResource(BaseModel):
    """A run as a list shows it.

    Attributes:
        parent: The run of which it is a part.
        number: Its number in the session; runs inside others have numbers below 0.
        content: Its answer; JSON as text, where it is structured.
        policy_digest: The digest of the policy that was pinned when it was accepted.
        outage: The model's provider for which it waits.
    """

    id: str
    session: str
    user: str | None
    tenant: str
    component: str
    parent: str | None
    number: int
    status: RunStatus
    is_queued: bool
    input: str
    content: JsonValue
    content_type: str
    metrics: Metrics
    metadata: dict[str, JsonValue]
    policy_digest: str | None
    outage: ProviderOutage | None
    created_at: datetime
    finished_at: datetime | None
    error: RunError | None

    @classmethod
    def of(cls, item: RunOutput) -> Self:
        """Return a run as the API shows it."""
        return cls.model_validate(_values_of(item))

    def run(self) -> RunOutput:
        """Return the run that is shown, as far as it is."""
        return RunOutput.model_validate(_shown_by(self))


class RunDetails(RunResource):
    """A run with everything that happened in it.

    Attributes:
        state: The state of its session.
        decisions: In the order of the log; a workflow's run has those of all runs inside it.
        history: What happened to its requirements beside the decisions.
        late_results: Results of attempts that were considered dead.
        undelivered: How many messages to its workflow wait for delivery.
        children: The runs that executed calls of this one, by their ids.
        steps: A workflow's first steps; `GET /v1/runs/{id}/steps` has all of them.
        step_count: How many steps the workflow has opened.
        policy: What was pinned, and how those who execute it differ.
        awaited_workers: What it, or a run inside it, waits for that no worker has.
        waits_behind: The run of its session behind which it is queued.
        changes: Who cancelled or retried it, and why.
    """

    messages: list[Message]
    calls: list[ToolExecution]
    requirements: list[RequirementResource]
    state: dict[str, JsonValue]
    progress: Progress | None
    decisions: list[DecisionResource]
    history: list[HistoryEntry]
    late_results: list[LateResult]
    undelivered: int
    children: dict[str, "RunDetails"]
    steps: list[StepExecution]
    step_count: int
    policy: RunPolicy | None
    awaited_workers: list[AwaitedWorker]
    waits_behind: str | None
    changes: list[RunChange] = []

    @classmethod
    def of_report(cls, report: RunReport) -> Self:
        """Return a run with everything that happened in it."""
        item = report.run
        return cls.model_validate(
            _values_of(item)
            | {
                "messages": item.messages,
                "calls": item.tools,
                "requirements": [RequirementResource.of(element) for element in item.requirements],
                "state": item.session_state,
                "progress": item.progress,
                "decisions": [DecisionResource.of(element) for element in report.decisions],
                "history": report.history,
                "late_results": report.late_results,
                "undelivered": report.undelivered,
                "children": {
                    run_id: RunDetails.of_report(child) for run_id, child in report.children.items()
                },
                "steps": report.steps,
                "step_count": report.step_count,
                "policy": report.policy,
                "awaited_workers": report.awaited_workers,
                "waits_behind": report.waits_behind,
                "changes": report.changes,
            }
        )

    def run(self) -> RunOutput:
        """Return the run that is shown."""
        requirements = [item.requirement() for item in self.requirements]
        return RunOutput.model_validate(_shown_by(self) | {"requirements": requirements})

    def report(self) -> RunReport:
        """Return the report that is shown."""
        return RunReport(
            run=self.run(),
            decisions=[item.decision() for item in self.decisions],
            history=self.history,
            late_results=self.late_results,
            undelivered=self.undelivered,
            children={run_id: child.report() for run_id, child in self.children.items()},
            steps=self.steps,
            step_count=self.step_count,
            policy=self.policy,
            awaited_workers=self.awaited_workers,
            waits_behind=self.waits_behind,
            changes=self.changes,
        )


class AcceptedChange(BaseModel):
    """A change of a run that is stored.

    Attributes:
        is_new: False if the same was accepted before, or it waits for another of its session.
        delivered: Whether the run was notified; if not, a worker will do it.
    """

    run: str
    is_new: bool
    delivered: bool

    @classmethod
    def of(cls, item: Acceptance) -> Self:
        """Return a change as the API shows it."""
        return cls(run=item.run_id, is_new=item.is_new, delivered=item.delivered)

    def acceptance(self) -> Acceptance:
        """Return the change that is shown."""
        return Acceptance(run_id=self.run, is_new=self.is_new, delivered=self.delivered)


class EventPage(BaseModel):
    """What has happened in a run, in order.

    Attributes:
        items: Events by their `kind`, as `kern events --json` prints them. Those that are stored
            have a number, `seq`; pieces of text come before the end of their turn.
        next: The number of the last of them; pass it as `after`.
        is_idle: Whether the run has ended or waits for people, so that nothing follows by itself.
    """

    items: list[dict[str, JsonValue]]
    next: int
    is_idle: bool


def _values_of(item: RunOutput) -> dict[str, object]:
    content = item.content
    names = {field: name for name, field in _RENAMED.items()}
    values = {
        names.get(field, field): getattr(item, field)
        for field in RunOutput.model_fields
        if names.get(field, field) in RunResource.model_fields
    }
    if isinstance(content, BaseModel):
        values["content"] = content.model_dump(mode="json")
    return values


def _shown_by(resource: RunResource) -> dict[str, object]:
    fields = {_RENAMED.get(name, name): value for name, value in resource}
    return {name: value for name, value in fields.items() if name in RunOutput.model_fields}
