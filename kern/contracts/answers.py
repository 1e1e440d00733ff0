"""A model's answer that is about to be stored, with what it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation
from kern.models.base import ModelResponse
from kern.requirements import UserInputField
from kern.values.attempts import UnknownAttempt
from kern.values.states import RequirementKind


@dataclass(frozen=True)
class NewChild:
    """A run to be opened inside another one.

    Attributes:
        label: What it is called in the path of what it asks of people.
        input: What it is asked.
        where: The names between that of the run above and its own.
        context: Text that precedes the input.
        sees_siblings: Whether it is shown what earlier children of the same run have done.
        takes_files: Whether it is given the files that came with the input of the run above.
        idempotency_key: The key of the call that it executes, from which its own keys start.
    """

    component_id: str
    component_kind: str
    label: str
    input: str
    where: Sequence[str] = ()
    context: str = ""
    sees_siblings: bool = False
    takes_files: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Question:
    """A requirement about to be opened: what is asked, of whom, and until when.

    `where` names what it is about within its run, from the outside in; default: the call.
    `attempt` is what is known of the attempt whose outcome is asked for.
    """

    kind: RequirementKind
    arguments_schema: dict[str, JsonValue] = field(default_factory=dict)
    question: str | None = None
    fields: Sequence[UserInputField] = ()
    choices: Sequence[str] = ()
    multiple: bool = False
    approval: Approval = field(default_factory=Approval)
    where: Sequence[str] = ()
    attempt: UnknownAttempt | None = None
    presentation: Presentation = field(default_factory=Presentation)


@dataclass(frozen=True)
class NewCall:
    """A call as the model asked for it, after its arguments were checked.

    `error` is the answer that the model gets at once when the call cannot be made; such a call is
    never executed. `child` is the run that executes it; where it `is_answer`, what that run answers
    is the answer of the whole.
    """

    provider_call_id: str
    name: str
    arguments: dict[str, JsonValue] = field(default_factory=dict)
    error: str | None = None
    effect: str = "once"
    retries: int = 0
    timeout: float | None = None
    has_reconciler: bool = False
    question: Question | None = None
    child: NewChild | None = None
    is_answer: bool = False


@dataclass(frozen=True)
class Answer:
    """A model's answer about to be stored. `correction` asks the model to answer again.

    `began` is when the turn did. `is_own`: no model was asked for it.
    """

    response: ModelResponse
    calls: Sequence[NewCall] = ()
    correction: str | None = None
    failure: tuple[str, str] | None = None
    began: datetime | None = None
    first_token_seconds: float | None = None
    is_own: bool = False
