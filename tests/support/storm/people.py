"""People who decide in the storm: hasty, of two minds, and careless about how they spell."""

import random
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from kern.client.processes.services import Services
from kern.contracts.viewer import OPERATOR
from kern.errors import (
    AlreadyResolved,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    Unavailable,
)
from kern.requirements import Requirement
from kern.values.names import name_key
from kern.values.states import RequirementKind, RequirementStatus, Verdict
from tests.support.storm.app import EXCLUDED, PEOPLE
from tests.support.storm.bank import Bank

# Of one person each, and two that are nobody's.
_SPELLINGS = ("{}", "{} ", " {}", "{}".upper(), "\u200b{}", "\u0430{}")
_PAGE = 50
# How often in a hundred they do what.
_ACTS = {"approve": 68, "edit": 14, "reject": 8, "two minds": 10}


@dataclass(frozen=True)
class Acknowledged:
    """A decision that Kern said it had accepted."""

    requirement_id: str
    verdict: Verdict
    person: str
    at: datetime


class People:
    """Everybody who decides; they share an inbox and one memory of what was acknowledged."""

    def __init__(self, services: Services, bank: Bank, seed: int) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.refused = 0
        self._services, self._bank = services, bank
        self._random = random.Random(seed)  # noqa: S311  a storm is repeated by its seed

    async def decide_something(self) -> None:
        """Look into the inbox, and decide what comes to hand."""
        with suppress(Unavailable):
            inbox = self._services.service.inbox
            page = await inbox.pending(OPERATOR, limit=_PAGE)
            if not page.requirements:
                return
            item = self._random.choice(page.requirements)
            if item.kind is RequirementKind.unknown_outcome:
                await self._say_what_happened(item)
            elif item.kind is RequirementKind.error:
                await self._submit(item.run_again(by=self._name()))
            elif item.tool_name in {"tip", "late"} and self._random.random() < 0.5:
                # Left to its deadline.
                return
            else:
                await self._vote(item)

    def _name(self) -> str:
        person = self._random.choice([*PEOPLE, *PEOPLE, *PEOPLE, EXCLUDED])
        return self._random.choice(_SPELLINGS).format(person)

    async def _vote(self, item: Requirement) -> None:
        name = self._name()
        (act,) = self._random.choices(list(_ACTS), weights=list(_ACTS.values()))
        if act == "reject":
            await self._submit(item.reject(by=name))
        elif act == "edit":
            await self._submit(item.edit(self._changes(item), by=name))
        elif await self._submit(item.confirm(by=name)) and act == "two minds":
            with suppress(NotFound, Unavailable):
                inbox = self._services.service.inbox
                await self._submit((await inbox.read(OPERATOR, item.id)).withdraw(by=name))

    def _changes(self, item: Requirement) -> dict[str, JsonValue]:
        """Return another amount, in one of few ways, so that people may agree."""
        amount = self._random.choice([1, 2])
        if "input" in item.arguments:
            words = str(item.arguments["input"]).rpartition(" ")[0]
            return {"input": f"{words} {amount}"}
        return {"amount": amount}

    async def _say_what_happened(self, item: Requirement) -> None:
        """Look the payment up, once the attempt can no longer make it, and say the truth."""
        assert item.attempt is not None
        key = item.attempt.idempotency_key
        if self._bank.of_key(key):
            await self._submit(item.mark_happened(key, by=self._random.choice(PEOPLE)))
        elif not item.attempt.is_executing and item.attempt.leased_until is None:
            await self._submit(item.run_again(by=self._random.choice(PEOPLE)))

    async def _submit(self, filled: Requirement) -> bool:
        """Submit a decision; whether Kern acknowledged it."""
        assert filled.draft is not None
        verdict, name = filled.draft.verdict, str(filled.draft.by)
        try:
            receipt = await self._services.service.inbox.decide(OPERATOR, filled)
        except (AlreadyResolved, Conflict, NotAllowed, NotFound, InvalidInput):
            self.refused += 1
            return False
        assert receipt.requirement.status in {
            RequirementStatus.pending,
            RequirementStatus.resolved,
        }
        noted = Acknowledged(filled.id, verdict, name_key(name), datetime.now(UTC))
        self.acknowledged.append(noted)
        return True
