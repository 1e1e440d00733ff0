"""Policies: the gates, approval rules, effects and limits that are pinned on a run.

Accepting a run stores the policy of everything that the run can reach. Whoever executes it applies
the *stricter* of what was pinned and what its own code declares. `stricter` is a join: it is
commutative, associative and idempotent, and its result is never weaker than either side. So it does
not matter which of several workers, of however many versions, contributed to a run, or in which
order. Only the texts that people are shown of a call are those of whoever comes first: they say
nothing about what may run.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from kern.contracts.approval import Approval, Escalation
from kern.contracts.presentation import Presentation
from kern.errors import NotFound
from kern.values.canonical import digest
from kern.values.deciders import is_group
from kern.values.names import name_key
from kern.values.states import Effect, OnExpiry, RequirementKind

VERSION = 1

# The later, the more of a call is in people's hands.
GATES = (
    RequirementKind.confirmation,
    RequirementKind.user_input,
    RequirementKind.user_feedback,
    RequirementKind.external_execution,
)
EFFECTS = (Effect.read, Effect.idempotent, Effect.once)
_ALWAYS = "always"

Limit = TypeVar("Limit", int, float, timedelta)


class _Pinned(BaseModel):
    model_config = ConfigDict(frozen=True)


class ApprovalRule(_Pinned):
    """Who decides, how many, and what silence means.

    Attributes:
        candidates: Who may decide; None for anybody. Where two rules have no candidate in common,
            their join has nobody: `usable` then says which rule applies.
        escalate_to: Who may decide besides when nobody has, after `escalate_after`.
    """

    candidates: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    quorum: int = 1
    due: timedelta | None = None
    remind: timedelta | None = None
    escalate_to: tuple[str, ...] = ()
    escalate_after: timedelta | None = None
    on_expiry: OnExpiry = OnExpiry.reject

    @classmethod
    def of(cls, approval: Approval) -> Self:
        """Return the rule that an `Approval` declares; the order of names does not count."""
        escalation = approval.escalate
        return cls(
            candidates=_sorted(approval.candidates) or None,
            excluded=_sorted(approval.excluded),
            quorum=approval.quorum,
            due=approval.due,
            remind=approval.remind,
            escalate_to=() if escalation is None else _sorted(escalation.to),
            escalate_after=None if escalation is None else escalation.after,
            on_expiry=OnExpiry(approval.on_expiry),
        )

    def stricter(self, second: Self) -> Self:
        """Return the rule that asks for everything that both ask for.

        A rule by which silence approves is weaker than any other, so the other's deadline counts;
        if silence approves in both, the later one does. Of other deadlines, the earlier one does.
        """
        to = _in_both(self.escalate_to, second.escalate_to) or ()
        return self.model_copy(
            update={
                "candidates": _in_both(self.candidates, second.candidates),
                "excluded": _sorted((*self.excluded, *second.excluded)),
                "quorum": max(self.quorum, second.quorum),
                "remind": smaller(self.remind, second.remind),
                "escalate_to": to,
                "escalate_after": larger(self.escalate_after, second.escalate_after)
                if to
                else None,
                **_deadline(self, second),
            }
        )

    def joined(self, second: Self) -> Approval:
        """Return the approval that both ask for; this rule is the pinned one.

        If they have too few people in common who could decide, its candidates decide, under
        whatever else both ask for; if the other's exclusions leave too few of those, it alone
        counts. It never becomes weaker than it is.
        """
        joined = self.stricter(second)
        pinned_people = {"candidates": self.candidates, "escalate_to": self.escalate_to}
        kept = joined.model_copy(update={**pinned_people, "escalate_after": self.escalate_after})
        approvals = (rule.approval for rule in (joined, kept, self))
        usable = next((approval for approval in approvals if approval is not None), None)
        if usable is not None:
            return usable
        # Nobody could be asked by it where it was declared either; it is not made weaker here.
        return Approval(
            candidates=self.candidates or (), excluded=self.excluded, quorum=self.quorum
        )

    @property
    def approval(self) -> Approval | None:
        """The rule as an `Approval`; None if too few people could decide."""
        excluded = {name_key(name) for name in self.excluded}
        candidates = self.candidates
        if candidates is not None:
            candidates = tuple(name for name in candidates if name_key(name) not in excluded)
            # How many people a group has, nobody knows here.
            if not candidates or (
                len(candidates) < self.quorum and not any(map(is_group, candidates))
            ):
                return None
        to = tuple(name for name in self.escalate_to if name_key(name) not in excluded)
        after, escalation = self.escalate_after, None
        if candidates and to and after is not None:
            escalation = Escalation(after=after, to=to)
        return Approval(
            candidates=candidates or (),
            excluded=self.excluded,
            quorum=self.quorum,
            due=self.due,
            remind=self.remind,
            escalate=escalation,
            on_expiry=self.on_expiry,
        )


class GateRule(_Pinned):
    """What a call, or a step, waits for.

    Attributes:
        kind: What people are asked for.
        when: `always`, or the digest of the code of the predicate that decides.
        fields: The arguments that a person fills in.
    """

    kind: RequirementKind
    when: str = _ALWAYS
    fields: tuple[str, ...] = ()
    approval: ApprovalRule = ApprovalRule()

    def stricter(self, second: Self) -> Self:
        """Return the gate that both ask for; two different predicates gate every call."""
        return self.model_copy(
            update={
                "kind": max(self.kind, second.kind, key=GATES.index),
                "when": stricter_condition(self.when, second.when),
                "fields": tuple(sorted({*self.fields, *second.fields})),
                "approval": self.approval.stricter(second.approval),
            }
        )


class ToolPolicy(_Pinned):
    """What applies to the calls of a tool; a `timeout` of None is no limit."""

    gate: GateRule | None = None
    effect: Effect = Effect.once
    retries: int = 0
    timeout: float | None = None
    presentation: Presentation = Presentation()

    def stricter(self, second: Self) -> Self:
        """Return the policy that is as strict as both, with the texts of this one."""
        gates = [gate for gate in (self.gate, second.gate) if gate is not None]
        return self.model_copy(
            update={
                "gate": gates[0].stricter(gates[-1]) if gates else None,
                "effect": max(self.effect, second.effect, key=EFFECTS.index),
                "retries": min(self.retries, second.retries),
                "timeout": smaller(self.timeout, second.timeout),
                "presentation": self.presentation.stricter(second.presentation),
            }
        )


class ComponentPolicy(_Pinned):
    """What applies inside one component.

    Attributes:
        tools: The policies of its tools, by name.
        tool_call_limit: How many calls a run may make; None for no limit.
        model_call_limit: How often a run may ask its model; None for no limit.
        parts: The ids of the components that its runs may open.
        shape: The digest of a workflow's shape, which has the policies of its steps.
    """

    kind: str
    tools: dict[str, ToolPolicy] = {}
    tool_call_limit: int | None = None
    model_call_limit: int | None = None
    parts: tuple[str, ...] = ()
    shape: str | None = None


class Policy(_Pinned):
    """The policy of a run: that of its component and of every component inside it, by id."""

    version: int = VERSION
    components: dict[str, ComponentPolicy]

    @classmethod
    def read(cls, pinned: Mapping[str, JsonValue]) -> Self:
        """Read what `pinned` wrote, in this version or an earlier one.

        Raises:
            NotFound: a newer version wrote it, which may have pinned what this one does not know.
        """
        version = pinned.get("version")
        if not isinstance(version, int) or version > VERSION:
            message = (
                f"The policy of the run has version {version}, and this version of Kern knows "
                f"{VERSION}: a worker of the newer version has to execute it."
            )
            raise NotFound(message)
        return cls.model_validate(pinned)

    @cached_property
    def pinned(self) -> dict[str, JsonValue]:
        """The policy as JSON, without defaults: a new field changes no old policy."""
        content: dict[str, JsonValue] = self.model_dump(mode="json", exclude_defaults=True)
        return {**content, "version": self.version}

    @cached_property
    def digest(self) -> str:
        """The id of this policy."""
        return digest(self.pinned)


def stricter_condition(condition: str, second: str) -> str:
    """Return under which condition people are asked, of two."""
    return condition if condition == second else _ALWAYS


def smaller(limit: Limit | None, second: Limit | None) -> Limit | None:
    """Return the smaller of two limits, of which None is none."""
    limits = [item for item in (limit, second) if item is not None]
    return min(limits) if limits else None


def larger(limit: Limit | None, second: Limit | None) -> Limit | None:
    """Return the larger of two limits, of which None is none."""
    return None if limit is None or second is None else max(limit, second)


def differences(pinned: ComponentPolicy, present: ComponentPolicy) -> list[str]:
    """Return what differs in the policies of a component, in words, the tools by name.

    What people read of a call (its title, the consequence, where to look) is no difference: a
    reworded sentence would otherwise be reported at every deployment. Risk, typed confirmation and
    bounds are.
    """
    texts: list[str] = []
    for name in sorted({*pinned.tools, *present.tools}):
        before, after = pinned.tools.get(name), present.tools.get(name)
        if before is None or after is None:
            texts.append(f"{name} (in one of the two only)")
        else:
            fields = ("gate", "effect", "retries", "timeout")
            changed = [key for key in fields if getattr(before, key) != getattr(after, key)]
            if not before.presentation.is_as_strict(after.presentation):
                changed.append("presentation")
            if changed:
                texts.append(f"{name} ({', '.join(changed)})")
    limits = ("tool_call_limit", "model_call_limit")
    texts += [name for name in limits if getattr(pinned, name) != getattr(present, name)]
    if sorted(pinned.parts) != sorted(present.parts):
        texts.append("members")
    if pinned.shape != present.shape:
        texts.append("steps")
    return texts


def _deadline(rule: ApprovalRule, second: ApprovalRule) -> dict[str, object]:
    approving = [item.on_expiry is OnExpiry.approve for item in (rule, second)]
    if all(approving):
        return {"due": larger(rule.due, second.due), "on_expiry": OnExpiry.approve}
    if any(approving):
        strict = second if approving[0] else rule
        return {"due": strict.due, "on_expiry": strict.on_expiry}
    fails = OnExpiry.fail in (rule.on_expiry, second.on_expiry)
    on_expiry = OnExpiry.fail if fails else OnExpiry.reject
    return {"due": smaller(rule.due, second.due), "on_expiry": on_expiry}


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in one order, each person once, whatever the spelling."""
    by_key: dict[str, str] = {}
    for name in sorted(names):
        by_key.setdefault(name_key(name), name)
    return tuple(by_key[key] for key in sorted(by_key))


def _in_both(
    names: tuple[str, ...] | None, second_names: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """Return the names in both lists, of which None has everybody."""
    if names is None or second_names is None:
        return second_names if names is None else names
    keys = {name_key(name) for name in names} & {name_key(name) for name in second_names}
    return _sorted(name for name in (*names, *second_names) if name_key(name) in keys)
