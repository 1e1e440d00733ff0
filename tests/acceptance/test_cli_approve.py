"""What a person decides on the command line is what the command line has shown them."""

from pathlib import Path

import pytest

from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from kern.requirements import Requirement, Resolution
from tests.support import seeds
from tests.support.cli import Cli, terminal
from tests.support.seeds import Seeded

pytestmark = pytest.mark.timeout(120)

TEXT = "DE02 (approved, amount=1.00, to='the tax office')" + " " * 3 + "." * 120
REFUND = Call("refund", order_id=TEXT, amount=1_000_000.0)
WHOLE = f'refund(amount=1000000.0, order_id="{TEXT}")'


def requirement(kern: Cli, seeded: Seeded) -> Requirement:
    [item] = kern("show", seeded.run_id, "--json").json["requirements"]
    return Requirement.model_validate(item)


def resolution(kern: Cli, seeded: Seeded) -> Resolution:
    resolution = requirement(kern, seeded).resolution
    assert resolution is not None
    return resolution


def test_nothing_is_approved_that_was_not_shown(kern: Cli, db: SqliteStore) -> None:
    refund, other = (seeds.waiting(db, REFUND) for _ in range(2))
    for options in ((), ("--json",), ("--edit", '{"amount": 30}')):
        refused = kern("approve", refund.requirement_id, *options, code=2)
        assert "pass --digest" in refused.err
        assert "kern pending" in refused.err
    digest = requirement(kern, refund).digest
    assert digest[:8] in kern("pending").out
    assert f"digest  {digest[:8]}" in kern("show", refund.run_id).out
    for wrong, code in (("00000000", 5), (digest[:7], 2), (f"{digest[:8]}g", 2)):
        kern("approve", refund.requirement_id, "--digest", wrong, code=code)
    assert requirement(kern, refund).status == "pending"
    kern("approve", refund.requirement_id, "--digest", digest.upper())
    kern("reject", other.requirement_id)


def test_the_digest_of_another_call_approves_nothing(kern: Cli, db: SqliteStore) -> None:
    cheap = seeds.waiting(db, Call("refund", order_id="1042", amount=1.0))
    dear = seeds.waiting(db, Call("refund", order_id="1042", amount=1_000.0))
    seen = requirement(kern, cheap).digest
    refused = kern("approve", dear.requirement_id, "--digest", seen, "--json", code=5)
    assert refused.error["code"] == "arguments_changed"
    assert requirement(kern, dear).status == "pending"


def test_the_digest_of_a_proposal_agrees_with_it_while_it_stands(
    kern: Cli, db: SqliteStore
) -> None:
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    edit = ("--by", "eli", "--edit", '{"amount": 3.0}')
    kern.decide("approve", wire.requirement_id, *edit)
    [proposal] = requirement(kern, wire).proposals
    seen = proposal.digest[:8]
    assert "wire(amount=3.0)" in kern("withdraw", wire.requirement_id, "--by", "eli").out
    dana = ("approve", wire.requirement_id, "--by", "dana", "--digest", seen)
    assert "was edited since you saw it" in kern(*dana, code=5).err
    kern.decide("approve", wire.requirement_id, *edit)
    assert "wire(amount=3.0)" in kern(*dana).out
    agreed = resolution(kern, wire)
    assert (agreed.by, agreed.edit) == ("dana", {"amount": 3.0})


def test_the_digest_of_the_call_as_edited_serves_too(kern: Cli, db: SqliteStore) -> None:
    first, second = (seeds.waiting(db, Call("refund", order_id="1", amount=9.0)) for _ in range(2))
    edit = ("--edit", '{"amount": 3.0}')
    kern.decide("approve", first.requirement_id, *edit)
    edited = seeds.waiting(db, Call("refund", order_id="1", amount=3.0))
    seen = requirement(kern, edited).digest
    kern("approve", second.requirement_id, *edit, "--digest", seen)


@pytest.mark.parametrize(
    "options", [("--happened", "sent"), ("--run-again",)], ids=["happened", "run_again"]
)
def test_an_outcome_is_settled_by_whoever_was_shown_the_call(
    kern: Cli, db: SqliteStore, options: tuple[str, ...]
) -> None:
    torn = seeds.torn(db)
    assert "pass --digest" in kern("answer", torn.requirement_id, *options, code=2).err
    assert requirement(kern, torn).status == "pending"
    kern.decide("answer", torn.requirement_id, *options)


def test_what_lets_nothing_happen_takes_no_digest(kern: Cli, db: SqliteStore) -> None:
    kern("answer", seeds.torn(db).requirement_id, "--fail")
    asked = seeds.waiting(db, Call("ask_user", question="Which?", options=["red", "blue"]))
    kern("answer", asked.requirement_id, "--choice", "blue")


def test_a_terminal_shows_the_whole_call_and_asks(
    kern: Cli, db: SqliteStore, tmp_path: Path
) -> None:
    refund = seeds.waiting(db, REFUND)
    digest = requirement(kern, refund).digest[:8]
    with terminal("approve", refund.requirement_id, cwd=tmp_path) as screen:
        screen.expect(WHOLE)
        screen.expect(f"digest  {digest}")
        screen.expect("Approve this call? y = yes, Enter = leave it open: ")
        screen.type("")
        screen.expect("Nothing was decided.")
        assert screen.end() == 0
    assert requirement(kern, refund).status == "pending"
    with terminal(
        "approve", refund.requirement_id, "--edit", '{"amount": 3}', cwd=tmp_path
    ) as screen:
        screen.expect(WHOLE)
        screen.expect('as edited  refund(amount=3, order_id="DE02')
        screen.expect("Approve this call?")
        screen.type("y")
        screen.expect("Approved by")
        assert screen.end() == 0
    assert resolution(kern, refund).edit == {"amount": 3}


def test_a_terminal_refuses_a_call_that_changes_while_somebody_reads(
    kern: Cli, db: SqliteStore, tmp_path: Path
) -> None:
    wire = seeds.waiting(db, Call("wire", amount=5.0))
    edit = ("--by", "eli", "--edit")
    kern.decide("approve", wire.requirement_id, *edit, '{"amount": 3.0}')
    [proposal] = requirement(kern, wire).proposals
    with terminal("approve", wire.requirement_id, "--by", "dana", cwd=tmp_path) as screen:
        screen.expect("proposed  1 of 2 wire(amount=3.0), edited (by eli")
        screen.expect("the digest of a proposal = agree with it")
        kern.decide("approve", wire.requirement_id, *edit, '{"amount": 400.0}')
        screen.type(proposal.digest[:8])
        screen.expect("was edited since you saw it")
        assert screen.end() == 5
    assert requirement(kern, wire).status == "pending"
