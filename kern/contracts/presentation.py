"""What people are shown of a call beside its arguments, as its author declares it."""

from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, JsonValue

from kern.errors import InvalidDefinition
from kern.values.amounts import amount_band
from kern.values.bounds import Bounds, stricter_bounds
from kern.values.states import Effect, Risk
from kern.values.titles import decimal_text, fields_of, rendered, value_text
from kern.values.validation import described

RISKS = (Risk.low, Risk.normal, Risk.high)
_LONGEST = 1_000
# Those by whose values calls are found and compared keep so much of them.
_LONGEST_VALUE = 500


class PresentationOptions(TypedDict, total=False):
    """The options with which an author declares a presentation, as `Presentation` has them."""

    title: str | None
    risk: Risk | Literal["low", "normal", "high"] | None
    consequence: str | None
    confirm: str | None
    edit_bounds: Mapping[str, Bounds] | None
    where_to_look: str | None
    subject: str | None
    amount: str | None
    unit: str | None


class PresentedValues(NamedTuple):
    """What the presentation of a call comes to with the arguments of one.

    Attributes:
        title: The title, on one line.
        confirm_value: What a person types to approve.
        subject: What the call is about.
        amount: How much it moves, in plain decimal digits.
        amount_band: How many digits that is, roughly how much.
        unit: Of what.
    """

    title: str | None
    confirm_value: str | None
    subject: str | None
    amount: str | None
    amount_band: int | None
    unit: str | None


class Presentation(BaseModel):
    """How a call is shown to the people who decide about it. It is pinned with the policy.

    The texts say nothing about what may run, so workers whose texts differ declare the same policy
    as far as `stricter` and `differences` go: those that the run pinned are kept.

    Attributes:
        title: A line about the call, with the names of arguments in braces.
        risk: How much harm a wrong decision does.
        consequence: What happens once it is approved.
        confirm: The argument whose value a person types to approve.
        edit_bounds: How each argument may be edited; those that are not in it may not. None leaves
            all of them free.
        where_to_look: Where a person finds out whether a call of unknown outcome happened.
        subject: The argument that says what the call is about.
        amount: The argument that says how much it moves.
        unit: The argument that says of what.
    """

    model_config = ConfigDict(frozen=True)

    title: str | None = None
    risk: Risk = Risk.normal
    consequence: str | None = None
    confirm: str | None = None
    edit_bounds: dict[str, Bounds] | None = None
    where_to_look: str | None = None
    subject: str | None = None
    amount: str | None = None
    unit: str | None = None

    def stricter(self, second: Self) -> Self:
        """Return the presentation that is as strict as both, with the texts of this one."""
        return self.model_copy(
            update={
                "risk": max(self.risk, second.risk, key=RISKS.index),
                "confirm": self.confirm or second.confirm,
                "edit_bounds": stricter_bounds(self.edit_bounds, second.edit_bounds),
            }
        )

    def is_as_strict(self, second: Self) -> bool:
        """Whether two presentations ask the same of people, whatever their texts."""
        fields = ("risk", "confirm", "edit_bounds")
        return all(getattr(self, name) == getattr(second, name) for name in fields)

    def values_for(self, arguments: Mapping[str, JsonValue]) -> PresentedValues:
        """Return what people are shown of a call with these arguments."""
        title = self.title
        if title is not None:
            title = rendered(title, arguments, amount=self.amount)
        amount = None if self.amount is None else decimal_text(arguments.get(self.amount))
        return PresentedValues(
            title=title,
            confirm_value=_value(arguments, self.confirm),
            subject=_value(arguments, self.subject),
            amount=amount,
            amount_band=amount_band(amount),
            unit=_value(arguments, self.unit),
        )

    @property
    def without_arguments(self) -> Self:
        """The part that does not depend on what a call is asked for with."""
        names = ("title", "confirm", "edit_bounds", "subject", "amount", "unit")
        return self.model_copy(update=dict.fromkeys(names))


def default_risk(effect: Effect) -> Risk:
    """Return the risk of a call whose author says nothing about it."""
    return Risk.low if effect is Effect.read else Risk.normal


def declared_presentation(
    owner: str, arguments: Collection[str], effect: Effect, **options: Unpack[PresentationOptions]
) -> Presentation:
    """Return the presentation that an author declares for a call that takes these arguments.

    Raises:
        InvalidDefinition: a value makes no sense, or names an argument that there is not; the
            message names `owner`, the value, and what to do.
        TypeError: there is no such option.
    """
    unknown = sorted(options.keys() - PresentationOptions.__annotations__.keys())
    if unknown:
        message = f"{owner} got an unexpected keyword argument {unknown[0]!r}."
        raise TypeError(message)
    for option in ("title", "consequence", "where_to_look"):
        _check_text(owner, option, options.get(option))
    for option in ("confirm", "subject", "amount", "unit"):
        _check_name(owner, option, options.get(option), arguments)
    title, risk = options.get("title"), options.get("risk")
    for name in [] if title is None else fields_of(title):
        _check_name(owner, "title", name, arguments)
    return Presentation(
        title=title,
        risk=default_risk(effect) if risk is None else _risk(owner, risk),
        consequence=options.get("consequence"),
        confirm=options.get("confirm"),
        edit_bounds=_bounds(owner, options.get("edit_bounds"), arguments),
        where_to_look=options.get("where_to_look"),
        subject=options.get("subject"),
        amount=options.get("amount"),
        unit=options.get("unit"),
    )


def _value(arguments: Mapping[str, JsonValue], name: str | None) -> str | None:
    text = None if name is None else value_text(arguments.get(name))
    return None if text is None else text[:_LONGEST_VALUE]


def _check_text(owner: str, option: str, text: object) -> None:
    if text is None or (isinstance(text, str) and text.strip() and len(text) <= _LONGEST):
        return
    message = (
        f"{owner} has {described(text)} as its {option}: give a text of 1 to {_LONGEST:,} "
        "characters, or leave it out."
    )
    raise InvalidDefinition(message)


def _check_name(owner: str, option: str, name: object, arguments: Collection[str]) -> None:
    if name is None or (isinstance(name, str) and name in arguments):
        return
    takes = ", ".join(sorted(arguments)) or "none"
    message = (
        f"{owner} names {described(name)} in its {option}, which is none of its arguments: use one "
        f"of {takes}."
    )
    raise InvalidDefinition(message)


def _risk(owner: str, risk: object) -> Risk:
    try:
        return Risk(str(risk))
    except ValueError:
        message = f"{owner} has the risk {described(risk)}: use 'low', 'normal' or 'high'."
        raise InvalidDefinition(message) from None


def _bounds(owner: str, bounds: object, arguments: Collection[str]) -> dict[str, Bounds] | None:
    if bounds is None:
        return None
    if not isinstance(bounds, Mapping):
        message = (
            f"{owner} has {described(bounds)} as its edit_bounds: give a dict of Bounds(…) by the "
            "names of arguments."
        )
        raise InvalidDefinition(message)
    for name, item in bounds.items():
        _check_name(owner, "edit_bounds", name, arguments)
        if not isinstance(item, Bounds):
            message = (
                f"{owner} bounds {name!r} by {described(item)} in its edit_bounds: use Bounds(…), "
                "which without options lets it change freely."
            )
            raise InvalidDefinition(message)
    return dict(bounds)
