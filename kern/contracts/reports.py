"""What surfaces show of runs and requirements: pages, receipts, and the report of one run."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from kern.contracts.triage import HistoryEntry
from kern.requirements import Requirement
from kern.run import FileReference, RunOutput, StepExecution
from kern.session import Session, SessionMetrics
from kern.values.principals import Principal
from kern.values.states import ToolOutcome, Verdict

# How many items a page of a listing has at most.
LONGEST_PAGE = 1000


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class RunPage(_Model):
    """A page of runs, the latest first.

    Attributes:
        runs: The runs, without their messages, calls and requirements.
        next_cursor: Where the next page begins; None at the end.
    """

    runs: list[RunOutput]
    next_cursor: str | None = None


class RequirementPage(_Model):
    """A page of requirements, the oldest first.

    Attributes:
        requirements: The requirements.
        next_cursor: Where the next page begins; None at the end.
    """

    requirements: list[Requirement]
    next_cursor: str | None = None


class InboxCounts(_Model):
    """How much waits, each up to 1,001: beyond that nobody counts.

    Attributes:
        for_me: What waits for the principal who asks, without what they have put off.
        all: What the viewer may see.
        claimed: What of that the principal has claimed.
        snoozed: What of that the principal has put off.
        unknown: What of that asks whether a call happened.
    """

    for_me: int
    all: int
    claimed: int = 0
    snoozed: int = 0
    unknown: int = 0


class Receipt(_Model):
    """A decision that was accepted: it is stored, and cannot be lost.

    Attributes:
        requirement: The requirement after it.
        delivered: Whether the run's workflow was notified. False: it will be as soon as a worker
            runs. None: the requirement waits for more approvals, or for any after a withdrawal.
    """

    requirement: Requirement
    delivered: bool | None = None


class Acceptance(_Model):
    """A change of a run that is stored.

    Attributes:
        run_id: The run.
        is_new: False if the same was accepted before, or the run waits for another of its session.
        delivered: Whether the run's workflow has been notified, or need not be.
    """

    run_id: str
    is_new: bool
    delivered: bool


class Deletion(_Model):
    """A session that is gone.

    Attributes:
        cancelled_runs: How many of its runs were active or paused.
        delivered: Whether their workflows have been notified.
    """

    cancelled_runs: int
    delivered: bool


class Decision(_Model):
    """A decision as it stands in the log of decisions.

    Attributes:
        seq: Its position among the decisions about its run, the run at the root and those below.
        by: The name of whoever made it.
        principal: Who that is, as whoever authenticated them says.
        tool: The tool or step that it is about.
        edit: The arguments that it changed.
        given: The values, choices or result that it carries.
        hash: The hash over its content and the hash of the decision before it.
    """

    seq: int
    id: str
    requirement_id: str
    run_id: str
    tool: str | None = None
    verdict: Verdict
    by: str
    principal: Principal
    note: str | None
    at: datetime
    edit: dict[str, JsonValue] | None
    given: JsonValue
    hash: str


class DecisionPage(_Model):
    """A page of the log of decisions, the latest first.

    Attributes:
        decisions: The decisions.
        next_cursor: Where the next page begins, which has earlier ones; None at the end.
    """

    decisions: list[Decision]
    next_cursor: str | None = None


class AuditReport(_Model):
    """A log of decisions that verifies, or the part of it that is of one run or one tenant.

    Attributes:
        decisions: How many decisions it has.
        head: The hash of the last seal of the whole log, which covers all that is sealed; of one
            run, the hash of its last decision.
        seals: How many seals it has.
        unsealed: How many of the decisions no seal covers yet.
        unsealed_since: When the first of those was made.
        root_run_id: The run at the root, if only its part was verified.
        tenant: The tenant, if only its part was verified; the default one is empty.
    """

    decisions: int
    head: str
    seals: int = 0
    unsealed: int = 0
    unsealed_since: datetime | None = None
    root_run_id: str | None = None
    tenant: str | None = None


class LateResult(_Model):
    """The result of an attempt that was considered dead; what was decided by then stands."""

    tool_call_id: str
    outcome: ToolOutcome
    result: str
    at: datetime


class WorkerPolicies(_Model):
    """A process that executes runs: the digest of its policy for each of its components.

    Attributes:
        version: That of its Kern.
        revision: The newest revision of the tables that it knows.
    """

    name: str
    version: str
    revision: str
    policies: dict[str, str]


class PolicyDifference(_Model):
    """A component for which workers declare different policies.

    Attributes:
        workers: Each worker that has it, by its host and process, with the digest that it declares.
        changes: What differs, in words.
    """

    component_id: str
    workers: list[tuple[str, str]]
    changes: list[str]


class AwaitedWorker(_Model):
    """What a run waits for that no living worker has.

    Attributes:
        component_id: The run's component.
        tool: The tool, or the member of a team, that those who have the component lack; None if no
            worker has the component.
        since: When the run began to wait for a worker, as far as its rows say.
        is_parked: Whether the run waits for people first.
    """

    run_id: str
    component_id: str
    tool: str | None = None
    since: datetime
    is_parked: bool = False

    @property
    def missing(self) -> str:
        """What a worker has to have."""
        return self.tool or self.component_id


class ParkedRuns(_Model):
    """Runs of a component that wait for people, while no worker could continue them."""

    component_id: str
    count: int
    oldest: datetime


class RunPolicy(_Model):
    """The policy that was pinned on a run.

    Attributes:
        digest: The digest of the pinned policy.
        executed: The digest of the policy of the worker that executed the run last, if it differs.
        changes: What differs, in words; the stricter of both applies.
        workers: What differs in the workers that could continue the run, by the worker's host and
            process. One that lacks a pinned tool leaves the run to others.
        fault: Why nothing of the run is executed: the stored policy is missing or was changed.
    """

    digest: str
    executed: str | None = None
    changes: list[str] = []
    workers: dict[str, list[str]] = {}
    fault: str | None = None


class RunChange(_Model):
    """That a run was cancelled, or continued after it had failed.

    Attributes:
        by: The name of whoever had it so; None where nobody was named, as when it was cancelled
            with the run that started it.
        note: Why, for people.
    """

    kind: Literal["cancelled", "retried"]
    by: str | None = None
    note: str | None = None
    at: datetime


class SimilarDecisions(_Model):
    """What people decided about calls of the same tool and kind that move about as much.

    Attributes:
        band: How many digits the amounts have before the point; None if the calls name no amount.
        unit: Of what the amounts are.
        days: How far back it was looked.
        approved: How many were let through; `edited` of them with other arguments.
        median_seconds: Half of them were decided in less time than this.
        is_cut: Whether there are more, and these are the latest.
    """

    tool: str | None
    band: int | None = None
    unit: str | None = None
    days: int
    approved: int
    edited: int
    rejected: int
    median_seconds: float
    is_cut: bool = False


class RunReport(_Model):
    """A run with everything that happened in it.

    Attributes:
        decisions: In the order of the log; a workflow's report has those of all its child runs.
        undelivered: How many messages to the run's workflow wait for delivery.
        children: The reports of the runs that executed calls of this one, by their ids.
        steps: A workflow's first steps.
        step_count: How many steps the workflow has opened.
        policy: The policy that was pinned on it.
        awaited_workers: What it, or a run inside it, waits for that no worker has.
        waits_behind: The run of its session behind which it is queued.
        history: What happened to its requirements beside the decisions.
        changes: Who cancelled or retried it, the first first.
    """

    run: RunOutput
    decisions: list[Decision]
    late_results: list[LateResult]
    undelivered: int
    children: dict[str, "RunReport"]
    steps: list[StepExecution]
    step_count: int
    policy: RunPolicy | None = None
    awaited_workers: list[AwaitedWorker] = []
    waits_behind: str | None = None
    history: list[HistoryEntry] = []
    changes: list[RunChange] = []


class Backlog(_Model):
    """What waits: requirements for people, and messages for delivery to Temporal."""

    pending: int
    undelivered: int
    oldest_undelivered: datetime | None


class SessionReport(_Model):
    """A session with its metrics and its latest runs.

    Attributes:
        runs: The latest first, without their messages, calls and requirements.
        files: The files that came with each run's input, by the run's id.
    """

    session: Session
    metrics: SessionMetrics
    runs: list[RunOutput]
    files: dict[str, list[FileReference]]
