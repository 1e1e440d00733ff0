"""Trees of runs: the members of a team have runs of their own, in the team's session."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("parts", sa.Integer(), nullable=False, server_default="0"))

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("root_run_id", sa.String(), nullable=True))
        for name in ("ancestors", "path"):
            batch_op.add_column(sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
        batch_op.create_index("ix_runs_root_run_id", ["root_run_id"], unique=False)

    with op.batch_alter_table("tool_calls", schema=None) as batch_op:
        batch_op.add_column(sa.Column("child_run_id", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column("is_answer", sa.Boolean(), nullable=False, server_default="0")
        )

    with op.batch_alter_table("requirements", schema=None) as batch_op:
        batch_op.add_column(sa.Column("root_run_id", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("path", sa.Text(), nullable=False, server_default="[]"))
        batch_op.create_index("ix_requirements_root_run_id", ["root_run_id"], unique=False)

    op.execute("UPDATE requirements SET root_run_id = run_id")

    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("component_kind", sa.String(), nullable=False, server_default="agent")
        )


def downgrade() -> None:
    """Take the change back."""
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_column("component_kind")

    with op.batch_alter_table("requirements", schema=None) as batch_op:
        batch_op.drop_index("ix_requirements_root_run_id")
        for name in ("path", "root_run_id"):
            batch_op.drop_column(name)

    with op.batch_alter_table("tool_calls", schema=None) as batch_op:
        for name in ("is_answer", "child_run_id"):
            batch_op.drop_column(name)

    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("ix_runs_root_run_id")
        for name in ("path", "ancestors", "root_run_id"):
            batch_op.drop_column(name)

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_column("parts")
