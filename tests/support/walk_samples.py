"""Requirements as the walk of the inbox shows them, and a person who answers from a script."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import JsonValue

from kern.client.cli.walk.screen import Place
from kern.requirements import Proposal, Requirement, RequirementKind, Risk, Verdict
from kern.values.decisions import EarlierCall

NOW = datetime(2026, 11, 26, 14, 20, tzinfo=UTC)
PLACE = Place(3, "9", "for dana", "dana", NOW)
ARGUMENTS: dict[str, JsonValue] = {
    "order_id": "88-10423",
    "amount": 14250,
    "currency": "EUR",
    "reference": "RMA-3391\u200b pallet 7 of 12",
}


def requirement(
    kind: RequirementKind = RequirementKind.confirmation,
    **more: Any,  # noqa: ANN401  fields of a model
) -> Requirement:
    """Return a requirement about a refund."""
    values: dict[str, Any] = {
        "id": "r",
        "run_id": "run",
        "session_id": "s",
        "kind": kind,
        "created_at": NOW,
        "tool_name": "refund",
        "path": ["support", "refunds", "refund"],
        "user_id": "mia",
        "arguments": dict(ARGUMENTS),
        "digest": "7f3ac1d0" * 8,
        "current_digest": "7f3ac1d0" * 8,
    }
    return Requirement(**{**values, **more})


def edited_refund() -> Requirement:
    """Return a risky refund that one person has changed and approved already."""
    proposal = Proposal(
        verdict=Verdict.approve,
        arguments={**ARGUMENTS, "amount": 12500},
        edit={"amount": 12500},
        digest="5c55e5f8" * 8,
        by=["Sam Okafor"],
        approvals=1,
        quorum=2,
    )
    earlier = EarlierCall(
        run_id="x",
        arguments={"order_id": "88-10377", "amount": 40},
        outcome="result",
        at=NOW - timedelta(days=2),
    )
    return requirement(
        current_arguments=proposal.arguments,
        current_digest=proposal.digest,
        edited_by="Sam Okafor",
        title="Refund 12,500.00 EUR to Nordlicht Versand",
        risk=Risk.high,
        confirm_value="12500",
        consequence="The customer is paid at once.",
        quorum=2,
        approvals=1,
        due_at=NOW + timedelta(hours=3, minutes=40),
        candidates=["dana", "Ravi Pillai"],
        excluded=["Mia Lindqvist"],
        proposals=[proposal],
        earlier_calls=[earlier],
    )


class ScriptedPerson:
    """A person who types these lines one after another, and leaves with None.

    Attributes:
        questions: What they were asked.
        starts: What each line began with.
        secrets: Which of the questions were about a secret.
    """

    def __init__(self, lines: Iterable[str | None], *, agrees: bool = True) -> None:
        self._lines = iter(lines)
        self._agrees = agrees
        self.questions: list[str] = []
        self.starts: list[str] = []
        self.secrets: list[str] = []

    def line(self, question: str, text: str = "", *, is_secret: bool = False) -> str | None:
        """Type the next line."""
        self.questions.append(question)
        self.starts.append(text)
        if is_secret:
            self.secrets.append(question)
        return next(self._lines)

    def text(self, question: str, text: str) -> str | None:
        """Type the next line."""
        return self.line(question, text)

    def agrees(self, question: str) -> bool:
        """Agree, or not."""
        self.questions.append(question)
        return self._agrees
