"""The activity that asks the model for one answer and stores it with all that follows from it."""

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from sqlmodel import Session
from temporalio import activity

from kern.activities.failures import at_the_edge, is_deleted, not_here, provider_failure
from kern.activities.heartbeat import beating
from kern.activities.model_calls import ModelCalls
from kern.activities.result_journal import ModelAnswer, ResultKeeper
from kern.activities.tool_result import raised_text
from kern.components.agents.model_component import ModelComponent
from kern.components.agents.planning import (
    RunSoFar,
    available_tools,
    call_limit,
    missing_parts,
    model_call_limit,
    plan,
)
from kern.components.component import definition_of
from kern.components.policies import policy_of
from kern.components.registry import Registry
from kern.context.instructions import Context
from kern.contracts.answers import Answer
from kern.contracts.messages import TurnInput, TurnOutcome
from kern.contracts.policy import Policy
from kern.db.engine.store import Store
from kern.db.reading import run_timing
from kern.db.runs import lifecycle
from kern.db.turns import model_turns
from kern.db.turns.model_outages import Failure, wait_or_pause
from kern.db.turns.model_pauses import pause_at_limit
from kern.db.turns.model_turns import Conversation
from kern.errors import NotFound
from kern.models.base import Delta, ModelRequest, ModelResponse, ProviderError
from kern.process.checkpoints import reach
from kern.process.live_text import LiveText, Publisher
from kern.process.logs import OnceLog, code_of, get_logger, warn_raised
from kern.tools.tool import tool_definition
from kern.values.canonical import clean_text
from kern.values.states import RunStatus

_log = get_logger("kern.model_turn")

_BROKE = "model_broke"
# What code raises that is wrong, and no provider that fails: asking again and again mends nothing.
# Once more, since an answer that is cut short may look like this too.
_BUGS = (
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
)
_BUG_ATTEMPTS = 2
# From here on seconds are logged without fractions.
_WHOLE = 10
# An error of a model's code that is neither a bug nor one of the network may pass, and may not.
_BROKEN_ATTEMPTS = 6


class _ModelBrokeError(ProviderError):
    """The code of a model raised what is no error of a provider: its words may be anybody's."""

    def __init__(self, model: str, session_id: str, raised: Exception) -> None:
        text = f"The model {model!r} raised {raised_text(raised)}"
        super().__init__(text, code=_BROKE, retryable=True)
        self.model = model
        self.session_id = session_id
        self.raised = raised


class ModelTurn:
    """Executes model turns for the components of one process."""

    def __init__(
        self,
        db: Store,
        registry: Registry,
        outage_seconds: float,
        publisher: Publisher,
        *,
        results: ResultKeeper | None = None,
        models: ModelCalls | None = None,
    ) -> None:
        self._db = db
        self._registry = registry
        self._outage_seconds = outage_seconds
        self._publisher = publisher
        self._results = results or ResultKeeper(db)
        self._models = models or ModelCalls()
        self._missing = OnceLog(_log)

    @activity.defn(name="model_turn")
    async def model_turn(self, ask: TurnInput) -> TurnOutcome:
        """Return the outcome of a turn.

        A stored answer is returned as it is and nobody is asked again.
        """
        started_at = _started_at()
        with at_the_edge(ask.run_id):
            async with beating(meanwhile=lambda: self._mark_running(ask.run_id, started_at)):
                try:
                    return await self._take(ask, started_at)
                except ProviderError as error:
                    return await self._after(error, ask)
                except NotFound:
                    if await is_deleted(self._db, ask.run_id):
                        return TurnOutcome(ended=True)
                    raise

    async def _take(self, ask: TurnInput, started_at: datetime) -> TurnOutcome:
        conversation = await self._db.read(
            lambda tx: model_turns.load(tx, ask.run_id, ask.turn, self._context)
        )
        agent = self._agent(conversation.component_id)
        if conversation.outcome is not None:
            return _with_summary(agent, conversation, conversation.outcome)
        self._require_parts(agent, conversation.policy, ask.run_id)
        at_limit = await self._pause_at_limit(agent, conversation, ask)
        if at_limit is not None:
            return at_limit
        reach("model_turn.before_call")
        with self._published(ask, conversation) as text:
            watch = FirstToken(text)
            opening = definition_of(agent).turn_policy.opening() if ask.turn == 1 else None
            # An earlier attempt may have been answered, and could not store it.
            model_answer = self._results.answer_of(ask.run_id, ask.turn) or ModelAnswer(
                database=self._results.database,
                run_id=ask.run_id,
                turn=ask.turn,
                response=opening or await self._ask(agent, conversation, watch),
                began=started_at,
                first_token_seconds=watch.seconds if opening is None else None,
            )
            reach("model_turn.before_store")
            with code_of(run_id=ask.run_id, session_id=conversation.session_id):
                planned = await _planned(agent, model_answer.response, conversation)
            answer = replace(
                planned,
                began=model_answer.began,
                first_token_seconds=model_answer.first_token_seconds,
                is_own=opening is not None,
            )
            now, worker_policy = datetime.now(UTC), policy_of(agent)
            outcome = await self._results.keep(
                model_answer,
                lambda: self._db.write(
                    lambda tx: model_turns.store(
                        tx, ask.run_id, ask.turn, answer, now, worker_policy=worker_policy
                    )
                ),
            )
        reach("model_turn.after_store")
        _log.info(
            "turn_stored",
            run_id=ask.run_id,
            session_id=conversation.session_id,
            turn=ask.turn,
            calls=len(answer.calls),
        )
        return _with_summary(agent, conversation, outcome)

    async def _pause_at_limit(
        self, agent: ModelComponent, conversation: Conversation, ask: TurnInput
    ) -> TurnOutcome | None:
        """Pause a run that has asked its model as often as it may, before it is asked again."""
        limit = model_call_limit(agent, conversation.policy)
        has_answer = self._results.answer_of(ask.run_id, ask.turn) is not None
        if limit is None or conversation.model_calls < limit or has_answer:
            return None
        now = datetime.now(UTC)
        outcome = await self._db.write(
            lambda tx: pause_at_limit(tx, ask.run_id, ask.turn, limit, now)
        )
        if outcome is not None and outcome.calls:
            _log.warning("model_call_limit", run_id=ask.run_id, calls=conversation.model_calls)
        return outcome

    @contextmanager
    def _published(self, ask: TurnInput, conversation: Conversation) -> Generator[LiveText | None]:
        """Pass the text on while it comes, if somebody may read it, until it is stored."""
        if not conversation.is_streamed:
            yield None
            return
        text = self._publisher.begin(ask.run_id, ask.turn, activity.info().attempt)
        try:
            yield text
        finally:
            text.close()

    async def _ask(
        self, agent: ModelComponent, conversation: Conversation, watch: "FirstToken"
    ) -> ModelResponse:
        limit = call_limit(agent, conversation.policy)
        definition = definition_of(agent)
        policy, tools = definition.turn_policy, available_tools(agent, conversation.policy)
        instructions = definition.context.instructions_with(
            conversation.state, conversation.summary
        )
        briefing = policy.briefing(conversation.calls)
        request = ModelRequest(
            instructions=(
                instructions if briefing is None else f"{instructions or ''}\n\n{briefing}".strip()
            ),
            messages=conversation.messages,
            tools=[tool_definition(tool).spec for tool in policy.offered(tools.values())],
            output=definition.output,
            may_call_tools=limit is None or conversation.calls_so_far < limit,
        )
        async with self._models.places.occupied(f"the model of {agent.id}"):
            watch.start()
            return await self._respond(agent, request, watch.delta, conversation.session_id)

    async def _respond(
        self,
        agent: ModelComponent,
        request: ModelRequest,
        on_delta: Delta | None,
        session_id: str,
    ) -> ModelResponse:
        try:
            return await self._models.respond(agent.model, request, on_delta)
        except (ProviderError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise _ModelBrokeError(agent.model.id, session_id, error) from error

    async def _after(self, error: ProviderError, ask: TurnInput) -> TurnOutcome:
        """Have a provider asked again later, pause the run, or end it when that is of no use."""
        run_id, now = ask.run_id, datetime.now(UTC)
        facts: dict[str, object] = {
            "run_id": run_id,
            "code": error.code,
            "attempt": activity.info().attempt,
        }
        if not _may_pass(error):
            _log.warning("provider_failed", **facts, next="final", **_why(error, run_id))
            await self._db.write(lambda tx: _fail(tx, run_id, error, now))
            return TurnOutcome(ended=True)
        failure = Failure(error.code, str(error), error.retry_after)
        budget = self._outage_seconds
        following = await self._db.write(
            lambda tx: wait_or_pause(tx, run_id, ask.turn, failure, budget=budget, now=now)
        )
        if isinstance(following, TurnOutcome):
            text = "final, a person is asked" if following.calls else "final"
            _log.warning("provider_failed", **facts, next=text, **_why(error, run_id))
            return following
        # An outage of hours has many tries, which all fail alike.
        why = {} if following.is_known else _why(error, run_id)
        text = f"attempt {following.attempt}, again in {_rounded(following.seconds)} s"
        _log.warning("provider_failed", **facts, next=text, **why)
        raise provider_failure(error, following.seconds) from None

    def _context(self, component_id: str) -> Context:
        component = self._registry.get(component_id)
        if isinstance(component, ModelComponent):
            return definition_of(component).context
        return Context()

    def _agent(self, component_id: str) -> ModelComponent:
        component = self._registry.get(component_id)
        if not isinstance(component, ModelComponent):
            message = (
                f"The run needs an agent or a team, and the component {component_id!r} is of the "
                f"kind {definition_of(component).kind!r}."
            )
            raise NotFound(message)
        return component

    def _require_parts(self, agent: ModelComponent, pinned: Policy | None, run_id: str) -> None:
        """Give the turn back if this worker lacks what the run pinned, before a model is paid."""
        missing = missing_parts(agent, pinned)
        if missing:
            self._missing.warn(
                "turn_given_back", run_id=run_id, component=agent.id, missing=missing
            )
            raise not_here("A tool or member that was pinned on the run is not in this worker")

    async def _mark_running(self, run_id: str, started_at: datetime) -> None:
        def mark(tx: Session) -> None:
            run = lifecycle.lock(tx, run_id)
            if not RunStatus(run.status).is_final:
                run_timing.begin(run, started_at)
            lifecycle.update_status(tx, run, datetime.now(UTC))

        reach("mark_running.before_store")
        await self._db.write(mark)
        reach("mark_running.after_store")


def _why(error: ProviderError, run_id: str) -> dict[str, object]:
    """Return what a provider says of its failure; of what code raised, log kind and place."""
    if isinstance(error, _ModelBrokeError):
        ids = {"run_id": run_id, "session_id": error.session_id}
        warn_raised("model", error.model, error.raised, **ids)
        return {}
    return {"why": str(error)}


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= _WHOLE else f"{seconds:.2g}"


def _may_pass(error: ProviderError) -> bool:
    """Whether it is worth waiting for a provider; errors of a model's own code end sooner."""
    cause = error.raised if isinstance(error, _ModelBrokeError) else None
    if cause is None or issubclass(type(cause), OSError):
        return error.retryable
    return activity.info().attempt < (
        _BUG_ATTEMPTS if issubclass(type(cause), _BUGS) else _BROKEN_ATTEMPTS
    )


def _fail(tx: Session, run_id: str, error: ProviderError, now: datetime) -> None:
    run = lifecycle.lock(tx, run_id)
    if not RunStatus(run.status).is_final:
        lifecycle.fail(tx, run, error.code, clean_text(str(error)), now)


def _started_at() -> datetime:
    """Return when the first attempt at the turn began: only Temporal knows, if its worker died."""
    info = activity.info()
    return datetime.now(UTC) if info.attempt == 1 else info.scheduled_time


def _with_summary(
    agent: ModelComponent, conversation: Conversation, outcome: TurnOutcome
) -> TurnOutcome:
    """Have the session's summary made once the run has ended, if its component keeps one."""
    if outcome.ended and agent.enable_session_summaries and not conversation.is_child:
        return outcome.model_copy(update={"summarise": True})
    return outcome


async def _planned(
    agent: ModelComponent, response: ModelResponse, conversation: Conversation
) -> Answer:
    """Plan an answer: in a thread where that may call the user's code, which may block."""
    so_far = RunSoFar(
        conversation.calls_so_far,
        conversation.corrections,
        conversation.input,
        conversation.calls,
        conversation.policy,
    )
    if not response.tool_calls and agent.output_schema is None:
        return plan(agent, response, so_far)
    return await asyncio.to_thread(plan, agent, response, so_far)


class FirstToken:
    """A watch that starts when it is made or started, and stops at the first piece of text.

    Args:
        text: Where the pieces go; None when nobody may read them, and the model does not stream.
    """

    def __init__(self, text: LiveText | None) -> None:
        self._text = text
        self._started_at = time.monotonic()
        self._first: float | None = None

    def start(self) -> None:
        """Count from now on: the model is asked."""
        self._started_at = time.monotonic()

    @property
    def delta(self) -> Delta | None:
        """What takes the pieces; None for a model that is not to stream."""
        return None if self._text is None else self._add

    @property
    def seconds(self) -> float:
        """The time to the first piece; to now, if none has come."""
        return self._first if self._first is not None else time.monotonic() - self._started_at

    def _add(self, piece: str) -> None:
        if self._first is None:
            self._first = time.monotonic() - self._started_at
        if self._text is not None:
            self._text.add(clean_text(piece))
