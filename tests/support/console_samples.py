"""Pages of the console with ordinary and with hostile texts, for tests that look at them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from kern.client.console import inbox, pages
from kern.client.console.facts import Facts
from kern.client.console.frame import Frame, Person
from kern.client.console.history import Event
from kern.client.console.requirement import Position, RequirementView, Triage, requirement_view
from kern.contracts.reports import Decision, RunReport
from kern.contracts.triage import Absence
from kern.requirements import (
    OnExpiry,
    Principal,
    Proposal,
    Requirement,
    RequirementKind,
    RequirementStatus,
    Resolution,
    UnknownAttempt,
    UnknownReason,
    UserInputField,
    Verdict,
)
from kern.run import Message, RunOutput, RunStatus, ToolExecution
from kern.values.canonical import arguments_digest, clean_json
from kern.values.decisions import EarlierCall
from kern.values.states import Effect, ToolCallStatus, ToolOutcome

NOW = datetime(2026, 11, 26, 14, 20, 12, tzinfo=UTC)
# Markup, what cannot be seen, other directions, other scripts, and what no page could hold.
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7 * 7 }} &lt;b&gt; "
    "\u202egnp.exe\u200b p\u0430yp\u0430l \u2066x\u2069 \x1b[2J\x00\x7f \ud800 cafe\u0301 \u3164 "
    "\U000e0041 line\nline\u2028end"
)
PERSON = Person(
    name="Dana Whitfield",
    subject="dana@halden.example",
    groups=("finance-leads", "support-leads"),
    tenant="halden",
    method="single sign-on",
    since=NOW - timedelta(hours=6),
)
FRAME = Frame(
    now=NOW, person=PERSON, csrf="625eb59cbccca97ad189b465d8c28f4d", inbox_count=9, stuck_count=6
)
REFUND: dict[str, JsonValue] = {
    "order_id": "88-10423",
    "amount": 14250,
    "currency": "EUR",
    "account": "DE02 1203 0000 0000 2020 51",
    "reference": "RMA-3391\u200b pallet 7 of 12",
}


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def requirement(
    kind: RequirementKind = RequirementKind.confirmation, /, **changes: object
) -> Requirement:
    """Return a requirement of a kind; the ids are those of the kind."""
    number = list(RequirementKind).index(kind)
    values: dict[str, object] = {
        "id": f"019ac0cf-d1ba-7efe-a137-b5454{number}f8a27e",
        "run_id": "019ac007-90d1-7382-abaf-2435c3fc8ee9",
        "session_id": "019ac002-0000-7382-abaf-2435c3fc8ee9",
        "tenant": "halden",
        "user_id": "Mia Lindqvist",
        "kind": kind,
        "path": ["support", "refund"],
        "tool_call_id": "call-1",
        "tool_name": "refund",
        "arguments": REFUND,
        "candidates": ["Dana Whitfield", "Ravi Pillai", "group:finance-leads"],
        "excluded": ["@requester"],
        "created_at": ago(158),
        "due_at": NOW + timedelta(hours=3, minutes=39, seconds=48),
    } | changes
    made = Requirement.model_validate(values)
    return made.model_copy(update={"digest": digest_of(made.tool_name or "", made.arguments)})


def digest_of(tool: str, arguments: dict[str, JsonValue]) -> str:
    return arguments_digest(tool, {name: clean_json(value) for name, value in arguments.items()})


def report(*calls: ToolExecution, text: str = "The report confirms water damage.") -> RunReport:
    """Return the report of a run with a conversation and some calls."""
    run = RunOutput(
        run_id="019ac007-90d1-7382-abaf-2435c3fc8ee9",
        session_id="019ac002-0000-7382-abaf-2435c3fc8ee9",
        user_id="Mia Lindqvist",
        component_id="support",
        status=RunStatus.paused,
        input=text,
        created_at=ago(160),
        messages=[
            Message(role="user", content=text, created_at=ago(160)),
            Message(role="assistant", content=f"I will refund it.\n{text}", created_at=ago(158)),
        ],
        tools=list(calls),
    )
    return RunReport(
        run=run, decisions=[], late_results=[], undelivered=0, children={}, steps=[], step_count=0
    )


def tool_call(
    status: ToolCallStatus, outcome: ToolOutcome | None = None, result: str | None = None
) -> ToolExecution:
    """Return the call that a requirement of `requirement` is about."""
    return ToolExecution(
        id="call-1",
        tool_name="refund",
        turn=1,
        arguments=REFUND,
        status=status,
        outcome=outcome,
        result=result,
        effect=Effect.once,
        attempts=1,
        started_at=ago(2),
        finished_at=ago(1) if outcome else None,
    )


def dangerous(text: str = "RMA-3391\u200b pallet 7 of 12") -> tuple[Requirement, Facts]:
    """Return a refund of high risk that somebody has edited and approved."""
    arguments: dict[str, JsonValue] = {**REFUND, "reference": text}
    edited: dict[str, JsonValue] = {**arguments, "amount": 12500}
    digest = digest_of("refund", edited)
    item = requirement(
        id="019ac0cf-d1ba-7efe-a137-b54548f8a27e",
        arguments=arguments,
        quorum=2,
        approvals=1,
        proposals=[
            Proposal(
                verdict=Verdict.approve,
                arguments=edited,
                edit={"amount": 12500},
                digest=digest,
                by=["Sam Okafor"],
                approvals=1,
                quorum=2,
            )
        ],
        earlier_calls=[
            EarlierCall(
                run_id="019ac001",
                arguments={"order_id": "88-10377", "amount": 40, "note": text},
                outcome="result",
                result=f"paid {text}",
                at=ago(3000),
            )
        ],
    )
    facts = Facts(
        title="Refund 12,500.00 EUR to Nordlicht Versand",
        risk="high",
        consequence="This moves money and cannot be undone.",
        confirm_value="12500",
        amount="12500",
        unit="EUR",
        current_arguments=edited,
        current_digest=digest,
        edited_by="Sam Okafor",
    )
    return item, facts


def dangerous_view(text: str = "RMA-3391\u200b pallet 7 of 12") -> RequirementView:
    item, facts = dangerous(text)
    base = report(text=text)
    decision = Decision(
        seq=1,
        id="d1",
        requirement_id=item.id,
        run_id=item.run_id,
        verdict=Verdict.approve,
        by="Sam Okafor",
        principal=Principal(issuer="sso", subject="sam", name="Sam Okafor"),
        note=text,
        at=ago(75),
        edit={"amount": 12500, "reference": text},
        given=None,
        hash="1fee7bb0e8aa0000",
    )
    return requirement_view(
        item,
        base.model_copy(update={"decisions": [decision]}),
        PERSON.name,
        FRAME.csrf,
        "019ac0fc-27f7-709b-a3d3-11362c9c6013",
        facts=facts,
        position=Position(2, 9, "/desk/requirements/a", "/desk/requirements/b", 8),
        events=[Event("Reminded", "finance-leads, by mail and Slack", ago(98))],
        triage=Triage(),
    )


def open_view(item: Requirement, facts: Facts | None = None, text: str = "") -> RequirementView:
    return requirement_view(
        item,
        report(text=text or "The report confirms water damage."),
        PERSON.name,
        FRAME.csrf,
        "019ac0fc-27f7-709b-a3d3-11362c9c6013",
        facts=facts,
        position=Position(3, 9, "/desk/requirements/a", "/desk/requirements/b", 8),
    )


def closed_view(
    by: str,
    call: ToolExecution | None,
    *,
    verdict: Verdict = Verdict.approve,
    status: RequirementStatus = RequirementStatus.resolved,
    facts: Facts | None = None,
    text: str = "As always.",
) -> RequirementView:
    """Return a decision that is closed, and whose call stands somewhere."""
    resolution = Resolution(verdict=verdict, by=by, note=text, at=ago(3))
    item = requirement(status=status, resolution=resolution)
    return requirement_view(
        item,
        report(*([call] if call else []), text=text),
        PERSON.name,
        FRAME.csrf,
        "019ac0fc-27f7-709b-a3d3-11362c9c6013",
        facts=facts or Facts(title="Refund 31.00 EUR for order 88-22097", delivered_at=ago(3)),
        position=Position(remaining=8, next_url="/desk/requirements/b"),
    )


def kinds(text: str = "Which one?") -> dict[str, RequirementView]:
    """Return an open decision of each kind; `text` stands wherever people and models write."""
    option = f"The same stove, new {text}"
    fields = [
        UserInputField(name="legal_name", description=text, default=text or None),
        UserInputField(
            name="payment_days",
            type="integer",
            json_schema={"type": "integer", "minimum": 7, "maximum": 90},
            default=30,
        ),
        UserInputField(
            name="credit_limit", type="number", json_schema={"type": "number", "maximum": 50000}
        ),
        UserInputField(
            name="first_delivery",
            json_schema={"type": "string", "format": "date"},
            default="2026-12-14",
        ),
        UserInputField(
            name="terms",
            json_schema={"enum": ["DAP", "DDP", "EXW", "FCA", "FOB", text]},
            default="DDP",
        ),
        UserInputField(name="express", json_schema={"type": "boolean"}, required=False),
        UserInputField(
            name="groups",
            json_schema={"type": "array", "items": {"enum": ["Tents", "Packs", text]}},
            default=["Packs"],
        ),
        UserInputField(
            name="remarks", json_schema={"type": "string", "maxLength": 2000}, required=False
        ),
        UserInputField(
            name="token", json_schema={"type": "string", "writeOnly": True}, required=False
        ),
        UserInputField(name="address", json_schema={"type": "object"}, default={"city": text}),
    ]
    unknown = UnknownAttempt(
        reason=UnknownReason.worker_lost,
        worker="billing-2",
        begun_at=ago(78),
        beat_at=ago(77.9),
        idempotency_key="kern-9f2c41d7e0b3-pay-1",
        evidence=(f"The bank has no payment with this key yet. {text}",),
    )
    made = {
        "confirmation": requirement(question=text, arguments={**REFUND, "reference": text}),
        "user_input": requirement(
            RequirementKind.user_input, question=text, fields=fields, arguments={"country": text}
        ),
        "user_feedback": requirement(
            RequirementKind.user_feedback, question=text, choices=[option, "A voucher"]
        ),
        "external_execution": requirement(
            RequirementKind.external_execution, arguments={"reference": text}
        ),
        "output_review": requirement(
            RequirementKind.output_review,
            arguments={"output": f"Dear Ms Roche,\n\n{text}"},
            on_expiry=OnExpiry.fail,
        ),
        "error": requirement(RequirementKind.error, tool_name="deliver", question=text),
        "unknown_outcome": requirement(
            RequirementKind.unknown_outcome,
            attempt=unknown,
            due_at=None,
            arguments={"invoice": "INV-20391", "reference": text},
        ),
    }
    views = {name: open_view(item, text=text) for name, item in made.items()}
    views["user_input"] = replace(views["user_input"])
    return views


def inbox_entries(text: str = "damaged") -> list[inbox.Entry]:
    """Return rows of every sort: dangerous, harmless, look-alike, decided elsewhere."""
    item, facts = dangerous(text)
    harmless = requirement(
        id="019ac0b0-b0c2-75ed-a74b-8a49d189806c",
        due_at=None,
        created_at=ago(3),
        arguments={"order_id": "88-22130", "amount": 24.9, "currency": "EUR", "reason": "damaged"},
    )
    credits_: list[inbox.Entry] = []
    for number, (customer, amount) in enumerate(
        [("Atelier Kaya", 14.0), ("Café Lumen", 22.5), ("Ostwind Bikes", 41.0)], 1
    ):
        credit = requirement(
            id=f"019ac0db-c2c2-7857-a986-0ef44f413ba{number}",
            tool_name="credit_note",
            path=["billing", "monthly-credits", "credit_note"],
            due_at=None,
            created_at=ago(49),
            arguments={"customer": customer, "amount": amount, "currency": "EUR"},
        )
        credits_.append(inbox.Entry(credit, Facts(shape="s1", amount=str(amount), unit="EUR")))
    return [
        inbox.Entry(item, facts),
        *(inbox.Entry(view.requirement, quote=text) for view in kinds(text).values()),
        inbox.Entry(
            harmless,
            Facts(title="Refund 24.90 EUR for order 88-22130", shape="s0"),
            quote="The photo shows a cracked lid. I would pay.",
            decision_id="019ac0c7-774d-7fcd-aecb-a8ee9a6658e1",
        ),
        *credits_,
        inbox.Entry(
            harmless.model_copy(update={"id": "019ac0c2-7060-73a4-af4b-cd9c73ba5fae"}),
            Facts(title="Refund 31.00 EUR for order 88-22097"),
            closed="Ravi Pillai approved it at 14:19:40. Executing now.",
        ),
    ]


def absence_sample(text: str) -> Absence:
    by = Principal(issuer="test", subject="dana", name="Dana Whitfield")
    return Absence(by=by, since=NOW, until=NOW + timedelta(days=3), note=text)


def inbox_sample(text: str = "damaged", *, empty: bool = False) -> str:
    checks = inbox.Checks(
        open=25,
        at=ago(0),
        names=("Dana Whitfield", "finance-leads", "support-leads"),
        last_decision_at=ago(4),
        snoozed=3,
        snoozed_until=NOW + timedelta(hours=2),
        health=(("Unknown outcomes", "2", text), ("Not delivered", "0", "")),
    )
    view = inbox.inbox_view(
        [] if empty else inbox_entries(text),
        NOW,
        checks,
        tabs=[
            inbox.Tab("For me", "?for=me", "0" if empty else "9", is_current=True),
            inbox.Tab("All", "?for=all", "25"),
            inbox.Tab("Decided", "?status=closed"),
        ],
        selects=[
            inbox.Select("component", "Agent", [("", "All agents"), (text, f"{text} (14)")]),
            inbox.Select("sort", "Order", [("due", "Due first"), ("risk", "Highest risk first")]),
        ],
        query="" if empty else text,
        away=None if empty else inbox.AwayForm(absence_sample(text), note=text),
    )
    return pages.inbox_page(replace(FRAME, inbox_count=0) if empty else FRAME, view)


def decision_pages(text: str = "Which one?") -> dict[str, str]:
    """Return a page for each kind of decision, and for each way in which one ends."""
    done = tool_call(ToolCallStatus.done, ToolOutcome.result, f"Refunded 31.00 EUR. {text}")
    executing = tool_call(ToolCallStatus.running)
    waiting = tool_call(ToolCallStatus.waiting)
    views = {
        "requirement": dangerous_view(text),
        **kinds(text),
        "accepted": closed_view(PERSON.name, executing, text=text),
        "delivered": closed_view(PERSON.name, waiting, text=text),
        "closed": closed_view("Ravi Pillai", done, text=text),
        "rejected": closed_view("Ravi Pillai", None, verdict=Verdict.reject, text=text),
        "expired": closed_view("kern", None, status=RequirementStatus.expired, text=text),
    }
    return {name: pages.requirement_page(FRAME, view) for name, view in views.items()}


def sample_pages(text: str = "Which one?") -> dict[str, str]:
    """Return every page of the console by name; `text` stands wherever people and models write."""
    made: dict[str, Callable[[str], str]] = {
        "inbox": inbox_sample,
        "inbox-empty": lambda value: inbox_sample(value, empty=True),
    }
    return {name: render(text) for name, render in made.items()} | decision_pages(text)
