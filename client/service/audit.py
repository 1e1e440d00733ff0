"""Verification of the log of decisions."""

from kern.contracts.viewer import Viewer
from kern.db.engine.store import Store
from kern.db.journal import audit_chain
from kern.db.journal.audit_chain import ChainReport
from kern.errors import NotAllowed


class Audit:
    """Verifies the log of decisions of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def verify(self, viewer: Viewer, head: str | None = None) -> ChainReport:
        """Verify that no decision was changed, removed, added or reordered.

        Args:
            viewer: Who asks; the log covers all users, so only an operator may.
            head: A hash that was noted earlier: the log has to hold it.

        Raises:
            AuditBroken: it does not verify; the message names the first decision that does not.
            NotAllowed: the viewer is no operator.
        """
        if not viewer.is_operator:
            message = "Only an operator verifies the log of decisions: it covers all users."
            raise NotAllowed(message)
        return await self._store.read(lambda tx: audit_chain.verify(tx, head))
