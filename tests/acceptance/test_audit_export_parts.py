"""Exports of a part of the log: that of a tenant, that of a time, verified by the example."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.stores import SqliteStore
from kern.db.journal import audit_export, verification
from kern.errors import InvalidInput, NotAllowed, NotFound
from kern.requirements import Principal, Requirement
from kern.tools import Approval
from tests.support.audit_exports import Line, export, rehash, seal, verify
from tests.support.cli import Cli
from tests.support.stored_runs import Stored, after, question
from tests.support.templates import with_tables

ACME, GLOBEX = (Viewer(is_operator=True, tenant=name) for name in ("acme", "globex"))


@dataclass(frozen=True)
class Exported:
    """The log of two tenants: two runs of acme, decided in turns with one of globex.

    Attributes:
        long: A run of acme with decisions at 10, 20 and 40 seconds, the last one not sealed.
        short: One of acme with a decision at 30.
        foreign: One of globex with decisions at 15 and 35.
    """

    stored: Stored
    long: Requirement
    short: Requirement
    foreign: Requirement

    def export(self, viewer: Viewer, **options: object) -> list[Line]:
        return export(self.stored.database, viewer=viewer, with_text=True, **options)  # type: ignore[arg-type]


def gated(stored: Stored, tenant: str) -> Requirement:
    """Make a run in a tenant, which waits for many people."""
    asked = question(approval=Approval(quorum=20))
    return stored.requirement(stored.call(asked, user_id=f"user-{tenant}", tenant=tenant))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exported]:
    with closing(with_tables(request.param, tmp_path_factory.mktemp("db"))) as store:
        stored = Stored(store)
        long, short, foreign = (gated(stored, name) for name in ("acme", "acme", "globex"))
        for seen, second in ((long, 10), (foreign, 15), (long, 20), (short, 30), (foreign, 35)):
            stored.resolve(seen, by=f"p{second}", note=f"of {seen.tenant}", at=after(second))
            seal(stored)
        stored.resolve(long, by="p40", at=after(40))
        yield Exported(stored, long, short, foreign)


def kinds(lines: list[Line]) -> list[str]:
    return [line["type"] for line in lines]


def runs(lines: list[Line]) -> list[str]:
    return [line["content"]["root_run_id"] for line in lines if line["type"] == "decision"]


def test_the_part_of_a_tenant_is_verified_alone_and_has_nothing_of_another(
    exported: Exported,
) -> None:
    lines = exported.export(ACME)
    assert lines[0] == {
        "type": "log",
        "format": 1,
        "run": None,
        "tenant": "acme",
        "from": None,
        "to": None,
    }
    assert kinds(lines) == ["log", *["decision"] * 4, *["seal"] * 3, "end"]
    assert sorted(set(runs(lines))) == sorted({exported.long.run_id, exported.short.run_id})
    verified = verify(lines)
    assert verified.returncode == 0, verified.stderr
    head = lines[-1]["head"]
    assert verified.stdout == f"Intact: tenant 'acme' (head {head})\n1 decisions not sealed\n"
    # The head of a file is that of a seal, and so one to be verified later.
    exported.stored.look(lambda tx: verification.verify_tenant(tx, "acme", head))


def test_no_text_id_or_hash_of_another_tenant_is_in_a_part(exported: Exported) -> None:
    text = json.dumps(exported.export(ACME))
    others = exported.export(GLOBEX)[1:-1]
    assert kinds(others) == ["decision", "decision", "seal", "seal"]
    for line in others:
        content = line["content"]
        if line["type"] == "decision":
            words = (content["id"], content["requirement_id"], content["text_digest"], line["hash"])
            assert not [word for word in words if word in text]
        else:
            assert content["chain_hash"] not in text
            # What stands beside it names a seal by its hash, and nothing else of it.
            assert not [row for row in exported.export(ACME)[1:-1] if row["hash"] == line["hash"]]
    for word in (exported.foreign.run_id, "of globex", "user-globex", '"globex"'):
        assert word not in text


def test_a_part_is_exported_page_by_page(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, times = exported.export(ACME), {"since": after(10), "until": after(30)}
    narrowed = exported.export(OPERATOR, **times)
    for page, chains in ((1, 1), (1, 100), (500, 1)):
        monkeypatch.setattr(audit_export, "PAGE", page)
        monkeypatch.setattr(audit_export, "CHAINS", chains)
        for lines, viewer, span in ((whole, ACME, {}), (narrowed, OPERATOR, times)):
            found = exported.export(viewer, **span)
            assert verify(found).returncode == 0
            assert sorted(map(repr, found[:-1])) == sorted(map(repr, lines[:-1]))


@pytest.mark.parametrize(
    ("since", "until", "names"),
    [
        (None, None, ["long", "short", "foreign"]),
        (10, 10.000001, ["long"]),
        (10.000001, 15, []),
        (9, 10, []),
        (15, 20, ["foreign"]),
        (20, 30, ["long"]),
        (20, 30.000001, ["long", "short"]),
        (None, 15, ["long"]),
        (40, None, ["long"]),
        (40.000001, None, []),
        (30, None, ["long", "short", "foreign"]),
    ],
)
def test_a_time_names_the_runs_with_a_decision_from_its_beginning_and_before_its_end(
    exported: Exported, since: float | None, until: float | None, names: list[str]
) -> None:
    # In another zone it is the same moment.
    zone = timezone(timedelta(hours=2))
    span = {
        "since": None if since is None else after(since).astimezone(zone),
        "until": None if until is None else after(until),
    }
    expected = {name: getattr(exported, name).run_id for name in names}
    for viewer, own in ((OPERATOR, set(names)), (ACME, set(names) - {"foreign"})):
        lines = exported.export(viewer, **span)
        assert set(runs(lines)) == {expected[name] for name in own}
        # Each chain is whole, so that its seals fit.
        assert runs(lines).count(exported.long.run_id) == (3 if "long" in names else 0)
        verified = verify(lines)
        assert verified.returncode == 0, verified.stderr
        assert [lines[0]["from"], lines[0]["to"]] == [
            None if second is None else after(second).isoformat() for second in (since, until)
        ]
        if since is not None:
            assert f"from {after(since).isoformat()!r}" in verified.stdout


def test_runs_come_in_the_order_in_which_they_were_decided_about(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_export, "CHAINS", 1)
    found = dict.fromkeys(runs(exported.export(OPERATOR, since=after(15))))
    assert list(found) == [
        seen.run_id for seen in (exported.foreign, exported.long, exported.short)
    ]


TAMPERED = {
    "a decision was changed": lambda lines: lines[2]["content"].update(verdict="reject"),
    "a byte of a hash was changed": lambda lines: lines[-2].update(
        hash="0" + lines[-2]["hash"][1:]
    ),
    "a decision was removed": lambda lines: lines.pop(2),
    "a sealed decision was removed with the end": lambda lines: lines.pop(3),
    "a seal was removed": lambda lines: lines.pop(-2),
    "another tenant was named": lambda lines: lines[0].update(tenant="globex"),
    "another time was named": lambda lines: lines[0].update({"from": after(41).isoformat()}),
    "a run was named": lambda lines: lines[0].update(run=lines[1]["content"]["root_run_id"]),
    "it is called the whole log": lambda lines: lines[0].update(tenant=None),
    "the head was changed": lambda lines: lines[-1].update(head="f" * 64),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_the_example_refuses_a_part_that_was_changed(exported: Exported, case: str) -> None:
    lines = json.loads(json.dumps(exported.export(ACME)))
    TAMPERED[case](lines)
    refused = verify(lines)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("Line "), refused.stderr


def test_the_example_refuses_a_part_with_one_byte_changed(exported: Exported) -> None:
    text = "".join(json.dumps(line) + "\n" for line in exported.export(ACME))
    for old, new in (("p20", "p21"), ("of acme", "of acmf"), (after(30).isoformat(), "2026")):
        assert old in text
        assert verify(text.replace(old, new, 1)).returncode == 1


def test_the_example_refuses_two_seals_that_do_not_fit_each_other(exported: Exported) -> None:
    # Those of the two runs of acme at 20 and 30 seconds are neighbours.
    lines = json.loads(json.dumps(exported.export(ACME)))
    early, late = sorted(
        (line for line in lines if line["type"] == "seal"), key=lambda line: line["content"]["seq"]
    )[1:]
    assert late["content"]["previous_hash"] == early["hash"]
    early["content"]["at"] = "2026"
    rehash(early)
    assert "does not follow" in verify(lines).stderr


def test_a_time_without_a_zone_and_one_that_ends_before_it_begins_are_refused(
    exported: Exported,
) -> None:
    naive = datetime(2026, 5, 4)  # noqa: DTZ001  that is what is refused
    for name in ("since", "until"):
        with pytest.raises(InvalidInput, match=f"{name} is .*: give a time with its zone"):
            exported.export(ACME, **{name: naive})
    with pytest.raises(InvalidInput, match="later than the beginning"):
        exported.export(ACME, since=after(1), until=after(1))
    with pytest.raises(InvalidInput, match="leave out the times, or the run"):
        exported.export(ACME, run_id=exported.long.run_id, since=after(1))


def test_a_run_of_another_tenant_is_not_there_and_an_owner_is_no_auditor(
    exported: Exported,
) -> None:
    with pytest.raises(NotFound):
        exported.export(GLOBEX, run_id=exported.long.run_id)
    with pytest.raises(NotAllowed):
        exported.export(Viewer("user-acme", tenant="acme"))


def test_every_export_is_logged_with_who_made_it_and_what_it_covers(
    exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="kern.audit")
    dana = Principal(issuer="test", subject="u-17", name="Dana", tenant="acme")
    exported.export(Viewer(is_operator=True, tenant="acme", principal=dana), since=after(1))
    (record,) = caplog.records
    assert "log_exported" in record.getMessage()
    for word in ("u-17", "acme", after(1).isoformat()):
        assert word in record.getMessage()
    exported.export(OPERATOR, run_id=exported.long.run_id)
    assert exported.long.run_id in caplog.records[1].getMessage()


def test_a_row_that_was_given_to_another_tenant_is_not_exported(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with closing(with_tables("sqlite", tmp_path_factory.mktemp("db"))) as store:
        stored = Stored(store)
        seen = gated(stored, "acme")
        stored.resolve(seen, note="first")
        stored.resolve(seen, by="eli", note="second")
        seal(stored)
        stored.sql("UPDATE kern_decisions SET tenant = 'globex' WHERE seq = 2")
        lines = export(store, viewer=ACME, with_text=True)
        assert "second" not in json.dumps(lines)
        assert verify(lines).returncode == 1


def test_the_command_exports_the_part_of_a_tenant_and_of_a_time(kern: Cli, db: SqliteStore) -> None:
    stored = Stored(db)
    ours, foreign = gated(stored, "acme"), gated(stored, "globex")
    for seen, second in ((ours, 1), (foreign, 2)):
        stored.resolve(seen, at=after(second))
    seal(stored)
    printed = kern("audit", "export", "--tenant", "acme").out
    assert ours.run_id in printed
    assert foreign.run_id not in printed
    assert "Intact: tenant 'acme'" in verify(printed).stdout
    assert (
        "log of decisions of tenant 'acme' is intact: 1 decision."
        in kern("audit", "verify", "--tenant", "acme").out
    )
    assert (
        "of the default tenant is intact: 0 decisions."
        in kern("audit", "verify", "--tenant", "").out
    )
    late = kern("audit", "export", "--from", after(2).isoformat(), "--to", after(3).isoformat()).out
    assert ours.run_id not in late
    assert foreign.run_id in late
    assert verify(late).returncode == 0
    for option in ("--from", "--to"):
        refused = kern("audit", "export", option, "2026-05-04T03:02:01", code=2)
        assert f"{option} is '2026-05-04T03:02:01': give a time with its zone" in refused.err
        kern("audit", "export", option, "soon", code=2)
