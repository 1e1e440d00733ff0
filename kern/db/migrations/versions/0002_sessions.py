"""Sessions: their order, times, summaries and files."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("state_updates", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("summary", sa.Text(), nullable=True))
        batch_op.add_column(
            sa.Column("summary_number", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(sa.Column("forked_from", sa.String(), nullable=True))
        batch_op.create_index("sessions_by_time", ["updated_at", "id"], unique=False)
        batch_op.create_index("sessions_of_user", ["user_id", "updated_at", "id"], unique=False)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        for name in ("is_queued", "is_streamed", "is_summarised"):
            # As a text, which both databases read as false: for an expression, Alembic would copy
            # the whole table on SQLite.
            batch_op.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("first_token_seconds", sa.Float(), nullable=True))
        for name in ("working_seconds", "waiting_seconds"):
            batch_op.add_column(sa.Column(name, sa.Float(), nullable=False, server_default="0"))
        for name in ("started_at", "counted_at"):
            batch_op.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("forked_from", sa.String(), nullable=True))
        batch_op.create_index("runs_of_session", ["session_id", "status", "number"], unique=False)
    # What was measured before is not known better than this.
    op.execute("UPDATE runs SET started_at = created_at WHERE status <> 'pending'")
    op.execute("UPDATE runs SET counted_at = updated_at WHERE status IN ('running', 'paused')")

    with op.batch_alter_table("tool_calls", schema=None) as batch_op:
        batch_op.add_column(sa.Column("gate", sa.String(), nullable=True))
    op.execute(
        "UPDATE tool_calls SET gate = (SELECT MIN(kind) FROM requirements "
        "WHERE requirements.tool_call_id = tool_calls.id AND kind <> 'unknown_outcome')"
    )

    with op.batch_alter_table("requirements", schema=None) as batch_op:
        batch_op.add_column(sa.Column("remind_seconds", sa.Float(), nullable=True))
        batch_op.add_column(
            sa.Column("reminders", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(sa.Column("escalate_to", sa.Text(), nullable=True))
        for name in ("remind_at", "escalate_at"):
            batch_op.add_column(sa.Column(name, sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.add_column(sa.Column("files", sa.Text(), nullable=True))

    op.create_table(
        "files",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("session_id", "digest", "media_type", "name"),
    )
    op.create_table(
        "deleted_runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_deleted_runs_deleted_at", "deleted_runs", ["deleted_at"], unique=False)
    # Decisions outlive the sessions that are deleted. A downgrade does not bring the key back.
    if sa.inspect(op.get_bind()).get_foreign_keys("decisions"):
        _drop_key_of_decisions()


def _drop_key_of_decisions() -> None:
    # Postgres names a key in this way by itself.
    with op.batch_alter_table(
        "decisions", naming_convention={"fk": "%(table_name)s_%(column_0_name)s_fkey"}
    ) as batch_op:
        batch_op.drop_constraint("decisions_requirement_id_fkey", type_="foreignkey")


def downgrade() -> None:
    """Take the change back, but for the key of decisions: some have no requirement any more."""
    op.drop_table("deleted_runs")
    op.drop_table("files")
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_column("files")

    with op.batch_alter_table("tool_calls", schema=None) as batch_op:
        batch_op.drop_column("gate")

    with op.batch_alter_table("requirements", schema=None) as batch_op:
        for name in ("remind_at", "escalate_at", "escalate_to", "reminders", "remind_seconds"):
            batch_op.drop_column(name)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("runs_of_session")
        for name in (
            "counted_at",
            "started_at",
            "waiting_seconds",
            "working_seconds",
            "first_token_seconds",
            "is_summarised",
            "is_streamed",
            "is_queued",
            "forked_from",
        ):
            batch_op.drop_column(name)

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index("sessions_of_user")
        batch_op.drop_index("sessions_by_time")
        for name in ("forked_from", "summary_number", "summary", "state_updates"):
            batch_op.drop_column(name)
