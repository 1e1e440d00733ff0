"""The options of the demonstration, and the model that it asks; quick to import."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kern.client.cli.printing import one_line, say
from kern.errors import InvalidInput

if TYPE_CHECKING:
    from kern.requirements import Requirement

_MODEL = "gpt-5.2"


@dataclass(frozen=True)
class Choice:
    """A decision that was made on the command line."""

    approve: bool
    amount: float | None = None
    note: str | None = None

    def fill_in(self, item: "Requirement", by: str) -> None:
        """Fill in a requirement with this decision."""
        if not self.approve:
            item.reject(self.note, by)
        elif self.amount is None:
            item.confirm(self.note, by)
        else:
            item.edit({"amount": self.amount}, self.note, by)


def choice_of(decision: str | None, amount: float | None, note: str | None) -> Choice | None:
    """Return the decision that the options make; None if they make none.

    Raises:
        InvalidInput: There is an amount or a note without the decision that it belongs to.
    """
    if decision is None and (amount is not None or note is not None):
        message = "--amount and --note belong to --decision."
        raise InvalidInput(message)
    if decision == "reject" and amount is not None:
        message = "--amount belongs to --decision approve."
        raise InvalidInput(message)
    return None if decision is None else Choice(decision == "approve", amount, note)


def uses_openai() -> bool:
    """Whether the environment configures a real model."""
    return any(os.environ.get(name) for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"))


def model_name() -> str:
    """Return the name of the real model."""
    return os.environ.get("KERN_DEMO_MODEL") or _MODEL


def say_model() -> None:
    """Say which model is asked, and how to choose another."""
    if uses_openai():
        name = one_line(model_name())
        say(f"Model: {name}, asked over the network (KERN_DEMO_MODEL chooses another).")
        return
    say(
        "Model: a scripted one, built in. For a real one set OPENAI_API_KEY "
        "(or OPENAI_BASE_URL), and KERN_DEMO_MODEL to choose it."
    )
