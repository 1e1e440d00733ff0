"""Decisions of people, as they are filled in, proposed, counted and stored."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.values.principals import Principal
from kern.values.states import Verdict


class UserInputField(BaseModel):
    """One value that a person fills in: its name, its JSON Schema, and whether it is required."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: str = "string"
    description: str = ""
    required: bool = True
    json_schema: dict[str, JsonValue] = Field(default_factory=dict)
    default: JsonValue = None


class DecisionDraft(BaseModel):
    """A decision that was filled in and is not yet submitted.

    Types are strict: `"yes"` is no boolean here.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    verdict: Verdict
    by: str | Principal | None = None
    note: str | None = None
    edit: dict[str, JsonValue] | None = None
    values: dict[str, JsonValue] | None = None
    choices: tuple[str, ...] | None = None
    result: JsonValue = None
    even_if_running: bool = False


class Resolution(BaseModel):
    """The decision that closed a requirement: who decided what, why and when (UTC).

    Attributes:
        by: The name of whoever decided.
        principal: Who that is, as whoever authenticated them says.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    by: str
    note: str | None = None
    at: datetime
    edit: dict[str, JsonValue] | None = None
    principal: Principal | None = None


class Vote(BaseModel):
    """What one person decided that let a call run: who, what, why and when (UTC)."""

    model_config = ConfigDict(frozen=True)

    by: str
    principal: Principal
    verdict: Verdict
    note: str | None = None
    at: datetime


class Proposal(BaseModel):
    """What some people would let happen, while more have to agree.

    Only approvals of exactly the same add up. Whoever wants to agree with an edited one passes its
    `edit` to `Requirement.edit`.

    Attributes:
        arguments: The arguments with which the call would run, with values that were filled in.
        edit: What of them was changed; None if they are the frozen ones.
        choices: The choices that were made, if that was asked.
        digest: The digest of `arguments`.
        by: Who proposes it, in the order in which they decided.
        approvals: How many people propose it, of the `quorum` that it takes.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    arguments: dict[str, JsonValue]
    edit: dict[str, JsonValue] | None = None
    choices: list[str] = Field(default_factory=list)
    digest: str
    by: list[str]
    approvals: int
    quorum: int
