"""The matrix: for every point the cases in which a process dies there."""

from tests.support.crash_case import Case
from tests.support.crash_spec import Kill

# From here to there the database says that a call has begun: a death in between leaves it in doubt.
DOUBTFUL = {
    "tool.before_effect",
    "tool.after_effect",
    "tool_call.after_effect",
    "tool_call.before_store",
}
_DELIVER = ("deliver.before_send", "deliver.after_send", "deliver.after_confirm")
_RELAY = ("relay.before_claim", "relay.after_claim", *_DELIVER)
# A death that may fall between an answer and the end of its storing: it has to be asked again. A
# worker's relay goes its rounds beside the turns that the worker takes.
AGAIN = {
    "model_turn.before_store",
    "mark_running.before_store",
    "mark_running.after_store",
    "write.before_commit",
    "write.after_commit",
    "order.before_release",
    "order.after_release",
    *_RELAY,
}
_MODEL = ("model_turn.before_call", "model_turn.before_store", "model_turn.after_store")
_CALL = (
    "tool_call.before_begin",
    "tool_call.after_begin",
    "tool_call.before_effect",
    "tool.before_effect",
    "tool.after_effect",
    "tool_call.after_effect",
    "tool_call.before_store",
    "tool_call.after_store",
    "tool_call.after_finish",
)
_WRITE = ("write.before_commit", "write.after_commit")
ANYWHERE = set(_WRITE)
_BEFORE_AND_AFTER = ("before_store", "after_store")


def _dying(
    scenario: str, *points: str, occurrences: int = 1, only: int | None = None
) -> list[Case]:
    return [
        Case(scenario, workers=(Kill(point=point, occurrence=number),))
        for point in points
        for number in range(1, occurrences + 1)
        if only in {None, number}
    ]


def _twice(scenario: str, *points: tuple[str, str]) -> list[Case]:
    return [
        Case(scenario, workers=(Kill(point=first), Kill(point=second))) for first, second in points
    ]


WORKERS = [
    *_dying("once", *_MODEL, occurrences=2),
    *_dying("once", *_CALL),
    *_dying("once", *_WRITE, occurrences=4),
    *_dying("idempotent", "tool_call.after_begin", "tool.after_effect", "tool_call.after_store"),
    *_dying("read", "tool_call.after_begin", "tool.after_effect", "tool_call.before_store"),
    *_dying("many", *_CALL, occurrences=2, only=2),
    *_dying("many", "model_turn.after_store"),
    *_dying("twice", "tool_call.after_begin", "tool.after_effect", occurrences=2),
    *_dying("flaky", "tool_call.before_release", "tool_call.after_release"),
    *_dying("slow", "tool_call.before_doubt", "tool_call.after_doubt"),
    *_dying("late", *(f"expire.{when}" for when in _BEFORE_AND_AFTER)),
    *_dying("silent", *(f"expire.{when}" for when in _BEFORE_AND_AFTER)),
    *(
        Case("plain", workers=(Kill(point=f"mark_running.{when}"),), stalled=True)
        for when in _BEFORE_AND_AFTER
    ),
    *(
        Case("once", workers=(Kill(point=f"close_run.{when}"),), cancel="")
        for when in _BEFORE_AND_AFTER
    ),
    *(
        Case("once", workers=(Kill(point=point),), verdict="reject")
        for point in ("model_turn.after_store", "model_turn.before_store")
    ),
    *_twice(
        "once",
        ("tool.after_effect", "write.before_commit"),
        ("tool.after_effect", "write.after_commit"),
        ("tool_call.after_begin", "write.after_commit"),
        ("tool_call.after_begin", "tool_call.before_effect"),
        ("tool_call.before_effect", "tool.after_effect"),
        ("model_turn.after_store", "tool_call.before_store"),
        ("tool_call.after_store", "model_turn.before_store"),
    ),
]
CLIENTS = [
    *(
        Case("once", accept=point)
        for point in ("accept.before_store", "accept.after_store", *_DELIVER)
    ),
    *(
        Case("once", resolve=point)
        for point in ("resolve.before_store", "resolve.after_store", *_DELIVER)
    ),
    Case("once", resolve="resolve.after_store", verdict="reject"),
    *(
        Case("once", cancel=point)
        for point in ("cancel.before_store", "cancel.after_store", *_DELIVER)
    ),
]
RELAYS = [
    *(Case("once", accept="accept.after_store", workers=(Kill(point=point),)) for point in _RELAY),
    Case("once", resolve="resolve.after_store", workers=(Kill(point="deliver.after_send"),)),
]
# A run ends, or pauses, and the next one of its session goes on.
_RELEASE = ("order.before_release", "order.after_release")
QUEUES = [
    *(
        Case("plain", workers=(Kill(point=point, occurrence=number),), behind=2)
        for point in _RELEASE
        for number in (1, 2)
    ),
    Case("once", workers=(Kill(point="order.after_release"),), behind=1),
    *(
        Case("plain", workers=(Kill(point=point),), behind=1)
        for point in ("model_turn.after_store", "relay.before_claim", "relay.after_claim")
    ),
    Case(
        "plain",
        workers=(Kill(point="order.after_release"), Kill(point="deliver.after_send")),
        behind=2,
    ),
]
SUMMARIES = [
    Case("plain", workers=(Kill(point=f"summarise.{when}"),), summarises=True)
    for when in ("before_call", *_BEFORE_AND_AFTER)
]
# A member's run inside a team's: both take turns, and the team's ends the call of the member's.
LED = [
    *(
        Case("once", workers=(Kill(point=point, occurrence=number),), led=True)
        for point, occurrences in (
            ("model_turn.before_store", (1, 2, 4)),
            ("model_turn.after_store", (1, 2, 3)),
            ("tool_call.after_begin", (1, 2)),
            ("tool.after_effect", (1,)),
            ("tool_call.after_store", (1,)),
            ("pause_run.before_store", (1,)),
            ("pause_run.after_store", (1,)),
            ("write.before_commit", (1, 2, 4)),
            ("write.after_commit", (2, 3, 6)),
        )
        for number in occurrences
    ),
    Case(
        "once", workers=(Kill(point="model_turn.after_store", occurrence=2),), led=True, cancel=""
    ),
    Case("once", led=True, cancel="cancel.after_store"),
    Case("once", led=True, resolve="resolve.after_store"),
    Case(
        "once",
        workers=(Kill(point="pause_run.after_store"), Kill(point="tool.after_effect")),
        led=True,
    ),
    Case(
        "once",
        workers=(Kill(point="model_turn.before_store", occurrence=3),),
        led=True,
        verdict="reject",
    ),
]
# An agent's run inside a pipeline, between two steps that are functions.
PIPED = [
    *(
        Case("once", workers=(Kill(point=point, occurrence=number),), piped=True)
        for point, occurrences in (
            ("pipeline.before_begin", (1,)),
            ("pipeline.after_begin", (1,)),
            ("step.before_take", (1, 2)),
            ("step.after_take", (1, 2)),
            ("step.before_effect", (1, 2)),
            ("tool.before_effect", (1,)),
            ("tool.after_effect", (1, 2, 3)),
            ("step.after_effect", (1, 2)),
            ("step.before_store", (1, 2)),
            ("step.after_store", (1, 2)),
            ("step.after_finish", (1,)),
            ("step.before_answer", (1,)),
            ("step.after_answer", (1,)),
            ("step.before_release", (1,)),
            ("step.after_release", (1,)),
            ("model_turn.after_store", (1, 2)),
            ("tool_call.after_begin", (1,)),
            ("pause_run.after_store", (1,)),
            ("write.before_commit", (2, 4)),
            ("write.after_commit", (3, 5)),
        )
        for number in occurrences
    ),
    *(
        Case("hasty", workers=(Kill(point=f"step.{when}_doubt"),), piped=True)
        for when in ("before", "after")
    ),
    Case("once", piped=True, cancel="cancel.after_store"),
    Case("once", piped=True, resolve="resolve.after_store"),
    Case(
        "once",
        workers=(Kill(point="tool.after_effect"), Kill(point="step.before_store")),
        piped=True,
    ),
]


def _later(cases: list[Case]) -> list[Case]:
    """Return those in which a point is passed before somebody dies at it."""
    return [case for case in cases if any(kill.occurrence > 1 for kill in case.workers)]


PIPED_LONG = _later(PIPED)
# The same points again, where more of a run is open or another process holds it: `make proof`.
LONG = [
    *_dying("idempotent", *(point for point in _CALL if "before" in point)),
    *_dying("many", *_CALL, occurrences=3, only=1),
    *_dying("many", *_CALL, occurrences=3, only=3),
    *_dying("many", "model_turn.before_call", "model_turn.before_store"),
    *(Case("once", accept=point) for point in _WRITE),
    *(Case("once", resolve=point) for point in _WRITE),
    *(Case("once", cancel=point) for point in _WRITE),
    *(
        Case("once", resolve="resolve.after_store", workers=(Kill(point=point),))
        for point in _RELAY
        if point != "deliver.after_send"
    ),
    *(Case("plain", workers=(Kill(point=point),), behind=2) for point in _DELIVER),
    *(
        Case("plain", workers=(Kill(point=point, occurrence=number),), summarises=True)
        for point in _WRITE
        for number in (1, 2)
    ),
    *_later(LED),
    *_later(QUEUES),
    # A run of this scenario takes two turns.
    *_later(_dying("once", *_MODEL, occurrences=2)),
    *_later(_dying("once", *_WRITE, occurrences=4)),
]
SHORT = [*WORKERS, *CLIENTS, *RELAYS, *QUEUES, *SUMMARIES, *LED]
CASES = [*(case for case in SHORT if case not in LONG), *LONG]
PIPED_ON_POSTGRES = [
    case for case in PIPED if "after_effect" in case.name and case not in PIPED_LONG
]
CASES_ON_POSTGRES = [
    *_dying("once", "model_turn.before_store", "model_turn.after_store", *_WRITE),
    *_dying("once", "tool_call.after_begin", "tool.after_effect", "tool_call.after_store"),
    *_dying("idempotent", "tool.after_effect"),
    *_dying("many", "tool.after_effect", occurrences=2, only=2),
    *_dying("silent", "expire.after_store"),
    *_twice("once", ("tool.after_effect", "write.before_commit")),
    Case("once", accept="accept.after_store"),
    Case("once", resolve="resolve.after_store", workers=(Kill(point="relay.after_claim"),)),
    Case("once", cancel="cancel.after_store"),
    Case("plain", workers=(Kill(point="order.after_release"),), behind=2),
    Case("plain", workers=(Kill(point="summarise.after_store"),), summarises=True),
]
POINTS = {
    point
    for case in (*CASES, *PIPED)
    for point in (
        *(kill.point for kill in case.workers),
        *(one for one in (case.accept, case.resolve, case.cancel) if one),
    )
    if not point.startswith("tool.")
}
