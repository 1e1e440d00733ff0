"""Every table with the types of its rows: what `rows`, `hold`, `new_row` and `add` are handed."""

from kern.db.engine.access_tables import SignInLinkRow, TokenRow, WebSessionRow
from kern.db.engine.feed_tables import FeedHeadRow, FeedRow
from kern.db.engine.mutable_rows import (
    MutableChainHead,
    MutableDecision,
    MutableDelivery,
    MutableFeedHead,
    MutableOutbox,
    MutableRequirement,
    MutableRun,
    MutableSeal,
    MutableSealHead,
    MutableSession,
    MutableStep,
    MutableSubscription,
    MutableToolCall,
)
from kern.db.engine.plain_rows import PlainRow, TypedTable
from kern.db.engine.policy_tables import PolicyRow, WorkerRow
from kern.db.engine.records import (
    ChainHeadRecord,
    DecisionRecord,
    DeliveryRecord,
    EventRecord,
    FeedHeadRecord,
    FeedRecord,
    MessageRecord,
    OutboxRecord,
    RequirementRecord,
    RunRecord,
    SealHeadRecord,
    SealRecord,
    SessionRecord,
    SubscriptionRecord,
    ToolCallRecord,
    UnsealedRecord,
)
from kern.db.engine.requirement_tables import RequirementPersonRow, RequirementRow
from kern.db.engine.seal_tables import SealHeadRow, SealRow, UnsealedRow
from kern.db.engine.step_records import StepRecord
from kern.db.engine.step_tables import ShapeRow, StepRow
from kern.db.engine.subscription_tables import DeliveryRow, SubscriptionRow
from kern.db.engine.tables import (
    ChainHeadRow,
    DecisionRow,
    DeletedRunRow,
    EventRow,
    FileRow,
    MessageRow,
    OutboxRow,
    RunRow,
    SessionRow,
    ToolCallRow,
)
from kern.db.engine.triage_tables import AbsenceRow, BatchRow, CommentRow, SnoozeRow

SESSIONS: TypedTable[SessionRecord, MutableSession] = TypedTable(SessionRow, MutableSession)
RUNS: TypedTable[RunRecord, MutableRun] = TypedTable(RunRow, MutableRun)
TOOL_CALLS: TypedTable[ToolCallRecord, MutableToolCall] = TypedTable(ToolCallRow, MutableToolCall)
REQUIREMENTS: TypedTable[RequirementRecord, MutableRequirement] = TypedTable(
    RequirementRow, MutableRequirement
)
DECISIONS: TypedTable[DecisionRecord, MutableDecision] = TypedTable(DecisionRow, MutableDecision)
CHAIN_HEADS: TypedTable[ChainHeadRecord, MutableChainHead] = TypedTable(
    ChainHeadRow, MutableChainHead
)
SEALS: TypedTable[SealRecord, MutableSeal] = TypedTable(SealRow, MutableSeal)
SEAL_HEADS: TypedTable[SealHeadRecord, MutableSealHead] = TypedTable(SealHeadRow, MutableSealHead)
FEED_HEADS: TypedTable[FeedHeadRecord, MutableFeedHead] = TypedTable(FeedHeadRow, MutableFeedHead)
OUTBOX: TypedTable[OutboxRecord, MutableOutbox] = TypedTable(OutboxRow, MutableOutbox)
STEPS: TypedTable[StepRecord, MutableStep] = TypedTable(StepRow, MutableStep)
SUBSCRIPTIONS: TypedTable[SubscriptionRecord, MutableSubscription] = TypedTable(
    SubscriptionRow, MutableSubscription
)
DELIVERIES: TypedTable[DeliveryRecord, MutableDelivery] = TypedTable(DeliveryRow, MutableDelivery)

# Their rows are appended with all their values, and never changed.
MESSAGES: TypedTable[MessageRecord, PlainRow] = TypedTable(MessageRow, PlainRow)
EVENTS: TypedTable[EventRecord, PlainRow] = TypedTable(EventRow, PlainRow)
UNSEALED: TypedTable[UnsealedRecord, PlainRow] = TypedTable(UnsealedRow, PlainRow)
FEED: TypedTable[FeedRecord, PlainRow] = TypedTable(FeedRow, PlainRow)

# The same, and their rows are never read as a whole.
FILES: TypedTable[object, PlainRow] = TypedTable(FileRow, PlainRow)
SHAPES: TypedTable[object, PlainRow] = TypedTable(ShapeRow, PlainRow)
PEOPLE: TypedTable[object, PlainRow] = TypedTable(RequirementPersonRow, PlainRow)
SNOOZES: TypedTable[object, PlainRow] = TypedTable(SnoozeRow, PlainRow)
ABSENCES: TypedTable[object, PlainRow] = TypedTable(AbsenceRow, PlainRow)
COMMENTS: TypedTable[object, PlainRow] = TypedTable(CommentRow, PlainRow)
BATCHES: TypedTable[object, PlainRow] = TypedTable(BatchRow, PlainRow)
POLICIES: TypedTable[object, PlainRow] = TypedTable(PolicyRow, PlainRow)
WORKERS: TypedTable[object, PlainRow] = TypedTable(WorkerRow, PlainRow)
DELETED_RUNS: TypedTable[object, PlainRow] = TypedTable(DeletedRunRow, PlainRow)
TOKENS: TypedTable[object, PlainRow] = TypedTable(TokenRow, PlainRow)
WEB_SESSIONS: TypedTable[object, PlainRow] = TypedTable(WebSessionRow, PlainRow)
SIGN_IN_LINKS: TypedTable[object, PlainRow] = TypedTable(SignInLinkRow, PlainRow)
