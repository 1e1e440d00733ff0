"""What must hold after a storm: the bank's ledger beside what Kern has stored."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from kern.db.engine.requirement_tables import RequirementRow
from kern.db.engine.tables import DecisionRow, OutboxRow, RunRow, ToolCallRow
from kern.db.reading.run_outputs import effective_arguments, effective_key
from kern.values.names import name_key
from tests.support.crash_state import FINAL
from tests.support.storm.bank import Payment
from tests.support.storm.people import Acknowledged


@dataclass(frozen=True)
class Stored:
    """Everything that SQL holds."""

    runs: dict[str, RunRow]
    calls: Sequence[ToolCallRow]
    requirements: dict[str, RequirementRow]
    decisions: dict[str, list[DecisionRow]]
    undelivered: Sequence[OutboxRow]

    def of_call(self, call: ToolCallRow, *kinds: str) -> list[RequirementRow]:
        """Return the requirements about a call, the first first."""
        return [
            row
            for row in self.requirements.values()
            if row.tool_call_id == call.id and row.kind in kinds
        ]

    @property
    def questions(self) -> int:
        """How often people were asked what became of a call."""
        return sum(row.kind == "unknown_outcome" for row in self.requirements.values())


def read_all(tx: Session) -> Stored:
    """Read everything."""
    decisions = defaultdict[str, list[DecisionRow]](list)
    for row in tx.exec(select(DecisionRow).order_by(col(DecisionRow.position))):
        decisions[row.requirement_id].append(row)
    in_order = select(RequirementRow).order_by(col(RequirementRow.id))
    return Stored(
        runs={row.id: row for row in tx.exec(select(RunRow))},
        calls=tx.exec(select(ToolCallRow)).all(),
        requirements={row.id: row for row in tx.exec(in_order)},
        decisions=decisions,
        undelivered=tx.exec(select(OutboxRow)).all(),
    )


def breaches(
    stored: Stored, payments: Sequence[Payment], acknowledged: Sequence[Acknowledged]
) -> list[str]:
    """Return every breach of a law, in words; none should be."""
    found: list[str] = []
    for calls in _intentions(stored.calls):
        keys = {key for call in calls for key in _keys(call)}
        mine = [payment for payment in payments if payment.key in keys]
        found += _of_intention(stored, calls, mine)
    known = {key for call in stored.calls for key in _keys(call)}
    found += [f"paid for nobody: {payment}" for payment in payments if payment.key not in known]
    found += [f"run {run.id} is {run.status}" for run in _open(stored)]
    found += [f"never delivered: {row.kind} of {row.run_id}" for row in stored.undelivered]
    found += [
        f"left open: {row.kind} {row.id} of run {row.run_id}"
        for row in stored.requirements.values()
        if row.status == "pending"
    ]
    return found + _forgotten(stored, acknowledged)


def _open(stored: Stored) -> list[RunRow]:
    return [run for run in stored.runs.values() if run.status not in FINAL]


def _intentions(calls: Sequence[ToolCallRow]) -> list[list[ToolCallRow]]:
    """Group calls by what they are for: a call that is made again has the key of the one before.

    What was edited is another intention, whose key the call that is made for it has.
    """
    groups: list[list[ToolCallRow]] = []
    of_key: dict[str, list[ToolCallRow]] = {}
    for call in sorted(calls, key=lambda item: item.created_at):
        group = next((of_key[key] for key in _keys(call) if key in of_key), None)
        if group is None:
            group = []
            groups.append(group)
        group.append(call)
        of_key.update(dict.fromkeys(_keys(call), group))
    return groups


def _keys(call: ToolCallRow) -> set[str]:
    # A step is confirmed by one call and executed by another, whose input may be edited.
    of_step = set() if call.step_id is None else {f"step {call.step_id}"}
    return {call.idempotency_key, effective_key(call)} | of_step


def _of_intention(
    stored: Stored, calls: Sequence[ToolCallRow], payments: Sequence[Payment]
) -> list[str]:
    call = calls[-1]
    where = f"{call.name} {call.id} of run {call.run_id}"
    # What a cancellation found executing may or may not have happened, and nobody is asked.
    is_cancelled = stored.runs[call.run_id].status == "cancelled"
    open_calls = [item for item in calls if item.status != "done" and not is_cancelled]
    found = [f"{where} ended as {item.status}" for item in open_calls]
    if len(payments) > 1:
        found.append(f"{where} was paid {len(payments)} times: {payments}")
    is_payment = call.name != "delegate_task_to_member"
    if call.outcome == "result" and not payments and is_payment:
        found.append(f"{where} is said to have happened, and has not")
    if call.outcome in {"rejected", "error"} and payments and call.effect == "once":
        found.append(f"{where} is said to be {call.outcome}, and was paid: {payments}")
    for payment in payments:
        if payment.amount != _amount(call):
            found.append(f"{where} was paid with {payment.amount}, approved was {_amount(call)}")
        found += [f"{where}: {why}" for why in _unapproved(stored, calls, payment)]
    return found


def _amount(call: ToolCallRow) -> int:
    arguments = effective_arguments(call)
    if "amount" in arguments:
        return int(str(arguments["amount"]))
    return int(str(arguments["input"]).rpartition(" ")[2])


def _unapproved(stored: Stored, calls: Sequence[ToolCallRow], payment: Payment) -> list[str]:
    """Return why a payment was not approved, by what had been decided when it was made."""
    calls_by_id = {item.id: item for item in calls}
    gates = [row for item in calls for row in stored.of_call(item, "confirmation")]
    if not gates:
        return ["paid and nobody was asked"]
    found = []
    repeats = [
        row
        for item in calls
        for row in stored.of_call(item, "unknown_outcome")
        if row.verdict == "run_again" and row.resolved_at and row.resolved_at < payment.at
    ]
    for gate in (gates[-1], *repeats):
        wanted = "approve" if gate.kind == "confirmation" else "run_again"
        said = [row for row in stored.decisions[gate.id] if row.at <= payment.at]
        latest = {name_key(row.actor): row for row in said}
        votes = [row for row in latest.values() if row.verdict == wanted]
        # A step is confirmed by one call and executed by another, which has a digest of its own.
        digest = calls_by_id[gate.tool_call_id or ""].approved_digest or gate.digest
        alike = [row for row in votes if wanted == "run_again" or row.digest == digest]
        by_kern = [row for row in alike if row.actor == "kern"]
        excluded = {name_key(name) for name in gate.excluded}
        if any(name_key(row.actor) in excluded for row in votes):
            found.append("approved by somebody who is excluded")
        if len(alike) < gate.quorum and not by_kern:
            found.append(f"paid at {payment.at} with {len(alike)} of {gate.quorum} ({wanted})")
    return found


def _forgotten(stored: Stored, acknowledged: Sequence[Acknowledged]) -> list[str]:
    """Return the decisions that were acknowledged and are not in the log."""
    kept = Counter(
        (row.requirement_id, row.verdict, name_key(row.actor))
        for rows in stored.decisions.values()
        for row in rows
    )
    told = Counter((item.requirement_id, item.verdict.value, item.person) for item in acknowledged)
    return [f"acknowledged and forgotten: {key}" for key in told - kept]
