"""The feed as its readers see it: what concerns people, in one order."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from kern.contracts.viewer import Viewer
from kern.values.deciders import entries_about
from kern.values.feed import FeedKind
from kern.values.principals import Principal
from kern.values.states import PrincipalKind
from kern.values.visible_text import spelled

_LONGEST_TEXT = 240
_ACTS = {
    "approve": "approved it",
    "reject": "rejected it",
    "answer": "answered it",
    "choose": "chose",
    "result": "recorded a result",
    "unknown": "reported an unknown outcome",
    "happened": "recorded that it happened",
    "run_again": "let it run again",
    "skip": "skipped it",
    "fail": "let it fail",
}
_TEXTS = {
    FeedKind.opened: "It waits for a decision since {time}.",
    FeedKind.approved: "{by} approved it at {time}; it waits for more.",
    FeedKind.resolved: "{by} {act} at {time}.",
    FeedKind.withdrawn: "{by} withdrew at {time}.",
    FeedKind.reminded: "Reminded at {time}.",
    FeedKind.escalated: "Escalated at {time}: {to} may decide too.",
    FeedKind.expired: "Nobody decided in time: the deadline {act} at {time}.",
    FeedKind.cancelled: "Cancelled with its run at {time}.",
    FeedKind.delivered: "Delivered at {time}.",
    FeedKind.executing: "Executing since {time}.",
    FeedKind.done: "Done at {time}.",
    FeedKind.unknown: "Whether it happened is unknown since {time}.",
    FeedKind.not_executed: "Not executed, at {time}.",
    FeedKind.run_completed: "The run completed at {time}.",
    FeedKind.run_failed: "The run failed at {time}.",
    FeedKind.run_cancelled: "The run was cancelled at {time}.",
}
_CANCELLED_BY = "{by} cancelled the run at {time}."


class Audience(BaseModel):
    """Whom a requirement concerns: the kinds and keys of those who may decide, and who may not."""

    model_config = ConfigDict(frozen=True)

    deciding: frozenset[tuple[str, str]] = frozenset()
    excluded: frozenset[tuple[str, str]] = frozenset()

    def includes(self, principal: Principal) -> bool:
        """Whether a principal may decide, by name, group, as the requester, or as anybody."""
        if principal.kind is not PrincipalKind.person:
            return False
        entries = frozenset(entries_about(principal))
        return not self.deciding.isdisjoint(entries) and self.excluded.isdisjoint(entries)


class FeedEntry(BaseModel):
    """Something that concerns people.

    Attributes:
        seq: Its number in the feed.
        kind: What happened: a `FeedKind`, or a kind of a later version.
        component_id: The component whose run it is about.
        subject: What the requirement is about, as its author declared.
        data: What else is known of it, in short: such as `verdict`, `by`, `title`, `tool`, `risk`.
        at: When it happened; not always later than the entries before, which have the order.
        audience: Whom it concerns. Not shown to anybody.
    """

    model_config = ConfigDict(frozen=True)

    seq: int
    kind: str
    tenant: str = ""
    user_id: str | None = None
    component_id: str
    requirement_id: str | None = None
    run_id: str
    subject: str | None = None
    data: dict[str, JsonValue] = {}
    at: datetime
    audience: Audience = Field(default=Audience(), exclude=True, repr=False)

    @property
    def text(self) -> str:
        """What happened, in a sentence without characters that could be misread."""
        verdict, people = self.data.get("verdict"), self.data.get("to")
        names = [str(name) for name in people] if isinstance(people, list) else []
        template = _TEXTS.get(FeedKind(self.kind)) if self.kind in set(FeedKind) else None
        if self.kind == FeedKind.run_cancelled and self.data.get("by"):
            template = _CANCELLED_BY
        sentence = (template or "Changed at {time}.").format(
            by=_short(self.data.get("by") or "Somebody"),
            act=_ACTS.get(str(verdict), "decided"),
            time=f"{self.at.astimezone(UTC):%H:%M:%S} UTC",
            to=_short(", ".join(names) or "others"),
        )
        return sentence[:_LONGEST_TEXT]

    def is_visible_to(self, viewer: Viewer) -> bool:
        """Whether a viewer reaches it, by tenant, owner and component."""
        return (
            viewer.tenant in (None, self.tenant)
            and (viewer.is_operator or viewer.user_id == self.user_id)
            and viewer.component_id in (None, self.component_id)
        )


class FeedPage(BaseModel):
    """A page of the feed.

    Attributes:
        items: The entries, in order.
        next: The number up to which was looked: pass it as `after` for what follows. It may be
            further than the last item, since what a reader may not see is left out.
        reset: Whether entries between `after` and the first item are not kept any more.
    """

    items: list[FeedEntry]
    next: int
    reset: bool = False


def _short(value: object) -> str:
    text = spelled(str(value))
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004  a name on one line
