"""Triage through the service: whatever is repeated is done once, and no agent acts for a person."""

from collections.abc import Iterator

import pytest

from kern.client.processes.runtime import Runtime
from kern.client.service.inbox import Inbox
from kern.client.service.runtime_service import RuntimeService
from kern.contracts.batches import Batch, BatchAnswer, BatchItem
from kern.contracts.reports import RequirementPage
from kern.contracts.viewer import OPERATOR, Viewer
from kern.errors import DatabaseFailure, InvalidInput, KernError, KeyReused, NotAllowed, Unavailable
from kern.models.scripted import Call
from kern.process.calling_run import executing_for
from kern.requirements import Principal, Requirement
from kern.run import RunOutput
from kern.values.states import RunStatus
from tests.support.agents import Ledger, paying, scripted
from tests.support.lost_acknowledgements import each_commit_unheard
from tests.support.waiting import wait_until

DANA = Principal(issuer="https://id", subject="id-dana", name="dana")
AS_DANA = Viewer(is_operator=True, principal=DANA)


@pytest.fixture(params=[1, 2], ids=["once", "twice"])
def unheard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every commit of this process is repeated, since nobody has heard of it."""
    with each_commit_unheard(request.param):
        yield


def paused(ledger: Ledger) -> tuple[RunOutput, Requirement]:
    run = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)]).run("Pay")
    (requirement,) = run.active_requirements
    return run, requirement


@pytest.mark.usefixtures("unheard")
def test_what_nobody_heard_of_is_done_once(runtime_on_each: Runtime, ledger: Ledger) -> None:
    _, seen = paused(ledger)

    async def everything(service: RuntimeService) -> list[str]:
        triage = service.triage
        await triage.claim(AS_DANA, seen.id)
        await triage.release(AS_DANA, seen.id)
        await triage.comment(AS_DANA, seen.id, "Hm.")
        await triage.delegate(AS_DANA, seen.id, "eli", note="You know them.")
        await triage.wake(AS_DANA, seen.id)
        return [entry.kind.value for entry in await service.inbox.history(AS_DANA, seen.id)]

    kinds = runtime_on_each.call(everything)
    assert kinds == ["opened", "claimed", "released", "commented", "delegated"]
    comments = runtime_on_each.call(lambda service: service.triage.comments(AS_DANA, seen.id))
    assert [item.text for item in comments.comments] == ["Hm.", "You know them."]


@pytest.mark.usefixtures("unheard")
def test_a_batch_that_nobody_heard_of_decides_once(
    runtime_on_each: Runtime, ledger: Ledger
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    runs = [agent.run("Pay") for _ in range(2)]
    seen = [run.active_requirements[0] for run in runs]
    items = tuple(BatchItem(requirement_id=item.id, digest=item.digest) for item in seen)
    batch = Batch(verdict="approve", items=items)

    def decide(key: str | None) -> list[str | None]:
        answers = runtime_on_each.call(
            lambda service: service.batches.decide(AS_DANA, batch, key=key)
        )
        return [None if item.decision is None else item.decision.id for item in answers]

    first = decide("one")
    assert None not in first
    assert decide("one") == first
    assert decide(None) == [None, None]
    other = batch.model_copy(update={"note": "Other."})
    with pytest.raises(KeyReused):
        runtime_on_each.call(lambda service: service.batches.decide(AS_DANA, other, key="one"))
    ids = [run.run_id for run in runs]
    wait_until(
        lambda: {agent.get_run_output(run_id).status for run_id in ids} == {RunStatus.completed}
    )
    assert ledger.lines == ["paid 5", "paid 5"]


@pytest.mark.parametrize("failure", [Unavailable, DatabaseFailure])
def test_an_outage_is_no_answer_that_a_batch_keeps(
    runtime: Runtime,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[KernError],
) -> None:
    agent = scripted([Call("pay", amount=5), "Paid."], [paying(ledger)])
    seen = [agent.run("Pay").active_requirements[0] for _ in range(2)]
    items = tuple(BatchItem(requirement_id=item.id, digest=item.digest) for item in seen)
    batch = Batch(verdict="approve", items=items)

    def decide() -> list[BatchAnswer]:
        return runtime.call(lambda service: service.batches.decide(AS_DANA, batch, key="outage"))

    async def read(inbox: Inbox, viewer: Viewer, requirement_id: str) -> Requirement:
        if requirement_id == seen[1].id:
            raise failure("The database does not answer.")
        return await present(inbox, viewer, requirement_id)

    async def pending(service: RuntimeService) -> RequirementPage:
        return await service.inbox.pending(AS_DANA, limit=100)

    present = Inbox.read
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "read", read)
        with pytest.raises(failure):
            decide()
    open_ids = {item.id for item in runtime.call(pending).requirements}
    assert {item.id for item in seen} <= open_ids
    assert [item.code for item in decide()] == [None, None]
    wait_until(lambda: ledger.lines == ["paid 5", "paid 5"])


def test_a_batch_names_requirements_by_their_endings_and_each_once(
    runtime: Runtime, ledger: Ledger
) -> None:
    _, seen = paused(ledger)
    batch = Batch(verdict="reject", note="No.", items=(BatchItem(requirement_id=seen.id[-8:]),))

    def decide() -> list[BatchAnswer]:
        return runtime.call(
            lambda service: service.batches.decide(OPERATOR, batch, "dana", key="one")
        )

    (first,) = decide()
    assert first.decision is not None
    assert (first.requirement_id, first.decision.by) == (seen.id, "dana")
    assert decide() == [first]
    ids = (seen.id, seen.id[-8:])
    twice = Batch(verdict="approve", items=tuple(BatchItem(requirement_id=name) for name in ids))
    with pytest.raises(InvalidInput, match="is there twice"):
        runtime.call(lambda service: service.batches.decide(OPERATOR, twice, "dana"))


def test_no_code_of_a_run_takes_care_of_its_own_calls(runtime: Runtime, ledger: Ledger) -> None:
    run, seen = paused(ledger)

    async def claim(service: RuntimeService) -> None:
        with executing_for(run.run_id, ""):
            await service.triage.claim(AS_DANA, seen.id)

    with pytest.raises(NotAllowed, match="of the same run"):
        runtime.call(claim)
