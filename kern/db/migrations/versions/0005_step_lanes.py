"""Steps say which lane has to tell of them, and a lane holds one step."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ALONE = (
    "UPDATE steps SET lane = id WHERE lane IS NULL AND phase NOT IN ('pending', 'open', 'done')"
)
# Of these, workflows had been told, or would have been, under the id of the step.
_OWN = """
    UPDATE steps SET told_by = lane, lane = id
    WHERE phase NOT IN ('pending', 'open', 'done') AND lane <> id AND (
        waits OR phase IN ('gate', 'review', 'trouble')
        OR call_id IN (SELECT id FROM tool_calls WHERE child_run_id IS NOT NULL)
        OR lane IN (
            SELECT lane FROM steps WHERE phase NOT IN ('pending', 'open', 'done')
            GROUP BY lane HAVING COUNT(*) > 1
        )
    )
"""


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("told_by", sa.String(), nullable=True))
        batch_op.create_index("steps_by_told_by", ["told_by"], unique=False)
    op.execute(_ALONE)
    op.execute(_OWN)


def downgrade() -> None:
    """Take the change back."""
    op.execute("UPDATE steps SET lane = told_by WHERE told_by IS NOT NULL")
    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.drop_index("steps_by_told_by")
        batch_op.drop_column("told_by")
