"""What people are asked about a step: before it begins, about its output, and when it fails."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from kern.contracts.approval import Approval
from kern.contracts.presentation import Presentation, declared_presentation
from kern.errors import InvalidDefinition
from kern.pipeline.nodes import RESERVED
from kern.requirements import UserInputField
from kern.tools.signature import schema_of
from kern.values.bounds import Bounds
from kern.values.states import Effect, OnExpiry, Risk
from kern.values.validation import Declaration

OnReject = Literal["fail", "skip", "retry"]
ReviewPredicate = Callable[..., object]


class HumanReview(Declaration):
    """What people are asked about a step or a container. Each question becomes a requirement.

    Attributes:
        requires_confirmation: Whether a person confirms it before it begins. `edit({"input": …})`
            changes its input: functions find it in `StepInput.previous_content`, agents as their
            input. If that was the run's input or the item, the edit also replaces the run's input
            or the item for this step and for all that it contains.
        confirmation_message: The question.
        requires_user_input: Whether a person fills in `user_input_fields` before it begins; steps
            find them in `StepInput.values`.
        user_input_message: The question.
        user_input_fields: Names, or fields with their JSON Schema.
        user_input_schema: A pydantic model instead: a person fills in each of its fields.
        requires_output_review: Whether a person reviews its output: True, or a predicate on the
            `StepOutput`. Only if the predicate returns False does the output pass without a person.
            `confirm()` keeps the output, `edit({"output": …})` replaces it, and `reject(note)` has
            the step done again with the note as `StepInput.feedback`. Where that would repeat what
            must happen only once (`effect="once"`), `reject` fails it and `run_again(note)` does.
        output_review_message: The question.
        requires_iteration_review: As `requires_output_review`, for each iteration of a `Loop`.
        iteration_review_message: The question.
        requires_route_choice: Whether a person chooses among the routes of a `Router`.
        route_choice_message: The question.
        allow_multiple_routes: Whether several routes may be chosen; they run one after another.
        on_reject: What a rejection does: the step fails (`fail`), is skipped (`skip`), or, in a
            review, is done again (`retry`). Default: `fail` before it has begun, `retry` in
            reviews. Silence until the deadline does not ask for another try: the step then fails,
            or is skipped with `skip`.
        max_revisions: How often reviews may have it done again; the next rejection fails it.
        approval: Who decides, until when, and what silence means.
        title: A line about the decision, with names of what people see in braces: before the step
            `input`, `item` and the fields that they fill in, in reviews `output`.
        risk: How much harm a wrong decision does: `low`, `normal` or `high`. Default: `normal`, and
            `low` for a step with `effect="read"`.
        consequence: What happens once it is approved.
        confirm: The name of what people see whose value a person types to approve.
        edit_bounds: How each may be edited, as `Bounds`; others may not, and without it all may.
        where_to_look: Where a person finds out whether a step of unknown outcome happened.
        subject: The name of what people see that says what it is about.
        amount: That says how much it moves.
        unit: That says of what.
    """

    # Strict: "no" must not count as True, which would open a gate or add one.
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
    title: str | None = None
    risk: Risk | Literal["low", "normal", "high"] | None = None
    consequence: str | None = None
    confirm: str | None = None
    edit_bounds: Mapping[str, Bounds] | None = None
    where_to_look: str | None = None
    subject: str | None = None
    amount: str | None = None
    unit: str | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        names = [field.name for field in fields_of(self)]
        for is_wrong, problem in (
            (
                sum((self.requires_confirmation, asks_for_input(self), self.requires_route_choice))
                > 1,
                "asks for several things before the step at once: choose one",
            ),
            (
                bool(self.user_input_fields) and self.user_input_schema is not None,
                "has user_input_fields and a user_input_schema: choose one",
            ),
            (
                self.requires_user_input and not fields_of(self),
                "requires user input and names no fields: add user_input_fields",
            ),
            (
                len(set(names)) < len(names) or not all(name.strip() for name in names),
                "has two fields of one name, or one without a name",
            ),
            (
                bool(RESERVED & set(names)),
                "asks for a field named 'input' or 'item', which steps have already",
            ),
            (
                self.on_reject == "retry" and not has_review(self),
                "can only try again what is reviewed: use on_reject='fail' or 'skip'",
            ),
            (
                self.approval.on_expiry is OnExpiry.approve
                and (asks_for_input(self) or self.requires_route_choice),
                "can only approve on expiry what waits for a confirmation or a review",
            ),
            (
                self.approval.quorum > 1 and (asks_for_input(self) or self.requires_route_choice),
                "can only have a quorum above 1 where it waits for a confirmation or a review",
            ),
        ):
            if is_wrong:
                message = f"A HumanReview {problem}."
                raise InvalidDefinition(message)
        presentation_of(self, Effect.once)
        return self


def presentation_of(review: HumanReview, effect: Effect) -> Presentation:
    """Return what people are shown of a step with this effect beside what they decide about.

    Raises:
        InvalidDefinition: the review names something that people are not shown.
    """
    return declared_presentation(
        "A HumanReview",
        _visible_names(review),
        effect,
        title=review.title,
        risk=review.risk,
        consequence=review.consequence,
        confirm=review.confirm,
        edit_bounds=review.edit_bounds,
        where_to_look=review.where_to_look,
        subject=review.subject,
        amount=review.amount,
        unit=review.unit,
    )


def _visible_names(review: HumanReview) -> set[str]:
    """Return the names of what people see when they are asked."""
    names = {field.name for field in fields_of(review)}
    if review.requires_confirmation or asks_for_input(review) or review.requires_route_choice:
        names |= RESERVED
    return names | {"output"} if has_review(review) else names


def asks_for_input(review: HumanReview) -> bool:
    """Whether a person fills in fields."""
    return review.requires_user_input or bool(fields_of(review))


def has_review(review: HumanReview) -> bool:
    """Whether a person may review an output."""
    return not (
        review.requires_output_review is False and review.requires_iteration_review is False
    )


def asks_people(review: HumanReview) -> bool:
    """Whether a person is asked anything, failures aside."""
    before = review.requires_confirmation or asks_for_input(review) or review.requires_route_choice
    return before or has_review(review)


def fields_of(review: HumanReview) -> tuple[UserInputField, ...]:
    """Return the fields that a person fills in."""
    if review.user_input_schema is None:
        return tuple(
            _text_field(field) if isinstance(field, str) else field
            for field in review.user_input_fields
        )
    schema = schema_of(review.user_input_schema)
    properties, required = schema.get("properties"), schema.get("required")
    required_names = required if isinstance(required, list) else []
    shapes = properties if isinstance(properties, dict) else {}
    return tuple(
        _schema_field(name, shape, required=name in required_names)
        for name, shape in shapes.items()
    )


def _schema_field(name: str, value: JsonValue, *, required: bool) -> UserInputField:
    shape = value if isinstance(value, dict) else {}
    return UserInputField(
        name=name,
        type=str(shape.get("type", "any")),
        description=str(shape.get("description", "")),
        required=required,
        json_schema=shape,
        default=shape.get("default"),
    )


def _text_field(name: str) -> UserInputField:
    return UserInputField(name=name, type="string", json_schema={"type": "string"})
