"""Which ids commands take, and what becomes of each of several."""

import pytest

from kern.db.engine.stores import SqliteStore
from kern.models.scripted import Call
from tests.support import seeds
from tests.support.cli import Cli
from tests.support.seeds import Seeded

pytestmark = pytest.mark.timeout(120)

REFUND = Call("refund", order_id="1042", amount=40.0)


@pytest.fixture
def runs(db: SqliteStore) -> list[Seeded]:
    return [seeds.waiting(db, REFUND, user_id="mara") for _ in range(3)]


def digest_of(kern: Cli, seeded: Seeded) -> str:
    [item] = kern("pending", "--run", seeded.run_id, "--json").json["requirements"]
    digest: str = item["digest"]
    return digest


@pytest.mark.parametrize("length", [36, 8])
def test_either_id_serves(kern: Cli, runs: list[Seeded], length: int) -> None:
    seeded = runs[0]
    for whole in (seeded.run_id, seeded.requirement_id):
        identifier = whole[-length:]
        assert f"Run {seeded.run_id}" in kern("show", identifier).out
        page = kern("pending", "--run", identifier, "--json").json["requirements"]
        assert [item["id"] for item in page] == [seeded.requirement_id]
        assert kern("events", identifier).code == 0
    first, second, third = runs
    digest = digest_of(kern, first)
    kern("approve", first.run_id[-length:], "--digest", digest, "--by", "dana")
    assert "'dana' decided 'approve'" in kern("reject", first.run_id[-length:], code=5).err
    assert "Withdrawn" in kern("withdraw", first.run_id[-length:], "--by", "dana").out
    kern("reject", second.requirement_id[-length:])
    kern("cancel", third.requirement_id[-length:])
    assert kern("show", third.run_id, "--json").json["status"] == "cancelled"


def test_an_id_that_is_neither_is_refused(kern: Cli, runs: list[Seeded]) -> None:
    for words in (("show", "00000000"), ("approve", "00000000"), ("withdraw", "00000000")):
        assert kern(*words, code=3).err.count("\n") == 1


def test_each_of_several_is_decided_on_its_own(kern: Cli, runs: list[Seeded]) -> None:
    first, second, third = runs
    kern("reject", second.requirement_id, "--by", "eli")
    ids = [first.run_id, second.requirement_id, third.requirement_id, third.requirement_id]
    said = kern("approve", *ids, "--digest", digest_of(kern, first), "--by", "dana", code=5)
    assert said.out.count("Approved by dana") == 2
    assert f"Not decided: {second.requirement_id}: " in said.out
    assert "'eli' decided 'reject'" in said.out
    assert not kern("pending", "--json").json["requirements"]


def test_several_have_results_for_programs(kern: Cli, runs: list[Seeded]) -> None:
    first, second, _third = runs
    words = ("reject", first.requirement_id, "00000000", second.requirement_id, "--json")
    results = kern(*words, code=3).json["results"]
    assert [item["id"] for item in results] == list(words[1:4])
    assert results[1]["error"]["code"] == "not_found"
    assert [results[0]["accepted"], results[2]["accepted"]] == [True, True]
    assert results[0]["requirement"]["status"] == "resolved"


def test_an_edit_is_of_one_call(kern: Cli, runs: list[Seeded]) -> None:
    ids = [seeded.requirement_id for seeded in runs]
    refused = kern("approve", *ids, "--edit", '{"amount": 1}', "--digest", "0" * 8, code=2)
    assert "--edit changes one call" in refused.err
    assert len(kern("pending", "--json").json["requirements"]) == 3


def test_a_digest_is_found_for_each(kern: Cli, db: SqliteStore) -> None:
    small = seeds.waiting(db, REFUND)
    large = seeds.waiting(db, Call("refund", order_id="1043", amount=4000.0))
    digests = [digest_of(kern, seeded)[:8] for seeded in (large, small)]
    flags = [word for digest in digests for word in ("--digest", digest)]
    kern("approve", small.requirement_id, large.requirement_id, *flags)
    assert not kern("pending", "--json").json["requirements"]


def test_a_run_that_waits_for_several_names_them(kern: Cli, db: SqliteStore) -> None:
    run_id = seeds.waiting_for_two(db)
    refused = kern("reject", run_id, code=2)
    assert "waits for several decisions" in refused.err


def test_the_inbox_off_a_terminal_is_a_table_or_the_page_of_the_api(
    kern: Cli, runs: list[Seeded], db: SqliteStore
) -> None:
    seeds.waiting(db, Call("wire", amount=5.0))
    assert kern("inbox").out.count("refund(") == 3
    mine = kern("inbox", "--by", "eli", "--tool", "wire", "--json").json
    assert [item["tool"] for item in mine["items"]] == ["wire"]
    assert mine["next"] is None
    empty = "Of what was asked for, nothing waits for a person.\n"
    assert kern("inbox", "--for", "eve", "--tool", "wire").out == empty
    assert "wire(" in kern("inbox", "--all", "--tool", "wire").out
    page = kern("inbox", "--all", "--sort", "created", "--limit", "2", "--json").json
    rest = kern("inbox", "--all", "--sort", "created", "--after", page["next"], "--json").json
    assert len(page["items"] + rest["items"]) == 4
    assert kern("inbox", "--due", "4h", "--json").json["items"] == []
    assert kern("inbox", "--component", "none", "--json").json["items"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mine", "--all"), "contradict each other"),
        (("--due", "soon"), "30min, 4h or 2d"),
        (("--sort", "size"), "'due'"),
        (("--watch",), "--watch walks at a terminal"),
        (("--for", ""), "name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    kern: Cli, runs: list[Seeded], words: tuple[str, ...], message: str
) -> None:
    assert message in kern("inbox", *words, code=2).err
