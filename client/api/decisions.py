"""Decisions over HTTP: what a body says, filled in on a requirement and accepted once."""

import uuid
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import Depends
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, StrictStr

from kern.client.api.pages import Id
from kern.client.api.parameters import Note
from kern.client.api.refusals import closed_problem, require_person
from kern.client.api.resources import AcceptedDecision, DecisionResource, RequirementResource
from kern.client.service.inbox import Inbox
from kern.client.web.callers import Operator, RateOf, ServiceOf
from kern.client.web.problems import FieldProblem, ProblemError
from kern.client.web.rates import DecisionRate
from kern.contracts.caller import Caller
from kern.contracts.reports import Decision
from kern.contracts.typed_values import value_to_type
from kern.errors import AlreadyResolved, NotFound
from kern.requirements import Requirement, Risk
from kern.values.decisions import LONGEST_NOTE, TYPED_VERDICTS
from kern.values.ids import new_id
from kern.values.principals import Principal
from kern.values.states import RequirementStatus, Verdict

# Decision ids are derived from keys in a space of their own.
_KEYS = uuid.UUID("7d0c9a52-6b54-5c39-9d6e-3f2f0c5b8e11")
# They let nothing run.
_HARMLESS = frozenset({Verdict.reject, Verdict.skip, Verdict.fail, Verdict.withdraw})
_NEEDS = {Verdict.answer: "values", Verdict.choose: "choices"}
# What lets a call run, or says what it did, has to name what was shown.
_NEED_DIGEST = frozenset({Verdict.approve, Verdict.answer, Verdict.run_again, Verdict.happened})


class DecisionBody(BaseModel):
    """What somebody decides about a requirement. Who they are comes from their credential.

    Attributes:
        verdict: `approve` (with `edit`, other arguments), `reject`, `answer` (with `values`),
            `choose` (with `choices`), `result` or `happened` (with `result`), `unknown`,
            `run_again`, `skip`, `fail` or `withdraw`.
        digest: The beginning of the digest of what was shown, 8 characters or more. What lets a
            call run, or says what it did, needs it.
        confirm: What the person typed: `confirm_value` of the requirement, where it has one; of a
            call that the decision edits, the value as edited.
        note: Why; a rejection needs it.
        edit: Arguments to change, by name.
        values: The values that were asked for, by name.
        choices: What was chosen.
        result: What a call gave that was executed elsewhere, or did happen.
        even_if_running: Run a call again although the first attempt may still execute.
    """

    model_config = ConfigDict(extra="forbid")

    verdict: Literal[
        "approve",
        "reject",
        "answer",
        "choose",
        "result",
        "unknown",
        "happened",
        "run_again",
        "skip",
        "fail",
        "withdraw",
    ]
    digest: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    confirm: StrictStr | None = None
    note: Annotated[StrictStr, Field(max_length=LONGEST_NOTE)] | None = None
    edit: dict[str, JsonValue] | None = None
    values: dict[str, JsonValue] | None = None
    choices: list[StrictStr] | None = None
    result: JsonValue = None
    even_if_running: StrictBool = False


class WithdrawalBody(BaseModel):
    """Which approval of one's own is taken back, and why.

    Attributes:
        decision_id: The id of the decision; without it, the latest that still counts.
    """

    model_config = ConfigDict(extra="forbid")

    decision_id: Id | None = None
    note: Note | None = None


class Decider:
    """Accepts the decisions of one caller, each once under its key.

    Args:
        inbox: Where they are accepted.
        caller: Who decides.
        rate: Bounds how many decisions one person makes.
    """

    def __init__(self, inbox: Inbox, caller: Caller, rate: DecisionRate) -> None:
        self._inbox = inbox
        self._caller = caller
        self._rate = rate

    async def decide(
        self, requirement_id: str, body: DecisionBody, key: str | None
    ) -> tuple[AcceptedDecision, bool]:
        """Accept a decision, and return it as it stands in the log.

        Returns:
            The decision, and whether it had been accepted under this key before.

        Raises:
            ProblemError: it is incomplete, somebody or a deadline was first, or the key belongs to
                another decision.
            KernError: it is refused.
        """
        viewer = self._caller.viewer
        requirement = await self._inbox.read(viewer, requirement_id)
        decision_id = new_id() if key is None else self._id_of(requirement.id, key)
        repeated = None if key is None else await self._decision(requirement.id, decision_id)
        if repeated is not None:
            _check_same(repeated, body)
            is_open = requirement.status is RequirementStatus.pending
            delivered = None if is_open else requirement.delivered_at is not None
            return _accepted(repeated, requirement, delivered=delivered), True
        self._rate.count(self._caller.principal)
        verdict = Verdict(body.verdict)
        _check(self._caller, verdict, body)
        _check_fresh(self._caller, requirement, verdict)
        _check_typed(requirement, verdict, body)
        try:
            _FILL_IN[verdict](requirement, body)
            receipt = await self._inbox.decide(
                viewer, requirement, digest=body.digest, decision_id=decision_id
            )
        except AlreadyResolved as error:
            raise await closed_problem(self._inbox, viewer, requirement.id, error) from error
        decision = await self._decision(requirement.id, decision_id)
        if decision is None:
            message = f"Decision {decision_id!r} was accepted, and its session is deleted by now."
            raise NotFound(message)
        return _accepted(decision, receipt.requirement, delivered=receipt.delivered), False

    async def withdraw(
        self, requirement_id: str, body: WithdrawalBody, key: str | None
    ) -> tuple[AcceptedDecision, bool]:
        """Take back what the caller has approved. Returns and raises as `decide`.

        Raises:
            NotFound: the decision that is named is none of the caller's.
        """
        viewer, caller = self._caller.viewer, self._caller.principal
        requirement = await self._inbox.read(viewer, requirement_id)
        decisions = await self._inbox.decisions(viewer, requirement.id)
        own = [item.id for item in decisions if _is_by(item, caller)]
        if body.decision_id is not None and body.decision_id not in own:
            message = (
                f"Requirement {requirement.id!r} has no decision {body.decision_id!r} of "
                f"{caller.name}'s: one takes back what one has decided oneself."
            )
            raise NotFound(message)
        decision = DecisionBody(verdict="withdraw", note=body.note)
        return await self.decide(requirement.id, decision, key)

    def _id_of(self, requirement_id: str, key: str) -> str:
        """Return the id of the decision under a key: the same key, the same id."""
        principal = self._caller.principal
        # None of them has a line break.
        name = f"{principal.issuer}\n{principal.subject}\n{requirement_id}\n{key}"
        return str(uuid.uuid5(_KEYS, name))

    async def _decision(self, requirement_id: str, decision_id: str) -> Decision | None:
        decisions = await self._inbox.decisions(self._caller.viewer, requirement_id)
        return next((item for item in decisions if item.id == decision_id), None)


def decider_of(service: ServiceOf, caller: Operator, rate: RateOf) -> Decider:
    """Return what accepts the decisions of whoever calls."""
    return Decider(service.inbox, caller, rate)


DeciderOf = Annotated[Decider, Depends(decider_of)]


def _is_by(decision: Decision, principal: Principal) -> bool:
    made_by = decision.principal
    return (made_by.issuer, made_by.subject) == (principal.issuer, principal.subject)


def _accepted(
    decision: Decision, requirement: Requirement, *, delivered: bool | None = None
) -> AcceptedDecision:
    return AcceptedDecision(
        decision=DecisionResource.of(decision),
        requirement=RequirementResource.of(requirement),
        delivered=delivered,
    )


def _check_same(decision: Decision, body: DecisionBody) -> None:
    """Refuse a key that belongs to another decision."""
    accepted = (decision.verdict.value, decision.note, decision.edit)
    if accepted == (body.verdict, body.note or None, body.edit):
        return
    detail = (
        "Idempotency-Key belongs to another decision about this requirement, which stands. "
        "Nothing was changed. Use a new key for a new decision."
    )
    raise ProblemError(422, "idempotency_key_reused", detail)


def _check(caller: Caller, verdict: Verdict, body: DecisionBody) -> None:
    require_person(caller)
    missing: list[FieldProblem] = []
    if verdict in _NEED_DIGEST and body.digest is None:
        why = "needed: the digest of what was shown, 8 characters or more of it"
        missing.append(FieldProblem(field="digest", message=why))
    if verdict is Verdict.reject and not body.note:
        why = "needed: why it is rejected"
        missing.append(FieldProblem(field="note", message=why))
    name = _NEEDS.get(verdict)
    if name is not None and getattr(body, name) is None:
        missing.append(FieldProblem(field=name, message="needed: what was asked for"))
    if missing:
        names = ", ".join(item.field for item in missing)
        detail = f"The decision lacks {names}. Nothing was changed."
        raise ProblemError(422, "invalid_decision", detail, errors=missing)


def _check_typed(requirement: Requirement, verdict: Verdict, body: DecisionBody) -> None:
    """Refuse to let a call run before the person has typed what its author asks for.

    It is the value in the version that would run: as the digest or the edit says.
    """
    # Of what is closed, the answer is who decided.
    is_open = requirement.status is RequirementStatus.pending
    if not is_open or verdict not in TYPED_VERDICTS or requirement.confirm_value is None:
        return
    expected: str | None = requirement.confirm_value
    if verdict is Verdict.approve:
        expected = value_to_type(requirement, body.edit, body.digest)
    if body.confirm == expected:
        return
    detail = (
        f"This call is confirmed by typing {expected!r}, and `confirm` is not that. Nothing "
        "was decided. Have the person read what will run, and send what they typed."
    )
    raise ProblemError(422, "confirmation_mismatch", detail)


def _check_fresh(caller: Caller, requirement: Requirement, verdict: Verdict) -> None:
    """Refuse what is dangerous from somebody who has not authenticated for a while.

    https://www.rfc-editor.org/rfc/rfc9470 has the header.
    """
    if not caller.is_stale or requirement.risk is not Risk.high or verdict in _HARMLESS:
        return
    detail = (
        "A decision about a high risk needs a fresh sign-in. Nothing was decided. Sign in again in "
        "the console, or call with a token for which the person has just authenticated."
    )
    headers = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}
    raise ProblemError(401, "fresh_sign_in_required", detail, headers=headers)


def _approve(requirement: Requirement, body: DecisionBody) -> Requirement:
    if body.edit is None:
        return requirement.approve(body.note)
    return requirement.edit(body.edit, body.note)


# Each of the methods refuses what does not fit the requirement.
_FILL_IN: dict[Verdict, Callable[[Requirement, DecisionBody], Requirement]] = {
    Verdict.approve: _approve,
    Verdict.reject: lambda item, body: item.reject(body.note),
    Verdict.answer: lambda item, body: item.provide_user_input(body.values or {}, body.note),
    Verdict.choose: lambda item, body: item.provide_user_feedback(body.choices or [], body.note),
    Verdict.result: lambda item, body: item.set_external_execution_result(body.result, body.note),
    Verdict.unknown: lambda item, body: item.mark_unknown(body.note or ""),
    Verdict.happened: lambda item, body: item.mark_happened(body.result, body.note),
    Verdict.run_again: lambda item, body: item.run_again(
        body.note, even_if_running=body.even_if_running
    ),
    Verdict.skip: lambda item, body: item.skip(body.note),
    Verdict.fail: lambda item, body: item.fail(body.note),
    Verdict.withdraw: lambda item, body: item.withdraw(body.note),
}
