"""The page of the events: what a stream yields, and what the table of events holds."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from kern.events import RunEvent
from tests.support.reference.markdown import summary, table

_STORE = Path(__file__).parents[3] / "kern" / "db"
# A text of the store that names an event: a thing, and what became of it.
_NAME = re.compile(
    r"(late_result|run|turn|requirement|tool_call|step|step_attempt|session_state)_"
    r"(accepted|approved|cancelled|changed|claimed|commented|completed|continued|delegated|"
    r"dequeued|escalated|expired|failed|opened|overwritten|paused|refused|released|reminded|"
    r"repeated|resolved|retried|skipped|snoozed|started|stopped|withdrawn|woken)"
)
# What happens to a call or an attempt is put together from two parts in the code.
_COMPOSED = {
    f"{thing}_{ending}"
    for thing in ("tool_call", "step_attempt")
    for ending in ("started", "completed", "repeated", "failed", "stopped")
} | {"step_completed", "step_skipped", "step_failed"}
_STORED = {
    "late_result_refused": "An attempt reported a `result` after a person had decided what became "
    "of the call. The decision stands.",
    "policy_tightened": "A worker whose code is stricter than what the run pinned executes it: the "
    "run keeps to the stricter gates and limits from now on.",
    "requirement_approved": "Somebody approved; the quorum is not reached yet.",
    "requirement_claimed": "Somebody takes care of it `until` then; `by` is their name, `issuer` "
    "and `subject` who vouches for whom. It keeps nobody from deciding.",
    "requirement_commented": "Somebody wrote a comment; `comment` is its id, and the text is not "
    "here.",
    "requirement_delegated": "Somebody handed the decision to `to`; `comment` is the id of their "
    "note.",
    "requirement_released": "Somebody gave their claim back.",
    "requirement_snoozed": "Somebody put it off for themselves `until` then.",
    "requirement_woken": "Somebody has back what they had put off.",
    "requirement_cancelled": "The run ended or was cancelled before anybody decided.",
    "requirement_escalated": "The people of `to` may decide as well from now on.",
    "requirement_expired": "The deadline passed; `verdict` is what that means.",
    "requirement_notified": "`to` was reached by a message `via` a channel; `about` says on which "
    "occasion.",
    "requirement_opened": "The run needs a person. `ask` is the requirement's kind.",
    "requirement_reminded": "Nobody has decided; this is reminder number `times`.",
    "requirement_resolved": "A decision closed the requirement; `by` made it.",
    "approved_not_executed": "A call that somebody let run was not executed; `why` says why.",
    "provider_away": "The model's provider failed in a way that may pass, and is asked again.",
    "provider_back": "The model answered after an outage of its provider.",
    "requirement_withdrawn": "Somebody took back what they had approved; `reopened` says whether "
    "the requirement was resolved and is open again.",
    "run_accepted": "The run is stored and will be executed.",
    "run_cancelled": "The run was cancelled.",
    "run_completed": "The run has its answer.",
    "run_continued": "A paused run continues.",
    "run_dequeued": "The run waited for another run of its session, and starts now.",
    "run_failed": "The run ended with the error `code` and `message`.",
    "run_paused": "The run waits for people and for nothing else.",
    "run_restarted": "The run's workflow was stuck, and another began where the rows stand.",
    "run_retried": "Somebody had a failed run continue.",
    "session_state_changed": "The operations in `changes` were applied to the session's state.",
    "session_state_overwritten": "A value that another run had changed was replaced: `lost` was "
    "there, `stands` is there now.",
    "session_state_refused": "An operation did not fit the value that it met, and was left out.",
    "step_attempt_completed": "An attempt at a step ended with a result.",
    "step_attempt_failed": "An attempt at a step did not begin, or raised an error: the step is "
    "tried again, or fails.",
    "step_attempt_repeated": "A step is executed again, since its worker died.",
    "step_attempt_started": "A worker executes a step.",
    "step_attempt_stopped": "The run ended while an attempt held the step.",
    "step_completed": "A step has its result.",
    "step_failed": "A step failed for good.",
    "step_skipped": "A step was left out.",
    "step_started": "A step begins.",
    "tool_call_completed": "A call has its result.",
    "tool_call_failed": "An attempt did not begin the call, or the tool raised an error; the call "
    "is tried again.",
    "tool_call_gated": "A worker whose code is stricter asks people before the call begins.",
    "tool_call_refused": "The model asked for a call that cannot be made, and gets the reason.",
    "tool_call_repeated": "A call is executed again, since its worker died.",
    "tool_call_lost": "The run had ended, and the call's worker was lost: it may have happened.",
    "tool_call_started": "A worker executes a call.",
    "tool_call_stopped": "The run ended while an attempt held the call, which may have been "
    "executing.",
    "turn_completed": "The model's answer is stored.",
}
_INTRODUCTION = """\
# Events

`run(stream=True, stream_events=True)` and `stream_run` yield the events of `kern.events`;
[Streaming](../how-to/streaming.md) explains how to read them. An event with a number (`seq`) is
stored in the transaction of the fact that it reports, and a run's numbers have no gaps. Every event
has `run_id` and `session_id`; a numbered one has `seq` and `created_at` too.

## What a stream yields
"""
_TABLE = """
## What the table of events holds

These are the names in the table. `kern events RUN --json` and `stream_run` show the events as
above: `run_accepted` as `run_started`, and those that have no class of their own as `RunNoted`,
whose `kind` is `noted` and whose `name` is the name here. Their data may gain fields in later
versions.
"""
_COMMON = {"run_id", "session_id", "seq", "created_at", "kind"}


def page() -> str:
    """Return the page."""
    classes: tuple[type[BaseModel], ...] = get_args(get_args(RunEvent)[0])
    streamed = [
        (
            f"`{event.__name__}`",
            f"`{event.model_fields['kind'].default}`",
            "yes" if "seq" in event.model_fields else "no",
            ", ".join(f"`{name}`" for name in event.model_fields if name not in _COMMON),
            summary(event),
        )
        for event in classes
    ]
    stored = [(f"`{name}`", _STORED[name]) for name in sorted(recorded())]
    headings = ("Event", "`kind`", "Numbered", "Fields", "Meaning")
    return "\n".join(
        [
            _INTRODUCTION,
            table(headings, streamed) + _TABLE,
            table(("Name", "Meaning"), stored),
        ]
    )


def recorded() -> set[str]:
    """Return the names of the events that the store records."""
    return {name for path in _STORE.rglob("*.py") for name in _names(path)} | _COMPOSED


def _names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _NAME.fullmatch(node.value)
            if match is not None:
                yield node.value
