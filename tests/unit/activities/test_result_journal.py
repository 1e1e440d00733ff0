"""Results that the database cannot take are kept, in files too, and stored as soon as it can."""

import asyncio
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kern.activities import result_journal
from kern.activities.result_journal import CallResult, ModelAnswer, ResultJournal, ResultKeeper
from kern.db.engine.store import Store
from kern.errors import NotFound, Unavailable
from kern.models.base import ModelResponse
from kern.values.states import RequirementStatus, ToolCallStatus, ToolOutcome
from tests.support.stored_runs import NOW, Stored
from tests.support.templates import memory_with_tables
from tests.support.waiting import wait_until


def result_of(db: Store, call_id: str, token: str) -> CallResult:
    return CallResult(
        database=db.name,
        token=token,
        tool_call_id=call_id,
        outcome=ToolOutcome.result,
        result="receipt 4711",
    )


@pytest.fixture
def stored() -> Iterator[Stored]:
    with closing(memory_with_tables()) as database:
        yield Stored(database)


async def test_a_result_is_stored_once_the_database_is_back(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_journal, "_FIRST_PAUSE", 0.001)
    db, journal = stored.database, ResultJournal(tmp_path / "results")
    call_id = stored.call()
    stored.begin(call_id, "mine")
    entry, tries, kept = result_of(db, call_id, "mine"), 0, list[object]()

    async def write() -> object:
        nonlocal tries
        tries += 1
        if tries < 4:
            await asyncio.sleep(0.01)
            kept.append(journal.find("mine"))
            message = "The database does not answer."
            raise Unavailable(message)
        return await db.write(lambda tx: entry.store(tx, NOW))

    await ResultKeeper(db, journal).keep(entry, write)
    assert stored.execution(call_id).result == "receipt 4711"
    # It was in a file meanwhile, and is no more.
    assert entry in kept
    assert list(journal.entries()) == []


async def test_a_process_that_dies_leaves_its_results_to_the_next(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_journal, "_SPILL_SECONDS", 0.001)
    folder = tmp_path / "results"
    journal = ResultJournal(folder)
    requirement = stored.doubtful()
    call_id = requirement.tool_call_id or ""
    entry = result_of(stored.database, call_id, "first")
    never = asyncio.Event()
    keeping = asyncio.create_task(ResultKeeper(stored.database, journal).keep(entry, never.wait))
    await asyncio.to_thread(wait_until, lambda: journal.find("first") is not None)
    keeping.cancel()
    await asyncio.wait({keeping})
    [file] = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (
        0o700,
        0o600,
    )
    for _ in range(2):
        await ResultKeeper(stored.database, ResultJournal(folder)).store_kept()
    assert stored.execution(call_id).status is ToolCallStatus.done
    assert stored.requirement(call_id).status is RequirementStatus.resolved
    assert list(folder.iterdir()) == []


async def test_results_of_another_database_stay(stored: Stored, tmp_path: Path) -> None:
    journal = ResultJournal(tmp_path)
    call_id = stored.call()
    stored.begin(call_id, "mine")
    entry = result_of(stored.database, call_id, "mine").model_copy(update={"database": "elsewhere"})
    journal.put(entry)
    await ResultKeeper(stored.database, journal).store_kept()
    assert list(journal.entries()) == [entry]
    assert stored.execution(call_id).status is ToolCallStatus.running


async def test_a_result_of_what_was_deleted_is_forgotten(stored: Stored, tmp_path: Path) -> None:
    journal = ResultJournal(tmp_path)
    entry = result_of(stored.database, "no such call", "mine")
    journal.put(entry)
    await ResultKeeper(stored.database, journal).store_kept()
    assert list(journal.entries()) == []
    with pytest.raises(NotFound):
        await ResultKeeper(stored.database, journal).keep(
            entry, lambda: stored.database.write(lambda tx: entry.store(tx, NOW))
        )


async def test_a_file_that_cannot_be_read_stops_nobody(stored: Stored, tmp_path: Path) -> None:
    journal = ResultJournal(tmp_path)
    (tmp_path / "broken.json").write_text("{")
    call_id = stored.call()
    stored.begin(call_id, "mine")
    journal.put(result_of(stored.database, call_id, "mine"))
    await ResultKeeper(stored.database, journal).store_kept()
    assert stored.execution(call_id).status is ToolCallStatus.done


async def test_an_answer_that_was_paid_for_is_found_by_the_next_attempt(
    stored: Stored, tmp_path: Path
) -> None:
    journal = ResultJournal(tmp_path)
    keeper = ResultKeeper(stored.database, journal)
    answer = ModelAnswer(
        database=stored.database.name,
        run_id="run",
        turn=3,
        response=ModelResponse(provider="scripted", content="Paid."),
    )
    journal.put(answer)
    assert keeper.answer_of("run", 3) == answer
    assert keeper.answer_of("run", 4) is None
    assert ResultKeeper(stored.database).answer_of("run", 3) is None
    # Its run is no more: nobody needs it.
    await keeper.store_kept()
    assert keeper.answer_of("run", 3) is None


async def test_an_answer_of_an_earlier_process_leaves_no_file_once_it_is_stored(
    stored: Stored, tmp_path: Path
) -> None:
    journal = ResultJournal(tmp_path)
    response = ModelResponse(provider="scripted", content="Paid.")
    journal.put(ModelAnswer(database=stored.database.name, run_id="run", turn=3, response=response))
    keeper = ResultKeeper(stored.database, journal)
    answer = keeper.answer_of("run", 3)
    assert answer is not None

    async def write() -> str:
        return "stored"

    assert await keeper.keep(answer, write) == "stored"
    assert list(journal.entries()) == []


async def test_a_folder_that_cannot_be_written_costs_no_result(
    stored: Stored, tmp_path: Path
) -> None:
    (tmp_path / "results").write_text("a file in its place")
    journal = ResultJournal(tmp_path / "results")
    call_id = stored.call()
    stored.begin(call_id, "mine")
    entry = result_of(stored.database, call_id, "mine")
    journal.put(entry)
    await ResultKeeper(stored.database, journal).keep(
        entry, lambda: stored.database.write(lambda tx: entry.store(tx, NOW))
    )
    assert stored.execution(call_id).status is ToolCallStatus.done
