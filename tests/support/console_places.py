"""The other pages of the console, made like those of `console_samples`."""

from collections.abc import Callable

from kern.client.console import audit, batch, deliveries, edit, entry, inbox, pages, problems, stuck
from kern.client.console.facts import Facts
from kern.client.console.frame import Frame
from kern.client.console.run import run_view
from kern.client.console.runs import runs_view
from kern.client.console.sessions import session_view, sessions_view
from kern.client.console.states import State
from kern.contracts.reports import (
    AuditReport,
    AwaitedWorker,
    Decision,
    LateResult,
    RunPolicy,
    RunReport,
    SessionReport,
)
from kern.contracts.stuck import StuckItem, StuckReason, StuckReport, WorkerStatus
from kern.contracts.subscriptions import (
    Delivery,
    DeliveryStatus,
    Subscription,
    SubscriptionSort,
)
from kern.requirements import Principal, Verdict
from kern.run import (
    FileReference,
    Metrics,
    Progress,
    ProviderOutage,
    RunError,
    RunOutput,
    RunStatus,
    StepExecution,
)
from kern.session import Session, SessionMetrics
from kern.values.states import ToolCallStatus, ToolOutcome
from tests.support.console_samples import (
    FRAME,
    NOW,
    PERSON,
    REFUND,
    ago,
    dangerous,
    kinds,
    report,
    requirement,
    tool_call,
)

RUN_ID = "019ac007-90d1-7382-abaf-2435c3fc8ee9"


def decision(number: int, verdict: Verdict, text: str, **changes: object) -> Decision:
    """Return an entry of the log."""
    values: dict[str, object] = {
        "seq": number,
        "id": f"d{number}",
        "requirement_id": requirement().id,
        "run_id": RUN_ID,
        "verdict": verdict,
        "by": "Ravi Pillai",
        "principal": Principal(issuer="https://sso.halden.example", subject="ravi", name="Ravi"),
        "note": text,
        "at": ago(10 * number),
        "edit": None,
        "given": None,
        "hash": f"{number:064x}",
    }
    return Decision.model_validate(values | changes)


def run_report(text: str) -> RunReport:
    """Return the report of a run with calls, decisions, a run inside and a late result."""
    done = tool_call(ToolCallStatus.done, ToolOutcome.result, f"Refunded. {text}")
    child = report(text=text)
    inner = done.model_copy(update={"id": "call-2", "tool_name": "ask", "child_run_id": "child"})
    base = report(done, inner, text=text)
    run = base.run.model_copy(
        update={
            "requirements": [requirement(), kinds(text)["user_input"].requirement],
            "content": text,
            "policy_digest": "b421978e7e60",
            "metrics": Metrics(
                input_tokens=48_000, output_tokens=210, model_calls=14, working_seconds=221.0,
                waiting_seconds=18_960.0,
            ),
        }
    )  # fmt: skip
    return base.model_copy(
        update={
            "run": run,
            "decisions": [
                decision(1, Verdict.approve, text),
                decision(2, Verdict.reject, text, requirement_id="elsewhere"),
            ],
            "late_results": [
                LateResult(
                    tool_call_id="call-1", outcome=ToolOutcome.result, result=text, at=ago(1)
                )
            ],
            "children": {"child": child},
            "policy": RunPolicy(digest="b421978e7e60", changes=[text]),
            "awaited_workers": [AwaitedWorker(run_id=RUN_ID, component_id="ops", since=ago(22))],
            "waits_behind": RUN_ID,
        }
    )


def pipeline_report(text: str) -> RunReport:
    """Return the report of a workflow's run: steps that are done, wait, failed and follow."""
    base = report(text=text)
    run = base.run.model_copy(
        update={
            "component_id": "onboarding",
            "progress": Progress(done=5, known=8, current=["register"]),
            "requirements": [
                requirement(path=["onboarding", "register", "save"], tool_name="save"),
            ],
        }
    )
    steps = [
        StepExecution(
            id="s1", name="read_quote", node="n1", phase="done", outcome="completed",
            started_at=ago(320), finished_at=ago(319),
        ),
        StepExecution(
            id="s2", name="checks", node="n2", phase="done", outcome="failed", error=text,
            child_run_id="child", depth=2, started_at=ago(318), finished_at=ago(310),
        ),
        StepExecution(
            id="s3", name="register", node="n3", phase="children", is_waiting=True,
            started_at=ago(307),
        ),
        StepExecution(id="s4", name=f"welcome {text}", node="n4", phase="new"),
    ]  # fmt: skip
    return base.model_copy(update={"run": run, "steps": steps, "step_count": 4})


def runs(text: str) -> list[RunOutput]:
    """Return runs in every status."""
    base = report(text=text).run
    outage = ProviderOutage(since=ago(6), attempts=3, code="connection", message=text)
    waiting = [requirement(), kinds(text)["user_input"].requirement]
    changes: list[dict[str, object]] = [
        {"status": RunStatus.paused, "requirements": waiting},
        {"status": RunStatus.running, "progress": Progress(done=212, known=340)},
        {"status": RunStatus.running, "provider_outage": outage},
        {"status": RunStatus.pending, "is_queued": True},
        {"status": RunStatus.pending},
        {"status": RunStatus.completed},
        {"status": RunStatus.cancelled, "input": ""},
        {"status": RunStatus.error, "error": RunError(code="arguments_changed", message=text)},
    ]
    return [base.model_copy(update=change) for change in changes]


def sessions(text: str, *, selected: bool = True) -> str:
    """Return the page of sessions."""
    listed = [
        Session(
            session_id=f"019ac002-000{number}-7382-abaf-2435c3fc8ee9",
            user_id="Mia Lindqvist",
            component_id="support",
            name=name,
            session_state={"ticket": "T-5521", text: text},
            run_count=number,
            created_at=ago(4000),
            updated_at=ago(number * 60),
        )
        for number, name in enumerate([f"Nordlicht, wet delivery {text}", None], 1)
    ]
    one = SessionReport(
        session=listed[0],
        metrics=SessionMetrics(input_tokens=17_000, output_tokens=402, working_seconds=80),
        runs=[run.model_copy(update={"run_id": f"r{n}"}) for n, run in enumerate(runs(text))],
        files={"r1": [FileReference(id="f", name=text, media_type="text/plain", size=3)]},
    )
    view = sessions_view(
        listed, session_view(one, run_report(text)) if selected else None, query=text, next_url="?a"
    )
    return pages.sessions_page(FRAME, view)


def stuck_page(text: str, *, empty: bool = False) -> str:
    """Return the page of what is stuck."""
    items = [
        StuckItem(
            reason=reason,
            run_id=None if reason is StuckReason.no_worker else RUN_ID,
            requirement_id=requirement().id if reason is StuckReason.unknown_outcome else None,
            component_id="ops",
            tool=text,
            since=ago(22),
            why=f"What is known: {text}",
            count=3 if reason is StuckReason.no_worker else 1,
        )
        for reason in StuckReason
    ]
    workers = [
        WorkerStatus(
            name=name,
            version=text,
            components=["ops", text],
            started_at=ago(900),
            seen_at=ago(minutes),
            is_present=minutes == 0,
        )
        for name, minutes in (("support-1", 0), (text, 22))
    ]
    view = stuck.stuck_view(
        StuckReport(
            checked_at=NOW,
            checked=4212,
            items=[] if empty else items,
            is_complete=True,
            workers=[] if empty else workers,
        )
    )
    return pages.stuck_page(FRAME, view)


def audit_page(text: str, *, broken: bool = False) -> str:
    """Return the page of the log."""
    entries = [
        audit.LogEntry(decision(number, verdict, text), f"refund {text}", 4813 - number, "desk")
        for number, verdict in enumerate(Verdict)
    ]
    deadline = Principal.model_construct(issuer="kern", subject="kern", name="kern")
    entries += [
        audit.LogEntry(
            decision(20, Verdict.reject, text).model_copy(update={"principal": deadline})
        ),
        audit.LogEntry(decision(21, Verdict.approve, text, edit={"amount": 1})),
    ]
    intact = AuditReport(decisions=4813, head="5c55e5f8bfc82f2210cebb5717ba5122", unsealed=2)
    verified = audit.Verification(None if broken else intact, ago(20), text, 0.41)
    view = audit.audit_view(
        [] if broken else entries,
        verified,
        count=4813,
        selects=[inbox.Select("tool", "Tool", [("", "All tools"), (text, text)])],
        filters={"q": text, "from": "2026-11-26", "to": "never", "head": text},
        older_url="?before=4806",
    )
    return pages.audit_page(FRAME, view)


def deliveries_page(text: str) -> str:
    """Return the page of webhooks and channels."""
    subscriptions = [
        Subscription(
            id=sort.value,
            tenant="halden",
            sort=sort,
            label=text,
            address=f"https://hooks.example/{text}",
            recipient=text,
            created_by=text,
            created_at=ago(900),
            disabled_at=ago(3) if sort is SubscriptionSort.channel else None,
            disabled_why=text,
        )
        for sort in SubscriptionSort
    ]
    rows = [
        Delivery(
            id=f"delivery-{number}",
            subscription_id="webhook",
            seq=4813 + number,
            kind="opened",
            requirement_id=requirement().id if number else None,
            run_id=RUN_ID,
            status=status,
            attempts=number,
            next_at=ago(-5),
            tried_at=ago(2) if number else None,
            answer_status=503,
            answer=text,
            delivered_at=None,
            created_at=ago(9),
        )
        for number, status in enumerate(DeliveryStatus)
    ]
    tabs = [inbox.Tab("All", "/desk/deliveries", is_current=True)]
    view = deliveries.deliveries_view(subscriptions, rows, tabs=tabs, current="webhook")
    return pages.deliveries_page(FRAME, view)


def batch_page(text: str) -> str:
    """Return the result of a batch."""
    item, facts = (
        requirement(arguments={**REFUND, "reference": text}),
        Facts(amount="14", unit="EUR"),
    )
    view = batch.batch_view(
        [
            batch.BatchItem(item, facts, State("done", "Done", "good"), "number 4,814"),
            batch.BatchItem(item, facts, skipped=f"Ravi Pillai changed it. {text}"),
        ],
        "approved",
        remaining=6,
    )
    return pages.batch_page(FRAME, view)


def edit_page(text: str, posted: dict[str, list[str]] | None = None) -> str:
    """Return the page of an edit, before or after it is compared."""
    item, facts = dangerous(text)
    bounded = Facts(
        title=facts.title,
        risk="high",
        confirm_value="12500",
        bounds={"amount": {"maximum": 14250}, "reference": {"maxLength": 140}, "note": {}},
        current_arguments={**item.arguments, "amount": 12500, "note": {"text": text}},
    )
    result = None if posted is None else edit.read_edit(item, bounded, posted)
    view = edit.edit_view(
        item, PERSON.name, FRAME.csrf, "d1", facts=bounded, result=result, note=text
    )
    return pages.edit_page(FRAME, view)


def compared(text: str) -> str:
    """Return the page of an edit that was compared."""
    return edit_page(
        text, {"edit.amount": ["12000"], "edit.reference": ["RMA"], "edit.note": ["1"]}
    )


def edit_problems(text: str) -> str:
    """Return the page of an edit that does not fit."""
    return edit_page(
        text, {"edit.amount": [text], "edit.reference": [text * 9], "edit.note": ["{"]}
    )


def sign_in(text: str) -> str:
    """Return the page of the sign-in, after a refusal."""
    frame = Frame(now=NOW, is_local=True)
    refusal = problems.problem("unauthenticated", 401, text)
    view = entry.SignInView("/desk/signin/sso", "/desk/requirements/r1", problem=refusal)
    return pages.sign_in_page(frame, view)


def error(text: str) -> str:
    """Return the page of an error."""
    return pages.error_page(
        FRAME, problems.problem("not_found", 404, text, link="/", link_text="Go")
    )


PLACES: dict[str, Callable[[str], str]] = {
    "batch": batch_page,
    "edit": edit_page,
    "edit-compared": compared,
    "edit-problems": edit_problems,
    "runs": lambda text: pages.runs_page(
        FRAME,
        runs_view(runs(text), tabs=[inbox.Tab("All", "?", is_current=True)], query=text),
    ),
    "runs-empty": lambda text: pages.runs_page(FRAME, runs_view([], query=text)),
    "run": lambda text: pages.run_page(FRAME, run_view(run_report(text))),
    "run-steps": lambda text: pages.run_page(FRAME, run_view(pipeline_report(text))),
    "sessions": lambda text: sessions(text, selected=False),
    "session": sessions,
    "stuck": stuck_page,
    "stuck-empty": lambda text: stuck_page(text, empty=True),
    "audit": audit_page,
    "audit-broken": lambda text: audit_page(text, broken=True),
    "deliveries": deliveries_page,
    "signin": sign_in,
    "not-found": error,
}


def place_pages(text: str) -> dict[str, str]:
    """Return every page that is no inbox and no decision."""
    return {name: render(text) for name, render in PLACES.items()}
