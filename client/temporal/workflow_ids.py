"""The ids of runs' workflows: the run's id behind the prefix of the installation."""

from kern.db.engine.store import Store
from kern.db.journal.installation import workflow_prefix


async def prefix_of(store: Store) -> str:
    """Return the prefix of an installation, which is read once for a store."""
    if store.workflow_prefix is None:
        store.workflow_prefix = await store.write(workflow_prefix)
    return store.workflow_prefix


async def workflow_id(store: Store, run_id: str) -> str:
    """Return the id of a run's workflow."""
    return await prefix_of(store) + run_id
