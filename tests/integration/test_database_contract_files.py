"""The database contract: files and images of messages, on every database."""

import re
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlmodel import col, func, select

from kern.context.history_window import Window
from kern.context.instructions import Context
from kern.contracts.viewer import OPERATOR, Viewer
from kern.db.engine.tables import FileRow
from kern.db.reading import files, history_window, listings
from kern.db.sessions import deletions, forks, records
from kern.db.turns import model_turns
from kern.errors import Conflict, InvalidInput, NotAllowed, NotFound
from kern.media import File, FileContent, Image
from kern.run import FileReference, Message
from kern.values.ids import new_id
from tests.support.pictures import PDF, png
from tests.support.stored_runs import NOW, Stored, at_once

ANN = Viewer("ann")
BILL = File(data=PDF, name="bill.pdf")
CHART = Image(data=png(), name="chart.png")


def said(stored: Stored, session_id: str, *media: Image | File, run_id: str | None = None) -> str:
    run, _ = stored.accept(session_id=session_id, run_id=run_id, user_id="ann", media=media)
    return run


def completed(stored: Stored, session_id: str, *media: Image | File) -> str:
    run_id = said(stored, session_id, *media)
    stored.answer(run_id, content="Seen.")
    return run_id


def of_input(stored: Stored, run_id: str) -> list[FileReference]:
    return stored.output(run_id).messages[0].files


def rows_of(stored: Stored, session_id: str) -> int:
    query = select(func.count()).where(col(FileRow.session_id) == session_id)
    return stored.look(lambda tx: tx.exec(query).one())


def shown(stored: Stored, run_id: str, turn: int = 1) -> list[Message]:
    context = Context(None, Window(runs=3))
    return stored.look(lambda tx: model_turns.load(tx, run_id, turn, lambda _: context)).messages


@contextmanager
def no_bytes_read(stored: Stored) -> Generator[list[str]]:
    """Note the statements, none of which may read the column that holds the bytes."""
    heard: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        heard.append(statement)

    event.listen(stored.database.engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(stored.database.engine, "before_cursor_execute", hear)
    assert not [one for one in heard if re.search(r"files\.data|files\.\*", one)]


def test_a_message_names_its_files_in_their_order(stored: Stored) -> None:
    run_id = said(stored, new_id(), CHART, BILL)
    chart, bill = of_input(stored, run_id)
    assert (chart.name, chart.media_type, chart.size) == ("chart.png", "image/png", len(png()))
    assert (bill.name, bill.media_type, bill.size) == ("bill.pdf", "application/pdf", len(PDF))
    assert type(chart) is FileReference


def test_their_bytes_come_back_as_they_were(stored: Stored) -> None:
    every = bytes(range(256)) * 5_000
    run_id = said(stored, new_id(), File(data=every, media_type="application/x-own"))
    [file] = of_input(stored, run_id)
    assert stored.look(lambda tx: files.read(tx, file.id, ANN)).data == every


def test_the_same_file_twice_in_a_session_is_one_row(stored: Stored) -> None:
    session_id = new_id()
    first = said(stored, session_id, BILL, CHART)
    second = said(stored, session_id, File(data=PDF, name="bill.pdf"), BILL)
    assert rows_of(stored, session_id) == 2
    bill = of_input(stored, first)[0]
    assert of_input(stored, second) == [bill, bill]
    # Under another name, or as something else, it is another file; so it is in another session.
    said(stored, session_id, File(data=PDF, name="other.pdf"))
    said(stored, session_id, File(data=PDF, name="bill.pdf", media_type="application/x-own"))
    assert rows_of(stored, session_id) == 4
    elsewhere = said(stored, new_id(), BILL)
    assert of_input(stored, elsewhere)[0].id != bill.id


def test_runs_accepted_at_once_store_a_file_once(stored: Stored) -> None:
    session_id = new_id()
    found = at_once([lambda: said(stored, session_id, BILL, CHART) for _ in range(6)])
    assert not [one for one in found if isinstance(one, Exception)]
    assert rows_of(stored, session_id) == 2


def test_the_same_run_again_stores_nothing_twice(stored: Stored) -> None:
    session_id, run_id = new_id(), new_id()
    said(stored, session_id, BILL, CHART, run_id=run_id)
    _, delivery = stored.accept(run_id=run_id, user_id="ann", media=[BILL, CHART])
    assert delivery is None
    assert rows_of(stored, session_id) == 2


@pytest.mark.parametrize(
    "other",
    [
        [],
        [BILL],
        [CHART, BILL],
        [BILL, CHART, CHART],
        [BILL, Image(data=png(1), name="chart.png")],
        [File(data=PDF, name="other.pdf"), CHART],
    ],
)
def test_the_id_of_a_run_with_other_files_is_refused(
    stored: Stored, other: list[Image | File]
) -> None:
    session_id, run_id = new_id(), new_id()
    said(stored, session_id, BILL, CHART, run_id=run_id)
    with pytest.raises(Conflict, match="other files"):
        stored.accept(run_id=run_id, user_id="ann", media=other)
    assert rows_of(stored, session_id) == 2


def test_a_run_without_files_is_another_one_than_with_them(stored: Stored) -> None:
    run_id = said(stored, new_id())
    with pytest.raises(Conflict):
        stored.accept(run_id=run_id, user_id="ann", media=[BILL])


def test_a_refused_run_leaves_no_file(stored: Stored) -> None:
    session_id = new_id()
    said(stored, session_id)
    with pytest.raises(NotAllowed):
        stored.accept(session_id=session_id, user_id="eve", media=[BILL])
    assert rows_of(stored, session_id) == 0


def test_only_its_owner_and_component_read_a_file(stored: Stored) -> None:
    [file] = of_input(stored, said(stored, new_id(), BILL))
    for other in (Viewer("eve"), Viewer()):
        with pytest.raises(NotAllowed, match="belongs to another user"):
            stored.look(lambda tx, other=other: files.read(tx, file.id, other))  # type: ignore[misc]
    with pytest.raises(InvalidInput, match="not to 'other'"):
        stored.look(lambda tx: files.read(tx, file.id, Viewer("ann", component_id="other")))
    with pytest.raises(NotFound, match="no file with the id 'nope'"):
        stored.look(lambda tx: files.read(tx, "nope", ANN))
    with pytest.raises(InvalidInput, match="file_id is empty"):
        stored.look(lambda tx: files.read(tx, "", ANN))


def test_no_bytes_are_read_with_runs_sessions_and_their_histories(stored: Stored) -> None:
    session_id = new_id()
    run_id = completed(stored, session_id, BILL, CHART)
    with no_bytes_read(stored) as heard:
        assert len(of_input(stored, run_id)) == 2
        for read in (records.messages, records.chat_history):
            found = stored.look(lambda tx, read=read: read(tx, session_id, ANN))  # type: ignore[misc]
            assert [one.name for one in found[0].files] == ["bill.pdf", "chart.png"]
        earlier = stored.look(lambda tx: history_window.earlier(tx, session_id, 9, Window(runs=3)))
        assert [type(one) for one in earlier[0].files] == [FileReference] * 2
        stored.look(lambda tx: records.page(tx, ANN, limit=9))
        stored.look(lambda tx: records.latest_runs(tx, session_id, 9))
        stored.look(lambda tx: listings.list_runs(tx, OPERATOR, limit=9))
        named = stored.look(lambda tx: files.of_runs(tx, [run_id, "nope"]))
        assert [one.name for one in named[run_id]] == ["bill.pdf", "chart.png"]
        # Not even to see whether it is the same run.
        said(stored, session_id, BILL, CHART, run_id=run_id)
    assert heard


def test_runs_without_files_ask_for_none(stored: Stored) -> None:
    run_id = completed(stored, new_id())
    with no_bytes_read(stored) as heard:
        stored.output(run_id)
        shown(stored, run_id)
    assert not [one for one in heard if "kern_files" in one]


def test_the_model_is_shown_the_bytes_also_of_what_came_earlier(stored: Stored) -> None:
    session_id = new_id()
    completed(stored, session_id, CHART)
    completed(stored, session_id, Image(url="https://example.org/cat.png"))
    run_id = said(stored, session_id, BILL, CHART)
    first, _, second, _, own = shown(stored, run_id)
    [chart], [cat], [bill, again] = first.files, second.files, own.files
    assert isinstance(chart, FileContent)
    assert isinstance(bill, FileContent)
    assert isinstance(cat, FileContent)
    assert (chart.data, bill.data, again) == (png(), PDF, chart)
    assert (cat.url, cat.data, cat.size) == ("https://example.org/cat.png", b"", 0)


def test_a_copied_session_has_files_of_its_own(stored: Stored) -> None:
    session_id = new_id()
    completed(stored, session_id, BILL, Image(url="https://example.org/cat.png"))
    fork = stored.do(lambda tx: forks.fork(tx, session_id, ANN, NOW, fork_id=new_id()))
    before = stored.look(lambda tx: records.messages(tx, session_id, ANN))[0].files
    stored.do(lambda tx: deletions.delete(tx, session_id, ANN, NOW))
    assert rows_of(stored, session_id) == 0
    for gone in before:
        with pytest.raises(NotFound):
            stored.look(lambda tx, gone=gone: files.read(tx, gone.id, ANN))  # type: ignore[misc]
    bill, cat = stored.look(lambda tx: records.messages(tx, fork, ANN))[0].files
    assert stored.look(lambda tx: files.read(tx, bill.id, ANN)).data == PDF
    assert cat.url == "https://example.org/cat.png"
    # What the copy has, it does not store again.
    assert of_input(stored, said(stored, fork, BILL)) == [bill]
    assert rows_of(stored, fork) == 2
