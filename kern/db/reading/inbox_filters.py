"""What a page of requirements is narrowed to, as the conditions of its statement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, or_, select, type_coerce

from kern.db.engine.typed_tables import PEOPLE, REQUIREMENTS, RUNS, SNOOZES
from kern.values.principals import Principal
from kern.values.states import PersonKind, PersonRole, RequirementKind, Risk

# So much of what somebody has claimed or put off is looked at, and so much is counted: beyond it,
# people are shown "1,000+".
MOST_COUNTED = 1_001
_requirements, _runs, _snoozes = REQUIREMENTS.table, RUNS.table, SNOOZES.table
# Beside the tables of the same page.
_entries, _claimed = PEOPLE.table.alias("entries"), _requirements.alias("claimed")


@dataclass(frozen=True)
class InboxFilter:
    """What a page of requirements is narrowed to; None narrows nothing.

    Attributes:
        run_id: The run, with its child runs.
        component_id: The component whose run asks.
        due_before: Only what has a deadline before this moment.
        created_after: Only what was asked after this moment.
        group_key: Only what this group may decide, by the key of its name.
        claimed_keys: Only what somebody has claimed whose name has one of these keys.
        snoozed_by: Only what this principal has put off.
        words: Only what has this text in its title, its tool, its arguments or its user, or an id
            that ends so.
    """

    user_id: str | None = None
    run_id: str | None = None
    session_id: str | None = None
    kind: RequirementKind | None = None
    tool: str | None = None
    component_id: str | None = None
    risk: Risk | None = None
    shape: str | None = None
    due_before: datetime | None = None
    created_after: datetime | None = None
    group_key: str | None = None
    claimed_keys: tuple[str, ...] | None = None
    snoozed_by: Principal | None = None
    words: str | None = None

    def conditions(self, now: datetime) -> list[ColumnElement[bool]]:
        """Return the conditions of the requirements that it lets through, `words` left out."""
        values = {
            "user_id": self.user_id,
            "session_id": self.session_id,
            "kind": self.kind,
            "tool_name": self.tool,
            "risk": self.risk,
            "shape": self.shape,
        }
        conditions = [
            _requirements.c[name] == str(value)
            for name, value in values.items()
            if value is not None
        ]
        if self.run_id is not None:
            inside = _requirements.c.root_run_id == self.run_id
            conditions.append((_requirements.c.run_id == self.run_id) | inside)
        if self.component_id is not None:
            asking = select(_runs.c.id).where(
                _runs.c.id == _requirements.c.run_id, _runs.c.component_id == self.component_id
            )
            conditions.append(asking.exists())
        if self.due_before is not None:
            conditions.append(_requirements.c.due_at < self.due_before)
        if self.created_after is not None:
            conditions.append(_requirements.c.created_at > self.created_after)
        if self.claimed_keys is not None:
            conditions.append(_requirements.c.id.in_(claimed_ids(self.claimed_keys, now)))
        if self.snoozed_by is not None:
            conditions.append(_requirements.c.id.in_(snoozed_ids(self.snoozed_by, now)))
        return conditions

    @property
    def of_group(self) -> ColumnElement[bool]:
        """The condition that a group may decide."""
        entry = select(_entries.c.id).where(
            _entries.c.requirement_id == _requirements.c.id,
            _entries.c.kind == PersonKind.group.value,
            _entries.c.key == self.group_key,
            _entries.c.role != PersonRole.excluded.value,
        )
        return entry.exists()

    @property
    def match(self) -> ColumnElement[bool] | None:
        """The condition that `words` is somewhere in a requirement; None without it."""
        if self.words is None:
            return None
        texts = (
            _requirements.c.title,
            _requirements.c.tool_name,
            type_coerce(_requirements.c.arguments, Text),
            type_coerce(_requirements.c.current_arguments, Text),
            _requirements.c.user_id,
        )
        ends_so = _requirements.c.id.iendswith(self.words, autoescape=True)
        return or_(ends_so, *(text.icontains(self.words, autoescape=True) for text in texts))


def claimed_ids(keys: tuple[str, ...], now: datetime) -> Select[Any]:
    """Return the query for what somebody has claimed: the beginning of a short index range.

    Claims are a person's own acts, and over within hours, so there are few.
    """
    return (
        select(_claimed.c.id)
        .where(_claimed.c.claimed_key.in_(keys), _claimed.c.claimed_until > now)
        .limit(MOST_COUNTED)
    )


def snoozed_ids(principal: Principal, now: datetime) -> Select[Any]:
    """Return the query for what somebody has put off."""
    return (
        select(_snoozes.c.requirement_id)
        .where(
            _snoozes.c.issuer == principal.issuer,
            _snoozes.c.subject == principal.subject,
            _snoozes.c.until > now,
        )
        .limit(MOST_COUNTED)
    )


def is_snoozed(
    principal: Principal, now: datetime, requirement_id: ColumnElement[str] = _requirements.c.id
) -> ColumnElement[bool]:
    """Return the condition that somebody has put a requirement off."""
    entry = select(_snoozes.c.requirement_id).where(
        _snoozes.c.requirement_id == requirement_id,
        _snoozes.c.issuer == principal.issuer,
        _snoozes.c.subject == principal.subject,
        _snoozes.c.until > now,
    )
    return looked_up(entry)


def looked_up(query: Select[Any]) -> ColumnElement[bool]:
    """Return the condition that a query finds something, asked anew for each row.

    Postgres makes a join of it otherwise, and reads one side as a whole for a page of a few rows.
    It leaves what has an offset as it is.
    """
    return query.offset(0).exists()
