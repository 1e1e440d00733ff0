"""Law 7: to a tenant, what belongs to another one is not there, on any path.

Every operation that takes the id of something, or lists, is tried from another tenant, by a user of
the same name and by an operator. What comes of it has to be what comes of an id that nobody ever
had. A new operation that is not tried here fails a test.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import GeneratorType
from typing import Any

import pytest

from kern import inbox
from kern.agent import Agent
from kern.client.processes.runtime import Runtime
from kern.client.service.interaction import Interaction
from kern.client.service.naming import SessionNaming
from kern.client.service.runtime_service import RuntimeService
from kern.components.registry import Registry
from kern.components.run_options import RequestOptions
from kern.components.runnable import Runnable
from kern.contracts.batches import Batch, BatchItem
from kern.contracts.reports import AuditReport
from kern.contracts.requests import RunRequest
from kern.contracts.viewer import OPERATOR, Viewer
from kern.errors import (
    AlreadyResolved,
    Conflict,
    KernError,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
)
from kern.media import File
from kern.models.base import ModelRequest
from kern.models.scripted import Call
from kern.process.settings import Settings
from kern.process.tenants import named_tenant
from kern.requirements import Principal, Requirement
from kern.run import RunOutput
from kern.session_state import changes_of
from kern.team import Team
from kern.tenants import tenant
from kern.tools import Happened, RunContext, tool
from kern.values.ids import new_id
from kern.values.states import InboxOrder
from kern.workflow import Step, StepInput, Workflow
from tests.conftest import running
from tests.support.agents import Ledger, paying, scripted
from tests.support.pictures import PDF
from tests.support.pipelines import only, pipeline
from tests.support.teams import delegating, team
from tests.support.templates import sqlite_with_tables

# The default tenant is like any other one.
OTHERS = ("globex", "")
# Enough of an id that nothing else ends so.
_ENDING = 12
_DANA = Principal(issuer="https://id.example.org", subject="u-17", name="Dana", tenant="acme")


@dataclass(frozen=True)
class Ids:
    """What belongs to ann of acme; or the same of ids that nobody ever had."""

    run: str
    session: str
    file: str
    requirement: Requirement
    pipeline: str

    @property
    def decided(self) -> Requirement:
        """The requirement with a decision, as a program fills it in that has its JSON."""
        return Requirement.model_validate_json(self.requirement.model_dump_json()).confirm(by="eve")

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return self.run, self.session, self.file, self.requirement.id, self.pipeline


def nobodys(ids: Ids) -> Ids:
    """Return ids that nobody ever had, as long as real ones."""
    asked = ids.requirement.model_copy(update={"id": new_id()})
    return Ids(new_id(), new_id(), new_id(), asked, new_id())


@dataclass(frozen=True)
class World:
    """Components of a process that serves several tenants."""

    runtime: Runtime
    agent: Agent
    flow: Workflow

    def paused(self) -> Ids:
        """Make what belongs to ann of acme: a run that waits for a person, and a workflow's."""
        bill = File(data=PDF, name="bill.pdf")
        with tenant("acme"):
            run = self.agent.run("Pay", user_id="ann", files=[bill])
            done = self.flow.run("Hi", user_id="ann")
        assert run.is_paused
        file = run.messages[0].files[0].id
        return Ids(run.run_id, run.session_id, file, only(run), done.run_id)

    def is_untouched(self, ids: Ids) -> bool:
        """Whether a run is as `paused` has left it."""
        with tenant("acme"):
            run = self.agent.get_run_output(ids.run, user_id="ann")
            session = self.agent.get_session(ids.session, user_id="ann")
        unchanged = (session.name, session.session_state, session.run_count) == (None, {}, 1)
        return run.is_paused and only(run).resolution is None and unchanged


@pytest.fixture(scope="module")
def world(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One runtime for all of these tests: they look at runs of their own."""
    settings = Settings(home=folder, heartbeat_seconds=1.0, relay_seconds=0.1)
    place = tmp_path_factory.mktemp("tenants")
    with pytest.MonkeyPatch.context() as patch:
        database = sqlite_with_tables(place / "kern.db")
        for runtime in running(Runtime(settings, database, Registry()), patch):
            agent = scripted([Call("pay", amount=5), "Done."], [paying(Ledger(place / "ledger"))])
            yield World(runtime, agent, pipeline(Step("say", str)))


@pytest.fixture(scope="module")
def of_acme(world: World) -> Ids:
    """What the tests try to reach, and leave as it is."""
    return world.paused()


def drained(value: object) -> object:
    return list(value) if isinstance(value, GeneratorType) else value


async def adrained(value: object) -> object:
    if isinstance(value, AsyncIterator):
        return [event async for event in value]
    assert isinstance(value, Coroutine)
    return await value


def outcome(act: Callable[[], object], ids: Ids) -> str:
    """Return what comes of an operation, with a number in place of each of the ids."""
    try:
        text = repr(drained(act()))
    except KernError as error:
        text = f"{type(error).__name__}: {error}"
    for number, known in enumerate(ids.all):
        text = text.replace(known, f"<{number}>").replace(known[-_ENDING:], f"<…{number}>")
    return text


# What users call on components: the method, and with what, beside the user_id.
Arguments = Callable[[Ids], tuple[object, ...]]
OF_COMPONENTS: dict[str, Arguments] = {
    "get_run_output": lambda ids: (ids.run,),
    "continue_run": lambda ids: (ids.run, [ids.decided]),
    "continue_run: waiting": lambda ids: (ids.run,),
    "continue_run: of a run of its own": lambda ids: (new_id(), [ids.decided]),
    "stream_run": lambda ids: (ids.run,),
    "cancel_run": lambda ids: (ids.run,),
    "retry_run": lambda ids: (ids.run,),
    "get_session": lambda ids: (ids.session,),
    "get_sessions": lambda _: (),
    "get_chat_history": lambda ids: (ids.session,),
    "get_session_messages": lambda ids: (ids.session,),
    "get_session_state": lambda ids: (ids.session,),
    "update_session_state": lambda ids: (ids.session, {"a": 1}),
    "get_session_metrics": lambda ids: (ids.session,),
    "get_session_summary": lambda ids: (ids.session,),
    "set_session_name": lambda ids: (ids.session, "Name"),
    "get_file": lambda ids: (ids.file,),
    "fork_session": lambda ids: (ids.session,),
    "fork_session: up to a run": lambda ids: (ids.session, ids.run),
    "delete_session": lambda ids: (ids.session,),
    "get_steps": lambda ids: (ids.pipeline,),
    "get_workflow_history": lambda ids: (ids.session,),
}
# They begin something: a test of their own tries the ids that they may be given.
BEGINNING = {"run"}
_OF_WORKFLOWS = ("get_steps", "get_workflow_history")

Doing = Callable[[Ids], object]
OF_THE_INBOX: dict[str, Doing] = {
    "pending": lambda _: inbox.pending(limit=1000),
    "pending: of a run": lambda ids: inbox.pending(run_id=ids.run),
    "pending: of a run by its ending": lambda ids: inbox.pending(run_id=ids.run[-_ENDING:]),
    "pending: of a session": lambda ids: inbox.pending(session_id=ids.session),
    "pending: of a user": lambda _: inbox.pending(user_id="ann", limit=1000),
    "pending: from a cursor": lambda ids: inbox.pending(cursor=ids.requirement.id),
    "get": lambda ids: inbox.get(ids.requirement.id),
    "get: by its ending": lambda ids: inbox.get(ids.requirement.id[-_ENDING:]),
    "decide": lambda ids: inbox.decide(ids.decided),
    "runs": lambda _: inbox.runs(limit=1000),
    "runs: of a user": lambda _: inbox.runs(user_id="ann", limit=1000),
    "runs: from a cursor": lambda ids: inbox.runs(cursor=ids.run),
    "runs: from a cursor by its ending": lambda ids: inbox.runs(cursor=ids.run[-_ENDING:]),
}
# They take no id of a run's: tests/integration/test_absences.py
ABOUT_PEOPLE = {"away", "back", "absences"}


def component_of(world: World, name: str) -> Runnable:
    return world.flow if name.startswith(_OF_WORKFLOWS) else world.agent


def call(world: World, name: str, ids: Ids) -> object:
    method = getattr(component_of(world, name), name.partition(":")[0])
    return method(*OF_COMPONENTS[name](ids), user_id="ann")


def acall(world: World, name: str, ids: Ids) -> object:
    method = getattr(component_of(world, name), f"a{name.partition(':')[0]}")
    return asyncio.run(adrained(method(*OF_COMPONENTS[name](ids), user_id="ann")))


@pytest.mark.parametrize("name", OF_COMPONENTS)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("way", [call, acall])
def test_a_user_of_another_tenant_finds_nothing(
    world: World, of_acme: Ids, name: str, other: str, way: Callable[[World, str, Ids], object]
) -> None:
    missing = nobodys(of_acme)
    with tenant(other) if other else nullcontext():
        tried = outcome(lambda: way(world, name, of_acme), of_acme)
        assert tried == outcome(lambda: way(world, name, missing), missing)
    assert world.is_untouched(of_acme)


@pytest.mark.parametrize("name", OF_THE_INBOX)
@pytest.mark.parametrize("other", OTHERS)
def test_an_operator_of_another_tenant_finds_nothing(
    world: World, of_acme: Ids, name: str, other: str
) -> None:
    missing = nobodys(of_acme)
    with tenant(other):
        tried = outcome(lambda: OF_THE_INBOX[name](of_acme), of_acme)
        assert tried == outcome(lambda: OF_THE_INBOX[name](missing), missing)
    assert world.is_untouched(of_acme)


@pytest.mark.parametrize("name", OF_COMPONENTS)
def test_the_same_operations_find_it_in_its_own_tenant(world: World, name: str) -> None:
    """Otherwise the tests above would show nothing."""
    ids = world.paused()
    ids = replace(ids, session=world_session(world, ids, name))
    with tenant("acme"):
        tried = outcome(lambda: call(world, name, ids), ids)
    assert not tried.startswith("NotFound")
    if name == "get_sessions":
        assert "<1>" in tried


def world_session(world: World, ids: Ids, name: str) -> str:
    """Return the session of the component that an operation is tried on."""
    if component_of(world, name) is world.agent:
        return ids.session
    with tenant("acme"):
        return world.flow.get_run_output(ids.pipeline, user_id="ann").session_id


@pytest.mark.parametrize("name", OF_THE_INBOX)
def test_an_operator_of_the_tenant_finds_it(world: World, name: str) -> None:
    ids = world.paused()
    with tenant("acme"):
        tried = outcome(lambda: OF_THE_INBOX[name](ids), ids)
    assert not tried.startswith("NotFound")
    if "cursor" not in name:
        assert "<0>" in tried


def public(kind: type) -> set[str]:
    """Return the methods of a class that say for whom they act."""
    found = (name for name in dir(kind) if not name.startswith("_"))
    return {
        name
        for name in found
        if callable(getattr(kind, name))
        and {"user_id", "options"} & set(inspect.signature(getattr(kind, name)).parameters)
    }


def test_every_method_of_a_component_is_tried() -> None:
    tried = {name.partition(":")[0] for name in OF_COMPONENTS} | BEGINNING
    for kind in (Agent, Team, Workflow):
        of_workflows = set() if kind is Workflow else set(_OF_WORKFLOWS)
        assert public(kind) == {
            prefix + name for name in tried - of_workflows for prefix in ("", "a")
        }


def test_every_function_of_the_inbox_is_tried() -> None:
    tried = {name.partition(":")[0] for name in OF_THE_INBOX} | ABOUT_PEOPLE
    functions = {name for name in inbox.__all__ if name.islower()}
    assert functions == {prefix + name for name in tried for prefix in ("", "a")}


# What surfaces ask of the service: each operation takes first who asks.
Asking = Callable[[RuntimeService, Viewer, Ids, World], object]


async def read_all(service: RuntimeService, viewer: Viewer, ids: Ids) -> object:
    follower = await service.readers.follower(ids.run)
    reader = service.readers.reader(follower, viewer, "everything", after=0)
    try:
        return await reader.read()
    finally:
        reader.close()


async def read_stored(service: RuntimeService, viewer: Viewer, ids: Ids) -> object:
    reader = service.readers.open_stored(viewer, ids.run, 0)
    try:
        return await reader.read_now()
    finally:
        reader.close()


async def exported(lines: AsyncIterator[str]) -> list[str]:
    """Return what is exported of a run."""
    return [line async for line in lines]


OF_THE_SERVICE: dict[str, Asking] = {
    "audit.verify": lambda s, v, ids, _: s.audit.verify(v, ids.run),
    "audit.export": lambda s, v, ids, _: exported(s.audit.export(v, ids.run)),
    "runs.cancel": lambda s, v, ids, _: s.runs.cancel(v, ids.run),
    "runs.retry": lambda s, v, ids, _: s.runs.retry(v, ids.run),
    "runs.read": lambda s, v, ids, _: s.runs.read(v, ids.run),
    "runs.status": lambda s, v, ids, _: s.runs.status(v, ids.run),
    "runs.report": lambda s, v, ids, _: s.runs.report(v, ids.run),
    "runs.steps": lambda s, v, ids, _: s.runs.steps(v, ids.pipeline, 10, 0),
    "runs.page": lambda s, v, _ids, _: s.runs.page(v, limit=1000),
    "runs.page: from a cursor": lambda s, v, ids, _: s.runs.page(v, limit=9, cursor=ids.run),
    "runs.full_id": lambda s, v, ids, _: s.runs.full_id(v, ids.run[-_ENDING:]),
    "runs.full_id: whole": lambda s, v, ids, _: s.runs.full_id(v, ids.run),
    "inbox.pending": lambda s, v, _ids, _: s.inbox.pending(v, limit=1000),
    "inbox.pending: of a run": lambda s, v, ids, _: s.inbox.pending(v, limit=9, run_id=ids.run),
    "inbox.read": lambda s, v, ids, _: s.inbox.read(v, ids.requirement.id),
    "inbox.read: by its ending": lambda s, v, ids, _: s.inbox.read(
        v, ids.requirement.id[-_ENDING:]
    ),
    "inbox.counts": lambda s, v, _ids, _: s.inbox.counts(
        v, Principal(issuer="test", subject="ann", name="ann", tenant=v.accepting_tenant)
    ),
    "inbox.state": lambda s, v, ids, _: s.inbox.state(v, ids.requirement.id),
    "inbox.count_for_me": lambda s, v, _ids, _: s.inbox.count_for_me(
        v, Principal(issuer="test", subject="ann", name="ann", tenant=v.accepting_tenant)
    ),
    "inbox.first_ids": lambda s, v, _ids, _: s.inbox.first_ids(
        v,
        Principal(issuer="test", subject="ann", name="ann", tenant=v.accepting_tenant),
        limit=1000,
        sort=InboxOrder.due,
    ),
    "inbox.decisions": lambda s, v, ids, _: s.inbox.decisions(v, ids.requirement.id),
    "inbox.history": lambda s, v, ids, _: s.inbox.history(v, ids.requirement.id),
    "inbox.closed": lambda s, v, _ids, _: s.inbox.closed(v, limit=1000),
    "inbox.closed: of a run": lambda s, v, ids, _: s.inbox.closed(v, limit=9, run_id=ids.run),
    "inbox.dossier": lambda s, v, ids, _: s.inbox.dossier(v, ids.requirement.id),
    "inbox.open_in": lambda s, v, ids, _: s.inbox.open_in(v, [ids.run]),
    "inbox.agent_words": lambda s, v, ids, _: s.inbox.agent_words(v, [ids.requirement.id]),
    "inbox.hindrances": lambda s, v, ids, _: s.inbox.hindrances(
        replace(
            v,
            principal=Principal(
                issuer="test", subject="zoe", name="zoe", tenant=v.accepting_tenant
            ),
        ),
        [ids.requirement.id],
    ),
    "audit.decisions": lambda s, v, _ids, _: s.audit.decisions(v, limit=1000),
    "audit.export: all": lambda s, v, _ids, _: exported(s.audit.export(v)),
    "readers.watch": lambda s, v, ids, _: s.readers.watch(v, ids.run, 0),
    "batches.decide": lambda s, v, ids, _: s.batches.decide(
        v,
        Batch(verdict="reject", note="No", items=(BatchItem(requirement_id=ids.requirement.id),)),
    ),
    "triage.claim": lambda s, v, ids, _: s.triage.claim(v, ids.requirement.id),
    "triage.release": lambda s, v, ids, _: s.triage.release(v, ids.requirement.id),
    "triage.delegate": lambda s, v, ids, _: s.triage.delegate(v, ids.requirement.id, "eli"),
    "triage.snooze": lambda s, v, ids, _: s.triage.snooze(
        v, ids.requirement.id, datetime.now(UTC) + timedelta(hours=1)
    ),
    "triage.wake": lambda s, v, ids, _: s.triage.wake(v, ids.requirement.id),
    "triage.comment": lambda s, v, ids, _: s.triage.comment(v, ids.requirement.id, "Hm."),
    "triage.comments": lambda s, v, ids, _: s.triage.comments(v, ids.requirement.id),
    "inbox.decide": lambda s, v, ids, _: s.inbox.decide(v, ids.decided),
    "inbox.decide_all": lambda s, v, ids, _: s.inbox.decide_all(v, [ids.decided]),
    "sessions.read": lambda s, v, ids, _: s.sessions.read(v, ids.session),
    "sessions.page": lambda s, v, _ids, _: s.sessions.page(v, 1000, None),
    "sessions.report": lambda s, v, ids, _: s.sessions.report(v, ids.session, 10),
    "sessions.chat_history": lambda s, v, ids, _: s.sessions.chat_history(v, ids.session, None),
    "sessions.workflow_history": lambda s, v, ids, _: s.sessions.workflow_history(
        v, ids.session, 10
    ),
    "sessions.messages": lambda s, v, ids, _: s.sessions.messages(v, ids.session, None),
    "sessions.update_state": lambda s, v, ids, _: s.sessions.update_state(
        v, ids.session, changes_of({"a": 1})
    ),
    "sessions.metrics": lambda s, v, ids, _: s.sessions.metrics(v, ids.session),
    "sessions.rename": lambda s, v, ids, _: s.sessions.rename(v, ids.session, "Name"),
    "sessions.fork": lambda s, v, ids, _: s.sessions.fork(v, ids.session, None),
    "sessions.file": lambda s, v, ids, _: s.sessions.file(v, ids.file),
    "sessions.delete": lambda s, v, ids, _: s.sessions.delete(v, ids.session),
    "sessions.full_id": lambda s, v, ids, _: s.sessions.full_id(v, ids.session[-_ENDING:]),
    "readers.open": lambda s, v, ids, _: s.readers.open(v, ids.run, 0, "everything"),
    "readers.open_stored": lambda s, v, ids, _: read_stored(s, v, ids),
    "readers.announced": lambda s, v, ids, _: s.readers.announced(ids.run, v),
    "readers.reader": lambda s, v, ids, _: read_all(s, v, ids),
    "naming.name_by_model": lambda s, v, ids, _: s.naming.name_by_model(v, ids.session),
    "interaction.continue_run": lambda s, v, ids, w: s.interaction.continue_run(
        v, w.agent, ids.run, [ids.decided]
    ),
    "interaction.continue_run: waiting": lambda s, v, ids, w: s.interaction.continue_run(
        v, w.agent, ids.run, []
    ),
    "interaction.stream_continued": lambda s, v, ids, w: s.interaction.stream_continued(
        v, w.agent, ids.run, [ids.decided], "everything"
    ),
    "interaction.retry": lambda s, v, ids, _: s.interaction.retry(v, ids.run),
    "interaction.cancel": lambda s, v, ids, _: s.interaction.cancel(v, ids.run),
}
# Tests of their own: they begin something, or concern the whole installation.
OTHERWISE = {
    "runs.accept",
    "interaction.run",
    "interaction.stream",
    # Before a decision; it answers nothing.
    "inbox.refuse_terminated",
    # By the key of whoever asks.
    "batches.is_kept",
    # tests/integration/test_absences.py, and test_database_contract_absences.py
    "absences.begin",
    "absences.end",
    "absences.own",
    "absences.page",
    # tests/integration/test_api.py
    "access.tokens",
    "access.revoke_token",
    "runs.start",
    # tests/integration/test_api_routes.py
    "stuck.read",
    # tests/integration/test_database_contract_web_sessions.py
    "access.sessions",
    "access.end_sessions",
    # tests/integration/test_feed.py: its next number is that of all tenants, and it shows nothing
    "feed.count_for_me",
    "feed.page",
    "feed.watch",
    # tests/integration/test_webhooks.py
    "subscriptions.add_webhook",
    "subscriptions.read_all",
    "subscriptions.remove",
    "subscriptions.rotate",
    "subscriptions.deliveries",
    "subscriptions.replay",
    "subscriptions.replay_since",
    # tests/integration/test_channels.py
    "subscriptions.add_channel",
}
# They show nothing of any tenant: whoever comes in has a secret, and is told who they are.
WITHOUT_VIEWER = {
    "readers.follower",
    "readers.close",
    # After a decision that was accepted.
    "inbox.deliver",
    # What they select has a viewer: tests/integration/test_feed.py
    "feed.follow",
    "feed.reader",
    "feed.start",
    "feed.close",
    "access.make_token",
    "access.caller_of_token",
    "access.begin_session",
    "access.has_tokens",
    "access.make_link",
    "access.session_of",
    "access.sign_in_with_link",
    "access.sign_in_with_token",
    "access.end_session",
    # The workers of the installation, which serve every tenant.
    "stuck.workers",
}


def ask(world: World, name: str, viewer: Viewer, ids: Ids) -> object:
    async def work(service: RuntimeService) -> object:
        asked = OF_THE_SERVICE[name](service, viewer, ids, world)
        return await asked if inspect.isawaitable(asked) else asked

    return world.runtime.call(work)


@pytest.mark.parametrize("name", OF_THE_SERVICE)
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("is_operator", [True, False])
def test_the_service_answers_another_tenant_as_if_there_were_nothing(
    world: World, of_acme: Ids, name: str, other: str, *, is_operator: bool
) -> None:
    viewer = Viewer("ann", is_operator=is_operator, tenant=other)
    missing = nobodys(of_acme)
    tried = outcome(lambda: ask(world, name, viewer, of_acme), of_acme)
    assert tried == outcome(lambda: ask(world, name, viewer, missing), missing)
    assert world.is_untouched(of_acme)


@pytest.mark.parametrize(
    "viewer", [Viewer("ann", tenant="acme"), Viewer(is_operator=True, tenant="acme"), OPERATOR]
)
@pytest.mark.parametrize("name", OF_THE_SERVICE)
def test_the_service_answers_the_tenant_and_the_operator_of_the_installation(
    world: World, name: str, viewer: Viewer
) -> None:
    ids = world.paused()
    tried = outcome(lambda: ask(world, name, viewer, ids), ids)
    assert not tried.startswith("NotFound")
    if name.endswith((".page", ".pending")):
        assert "<1>" in tried


def test_every_operation_of_the_service_is_tried() -> None:
    service = vars(RuntimeService(*[Any] * 4))  # type: ignore[arg-type]  # nothing is called
    parts = {name: type(part) for name, part in service.items() if not name.startswith("_")}
    assert {Interaction, SessionNaming} <= set(parts.values())
    operations: set[str] = set()
    others: set[str] = set()
    for place, kind in parts.items():
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            takes_viewer = "viewer" in inspect.signature(method).parameters
            if not name.startswith("_"):
                (operations if takes_viewer else others).add(f"{place}.{name}")
    assert operations == {name.partition(":")[0] for name in OF_THE_SERVICE} | OTHERWISE
    assert others == WITHOUT_VIEWER


@pytest.mark.parametrize("background", [True, False])
def test_an_id_that_another_tenant_took_is_refused_without_saying_whose_it_is(
    world: World, of_acme: Ids, *, background: bool
) -> None:
    taken: dict[str, RequestOptions] = {
        f"run_id '{of_acme.run}'": {"run_id": of_acme.run, "user_id": "ann"},
        f"session_id '{of_acme.session}'": {"session_id": of_acme.session, "user_id": "ann"},
    }
    for place, ids in taken.items():
        name = place.partition(" ")[0]
        with tenant("globex"):
            for stream in (False, True):
                with pytest.raises(Conflict) as refused:
                    begin(world, ids, stream=stream, background=background and not stream)
                message = f"The {place} is taken. Choose another {name}, or leave it out."
                assert str(refused.value) == message
    assert world.is_untouched(of_acme)


def begin(world: World, ids: RequestOptions, *, stream: bool, background: bool) -> object:
    if stream:
        return drained(world.agent.run("Pay", stream=True, **ids))
    return world.agent.run("Pay", background=background, **ids)


def test_the_id_of_a_deleted_run_is_taken_in_every_tenant(world: World) -> None:
    ids = world.paused()
    with tenant("acme"):
        world.agent.delete_session(ids.session, user_id="ann")
        with pytest.raises(Conflict, match="was deleted with its session"):
            world.agent.run("Pay", run_id=ids.run, user_id="ann")
    with tenant("globex"), pytest.raises(Conflict, match=r"is taken\. Choose another run_id"):
        world.agent.run("Pay", run_id=ids.run, user_id="ann")


def test_whoever_acts_for_all_begins_runs_in_the_default_tenant(world: World) -> None:
    asked = RunRequest(component_id=world.agent.id, input="Pay")
    output = world.runtime.call(
        lambda service: service.interaction.run(OPERATOR, world.agent, asked, background=True)
    )
    assert output.tenant == ""
    world.agent.delete_session(output.session_id)


def test_a_principal_decides_in_their_own_tenant_alone(world: World, of_acme: Ids) -> None:
    eve = _DANA.model_copy(update={"tenant": "globex"})
    decided, unknown = of_acme.decided, nobodys(of_acme).decided
    for by in (eve, _DANA.model_copy(update={"tenant": ""})):
        for item in (decided, unknown):
            with pytest.raises(NotFound, match=f"no requirement with the id '{item.id}'"):
                inbox.decide(item, by=by)
    with tenant("acme"), pytest.raises(NotAllowed, match="to the tenant 'globex', and acts for"):
        inbox.decide(decided, by=eve)
    with pytest.raises(NotAllowed, match="belongs to the tenant 'acme', and acts for ''"):
        Viewer(is_operator=True, principal=_DANA)
    assert world.is_untouched(of_acme)

    ids = world.paused()
    receipt = inbox.decide(ids.requirement.confirm(), by=_DANA)
    resolution = receipt.requirement.resolution
    assert resolution is not None
    assert resolution.principal == _DANA


def test_a_name_is_a_claim_in_the_tenant_of_what_is_decided(world: World) -> None:
    ids = world.paused()
    receipt = inbox.decide(ids.decided, by="eve")
    resolution = receipt.requirement.resolution
    assert receipt.requirement.tenant == "acme"
    assert resolution is not None
    assert resolution.principal is not None
    assert (resolution.principal.tenant, resolution.principal.is_local) == ("acme", True)
    with pytest.raises(AlreadyResolved):
        inbox.decide(ids.decided, by="eve")


def test_the_operator_of_the_installation_reaches_all_unless_a_tenant_is_named(
    world: World, of_acme: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {run.run_id: run.tenant for run in inbox.runs(limit=1000).runs}
    assert seen[of_acme.run] == "acme"
    assert inbox.get(of_acme.requirement.id).tenant == "acme"
    monkeypatch.setenv("KERN_TENANT", "globex")
    assert of_acme.run not in {run.run_id for run in inbox.runs(limit=1000).runs}
    with pytest.raises(NotFound):
        world.agent.get_run_output(of_acme.run, user_id="ann")
    monkeypatch.setenv("KERN_TENANT", "acme")
    assert world.agent.get_run_output(of_acme.run, user_id="ann").tenant == "acme"
    # What code names comes before what the environment of its process names.
    with tenant(""), pytest.raises(NotFound):
        world.agent.get_run_output(of_acme.run, user_id="ann")


def verify(world: World, viewer: Viewer) -> AuditReport:
    return world.runtime.call(lambda service: service.audit.verify(viewer))


def test_an_operator_verifies_the_part_of_their_tenant_and_an_owner_nothing(world: World) -> None:
    whole = verify(world, OPERATOR)
    assert whole.tenant is None
    parts = [verify(world, Viewer(is_operator=True, tenant=named)) for named in ("acme", "")]
    assert [part.tenant for part in parts] == ["acme", ""]
    assert sum(part.decisions for part in parts) <= whole.decisions
    with pytest.raises(NotAllowed, match="it covers all users"):
        verify(world, Viewer("ann", tenant="acme"))


def test_tasks_act_for_tenants_of_their_own(world: World) -> None:
    async def begin(name: str) -> RunOutput:
        with tenant(name):
            await asyncio.sleep(0)
            return await world.flow.arun("Hi", user_id="ann")

    async def both() -> tuple[RunOutput, RunOutput]:
        return await asyncio.gather(begin("acme"), begin("globex"))

    assert [run.tenant for run in asyncio.run(both())] == ["acme", "globex"]


@pytest.mark.parametrize("is_async", [True, False])
def test_code_of_tools_acts_for_the_tenant_of_its_run(world: World, *, is_async: bool) -> None:
    inner = pipeline(Step("say", str))

    @tool
    def begin(run_context: RunContext) -> str:
        """Begin another run."""
        return f"{run_context.tenant} {inner.run('Hi').tenant} {len(inbox.pending().requirements)}"

    @tool
    async def abegin(run_context: RunContext) -> str:
        """Begin another run."""
        pending = (await inbox.apending()).requirements
        return f"{run_context.tenant} {(await inner.arun('Hi')).tenant} {len(pending)}"

    name = "abegin" if is_async else "begin"
    agent = scripted([Call(name), "Done."], [begin, abegin])
    world.paused()
    for asked_for in ("initech", ""):
        with tenant(asked_for):
            waiting = len(inbox.pending(limit=1000).requirements)
            output = agent.run("Go")
        assert output.tools[0].result == f"{asked_for} {asked_for} {waiting}"


def test_a_reconciler_acts_for_the_tenant_of_its_run(world: World) -> None:
    def look_up(key: str, arguments: dict[str, object]) -> Happened:
        return Happened(f"{named_tenant()} {bool(key)} {arguments}")

    @tool(reconcile=look_up)
    def pay() -> str:
        """Pay."""
        raise OutcomeUnknown

    with tenant("acme"):
        output = scripted([Call("pay"), "Done."], [pay]).run("Go")
    assert output.tools[0].result == "acme True {}"


def test_what_a_tenant_has_started_serves_all(world: World) -> None:
    seen: list[str | None] = []

    def answer(_request: ModelRequest) -> str:
        seen.append(named_tenant())
        return "Hello."

    with tenant("acme"):
        # This starts the agent's worker.
        scripted(answer).run("Hi")
    assert seen == [None]


def test_code_of_steps_and_members_act_for_the_tenant_of_their_run(world: World) -> None:
    inner = pipeline(Step("say", str))

    def begin(told: StepInput) -> str:
        return f"{told.tenant} {inner.run('Hi').tenant}"

    member = scripted(["Found."])
    leader = team([member], delegating((member, "Find it.")))
    flow = pipeline(Step("begin", begin), Step("inside", scripted(["Yes."])))
    with tenant("acme"):
        done, led = flow.run("Hi"), leader.run("Hi")
        assert (done.tenant, led.tenant) == ("acme", "acme")
        steps = {step.name: step for step in flow.get_steps(done.run_id)}
    assert steps["begin"].content == "acme acme"
    inside = [*(call.child_run_id for call in led.tools), steps["inside"].child_run_id]
    assert [read(world, child).tenant for child in inside if child] == ["acme", "acme"]


def read(world: World, run_id: str) -> RunOutput:
    return world.runtime.call(lambda service: service.runs.read(OPERATOR, run_id))
