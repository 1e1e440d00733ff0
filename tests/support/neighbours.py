"""The next revision of the tables, applied as the next version of Kern would: there is none yet."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

import kern.db.migrations
from kern.db.engine.store import Store
from kern.db.migrations import HEAD, compatibility, migrate, old_workers
from kern.db.migrations.migrate import changing, configuration, lock_migrations

NEXT = f"{int(HEAD) + 1:04}"
_SCRIPT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, min_reader = {next!r}, {head!r}, {min_reader!r}
branch_labels = depends_on = None


def upgrade():
{upgrade}

def downgrade():
{downgrade}
"""
_FILLED = "sa.Column('later', sa.String(), server_default='new', nullable=False)"
_EMPTY = "sa.Column('later_note', sa.Text(), nullable=True)"
# What the present code writes to, in every table.
_TABLES = (
    *("sessions", "runs", "messages", "events", "outbox", "tool_calls", "requirements"),
    *("decisions", "steps", "files", "policies", "shapes", "workers", "deleted_runs"),
)
_ADDITIONS = "".join(
    f"    op.add_column('kern_{table}', {column})\n"
    for table in _TABLES
    for column in (_FILLED, _EMPTY)
)
_REMOVALS = "".join(
    f"    op.drop_column('kern_{table}', '{column}')\n"
    for table in _TABLES
    for column in ("later", "later_note")
)
_NEW_TABLE = "    op.create_table('kern_later', sa.Column('id', sa.String(), primary_key=True))\n"


EXPANDING, CONTRACTING = "expanding", "contracting"


@contextmanager
def next_version(folder: Path, kind: str = EXPANDING) -> Generator[None]:
    """Within the block, be the next version of Kern, whose revision is of this kind.

    Expanding, it adds a table, and columns to every table. Contracting, it takes away a column, and
    only its own code can work with that.
    """
    folder.mkdir(exist_ok=True)
    (folder / f"{NEXT}_later.py").write_text(_script(kind), encoding="utf-8")
    min_reader = HEAD if kind == EXPANDING else NEXT
    with pytest.MonkeyPatch.context() as patch:
        for module in (compatibility, old_workers, migrate):
            patch.setattr(module, "HEAD", NEXT)
            patch.setattr(module, "MIN_READER", min_reader)
        patch.setattr(migrate, "configuration", lambda bind: _configuration(bind, folder))
        yield


def expand(store: Store, folder: Path) -> None:
    """Add to the tables, with the code of the next version."""
    with next_version(folder):
        store.migrate()


def contract(store: Store, folder: Path) -> None:
    """Take away from the tables, with the code of the next version."""
    with next_version(folder, CONTRACTING):
        store.migrate()


def take_back(store: Store, folder: Path) -> None:
    """Take back what `expand` has done, with the code of the next version."""
    with changing(store) as connection:
        lock_migrations(connection)
        command.downgrade(_configuration(connection, folder), HEAD)


def _configuration(connection: Connection, folder: Path) -> Config:
    own = Path(str(kern.db.migrations.__file__)).parent / "versions"
    config = configuration(connection)
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join([str(own), str(folder)]))
    return config


def _script(kind: str) -> str:
    if kind == EXPANDING:
        upgrade = _ADDITIONS + _NEW_TABLE
        downgrade = f"{_REMOVALS}    op.drop_table('kern_later')\n"
    else:
        upgrade = "    op.drop_column('kern_sessions', 'summary')\n"
        downgrade = "    op.add_column('kern_sessions', sa.Column('summary', sa.Text()))\n"
    return _SCRIPT.format(
        next=NEXT,
        head=HEAD,
        min_reader=HEAD if kind == EXPANDING else NEXT,
        upgrade=upgrade,
        downgrade=downgrade,
    )
