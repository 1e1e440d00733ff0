"""The id of an installation, which lies in its database: the workflows of its runs begin with it.

Run ids are chosen by callers, and a namespace of Temporal may hold workflows of other programs, or
of an installation with another database. Without a prefix, such a workflow would swallow the start
of a run of the same id.
"""

from sqlmodel import Session, select

from kern.db.engine.tables import InstallationRow
from kern.values.ids import new_id

_NAME = "kern"
_CHARACTERS = 12


def workflow_prefix(tx: Session) -> str:
    """Return what the ids of all workflows begin with; the first call of all chooses the id."""
    row = tx.exec(select(InstallationRow).where(InstallationRow.name == _NAME)).first()
    if row is None:
        # The end of a UUIDv7 is random; who loses the race for the key finds the winner's.
        row = InstallationRow(name=_NAME, id=new_id()[-_CHARACTERS:])
        tx.add(row)
    return f"{_NAME}:{row.id}:"


def run_id_of(workflow_id: str) -> str:
    """Return the run of a workflow's id; any other text as it is."""
    name, _, rest = workflow_id.partition(":")
    installation, _, run_id = rest.partition(":")
    is_prefixed = name == _NAME and len(installation) == _CHARACTERS and run_id
    return run_id if is_prefixed else workflow_id
