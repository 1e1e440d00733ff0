"""Who can decide, who has, who may not, and who is away."""

from datetime import UTC, datetime

import pytest

from kern.client.console.people import PersonRow, away_notes, people_of, waiting_for
from kern.contracts.triage import named_keys
from kern.requirements import Delegation, Principal
from tests.support.console_samples import dangerous, requirement


def test_everybody_has_a_row_once() -> None:
    item, _ = dangerous()
    item = item.model_copy(update={"candidates": ["sam okafor", *item.candidates]})
    assert people_of(item, "dana whitfield") == [
        PersonRow("Sam Okafor", "approved", "yes"),
        PersonRow("Dana Whitfield", "you"),
        PersonRow("Ravi Pillai"),
        PersonRow("Anyone in finance-leads"),
        PersonRow("Mia Lindqvist", "excluded: requester", "not"),
    ]


def test_without_candidates_anybody_can() -> None:
    assert people_of(requirement(candidates=[], excluded=[]), "dana") == [PersonRow("Anybody")]


def test_whoever_took_it_over_is_named_with_who_handed_it_on() -> None:
    ines = Principal(issuer="test", subject="ines", name="Ines")
    handed = Delegation(
        by=ines, to="group:ops", at=datetime(2026, 11, 26, tzinfo=UTC), voices=(ines,)
    )
    item = requirement(candidates=["Ines"], excluded=[], delegations=[handed])
    assert people_of(item, "ravi") == [
        PersonRow("Ines"),
        PersonRow("Anyone in ops", "by delegation of Ines"),
    ]


def test_whoever_is_away_is_still_there_with_until_when() -> None:
    ines = Principal(issuer="test", subject="ines", name="Ines")
    now = datetime(2026, 11, 26, tzinfo=UTC)
    handed = Delegation(by=ines, to="Eli", at=now, voices=(ines,))
    item = requirement(
        candidates=["Ines", "Ravi", "@requester", "group:ops"],
        excluded=["Sam"],
        delegations=[handed],
    )
    until = datetime(2026, 12, 8, 9, tzinfo=UTC)
    away = away_notes(dict.fromkeys(("ines", "eli", "mia lindqvist", "ops", "sam"), until), now)
    assert people_of(item, "ines", away) == [
        PersonRow("Ines", "you, away until 8 Dec, 9:00 UTC"),
        PersonRow("Ravi"),
        PersonRow("Mia Lindqvist", "requester, away until 8 Dec, 9:00 UTC"),
        PersonRow("Anyone in ops"),
        PersonRow("Eli", "by delegation of Ines, away until 8 Dec, 9:00 UTC"),
        PersonRow("Sam", "excluded", "not"),
    ]
    assert away_notes({"ines": now}, now) == {"ines": "away until 0:00 UTC"}
    assert named_keys(item) == {"ines", "ravi", "mia lindqvist", "eli"}


@pytest.mark.parametrize(
    ("candidates", "text"),
    [
        ([], "somebody"),
        (["group:finance"], "finance"),
        (["@requester"], "Mia Lindqvist"),
        (["Ravi", "Ines", "group:leads"], "Ravi, Ines or leads"),
    ],
)
def test_for_whom_it_waits(candidates: list[str], text: str) -> None:
    item = requirement(candidates=candidates)
    assert waiting_for(item, may_decide=False) == text
    assert waiting_for(item, may_decide=True) == "you"
