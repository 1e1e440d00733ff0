"""An agent in front of a workflow: it answers from what was done before, or has it done."""

from collections.abc import Mapping
from typing import ClassVar, Unpack

from pydantic import JsonValue

from kern.components.agents.delegation import Delegation
from kern.components.agents.model_component import ModelComponent, ModelOptions
from kern.components.component import Component
from kern.components.runnable import Runnable
from kern.contracts.answers import NewChild
from kern.errors import InvalidDefinition, InvalidInput
from kern.models.base import Model
from kern.values.canonical import digest
from kern.values.validation import described

_RULES = (
    "You stand before a workflow, {name}. Answer from the conversation where the answer is in it. "
    "Where something has to be done, or looked up anew, call run_workflow: what it comes to is the "
    "answer, and you say nothing more. Never claim that the workflow did what it has not."
)


class WorkflowAgent(ModelComponent):
    """Decides whether a request needs its workflow, and answers from the session if it does not.

    The workflow's run is a part of this one's: in the same session, with its own row, and what it
    comes to is the answer. Every method has an async twin whose name begins with `a`.

    Args:
        workflow: What it stands before.
        model: Who decides and answers.
        options: As for an `Agent`; by default it is shown the session's earlier runs.

    Raises:
        InvalidDefinition: `workflow` is none, or a value makes no sense.
    """

    # Its runs hold others, as a team's do.
    kind: ClassVar[str] = "team"

    def __init__(
        self, *, workflow: Runnable, model: Model, **options: Unpack[ModelOptions]
    ) -> None:
        if getattr(workflow, "kind", None) != "workflow":
            message = f"{described(workflow)} is no workflow: a WorkflowAgent stands before one."
            raise InvalidDefinition(message)
        self.workflow = workflow
        given: ModelOptions = {"add_history_to_context": True, **options}
        super().__init__(model=model, tools=[_Running(workflow)], **given)
        rules = _RULES.format(name=workflow.name)
        told = "\n\n".join(filter(None, [self.instructions, rules]))
        self.context = self.context.leading(told, None, shows_calls=False)

    @property
    def fingerprint(self) -> str:
        """A digest of the declaration: two with the same one do the same."""
        return digest([super().fingerprint, self.workflow.id, self.workflow.fingerprint])

    @property
    def parts(self) -> tuple[Component, ...]:
        """The workflow."""
        return (self.workflow,)


class _Running(Delegation):
    """The tool by which the workflow is run."""

    def __init__(self, workflow: Runnable) -> None:
        super().__init__(run_workflow, {}, lambda given, _: str(given["request"]), is_answer=True)
        self._workflow = workflow

    def child(self, arguments: Mapping[str, JsonValue], said: str) -> NewChild:
        """Return the workflow's run."""
        del said
        return NewChild(
            component_id=self._workflow.id,
            component_kind=self._workflow.kind,
            label=self._workflow.name,
            input=str(arguments["request"]),
        )


def run_workflow(request: str) -> str:
    """Have the workflow do what is asked. Call it once, and alone.

    Args:
        request: What is to be done, with all that it needs to know.
    """
    message = f"A workflow's run executes this call, not a function: {request!r}."
    raise InvalidInput(message)
