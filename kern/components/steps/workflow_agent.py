"""An agent in front of a workflow: it answers from the session, or has the workflow run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Unpack

from pydantic import JsonValue

from kern.components.agents.delegation import Delegation
from kern.components.agents.model_component import ModelComponent, ModelDefinition, ModelOptions
from kern.components.component import definition_of
from kern.components.runnable import Runnable
from kern.contracts.answers import NewChild
from kern.errors import InvalidDefinition, InvalidInput
from kern.models.base import Model
from kern.values.validation import described

_RULES = (
    "You stand before a workflow, {name}. Answer from the conversation where the answer is in it. "
    "Where something has to be done, or looked up anew, call run_workflow: what it comes to is the "
    "answer, and you say nothing more. Never claim that the workflow did what it has not."
)


class WorkflowAgent(ModelComponent):
    """Decides whether a request needs its workflow, and answers from the session if it does not.

    The workflow's run is a child of this agent's run: it is in the same session, has a row of its
    own, and its result is the answer. Every method has an async twin whose name begins with `a`.

    Args:
        workflow: The workflow that it may run.
        model: The model that decides and answers.
        options: The options of an `Agent`; by default, it is shown the session's earlier runs.

    Raises:
        InvalidDefinition: `workflow` is not a workflow, or another option is invalid.
    """

    def __init__(
        self, *, workflow: Runnable, model: Model, **options: Unpack[ModelOptions]
    ) -> None:
        self.workflow = _require_workflow(workflow)
        with_defaults: ModelOptions = {"add_history_to_context": True, **options}
        super().__init__(model=model, tools=[_RunWorkflow(workflow)], **with_defaults)

    def _define(self) -> ModelDefinition:
        agent, workflow = super()._define(), self.workflow
        rules = _RULES.format(name=workflow.name)
        instructions = "\n\n".join(filter(None, [self.instructions, rules]))
        return replace(
            agent,
            # Its runs have children, as a team's have.
            kind="team",
            declare=lambda: [agent.fingerprint, workflow.id, definition_of(workflow).fingerprint],
            parts=(workflow,),
            context=agent.context.leading(instructions, None, shows_calls=False),
        )


def _require_workflow(value: object) -> Runnable:
    if isinstance(value, Runnable) and definition_of(value).kind == "workflow":
        return value
    message = f"A WorkflowAgent needs a workflow, got {described(value)}."
    raise InvalidDefinition(message)


class _RunWorkflow(Delegation):
    """The tool whose calls are executed by runs of the workflow."""

    def __init__(self, workflow: Runnable) -> None:
        super().__init__(
            run_workflow, {}, lambda arguments, _: str(arguments["request"]), is_answer=True
        )
        self._workflow = workflow

    def child(self, arguments: Mapping[str, JsonValue], team_input: str) -> NewChild:
        """Return the workflow's run."""
        del team_input
        return NewChild(
            component_id=self._workflow.id,
            component_kind=definition_of(self._workflow).kind,
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
