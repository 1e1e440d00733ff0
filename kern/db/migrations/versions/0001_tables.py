"""The tables of version 0.2."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
min_reader = "0001"


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "kern_chain_heads",
        sa.Column("root_run_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("root_run_id", name="kern_chain_heads_pkey"),
    )
    op.create_table(
        "kern_seal_head",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="kern_seal_head_pkey"),
    )
    op.create_table(
        "kern_seals",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("root_run_id", sa.String(), nullable=False),
        sa.Column("chain_seq", sa.Integer(), nullable=False),
        sa.Column("chain_hash", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="kern_seals_pkey"),
        sa.UniqueConstraint("hash", name="kern_seals_hash_key"),
        sa.UniqueConstraint(
            "root_run_id", "chain_seq", name="kern_seals_root_run_id_chain_seq_key"
        ),
    )
    op.create_table(
        "kern_unsealed",
        sa.Column("root_run_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("root_run_id", "seq", name="kern_unsealed_pkey"),
    )
    op.create_table(
        "kern_decisions",
        sa.Column("root_run_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("principal_kind", sa.String(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("tool_name", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("edit", sa.Text(), nullable=True),
        sa.Column("given", sa.Text(), nullable=True),
        sa.Column("salt", sa.String(), nullable=True),
        sa.Column("text_digest", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("root_run_id", "seq", name="kern_decisions_pkey"),
        sa.UniqueConstraint("id", name="kern_decisions_id_key"),
        sa.UniqueConstraint(
            "requirement_id", "position", name="kern_decisions_requirement_id_position_key"
        ),
    )
    op.create_index("kern_decisions_by_run_id", "kern_decisions", ["run_id"])
    op.create_index("kern_decisions_by_time", "kern_decisions", ["at", "id"])
    op.create_index("kern_decisions_of_tenant", "kern_decisions", ["tenant", "at", "id"])
    op.create_index(
        "kern_decisions_of_tenant_run", "kern_decisions", ["tenant", "root_run_id", "seq"]
    )
    op.create_index(
        "kern_decisions_of_subject", "kern_decisions", ["tenant", "subject", "at", "id"]
    )
    op.create_index("kern_decisions_of_tool", "kern_decisions", ["tenant", "tool_name", "at", "id"])
    op.create_index(
        "kern_decisions_of_verdict", "kern_decisions", ["tenant", "verdict", "at", "id"]
    )
    op.create_table(
        "kern_deleted_runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_deleted_runs_pkey"),
    )
    op.create_index("kern_deleted_runs_by_deleted_at", "kern_deleted_runs", ["deleted_at"])
    op.create_table(
        "kern_outbox",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("component_id", sa.String(), nullable=False),
        sa.Column("component_kind", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_outbox_pkey"),
    )
    op.create_index("kern_outbox_by_run_id", "kern_outbox", ["run_id"])
    op.create_index("kern_outbox_by_time", "kern_outbox", ["next_at"])
    op.create_table(
        "kern_policies",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", "tenant", name="kern_policies_pkey"),
    )
    op.create_table(
        "kern_workers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column("policies", sa.Text(), nullable=False),
        sa.Column("initial_states", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_workers_pkey"),
    )
    op.create_index("kern_workers_by_beat_at", "kern_workers", ["beat_at"])
    op.create_table(
        "kern_sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("component_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_version", sa.Integer(), nullable=False),
        sa.Column("state_updates", sa.Text(), nullable=True),
        sa.Column("next_number", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("summary_number", sa.Integer(), nullable=False),
        sa.Column("forked_from", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_sessions_pkey"),
    )
    op.create_index("kern_sessions_by_time", "kern_sessions", ["updated_at", "id"])
    op.create_index("kern_sessions_of_tenant", "kern_sessions", ["tenant", "updated_at", "id"])
    op.create_index(
        "kern_sessions_of_tenant_user", "kern_sessions", ["tenant", "user_id", "updated_at", "id"]
    )
    op.create_index("kern_sessions_of_user", "kern_sessions", ["user_id", "updated_at", "id"])
    op.create_table(
        "kern_shapes",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="kern_shapes_pkey"),
    )
    op.create_table(
        "kern_files",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["kern_sessions.id"], name="kern_files_session_id_fkey"
        ),
        sa.PrimaryKeyConstraint("id", name="kern_files_pkey"),
        sa.UniqueConstraint(
            "session_id",
            "digest",
            "media_type",
            "name",
            name="kern_files_session_id_digest_media_type_name_key",
        ),
    )
    op.create_table(
        "kern_installation",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="kern_installation_pkey"),
    )
    op.create_table(
        "kern_runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("parent_run_id", sa.String(), nullable=True),
        sa.Column("root_run_id", sa.String(), nullable=True),
        sa.Column("ancestors", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("callers", sa.Text(), nullable=True),
        sa.Column("forked_from", sa.String(), nullable=True),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("requester", sa.Text(), nullable=True),
        sa.Column("component_id", sa.String(), nullable=False),
        sa.Column("component_kind", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("is_queued", sa.Boolean(), nullable=False),
        sa.Column("is_streamed", sa.Boolean(), nullable=False),
        sa.Column("is_summarised", sa.Boolean(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("outage", sa.Text(), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(), nullable=True),
        sa.Column("executed_policy", sa.String(), nullable=True),
        sa.Column("shape", sa.String(), nullable=True),
        sa.Column("steps_opened", sa.Integer(), nullable=False),
        sa.Column("steps_known", sa.Integer(), nullable=False),
        sa.Column("steps_done", sa.Integer(), nullable=False),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("model_calls", sa.BigInteger(), nullable=False),
        sa.Column("tool_calls", sa.BigInteger(), nullable=False),
        sa.Column("first_token_seconds", sa.Float(), nullable=True),
        sa.Column("working_seconds", sa.Float(), nullable=False),
        sa.Column("waiting_seconds", sa.Float(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("dependencies", sa.Text(), nullable=False),
        sa.Column("run_metadata", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["kern_sessions.id"], name="kern_runs_session_id_fkey"
        ),
        sa.PrimaryKeyConstraint("id", name="kern_runs_pkey"),
        sa.UniqueConstraint("session_id", "number", name="kern_runs_session_id_number_key"),
    )
    op.create_index("kern_runs_by_parent_run_id", "kern_runs", ["parent_run_id"])
    op.create_index("kern_runs_by_root_run_id", "kern_runs", ["root_run_id"])
    op.create_index("kern_runs_by_status", "kern_runs", ["status", "updated_at"])
    op.create_index("kern_runs_by_time", "kern_runs", ["created_at", "id"])
    op.create_index("kern_runs_of_session", "kern_runs", ["session_id", "status", "number"])
    op.create_index("kern_runs_of_tenant", "kern_runs", ["tenant", "created_at", "id"])
    op.create_table(
        "kern_events",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["kern_runs.id"], name="kern_events_run_id_fkey"),
        sa.PrimaryKeyConstraint("run_id", "seq", name="kern_events_pkey"),
    )
    _create_partial_index(
        "kern_events_of_requirement",
        "kern_events",
        ["requirement_id", "seq"],
        where="requirement_id IS NOT NULL",
    )
    op.create_table(
        "kern_messages",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("provider_call_id", sa.String(), nullable=True),
        sa.Column("tool_name", sa.String(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("requested", sa.Text(), nullable=True),
        sa.Column("items", sa.Text(), nullable=True),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("files", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["kern_runs.id"], name="kern_messages_run_id_fkey"),
        sa.PrimaryKeyConstraint("run_id", "turn", "position", name="kern_messages_pkey"),
    )
    op.create_table(
        "kern_steps",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("parent_id", sa.String(), nullable=True),
        sa.Column("parent_round", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("path_key", sa.String(), nullable=False),
        sa.Column("is_repeated", sa.Boolean(), nullable=False),
        sa.Column("lane", sa.String(), nullable=True),
        sa.Column("announced_by", sa.String(), nullable=True),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_waiting", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("is_stopped", sa.Boolean(), nullable=False),
        sa.Column("is_ungated", sa.Boolean(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("input_value", sa.Text(), nullable=True),
        sa.Column("values", sa.Text(), nullable=True),
        sa.Column("chosen", sa.Text(), nullable=True),
        sa.Column("feedback", sa.Text(), nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("revisions", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("open_children", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.String(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("call_id", sa.String(), nullable=True),
        sa.Column("gate_id", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["kern_runs.id"], name="kern_steps_run_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="kern_steps_pkey"),
        sa.UniqueConstraint(
            "parent_id", "parent_round", "place", name="kern_steps_parent_id_parent_round_place_key"
        ),
    )
    op.create_index("kern_steps_by_lane", "kern_steps", ["lane", "phase"])
    op.create_index("kern_steps_by_number", "kern_steps", ["run_id", "number"])
    op.create_index("kern_steps_by_phase", "kern_steps", ["run_id", "phase", "is_waiting"])
    op.create_index("kern_steps_by_announced_by", "kern_steps", ["announced_by"])
    op.create_table(
        "kern_tool_calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("provider_call_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=False),
        sa.Column("approved_arguments", sa.Text(), nullable=True),
        sa.Column("approved_digest", sa.String(), nullable=True),
        sa.Column("gate", sa.String(), nullable=True),
        sa.Column("child_run_id", sa.String(), nullable=True),
        sa.Column("is_answer", sa.Boolean(), nullable=False),
        sa.Column("step_id", sa.String(), nullable=True),
        sa.Column("effect", sa.String(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("timeout", sa.Float(), nullable=True),
        sa.Column("has_reconciler", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("may_have_happened", sa.Boolean(), nullable=False),
        sa.Column("token", sa.String(), nullable=True),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["kern_runs.id"], name="kern_tool_calls_run_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="kern_tool_calls_pkey"),
        sa.UniqueConstraint(
            "run_id", "turn", "position", name="kern_tool_calls_run_id_turn_position_key"
        ),
    )
    op.create_index("kern_tool_calls_by_idempotency_key", "kern_tool_calls", ["idempotency_key"])
    op.create_index("kern_tool_calls_by_run_id", "kern_tool_calls", ["run_id"])
    op.create_index("kern_tool_calls_by_step_id", "kern_tool_calls", ["step_id"])
    _create_requirements()
    op.bulk_insert(
        sa.table("kern_seal_head", sa.column("name"), sa.column("seq"), sa.column("hash")),
        [{"name": "seals", "seq": 0, "hash": "0" * 64}],
    )


def _create_requirements() -> None:
    op.create_table(
        "kern_requirements",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("root_run_id", sa.String(), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("tool_call_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tool_name", sa.String(), nullable=True),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("current_arguments", sa.Text(), nullable=True),
        sa.Column("current_digest", sa.String(), nullable=True),
        sa.Column("edited_by", sa.String(), nullable=True),
        sa.Column("arguments_schema", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=True),
        sa.Column("presentation", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("risk", sa.String(), nullable=False),
        sa.Column("risk_rank", sa.Integer(), nullable=False),
        sa.Column("confirm_value", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("amount", sa.String(), nullable=True),
        sa.Column("amount_band", sa.Integer(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("shape", sa.String(), nullable=False),
        sa.Column("attempt", sa.Text(), nullable=True),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("choices", sa.Text(), nullable=False),
        sa.Column("multiple", sa.Boolean(), nullable=False),
        sa.Column("candidates", sa.Text(), nullable=False),
        sa.Column("excluded", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("on_expiry", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remind_seconds", sa.Float(), nullable=True),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("escalate_to", sa.Text(), nullable=True),
        sa.Column("escalate_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("resolved_by", sa.String(), nullable=True),
        sa.Column("resolved_note", sa.Text(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("claimed_key", sa.String(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delegations", sa.Text(), nullable=True),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("not_executed", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["kern_runs.id"], name="kern_requirements_run_id_fkey"),
        sa.ForeignKeyConstraint(
            ["tool_call_id"], ["kern_tool_calls.id"], name="kern_requirements_tool_call_id_fkey"
        ),
        sa.PrimaryKeyConstraint("id", name="kern_requirements_pkey"),
    )
    op.create_index(
        "kern_requirements_by_due", "kern_requirements", ["tenant", "status", "due_at", "id"]
    )
    op.create_index(
        "kern_requirements_by_risk", "kern_requirements", ["tenant", "status", "risk_rank", "id"]
    )
    op.create_index("kern_requirements_by_root_run_id", "kern_requirements", ["root_run_id"])
    op.create_index("kern_requirements_by_run_id", "kern_requirements", ["run_id"])
    op.create_index("kern_requirements_by_status", "kern_requirements", ["status", "created_at"])
    op.create_index(
        "kern_requirements_of_shape",
        "kern_requirements",
        ["tenant", "status", "shape", "created_at", "id"],
    )
    op.create_index(
        "kern_requirements_of_tenant",
        "kern_requirements",
        ["tenant", "status", "created_at", "id"],
    )
    op.create_index("kern_requirements_by_tool_call_id", "kern_requirements", ["tool_call_id"])
    op.create_index(
        "kern_requirements_not_executed",
        "kern_requirements",
        ["resolved_at"],
        sqlite_where=sa.text("not_executed IS NOT NULL"),
        postgresql_where=sa.text("not_executed IS NOT NULL"),
    )
    op.create_index(
        "kern_requirements_of_kind", "kern_requirements", ["tenant", "status", "kind", "id"]
    )
    _create_partial_index(
        "kern_requirements_of_claim",
        "kern_requirements",
        ["claimed_key", "claimed_until"],
        where="claimed_key IS NOT NULL",
    )
    _create_partial_index(
        "kern_requirements_by_closing",
        "kern_requirements",
        ["tenant", "resolved_at", "id"],
        where="resolved_at IS NOT NULL",
    )
    _create_partial_index(
        "kern_requirements_alike",
        "kern_requirements",
        ["tenant", "tool_name", "amount_band", "resolved_at"],
        where="resolved_at IS NOT NULL",
    )

    op.create_table(
        "kern_requirement_people",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("from_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("risk_rank", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_requirement_people_pkey"),
    )
    op.create_index(
        "kern_people_by_due",
        "kern_requirement_people",
        ["tenant", "status", "kind", "key", "due_at", "requirement_id"],
    )
    op.create_index(
        "kern_people_by_id",
        "kern_requirement_people",
        ["tenant", "status", "kind", "key", "requirement_id"],
    )
    op.create_index(
        "kern_people_by_risk",
        "kern_requirement_people",
        ["tenant", "status", "kind", "key", "risk_rank", "requirement_id"],
    )
    op.create_index(
        "kern_requirement_people_by_requirement_id",
        "kern_requirement_people",
        ["requirement_id"],
    )
    op.create_index("kern_requirement_people_by_run_id", "kern_requirement_people", ["run_id"])

    _create_triage_tables()
    _create_access_tables()
    _create_feed_tables()
    _create_subscription_tables()


def _create_partial_index(name: str, table: str, columns: list[str], *, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


def _create_triage_tables() -> None:
    op.create_table(
        "kern_snoozes",
        sa.Column("requirement_id", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("requirement_id", "issuer", "subject", name="kern_snoozes_pkey"),
    )
    op.create_index("kern_snoozes_by_run_id", "kern_snoozes", ["run_id"])
    op.create_index("kern_snoozes_of_person", "kern_snoozes", ["issuer", "subject", "until"])
    op.create_table(
        "kern_absences",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subject_key", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="kern_absences_pkey"),
    )
    op.create_index("kern_absences_of_tenant", "kern_absences", ["tenant", "until", "id"])
    op.create_index("kern_absences_by_key", "kern_absences", ["tenant", "key", "until"])
    op.create_index(
        "kern_absences_by_subject_key", "kern_absences", ["tenant", "subject_key", "until"]
    )
    op.create_table(
        "kern_comments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("author_kind", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_comments_pkey"),
    )
    op.create_index("kern_comments_by_run_id", "kern_comments", ["run_id"])
    op.create_index("kern_comments_of_requirement", "kern_comments", ["requirement_id", "at", "id"])
    op.create_table(
        "kern_batches",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("body_digest", sa.String(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_batches_pkey"),
    )
    op.create_index("kern_batches_by_at", "kern_batches", ["at"])


def _create_access_tables() -> None:
    op.create_table(
        "kern_tokens",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="kern_tokens_pkey"),
        sa.UniqueConstraint("secret_hash", name="kern_tokens_secret_hash_key"),
    )
    op.create_index("kern_tokens_by_tenant", "kern_tokens", ["tenant"])
    op.create_table(
        "kern_web_sessions",
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("all_tenants", sa.Boolean(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("token_id", sa.String(), nullable=True),
        sa.Column("authenticated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name="kern_web_sessions_pkey"),
    )
    op.create_index("kern_web_sessions_by_expires_at", "kern_web_sessions", ["expires_at"])
    op.create_index("kern_web_sessions_by_subject", "kern_web_sessions", ["subject"])
    op.create_table(
        "kern_sign_in_links",
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("all_tenants", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash", name="kern_sign_in_links_pkey"),
    )
    op.create_index("kern_sign_in_links_by_expires_at", "kern_sign_in_links", ["expires_at"])


def _create_feed_tables() -> None:
    op.create_table(
        "kern_feed",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=True),
        sa.Column("component_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="kern_feed_pkey"),
    )
    op.create_index("kern_feed_by_seq", "kern_feed", ["seq", "id"])
    op.create_index("kern_feed_of_tenant", "kern_feed", ["tenant", "seq"])
    op.create_index("kern_feed_by_run_id", "kern_feed", ["run_id"])
    op.create_table(
        "kern_feed_head",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("pruned_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="kern_feed_head_pkey"),
    )
    op.bulk_insert(
        sa.table("kern_feed_head", sa.column("name"), sa.column("seq"), sa.column("pruned_seq")),
        [
            {"name": "feed", "seq": 0, "pruned_seq": 0},
            {"name": "deliveries", "seq": 0, "pruned_seq": 0},
        ],
    )


def _create_subscription_tables() -> None:
    op.create_table(
        "kern_subscriptions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("sort", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recipient", sa.String(), nullable=True),
        sa.Column("digest_seconds", sa.Float(), nullable=True),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("components", sa.Text(), nullable=False),
        sa.Column("tools", sa.Text(), nullable=False),
        sa.Column("risks", sa.Text(), nullable=False),
        sa.Column("with_content", sa.Boolean(), nullable=False),
        sa.Column("since_seq", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="kern_subscriptions_pkey"),
    )
    op.create_index("kern_subscriptions_by_tenant", "kern_subscriptions", ["tenant"])
    op.create_table(
        "kern_deliveries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subscription_id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("requirement_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer_status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["kern_subscriptions.id"],
            name="kern_deliveries_subscription_id_fkey",
        ),
        sa.PrimaryKeyConstraint("id", name="kern_deliveries_pkey"),
        sa.UniqueConstraint(
            "subscription_id", "seq", name="kern_deliveries_subscription_id_seq_key"
        ),
    )
    op.create_index("kern_deliveries_by_status", "kern_deliveries", ["status", "next_at"])
    op.create_index("kern_deliveries_by_run_id", "kern_deliveries", ["run_id"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("kern_sign_in_links")
    op.drop_table("kern_deliveries")
    op.drop_table("kern_subscriptions")
    op.drop_table("kern_feed_head")
    op.drop_table("kern_feed")
    op.drop_table("kern_web_sessions")
    op.drop_table("kern_tokens")
    op.drop_table("kern_batches")
    op.drop_table("kern_comments")
    op.drop_table("kern_absences")
    op.drop_table("kern_snoozes")
    op.drop_table("kern_requirement_people")
    op.drop_table("kern_requirements")
    op.drop_table("kern_tool_calls")
    op.drop_table("kern_steps")
    op.drop_table("kern_messages")
    op.drop_table("kern_events")
    op.drop_table("kern_runs")
    op.drop_table("kern_installation")
    op.drop_table("kern_files")
    op.drop_table("kern_shapes")
    op.drop_table("kern_policies")
    op.drop_table("kern_workers")
    op.drop_table("kern_sessions")
    op.drop_table("kern_outbox")
    op.drop_table("kern_deleted_runs")
    op.drop_table("kern_decisions")
    op.drop_table("kern_unsealed")
    op.drop_table("kern_seals")
    op.drop_table("kern_seal_head")
    op.drop_table("kern_chain_heads")
