"""The policy of a tool: what it declares, and what applies in a run that pinned one."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from kern.contracts.approval import Approval
from kern.contracts.policy import ApprovalRule, GateRule, ToolPolicy
from kern.contracts.presentation import Presentation
from kern.tools.code_digest import code_digest
from kern.tools.tool import Tool, tool_definition
from kern.values.states import Effect, RequirementKind

_declared: WeakKeyDictionary[Tool, ToolPolicy] = WeakKeyDictionary()


@dataclass(frozen=True)
class AppliedPolicy:
    """What applies to the calls of a tool that this process executes.

    Attributes:
        kind: What a call waits for; None if it never waits.
        is_conditional: Whether the tool's predicate decides which calls wait.
        fields: The arguments that a person fills in.
        presentation: What people are shown of a call beside its arguments.
    """

    kind: RequirementKind | None
    is_conditional: bool
    fields: tuple[str, ...]
    approval: Approval
    effect: Effect
    retries: int
    timeout: float | None
    presentation: Presentation


def declared_policy(tool: Tool) -> ToolPolicy:
    """Return the policy that a tool declares; it is made once."""
    policy = _declared.get(tool)
    if policy is None:
        policy = _declared[tool] = ToolPolicy(
            gate=_gate(tool),
            effect=tool.effect,
            retries=tool.retries,
            timeout=tool.timeout,
            presentation=tool_definition(tool).presentation,
        )
    return policy


def applied_policy(tool: Tool, pinned: ToolPolicy | None) -> AppliedPolicy:
    """Return the stricter of what a tool declares and what a run pinned for it.

    Without a pin, what the tool declares. A predicate decides only if the run pinned the same code,
    or no gate at all: otherwise every call waits for a person. If the rules have too few people in
    common who could decide, the pinned rule says who.
    """
    present = declared_policy(tool)
    policy = present if pinned is None else pinned.stricter(present)
    gate, fields = policy.gate, tool_definition(tool).input_fields
    approval = tool.approval
    if gate is not None and gate != present.gate:
        names = tool_definition(tool).signature.names
        fields = tuple(name for name in names if name in gate.fields)
        approval = _approval(pinned, present, tool)
    own_condition = None if present.gate is None else present.gate.when
    return AppliedPolicy(
        kind=None if gate is None else _answerable(tool, gate, fields),
        is_conditional=(
            gate is not None
            and gate.kind is RequirementKind.confirmation
            and gate.when == own_condition
            and callable(tool_definition(tool).confirm_when)
        ),
        fields=fields,
        approval=approval,
        effect=policy.effect,
        retries=policy.retries,
        timeout=policy.timeout,
        presentation=policy.presentation,
    )


def _gate(tool: Tool) -> GateRule | None:
    definition = tool_definition(tool)
    if definition.kind is None:
        return None
    rule = GateRule(
        kind=definition.kind,
        fields=tuple(sorted(definition.input_fields)),
        approval=ApprovalRule.of(tool.approval),
    )
    if not callable(definition.confirm_when):
        return rule
    return rule.model_copy(update={"when": code_digest(definition.confirm_when)})


def _approval(pinned: ToolPolicy | None, present: ToolPolicy, tool: Tool) -> Approval:
    """Return who decides: as both rules ask, and never by a weaker rule than the pinned one."""
    if pinned is None or pinned.gate is None:
        return tool.approval
    present_gate = present.gate or pinned.gate
    return pinned.gate.approval.joined(present_gate.approval)


def _answerable(tool: Tool, gate: GateRule, fields: tuple[str, ...]) -> RequirementKind:
    """Return the kind of a gate, or a confirmation where this tool has nothing to fill in."""
    has_options = "options" in tool_definition(tool).signature.names
    is_empty = (gate.kind is RequirementKind.user_input and not fields) or (
        gate.kind is RequirementKind.user_feedback and not has_options
    )
    # Several people can agree on arguments, and cannot each fill them in.
    is_shared = gate.kind is RequirementKind.user_input and gate.approval.quorum > 1
    return RequirementKind.confirmation if is_empty or is_shared else gate.kind
