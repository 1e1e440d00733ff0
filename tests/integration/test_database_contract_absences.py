"""The database contract: who is away, until when, and how they are found."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kern.contracts.triage import Absence, AbsencePage, away_until
from kern.db.decisions import absences
from kern.db.engine.typed_tables import ABSENCES
from kern.errors import InvalidInput, NotAllowed
from kern.requirements import Principal, PrincipalKind
from kern.values.names import name_key
from tests.support.statements import statements, statements_of
from tests.support.stored_runs import NAMES, NOW, Stored, after, opened

DAY = timedelta(days=1)


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stored]:
    with opened(str(request.param), tmp_path) as database:
        yield database


def person(name: str, tenant: str = "", subject: str | None = None) -> Principal:
    subject = subject or f"id-{name}"
    return Principal(issuer="https://id", subject=subject, name=name, tenant=tenant)


DANA, RAVI = person("dana"), person("ravi")


def begin(
    stored: Stored,
    by: Principal,
    until: datetime = NOW + DAY,
    *,
    since: datetime | None = None,
    note: str | None = None,
    now: datetime = NOW,
) -> Absence:
    return stored.do(
        lambda tx: absences.begin(tx, by, until=until, since=since, note=note, now=now)
    )


def end(stored: Stored, by: Principal, now: datetime = NOW) -> bool:
    return stored.do(lambda tx: absences.end(tx, by, now))


def own(stored: Stored, by: Principal, now: datetime = NOW) -> Absence | None:
    return stored.look(lambda tx: absences.absence_of(tx, by, now))


def names(stored: Stored, tenant: str | None = "", now: datetime = NOW) -> list[str]:
    page = stored.look(lambda tx: absences.page(tx, tenant, limit=10, cursor=None, now=now))
    return [absence.by.name for absence in page.absences]


def named(stored: Stored, *known_as: str, tenant: str = "", now: datetime = NOW) -> list[str]:
    keys = {name_key(name) for name in known_as}
    found = stored.look(lambda tx: absences.named(tx, tenant, keys, now))
    return sorted(absence.by.name for absence in found)


def rows(stored: Stored) -> int:
    return len(stored.look(lambda tx: tx.connection().execute(ABSENCES.table.select()).fetchall()))


def test_an_absence_is_replaced_and_over_by_itself(stored: Stored) -> None:
    begin(stored, DANA, note="At sea.")
    again = begin(stored, DANA, NOW + 2 * DAY, now=after(60))
    assert (again.since, again.until, again.note) == (NOW, NOW + 2 * DAY, None)
    assert own(stored, DANA) == again
    assert rows(stored) == 1
    assert names(stored, now=NOW + 2 * DAY) == []
    assert own(stored, DANA, NOW + 2 * DAY) is None
    late = begin(stored, DANA, NOW + 4 * DAY, now=NOW + 3 * DAY)
    assert late.since == NOW + 3 * DAY


def test_the_same_again_writes_nothing(stored: Stored) -> None:
    until = NOW + DAY
    first = begin(stored, DANA, until, note="At sea.")
    assert begin(stored, DANA, until, note="At sea.", now=after(60)) == first
    again = statements(stored, lambda: begin(stored, DANA, until, note="At sea.", now=after(60)))
    changed = statements(stored, lambda: begin(stored, DANA, until, note="Ask Ravi."))
    assert changed - again == 3


def test_an_absence_that_is_to_begin_is_nobodys_yet_but_ones_own(stored: Stored) -> None:
    begin(stored, DANA, NOW + 3 * DAY, since=NOW + DAY)
    assert names(stored) == named(stored, "dana") == []
    assert own(stored, DANA) is not None
    assert names(stored, now=NOW + DAY) == named(stored, "dana", now=NOW + DAY) == ["dana"]
    # Said again without a beginning, it begins now.
    assert begin(stored, DANA, NOW + 3 * DAY, now=after(60)).since == after(60)


def test_an_absence_is_ended_once(stored: Stored) -> None:
    begin(stored, DANA)
    begin(stored, RAVI)
    assert end(stored, DANA)
    assert not end(stored, DANA)
    assert names(stored) == ["ravi"]
    assert not end(stored, RAVI, NOW + 2 * DAY)
    assert rows(stored) == 0


def test_people_are_found_by_name_and_by_id_as_rules_name_them(stored: Stored) -> None:
    begin(stored, person("Dana Whitfield", subject="U-17"))
    begin(stored, RAVI)
    assert named(stored, "dana  whitfield") == named(stored, "u-17") == ["Dana Whitfield"]
    assert named(stored, "Ravi", "eli", "u-17") == ["Dana Whitfield", "ravi"]
    assert named(stored) == named(stored, "U-1") == []


def test_people_are_found_by_indexes_of_their_keys(stored: Stored) -> None:
    if stored.database.engine.dialect.name != "sqlite":
        return
    with statements_of(stored.database) as executed:
        named(stored, "dana", "ravi")
    (statement,) = (text for text in executed if "kern_absences" in text)
    with stored.database.engine.connect() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {statement}", ("",) * statement.count("?")
        )
        text = str(plan.all())
    assert text.count("SEARCH") == 2
    assert "_by_key (tenant=? AND key=? AND until>?" in text
    assert "_by_subject_key (tenant=? AND subject_key=? AND until>?" in text


def test_of_two_who_are_named_alike_the_later_one_counts(stored: Stored) -> None:
    begin(stored, DANA, NOW + 3 * DAY)
    begin(stored, person("Dana", subject="other"), NOW + DAY)
    found = stored.look(lambda tx: absences.named(tx, "", {"dana"}, NOW))
    assert away_until(found)["dana"] == NOW + 3 * DAY


def test_tenants_do_not_see_each_other(stored: Stored) -> None:
    begin(stored, DANA)
    begin(stored, person("dana", "acme"), NOW + 2 * DAY)
    assert names(stored, "globex") == named(stored, "dana", tenant="globex") == []
    page = stored.look(lambda tx: absences.page(tx, "acme", limit=9, cursor=None, now=NOW))
    assert [absence.until for absence in page.absences] == [NOW + 2 * DAY]
    assert names(stored, None) == ["dana", "dana"]
    assert not end(stored, person("dana", "globex"))
    assert end(stored, person("dana", "acme"))
    assert own(stored, DANA) is not None


def test_what_is_over_is_forgotten_in_its_tenant(stored: Stored) -> None:
    begin(stored, DANA)
    begin(stored, person("mia", "acme"))
    later = NOW + 2 * DAY
    begin(stored, RAVI, later + DAY, now=later)
    assert rows(stored) == 2
    assert names(stored, None, later) == ["ravi"]


def test_pages_follow_one_another(stored: Stored) -> None:
    people = [person(name) for name in ("a1", "b2", "c3", "d4", "e5")]
    for number, by in enumerate(people):
        begin(stored, by, NOW + (3 if number % 2 else 2) * DAY)

    def page(cursor: str | None) -> AbsencePage:
        return stored.look(lambda tx: absences.page(tx, "", limit=2, cursor=cursor, now=NOW))

    first = page(None)
    second = page(first.next_cursor)
    third = page(second.next_cursor)
    assert third.next_cursor is None
    found = [item.by.name for part in (first, second, third) for item in part.absences]
    assert sorted(found[:3]) == ["a1", "c3", "e5"]
    assert sorted(found[3:]) == ["b2", "d4"]
    with pytest.raises(InvalidInput, match="is no cursor"):
        page("x")


@pytest.mark.parametrize(
    "principal",
    [
        DANA.model_copy(update={"kind": PrincipalKind.service}),
        DANA.model_copy(update={"kind": PrincipalKind.agent}),
        person("kern"),
        person("group:ops"),
    ],
)
def test_only_people_are_away(stored: Stored, principal: Principal) -> None:
    for act in (lambda: begin(stored, principal), lambda: end(stored, principal)):
        with pytest.raises(NotAllowed):
            act()
    assert rows(stored) == 0
