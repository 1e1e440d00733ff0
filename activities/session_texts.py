"""The activities in which the model summarizes or names a session."""

import re
from datetime import UTC, datetime

from temporalio import activity

from kern.activities.failures import (
    at_the_edge,
    not_here,
    provider_failure,
    provider_refusal,
    try_again,
)
from kern.activities.heartbeat import beating
from kern.activities.model_calls import ModelCalls
from kern.components.agents.model_component import ModelComponent
from kern.components.registry import Registry
from kern.contracts.messages import NameInput, Nothing, SummaryInput
from kern.db.engine.store import Store
from kern.db.sessions import naming, summaries
from kern.models.base import ModelRequest, ModelResponse, ProviderError
from kern.process.checkpoints import reach
from kern.process.logs import get_logger
from kern.run import Message
from kern.values.canonical import clean_text

_log = get_logger("kern.session_texts")

_SUMMARISE = (
    "Sum up the conversation below in a few sentences, for somebody who has to go on with it: what "
    "was asked, what was found, decided and done, and what is open. Write the summary only."
)
_NAME = (
    "Give the conversation below a title of at most six words, in its own language, without "
    "quotation marks. Write the title only."
)
_LONGEST_TEXT = 60_000
_LONGEST_NAME = 80
_FENCE = re.compile(r"\s*(```|~~~)[\w-]*\s*$")
_DECORATION = "\"'“”„«»`*_#. "


class SessionTexts:
    """Writes summaries and names for the sessions of the components of one process."""

    def __init__(self, db: Store, registry: Registry, models: ModelCalls | None = None) -> None:
        self._db = db
        self._registry = registry
        self._models = models or ModelCalls()

    @activity.defn(name="summarise")
    async def summarise(self, ask: SummaryInput) -> Nothing:
        """Add a run to the session's summary; does nothing if the summary has it already."""
        with at_the_edge(ask.run_id):
            async with beating():
                await self._summarise(ask.run_id)
        return Nothing()

    @activity.defn(name="name_session")
    async def name_session(self, ask: NameInput) -> Nothing:
        """Name a session after its first runs."""
        with at_the_edge(ask.session_id):
            async with beating():
                await self._name(ask)
        return Nothing()

    async def _summarise(self, run_id: str) -> None:
        material = await self._db.read(lambda tx: summaries.load(tx, run_id))
        if material is None:
            return
        text = transcript(material.messages)
        if material.before:
            text = f"Summary of what came before:\n{material.before}\n\nSince then:\n{text}"
        reach("summarise.before_call")
        response = await self._ask(material.component_id, _SUMMARISE, text)
        summary = response.content.strip()
        now = datetime.now(UTC)
        reach("summarise.before_store")
        is_stored = await self._db.write(
            lambda tx: summaries.store(tx, material, summary, response.usage, now)
        )
        reach("summarise.after_store")
        if not is_stored:
            raise try_again("conflict", "Another run's summary was first")

    async def _name(self, ask: NameInput) -> None:
        material = await self._db.read(lambda tx: naming.load(tx, ask))
        if material is None:
            return
        response = await self._ask(material.component_id, _NAME, transcript(material.messages))
        name = title_in(response.content)
        if not name:
            raise try_again("empty", "The model gave no name")
        now = datetime.now(UTC)
        await self._db.write(lambda tx: naming.store(tx, material, name, response.usage, now))

    async def _ask(self, component_id: str, instructions: str, text: str) -> ModelResponse:
        component = self._registry.get(component_id)
        if not isinstance(component, ModelComponent):
            raise not_here("The component has no model in this worker")
        request = ModelRequest(
            instructions=instructions,
            messages=[Message(role="user", content=text)],
            may_call_tools=False,
        )
        try:
            async with self._models.places.occupied(f"the model of {component.id}"):
                response = await self._models.respond(component.model, request)
        except ProviderError as error:
            _log.warning("provider_failed", code=error.code, why=str(error))
            failure = provider_failure if error.retryable else provider_refusal
            raise failure(error) from None
        if not response.content.strip():
            raise try_again("empty", "The model wrote nothing")
        return response


def title_in(text: str) -> str:
    """Return the first line with text of a model's answer, without quotes and markup."""
    lines = (" ".join(line.split()) for line in text.splitlines() if not _FENCE.match(line))
    titles = (line.strip(_DECORATION)[:_LONGEST_NAME].strip() for line in lines)
    return clean_text(next(filter(None, titles), ""))


def transcript(messages: tuple[Message, ...]) -> str:
    """Return the messages, a paragraph each; of a very long conversation, the end."""
    paragraphs = (f"{message.role}: {text}" for message in messages if (text := _text_of(message)))
    return clean_text("\n\n".join(paragraphs)[-_LONGEST_TEXT:])


def _text_of(message: Message) -> str:
    """Return the text of a message, with the names of its files."""
    files = (f"[{file.name}]" for file in message.files)
    return "\n".join(filter(None, [message.content, *files]))
