"""Rows that a transaction may change: what `new_row` and `hold` return.

Only the unit of work, and `add_row` for a new row, write what is assigned to their fields.

Written from the tables by `UPDATE_ROW_TYPES=1 pytest -n 0 -k row_types`: change those.
"""

from datetime import datetime

from pydantic import JsonValue

from kern.db.engine.plain_rows import PlainRow


class MutableSession(PlainRow):
    """The fields of a `SessionRow`, for the transaction that may change them."""

    id: str
    tenant: str
    user_id: str | None
    component_id: str
    name: str | None
    state: dict[str, JsonValue]
    state_version: int
    state_updates: list[str] | None
    next_number: int
    parts: int
    summary: str | None
    summary_number: int
    forked_from: str | None
    created_at: datetime
    updated_at: datetime


class MutableRun(PlainRow):
    """The fields of a `RunRow`, for the transaction that may change them."""

    id: str
    session_id: str
    parent_run_id: str | None
    root_run_id: str | None
    ancestors: list[str]
    path: list[str]
    callers: list[str] | None
    forked_from: str | None
    tenant: str
    user_id: str | None
    requester: dict[str, JsonValue] | None
    component_id: str
    component_kind: str
    number: int
    status: str
    is_queued: bool
    is_streamed: bool
    is_summarised: bool
    retries: int
    input: str
    content: str | None
    error_code: str | None
    error_message: str | None
    outage: dict[str, JsonValue] | None
    turn: int
    policy: str | None
    executed_policy: str | None
    shape: str | None
    steps_opened: int
    steps_known: int
    steps_done: int
    last_event: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    model_calls: int
    tool_calls: int
    first_token_seconds: float | None
    working_seconds: float
    waiting_seconds: float
    idempotency_key: str | None
    dependencies: dict[str, JsonValue]
    run_metadata: dict[str, JsonValue]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    counted_at: datetime | None
    finished_at: datetime | None


class MutableToolCall(PlainRow):
    """The fields of a `ToolCallRow`, for the transaction that may change them."""

    id: str
    run_id: str
    turn: int
    position: int
    provider_call_id: str
    name: str
    arguments: dict[str, JsonValue]
    digest: str
    idempotency_key: str
    approved_arguments: dict[str, JsonValue] | None
    approved_digest: str | None
    gate: str | None
    child_run_id: str | None
    is_answer: bool
    step_id: str | None
    effect: str
    retries: int
    timeout: float | None
    has_reconciler: bool
    status: str
    outcome: str | None
    result: str | None
    attempt: int
    may_have_happened: bool
    token: str | None
    scheduled_at: datetime | None
    worker: str | None
    begun_at: datetime | None
    beat_at: datetime | None
    leased_until: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class MutableDecision(PlainRow):
    """The fields of a `DecisionRow`, for the transaction that may change them."""

    root_run_id: str
    seq: int
    id: str
    requirement_id: str
    position: int
    run_id: str
    kind: str
    verdict: str
    version: int
    actor: str
    issuer: str
    subject: str
    principal_kind: str
    groups: list[str]
    tenant: str
    note: str | None
    tool_name: str | None
    digest: str
    edit: dict[str, JsonValue] | None
    given: JsonValue
    salt: str | None
    text_digest: str
    at: datetime
    previous_hash: str
    hash: str


class MutableChainHead(PlainRow):
    """The fields of a `ChainHeadRow`, for the transaction that may change them."""

    root_run_id: str
    seq: int
    hash: str


class MutableOutbox(PlainRow):
    """The fields of a `OutboxRow`, for the transaction that may change them."""

    id: str
    kind: str
    run_id: str
    component_id: str
    component_kind: str
    requirement_id: str | None
    attempts: int
    next_at: datetime
    created_at: datetime


class MutableRequirement(PlainRow):
    """The fields of a `RequirementRow`, for the transaction that may change them."""

    id: str
    run_id: str
    root_run_id: str | None
    path: list[str]
    session_id: str
    tenant: str
    user_id: str | None
    tool_call_id: str | None
    kind: str
    status: str
    tool_name: str | None
    arguments: dict[str, JsonValue]
    digest: str
    current_arguments: dict[str, JsonValue] | None
    current_digest: str | None
    edited_by: str | None
    arguments_schema: dict[str, JsonValue]
    question: str | None
    presentation: dict[str, JsonValue]
    title: str | None
    risk: str
    risk_rank: int
    confirm_value: str | None
    subject: str | None
    amount: str | None
    amount_band: int | None
    unit: str | None
    shape: str
    attempt: dict[str, JsonValue] | None
    fields: list[JsonValue]
    choices: list[str]
    multiple: bool
    candidates: list[str]
    excluded: list[str]
    quorum: int
    on_expiry: str
    due_at: datetime | None
    remind_seconds: float | None
    reminders: int
    remind_at: datetime | None
    escalate_to: list[str] | None
    escalate_at: datetime | None
    verdict: str | None
    resolved_by: str | None
    resolved_note: str | None
    resolved_at: datetime | None
    delivered_at: datetime | None
    claimed_by: str | None
    claimed_key: str | None
    claimed_until: datetime | None
    delegations: list[JsonValue] | None
    reopened: int
    not_executed: str | None
    created_at: datetime


class MutableSeal(PlainRow):
    """The fields of a `SealRow`, for the transaction that may change them."""

    seq: int
    version: int
    root_run_id: str
    chain_seq: int
    chain_hash: str
    at: datetime
    previous_hash: str
    hash: str


class MutableSealHead(PlainRow):
    """The fields of a `SealHeadRow`, for the transaction that may change them."""

    name: str
    seq: int
    hash: str


class MutableFeedHead(PlainRow):
    """The fields of a `FeedHeadRow`, for the transaction that may change them."""

    name: str
    seq: int
    pruned_seq: int


class MutableSubscription(PlainRow):
    """The fields of a `SubscriptionRow`, for the transaction that may change them."""

    id: str
    tenant: str
    sort: str
    label: str
    address: str
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    recipient: str | None
    digest_seconds: float | None
    kinds: list[str]
    components: list[str]
    tools: list[str]
    risks: list[str]
    with_content: bool
    since_seq: int
    created_by: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None


class MutableDelivery(PlainRow):
    """The fields of a `DeliveryRow`, for the transaction that may change them."""

    id: str
    subscription_id: str
    tenant: str
    seq: int
    kind: str
    requirement_id: str | None
    run_id: str
    body: str
    status: str
    attempts: int
    next_at: datetime
    tried_at: datetime | None
    answer_status: int | None
    answer: str | None
    delivered_at: datetime | None
    created_at: datetime


class MutableStep(PlainRow):
    """The fields of a `StepRow`, for the transaction that may change them."""

    id: str
    run_id: str
    number: int
    node: str
    name: str
    parent_id: str | None
    parent_round: int
    place: int
    path_key: str
    is_repeated: bool
    lane: str | None
    announced_by: str | None
    phase: str
    version: int
    is_waiting: bool
    outcome: str | None
    is_stopped: bool
    is_ungated: bool | None
    source: str
    input_value: JsonValue
    values: dict[str, JsonValue] | None
    chosen: list[int] | None
    feedback: str | None
    round: int
    revisions: int
    tries: int
    cursor: int
    open_children: int
    width: int
    last_id: str | None
    content: JsonValue
    error_code: str | None
    error_message: str | None
    call_id: str | None
    gate_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
