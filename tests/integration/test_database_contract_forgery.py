"""Law 3 against somebody who writes to the database: the chain says what was approved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kern.db.turns.attempts import Execution, Settled
from kern.requirements import Requirement
from kern.values.canonical import arguments_digest, canonical_json
from kern.values.states import RequirementStatus, RunStatus, Verdict
from tests.support.stored_runs import ARGUMENTS, NAMES, Stored, opened

FORGED = {**ARGUMENTS, "amount": 9999.0}


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(request.param, tmp_path) as one:
        yield one


def approved(stored: Stored) -> Requirement:
    seen = stored.gated()
    stored.resolve(seen)
    assert seen.tool_call_id is not None
    return seen


def forge(stored: Stored, seen: Requirement, *columns: str) -> None:
    """Write other arguments, each with the digest that fits them."""
    values = {
        "arguments": canonical_json(FORGED),
        "digest": arguments_digest(seen.tool_name or "", FORGED),
    }
    for column in columns:
        stored.sql(
            f"UPDATE kern_tool_calls SET {column} = :new WHERE id = :id",  # noqa: S608
            new=values[column.removeprefix("approved_")],
            id=seen.tool_call_id,
        )


@pytest.mark.parametrize(
    "columns",
    [
        ("arguments", "digest"),
        ("approved_arguments", "approved_digest"),
        ("arguments", "digest", "approved_digest"),
        ("arguments", "digest", "approved_arguments", "approved_digest"),
    ],
)
def test_arguments_forged_with_their_digests_never_run(
    stored: Stored, columns: tuple[str, ...]
) -> None:
    seen = approved(stored)
    forge(stored, seen, *columns)

    assert stored.begin(seen.tool_call_id or "") == Settled(run_ended=True)
    output = stored.output(seen.run_id)
    assert output.status is RunStatus.error
    assert output.error is not None
    assert output.error.code == "arguments_changed"


@pytest.mark.parametrize(
    "change", ["verdict = 'reject'", "actor = 'eve'", "digest = 'x'", "hash = 'x'"]
)
def test_a_call_whose_decision_was_changed_never_runs(stored: Stored, change: str) -> None:
    seen = approved(stored)
    stored.sql(
        f"UPDATE kern_decisions SET {change} WHERE requirement_id = :id",  # noqa: S608
        id=seen.id,
    )

    assert stored.begin(seen.tool_call_id or "") == Settled(run_ended=True)


def test_a_call_that_was_approved_as_it_stands_runs(stored: Stored) -> None:
    seen = approved(stored)
    taken = stored.begin(seen.tool_call_id or "")
    assert isinstance(taken, Execution)
    assert taken.arguments == ARGUMENTS


def test_what_somebody_changed_can_still_be_rejected(stored: Stored) -> None:
    seen = stored.gated()
    forge(stored, seen, "arguments", "digest")

    closed = stored.resolve(seen, Verdict.reject).requirement

    assert closed.status is RequirementStatus.resolved


def test_approvals_of_other_arguments_do_not_count(stored: Stored) -> None:
    from kern.tools import Approval

    seen = stored.gated(approval=Approval(quorum=2))
    first = stored.resolve(seen, by="ann").requirement
    other = stored.resolve(seen, by="bob", edit={"amount": 3}).requirement

    assert (first.approvals, other.approvals) == (1, 1)
    assert other.status is RequirementStatus.pending


@pytest.mark.parametrize(
    "forgery",
    [
        "DELETE FROM kern_requirements WHERE id = :id",
        "UPDATE kern_requirements SET kind = 'user_feedback', status = 'resolved' WHERE id = :id",
    ],
)
def test_a_gated_call_whose_requirement_is_gone_never_runs(stored: Stored, forgery: str) -> None:
    seen = stored.gated()
    stored.sql(forgery, id=seen.id)
    assert stored.begin(seen.tool_call_id or "") == Settled(run_ended=True)
    assert stored.output(seen.run_id).status is RunStatus.error
