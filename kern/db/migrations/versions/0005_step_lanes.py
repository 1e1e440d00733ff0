"""Lanes of pipelines hold one step each, and runs count how often they were opened again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ALONE = (
    "UPDATE steps SET lane = id WHERE lane IS NULL AND phase NOT IN ('pending', 'open', 'done')"
)
# Workflows had been told of some of these under their ids, and of others by their lanes.
_OWN = """
    UPDATE steps SET told_by = lane, lane = id
    WHERE lane <> id AND phase NOT IN ('pending', 'open', 'done')
"""


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("retries", sa.Integer(), nullable=False, server_default="0"))
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
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("retries")
