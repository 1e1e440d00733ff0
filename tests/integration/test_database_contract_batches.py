"""A batch in one transaction: what is refused is an answer, and what is broken decides nothing."""

import pytest
from sqlmodel import Session

from kern.contracts.approval import Approval
from kern.contracts.viewer import OPERATOR
from kern.db.decisions import batches
from kern.db.decisions.batches import Outcome
from kern.db.decisions.deciding import Submission
from kern.errors import AuditBroken
from kern.requirements import DecisionDraft, Requirement, submitted_digest
from kern.values.states import RequirementStatus, Verdict
from tests.support.stored_runs import Stored, after


def rejections(*items: Requirement) -> list[Submission]:
    draft = DecisionDraft(verdict=Verdict.reject, note="No.")
    return [Submission(item.id, submitted_digest(item), draft, "ravi") for item in items]


def test_a_log_that_was_tampered_with_ends_the_batch_and_nothing_of_it_is_kept(
    stored: Stored,
) -> None:
    sound, broken = stored.gated(), stored.gated(approval=Approval(quorum=2))
    stored.resolve(broken, by="dana")
    stored.sql("DELETE FROM kern_chain_heads WHERE root_run_id = :run", run=broken.run_id)

    def decide(tx: Session) -> list[Outcome]:
        return batches.decide(tx, rejections(sound, broken), OPERATOR, after(2), None)

    with pytest.raises(AuditBroken):
        stored.do(decide)
    for item in (sound, broken):
        assert stored.output(item.run_id).requirements[0].status is RequirementStatus.pending
