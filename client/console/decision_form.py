"""The form with which a person decides, for each kind of requirement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from kern.client.console.facts import Facts, digest_of
from kern.client.console.form_fields import FormField, Posted, input_fields
from kern.client.console.form_values import FieldProblem
from kern.requirements import Requirement
from kern.values.states import Effect, RequirementKind

# As long as a note may be.
NOTE_LENGTH = 8000


@dataclass(frozen=True)
class Draft:
    """What was posted, and why it was refused.

    Attributes:
        texts: The posted form; all of it is kept.
        fields: The controls with what was typed, of a form of values.
        problems: What is wrong with single values.
    """

    texts: Posted = field(default_factory=dict[str, Sequence[str]])
    fields: tuple[FormField, ...] = ()
    problems: tuple[FieldProblem, ...] = ()

    def text(self, name: str) -> str:
        """Return what was posted under a name; an empty text if nothing was."""
        texts = self.texts.get(name, ())
        return texts[0] if texts else ""

    def has(self, name: str, value: str) -> bool:
        """Whether a value was posted under a name, as of a radio button."""
        return value in self.texts.get(name, ())


@dataclass(frozen=True)
class DecisionForm:
    """A form that posts one decision.

    Attributes:
        template: The partial that renders it.
        url: Where it is posted.
        decision_id: The id of the decision, made with the page: posted twice, it counts once.
        person: As whom it is decided.
        confirm_value: What has to be typed; None for nothing.
        approve_text: What the button says.
        is_last_approval: Whether an approval lets the call run.
        edit_url: Where the arguments are edited; None if nobody may.
        effect: What running it again would do.
    """

    template: str
    url: str
    csrf: str
    digest: str
    decision_id: str
    person: str
    confirm_value: str | None
    approve_text: str
    is_last_approval: bool
    edit_url: str | None
    effect: Effect
    draft: Draft
    fields: tuple[FormField, ...] = ()
    choices: tuple[str, ...] = ()
    multiple: bool = False

    @property
    def typed_mode(self) -> Literal["decimal", "text"]:
        """Which keyboard a phone opens for what has to be typed."""
        bare = (self.confirm_value or "").replace(".", "", 1).replace(",", "")
        return "decimal" if bare.isdecimal() else "text"


def decision_form(
    requirement: Requirement,
    facts: Facts,
    *,
    url: str,
    csrf: str,
    decision_id: str,
    person: str,
    effect: Effect = Effect.once,
    draft: Draft | None = None,
) -> DecisionForm:
    """Return the form with which a person decides about a requirement."""
    posted = draft or Draft()
    is_confirmation = requirement.kind is RequirementKind.confirmation
    fields = posted.fields or tuple(input_fields(requirement.fields))
    return DecisionForm(
        template=f"_decide_{requirement.kind.value}.html",
        url=f"{url}/decisions",
        csrf=csrf,
        digest=digest_of(requirement, facts),
        decision_id=decision_id,
        person=person,
        confirm_value=_typed_value(requirement, facts),
        approve_text=f"Approve {facts.money}" if is_confirmation and facts.money else "Approve",
        is_last_approval=requirement.quorum - requirement.approvals <= 1,
        edit_url=f"{url}/edit" if is_confirmation and requirement.arguments else None,
        effect=effect,
        draft=posted,
        fields=fields if requirement.kind is RequirementKind.user_input else (),
        choices=tuple(requirement.choices),
        multiple=requirement.multiple,
    )


def _typed_value(requirement: Requirement, facts: Facts) -> str | None:
    """Return what has to be typed: what the author says; for a call of high risk, its tool."""
    if facts.confirm_value is not None:
        return facts.confirm_value
    needs = facts.risk == "high" or requirement.kind is RequirementKind.unknown_outcome
    return requirement.tool_name if needs else None
