"""What people are asked about a step: before it, about its output, and when it fails."""

from collections.abc import Callable, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kern.contracts.approval import Approval
from kern.errors import InvalidDefinition
from kern.pipeline.nodes import TAKEN
from kern.requirements import UserInputField
from kern.tools.signature import schema_of
from kern.values.states import OnExpiry
from kern.values.validation import Declaration

OnReject = Literal["fail", "skip", "retry"]
ReviewPredicate = Callable[..., object]


class HumanReview(Declaration):
    """What a person has to do about a step or a container. All of it becomes requirements.

    Attributes:
        requires_confirmation: Whether somebody confirms before it begins. `edit({"input": …})`
            has it begin with another input: functions find it in `StepInput.previous_content`, and
            agents are asked it. Where that was the run's input or the item, so is what stands in
            its place, for this step and for all that it holds.
        confirmation_message: What is asked.
        requires_user_input: Whether somebody fills in `user_input_fields` before it begins; steps
            find them in `StepInput.values`.
        user_input_message: What is asked.
        user_input_fields: Names, or fields with their JSON Schema.
        user_input_schema: A pydantic model instead, each field of which is asked for.
        requires_output_review: Whether somebody reviews what it came to: True, or a predicate on
            the `StepOutput`. Only one that returns False lets it pass. `confirm()` keeps the
            output, `edit({"output": …})` replaces it, `reject(note)` has it done again with the
            note as `StepInput.feedback`.
        output_review_message: What is asked.
        requires_iteration_review: As `requires_output_review`, for each iteration of a `Loop`.
        iteration_review_message: What is asked.
        requires_route_choice: Whether somebody chooses among the routes of a `Router`.
        route_choice_message: What is asked.
        allow_multiple_routes: Whether several may be chosen; they are taken one after another.
        on_reject: What becomes of it when a person says no: it fails (`fail`), is left out
            (`skip`), or, for reviews, is done again (`retry`). Default: `fail` before it has
            begun, `retry` for reviews. Silence until the deadline is no wish for another try: it
            then fails, or is left out with `skip`.
        max_revisions: How often reviews may have it done again; after that a rejection fails.
        approval: Who decides, until when, and what silence means.
    """

    # Strict: a "no" that counts as True would be a gate that opens, or one that nobody wanted.
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)

    requires_confirmation: bool = False
    confirmation_message: str | None = None
    requires_user_input: bool = False
    user_input_message: str | None = None
    user_input_fields: Sequence[str | UserInputField] = ()
    user_input_schema: type[BaseModel] | None = None
    requires_output_review: bool | ReviewPredicate = False
    output_review_message: str | None = None
    requires_iteration_review: bool | ReviewPredicate = False
    iteration_review_message: str | None = None
    requires_route_choice: bool = False
    route_choice_message: str | None = None
    allow_multiple_routes: bool = False
    on_reject: OnReject | None = None
    max_revisions: int = Field(default=10, ge=0)
    approval: Approval = Field(default_factory=Approval)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for wrong, problem in (
            (
                sum((self.requires_confirmation, self.asks_input, self.requires_route_choice)) > 1,
                "asks for several things before the step at once: choose one",
            ),
            (
                bool(self.user_input_fields) and self.user_input_schema is not None,
                "has user_input_fields and a user_input_schema: choose one",
            ),
            (
                self.requires_user_input and not self.fields,
                "requires user input and names no fields: add user_input_fields",
            ),
            (
                len({one.name for one in self.fields}) < len(self.fields)
                or not all(one.name.strip() for one in self.fields),
                "has two fields of one name, or one without a name",
            ),
            (
                bool(TAKEN & {one.name for one in self.fields}),
                "asks for a field named 'input' or 'item', which steps have already",
            ),
            (
                self.on_reject == "retry" and not self.reviews,
                "can only try again what is reviewed: use on_reject='fail' or 'skip'",
            ),
            (
                self.approval.on_expiry is OnExpiry.approve
                and (self.asks_input or self.requires_route_choice),
                "can only approve on expiry what waits for a confirmation or a review",
            ),
            (
                self.approval.quorum > 1 and (self.asks_input or self.requires_route_choice),
                "can only have a quorum above 1 where it waits for a confirmation or a review",
            ),
        ):
            if wrong:
                message = f"A HumanReview {problem}."
                raise InvalidDefinition(message)
        return self

    @property
    def asks_input(self) -> bool:
        """Whether somebody fills something in."""
        return self.requires_user_input or bool(self.fields)

    @property
    def reviews(self) -> bool:
        """Whether somebody may look at an output."""
        wanted = (self.requires_output_review, self.requires_iteration_review)
        return any(one is not False for one in wanted)

    @property
    def asks_anything(self) -> bool:
        """Whether a person is asked at all, errors aside."""
        before = self.requires_confirmation or self.asks_input or self.requires_route_choice
        return before or self.reviews

    @property
    def fields(self) -> tuple[UserInputField, ...]:
        """What somebody fills in."""
        if self.user_input_schema is None:
            named = self.user_input_fields
            return tuple(_field(one) if isinstance(one, str) else one for one in named)
        schema = schema_of(self.user_input_schema)
        properties = schema.get("properties")
        needed = schema.get("required")
        shapes = properties if isinstance(properties, dict) else {}
        required = needed if isinstance(needed, list) else []
        return tuple(
            UserInputField(
                name=name,
                type=str(shape.get("type", "any")) if isinstance(shape, dict) else "any",
                description=str(shape.get("description", "")) if isinstance(shape, dict) else "",
                required=name in required,
                json_schema=shape if isinstance(shape, dict) else {},
                default=shape.get("default") if isinstance(shape, dict) else None,
            )
            for name, shape in shapes.items()
        )


def _field(name: str) -> UserInputField:
    return UserInputField(name=name, type="string", json_schema={"type": "string"})
